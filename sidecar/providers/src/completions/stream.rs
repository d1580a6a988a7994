//! A chat's chunks as a completion's.

use memchr::memmem;
use serde_json::Value;

use super::response::{choice, retitle};
use crate::openai::stream::frame;
use crate::{Body, Frame};

/// Translates chunks that are a chat's; any others stay as they are.
pub(crate) fn from_chat(chunks: Vec<Frame>, out: &mut Vec<Frame>) {
    for chunk in chunks {
        match translated(&chunk) {
            Kind::Text => out.push(chunk),
            Kind::Chat(Some(bytes)) => out.push(Frame { bytes, content: chunk.content }),
            Kind::Chat(None) => {}
        }
    }
}

enum Kind {
    Text,
    /// None: it says nothing that a completion has a place for.
    Chat(Option<bytes::Bytes>),
}

fn translated(chunk: &Frame) -> Kind {
    let is_chat = memmem::find(&chunk.bytes, b"\"chat.completion.chunk\"").is_some();
    let Some(data) = chunk.bytes.strip_prefix(b"data: ").filter(|_| is_chat) else { return Kind::Text };
    let data = chunk.bytes.slice_ref(data.trim_ascii());
    let Ok(mut body) = Body::parse_answer(data) else { return Kind::Text };
    if body.get_bytes("object") != Some(b"\"chat.completion.chunk\"") {
        return Kind::Text;
    }
    let Some(Value::Array(choices)) = body.value("choices") else { return Kind::Text };
    let is_empty = choices.is_empty();
    let texts = choices.iter().filter_map(|choice| {
        let delta = &choice["delta"];
        let text = delta["content"].as_str().or_else(|| delta["refusal"].as_str()).unwrap_or_default();
        // What is thought is progress, and nothing to be shown.
        let says = chunk.content || !text.is_empty() || !choice["finish_reason"].is_null();
        says.then(|| self::choice(choice, text))
    });
    let texts: Vec<Value> = texts.collect();
    if texts.is_empty() && !is_empty {
        return Kind::Chat(None);
    }
    retitle(&mut body);
    body.set("choices", &texts.into());
    Kind::Chat(Some(frame(&body.to_bytes())))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn chunks_of_a_chat_become_text() {
        let chunk = |choices: &str| {
            format!("data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":{choices}}}\n\n")
        };
        let text = |choices: &str| {
            format!("data: {{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"choices\":{choices}}}\n\n")
        };
        let said = |said: &str, reason: &str| {
            text(&format!(r#"[{{"index":0,"text":"{said}","logprobs":null,"finish_reason":{reason}}}]"#))
        };
        let rows = [
            (chunk(r#"[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]"#), false, None),
            (chunk(r#"[{"index":0,"delta":{"content":"hi"}}]"#), true, Some(said("hi", "null"))),
            (chunk(r#"[{"index":0,"delta":{"reasoning_content":"hm"}}]"#), true, Some(said("", "null"))),
            (chunk(r#"[{"index":0,"delta":{},"finish_reason":"stop"}]"#), false, Some(said("", "\"stop\""))),
            (chunk("[]"), false, Some(text("[]"))),
            ("data: [DONE]\n\n".to_owned(), false, Some("data: [DONE]\n\n".to_owned())),
            (said("x", "null"), true, Some(said("x", "null"))),
        ];
        for (bytes, content, want) in rows {
            let mut out = Vec::new();
            from_chat(vec![Frame { bytes: Bytes::from(bytes.clone()), content }], &mut out);
            let want: Vec<_> = want.into_iter().map(|text| Frame { bytes: text.into(), content }).collect();
            assert_eq!(out, want, "{bytes}");
        }
    }
}
