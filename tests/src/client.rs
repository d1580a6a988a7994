//! An application's side of a call, without an SDK between the test and the bytes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::http1::{Connection, Framing};

pub const CHAT: &str = "/v1/chat/completions";
pub const MESSAGES: &str = "/v1/messages";
pub const RESPONSES: &str = "/v1/responses";
/// No answer in a test takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Bytes,
    /// False: the connection ended in the middle of the body.
    pub whole: bool,
}

/// A chat request that asks `model` something short.
#[must_use]
pub fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How are you?"}]})
}

/// The same, streamed.
#[must_use]
pub fn streamed(model: &str) -> Value {
    let mut body = chat(model);
    body["stream"] = true.into();
    body
}

/// The same in the other dialect.
#[must_use]
pub fn message(model: &str, stream: bool) -> Value {
    json!({
        "model": model, "max_tokens": 200, "system": "Be brief.", "stream": stream,
        "messages": [{"role": "user", "content": "How are you?"}],
    })
}

/// The same as a response.
#[must_use]
pub fn response(model: &str, stream: bool) -> Value {
    json!({"model": model, "instructions": "Be brief.", "input": "How are you?", "stream": stream})
}

/// Posts JSON, as an SDK does.
pub async fn post(to: SocketAddr, path: &str, body: &Value) -> anyhow::Result<Reply> {
    send(to, &request("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())).await
}

/// A whole request with its length and these headers.
#[must_use]
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// Sends bytes as they are and reads one answer, on a connection of its own.
pub async fn send(to: SocketAddr, bytes: &[u8]) -> anyhow::Result<Reply> {
    tokio::time::timeout(PATIENCE, exchange(to, bytes)).await.with_context(|| format!("no answer in {PATIENCE:?}"))?
}

async fn exchange(to: SocketAddr, bytes: &[u8]) -> anyhow::Result<Reply> {
    let mut connection = Connection::new(TcpStream::connect(to).await?)?;
    // A server may answer, and close, before it has read a body it will not take; the answer is still there to read.
    let written = connection.write(bytes).await;
    let head = match connection.head().await {
        Ok(head) => head.context("the connection was closed instead of answered")?,
        Err(error) => anyhow::bail!("no answer: {error} (the request: {written:?})"),
    };
    let mut body = BytesMut::new();
    let mut whole = true;
    if head.framing() == Framing::Chunked {
        loop {
            match connection.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(_) => {
                    whole = false;
                    break;
                }
            }
        }
    } else {
        body.extend_from_slice(&connection.body(head.framing()).await?);
    }
    let headers = head.headers().map(|(name, value)| (name, value.to_owned())).collect();
    Ok(Reply { status: head.status(), headers, body: body.freeze(), whole })
}

// === impl Reply ===

impl Reply {
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Null when it is no JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The `code` of an OpenAI error body.
    #[must_use]
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The `message` of an error body of either dialect.
    #[must_use]
    pub fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
    }

    /// What each event of a stream carries, `[DONE]` included.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.body);
        text.lines().filter_map(|line| line.strip_prefix("data:")).map(|data| data.trim().to_owned()).collect()
    }

    /// What the answer says, plain or streamed, in either dialect.
    #[must_use]
    pub fn text(&self) -> String {
        let plain = self.json();
        if plain.is_object() {
            let texts = ["/choices/0/message/content", "/content/0/text", "/output/0/content/0/text"];
            let text = texts.iter().find_map(|at| plain.pointer(at)?.as_str());
            return text.unwrap_or_default().to_owned();
        }
        let events = self.events();
        let events = events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
        events.filter_map(|event| piece(&event).map(str::to_owned)).collect()
    }

    /// True if a stream says that it is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let last = |name: &str, event: &String| event.contains(&format!("\"type\":\"{name}\""));
        let ends = |event: &String| {
            event == "[DONE]" || event.contains("\"message_stop\"") || last("response.completed", event)
        };
        self.whole && self.events().last().is_some_and(ends)
    }

    /// True if a stream says that it failed.
    #[must_use]
    pub fn has_error_event(&self) -> bool {
        self.events()
            .iter()
            .any(|event| serde_json::from_str::<Value>(event).is_ok_and(|event| event["error"].is_object()))
    }
}

fn piece(event: &Value) -> Option<&str> {
    let said = event["type"] == "response.output_text.delta";
    event["choices"][0]["delta"]["content"]
        .as_str()
        .or(event["delta"]["text"].as_str())
        .or(event["delta"].as_str().filter(|_| said))
}
