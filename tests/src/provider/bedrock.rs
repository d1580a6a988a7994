//! Answers of Amazon Bedrock's Converse, plain and as binary messages; and whether a request was signed as AWS wants it,
//! worked out from the specification and without the library that signs.

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::script::{self, Script};
use super::{ANSWER, Fault, INPUT_TOKENS, OUTPUT_TOKENS, Seen, anthropic, send};

/// The key that signs.
pub const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
pub const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Blocks of a SHA-256 HMAC.
const BLOCK: usize = 64;

/// What to do with a request for a path below `/model/`. Only the faults that a stream of messages has are played.
pub(super) fn script(seen: &Seen, fault: &Fault) -> Script {
    if let Fault::Status { code, .. } = fault {
        return script::json(*code, &[], &json!({"message": "the model asked for it"}).to_string());
    }
    let usage = json!({"inputTokens": INPUT_TOKENS, "outputTokens": OUTPUT_TOKENS, "totalTokens": INPUT_TOKENS + OUTPUT_TOKENS});
    if seen.path.ends_with("/invoke") {
        return script::json(200, &[], &anthropic::answer(&seen.model(), ANSWER, None));
    }
    if seen.path.ends_with("/converse") {
        let message = json!({"role": "assistant", "content": [{"text": ANSWER}]});
        let answer = json!({"output": {"message": message}, "stopReason": "end_turn", "usage": usage});
        return script::json(200, &[], &answer.to_string());
    }
    let events = if seen.path.ends_with("/invoke-with-response-stream") { chunks(seen) } else { converse(&usage) };
    let mut frames: Vec<Bytes> = events.iter().map(|(name, payload)| message("event", name, payload)).collect();
    let mut script = Script::default();
    match fault {
        Fault::Cut(count) => {
            frames.truncate(*count);
            script.reset = true;
        }
        Fault::EventError(count) => {
            frames.truncate(*count);
            frames.push(message("exception", "throttlingException", &json!({"message": "Too many requests."})));
        }
        _ => {}
    }
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ntransfer-encoding: chunked\r\n\r\n";
    script.steps.push(send(head));
    // Messages do not keep to the pieces they travel in.
    let bytes = frames.concat();
    script.steps.extend(bytes.chunks(100).map(|piece| {
        let size = format!("{:x}\r\n", piece.len());
        send([size.as_bytes(), piece, b"\r\n"].concat())
    }));
    if !script.reset {
        script.steps.push(send("0\r\n\r\n"));
    }
    script
}

/// A stream of Converse's.
fn converse(usage: &Value) -> Vec<(&'static str, Value)> {
    let piece = |text: &str| ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"text": text}}));
    let mut events = vec![("messageStart", json!({"role": "assistant"}))];
    events.extend(ANSWER.split_inclusive(' ').map(piece));
    events.push(("contentBlockStop", json!({"contentBlockIndex": 0})));
    events.push(("messageStop", json!({"stopReason": "end_turn"})));
    events.push(("metadata", json!({"usage": usage, "metrics": {"latencyMs": 1}})));
    events
}

/// The same answer as Claude itself would stream it, wrapped.
fn chunks(seen: &Seen) -> Vec<(&'static str, Value)> {
    let events = anthropic::events(&seen.model(), ANSWER, None);
    let data = events.iter().filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data: ")));
    data.map(|data| ("chunk", json!({"bytes": STANDARD.encode(data)}))).collect()
}

/// One message, framed.
fn message(kind: &str, name: &str, payload: &Value) -> Bytes {
    let mut headers = BytesMut::new();
    for (header, value) in
        [(format!(":{kind}-type"), name), (":content-type".into(), "application/json"), (":message-type".into(), kind)]
    {
        headers.put_u8(header.len() as u8);
        headers.put_slice(header.as_bytes());
        // A string, and its length.
        headers.put_u8(7);
        headers.put_u16(value.len() as u16);
        headers.put_slice(value.as_bytes());
    }
    let payload = payload.to_string();
    let mut out = BytesMut::new();
    out.put_u32((headers.len() + payload.len() + 16) as u32);
    out.put_u32(headers.len() as u32);
    out.put_u32(crc32fast::hash(&out));
    out.put_slice(&headers);
    out.put_slice(payload.as_bytes());
    out.put_u32(crc32fast::hash(&out));
    out.freeze()
}

impl Seen {
    /// Fails unless the request was signed with our key for this region.
    pub fn check_signature(&self, region: &str) -> anyhow::Result<()> {
        let header = |name: &str| self.header(name).with_context(|| format!("no {name} came"));
        let (date, authorization) = (header("x-amz-date")?, header("authorization")?);
        let day = date.split('T').next().unwrap_or_default();
        let scope = format!("{day}/{region}/bedrock/aws4_request");
        let (_, signed) = authorization.split_once("SignedHeaders=").context("no signed headers")?;
        let (signed, _) = signed.split_once(',').context("no end of the signed headers")?;
        ensure!(signed.contains("host") && signed.contains("x-amz-date"), "signed is only {signed}");
        let mut lines = String::new();
        for name in signed.split(';') {
            lines.push_str(&format!("{name}:{}\n", header(name)?));
        }
        // The path is encoded once more.
        let path = self.path.replace('%', "%25").replace(':', "%3A");
        let request = format!("{}\n{path}\n\n{lines}\n{signed}\n{}", self.method, hex(&Sha256::digest(&self.raw)));
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(&request)));
        let mut key = format!("AWS4{SECRET_ACCESS_KEY}").into_bytes();
        for part in [day, region, "bedrock", "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        let want = format!(
            "AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/{scope}, SignedHeaders={signed}, Signature={}",
            hex(&hmac(&key, text.as_bytes()))
        );
        ensure!(authorization == want, "signed as {authorization}, want {want}, over {request:?}");
        Ok(())
    }
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = if key.len() > BLOCK { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block.resize(BLOCK, 0);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([&pad(0x36)[..], text].concat());
    Sha256::digest([&pad(0x5c)[..], &inner[..]].concat()).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
