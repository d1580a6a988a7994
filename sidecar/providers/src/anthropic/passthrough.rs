//! Anthropic callers of Anthropic backends: everything passes but the model's name, which at others' doors is in the path,
//! and what the model does not take.

use bytes::Bytes;
use serde_json::Value;

use super::fit::fit;
use super::part::is_signed;
use super::{headers, path, version_in_body};
use crate::body::values_of;
use crate::citations::is_unsealed;
use crate::gemini::SIGNED;
use crate::openai::answer::parse;
use crate::{Answer, BadRequest, Body, Dialect, Fault, Host, Need, Outgoing, Target, Usage, fault, vertex};

pub(crate) fn encode(body: &Body, need: &Need, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    let mut out = body.clone();
    let dropped = fit(&mut out, target)?;
    if out.get_bytes("messages").is_some_and(has_unsigned) {
        leave_unsigned(&mut out);
    }
    if out.get_bytes("messages").is_some_and(has_unsealed) {
        leave_unsealed(&mut out);
    }
    match version_in_body(target.host) {
        None => out.set("model", &target.model.into()),
        Some(version) => {
            out.remove("model");
            out.set("anthropic_version", &version.into());
        }
    }
    if target.host == Host::Bedrock {
        // The path says so.
        out.remove("stream");
    }
    let path = path(target, need.stream);
    Ok(Outgoing { path, headers: headers(target, need.stream).into(), body: out.to_bytes(), dropped })
}

/// Whether some thinking was signed by nobody, or by somebody else: an answer of another backend, sent back.
fn has_unsigned(raw: &[u8]) -> bool {
    values_of(raw, b"\"signature\"").any(|value| {
        value.starts_with(b"\"\"") || value.strip_prefix(b"\"").is_some_and(|text| text.starts_with(SIGNED.as_bytes()))
    })
}

/// Claude checks signatures, and refuses a conversation for a thought that is not its own.
fn leave_unsigned(out: &mut Body) {
    out.edit("messages", |message| {
        let Some(blocks) = message.get_mut("content").and_then(Value::as_array_mut) else { return true };
        let before = blocks.len();
        blocks.retain(is_signed);
        before == blocks.len() || !blocks.is_empty()
    });
}

/// Whether something cites what Claude has not found: an answer of another backend, sent back.
fn has_unsealed(raw: &[u8]) -> bool {
    values_of(raw, b"\"encrypted_index\"").any(|value| value.starts_with(b"\"\""))
}

/// Claude wants back what it has sealed itself.
fn leave_unsealed(out: &mut Body) {
    let Some(Value::Array(mut messages)) = out.value("messages") else { return };
    for blocks in messages.iter_mut().filter_map(|message| message.get_mut("content")?.as_array_mut()) {
        for block in blocks.iter_mut().filter_map(Value::as_object_mut) {
            let Some(citations) = block.get_mut("citations").and_then(Value::as_array_mut) else { continue };
            citations.retain(|citation| !is_unsealed(citation));
            if citations.is_empty() {
                block.shift_remove("citations");
            }
        }
    }
    out.set("messages", &messages.into());
}

/// How long a prompt is, asked of the one who will count it.
pub(crate) fn encode_count(body: &Body, need: &Need, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    let outgoing = encode(body, need, target)?;
    Ok(match target.host {
        Host::Own | Host::Bedrock => Outgoing { path: format!("{}/count_tokens", outgoing.path).into(), ..outgoing },
        // A model of its own, which is told in the body whose tokens to count.
        Host::Vertex => {
            let mut out = Body::parse(outgoing.body.clone())?;
            out.remove("anthropic_version");
            out.set("model", &vertex::name(target.model).into());
            Outgoing { path: vertex::COUNT_PATH.into(), body: out.to_bytes(), ..outgoing }
        }
    })
}

/// A number of tokens, which nobody bills.
pub(crate) fn decode_count(bytes: Bytes) -> Result<Answer, Fault> {
    let body = parse(bytes.clone())?;
    if body.value("input_tokens").is_some_and(|count| count.is_u64()) {
        return Ok(Answer { body: body.to_bytes(), usage: None });
    }
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let inside = fault::inside(Dialect::Anthropic, &value);
    Err(inside.unwrap_or_else(|| Fault::garbage("answer has no \"input_tokens\"", &bytes)))
}

pub(crate) fn decode(shown_model: &str, bytes: Bytes) -> Result<Answer, Fault> {
    let mut body = message(bytes)?;
    let usage = body.value("usage").and_then(|usage| Usage::read(Dialect::Anthropic, &usage));
    if !shown_model.is_empty() {
        body.set("model", &shown_model.into());
    }
    Ok(Answer { body: body.to_bytes(), usage })
}

/// A whole message, or the fault that came instead of one.
pub(super) fn message(bytes: Bytes) -> Result<Body, Fault> {
    let body = parse(bytes.clone())?;
    if body.array_len("content").is_some() && body.get_bytes("type") != Some(b"\"error\"") {
        let ends = body.get_bytes("stop_reason").is_some_and(|reason| reason.starts_with(b"\""));
        return if ends { Ok(body) } else { Err(Fault::unfinished()) };
    }
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let inside = fault::inside(Dialect::Anthropic, &value);
    Err(inside.unwrap_or_else(|| Fault::garbage("answer has no \"content\"", &bytes)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Api, read};

    fn encoded(target: &Target<'_>, request: &Value) -> Result<(Value, Vec<String>), String> {
        let body = Body::parse(request.to_string().into()).map_err(|error| error.message)?;
        let need = read(Api::Messages, &body).map_err(|error| error.message)?;
        let out = encode(&body, &need, target).map_err(|error| error.message)?;
        Ok((serde_json::from_slice(&out.body).unwrap(), out.dropped))
    }

    #[test]
    fn what_is_counted_at_vertex_is_what_would_be_sent() {
        let thought = json!({"type": "thinking", "thinking": "hm", "signature": ""});
        let turns = json!([{"role": "user", "content": "a"},
            {"role": "assistant", "content": [thought, {"type": "text", "text": "b"}]},
            {"role": "user", "content": "c"}]);
        let body = Body::parse(json!({"model": "chat", "messages": turns}).to_string().into()).unwrap();
        let need = read(Api::CountTokens, &body).unwrap();
        let target = Target { host: Host::Vertex, ..Target::new(Dialect::Anthropic, "claude-sonnet-4-5@20250929") };
        let out = encode_count(&body, &need, &target).unwrap();
        let sent: Value = serde_json::from_slice(&out.body).unwrap();
        assert_eq!(sent["messages"][1]["content"], json!([{"type": "text", "text": "b"}]));
        let keys: Vec<_> = sent.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!((&*out.path, keys), (vertex::COUNT_PATH, vec!["messages", "model"]));
    }

    #[test]
    fn what_another_backend_cited_does_not_go_to_claude() {
        let cited = |index: &str| {
            json!({"type": "web_search_result_location", "url": "https://a", "title": null,
            "cited_text": "", "encrypted_index": index})
        };
        let text = |citations: &[Value]| json!({"type": "text", "text": "x", "citations": citations});
        let said =
            |blocks: &[Value]| json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": blocks}]);
        let target = Target::new(Dialect::Anthropic, "claude-opus-4-5");
        let request = |messages: Value| json!({"model": "m", "max_tokens": 9, "messages": messages});
        let given = said(&[text(&[cited("")]), text(&[cited(""), cited("E")]), text(&[cited("E")])]);
        let (got, _) = encoded(&target, &request(given)).unwrap();
        let plain = json!({"type": "text", "text": "x"});
        assert_eq!(got["messages"], said(&[plain, text(&[cited("E")]), text(&[cited("E")])]));
    }

    #[test]
    fn messages_that_are_none_are_the_providers_to_refuse() {
        let unsigned =
            json!({"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": ""}]});
        for strange in [json!("x"), json!(5), json!([1]), json!(null), json!({"content": 7})] {
            for host in [Host::Own, Host::Vertex, Host::Bedrock] {
                let target = Target { host, ..Target::new(Dialect::Anthropic, "claude-opus-4-5") };
                let request = json!({"model": "m", "max_tokens": 9, "messages": [strange, unsigned]});
                if let Ok((got, _)) = encoded(&target, &request) {
                    assert_eq!(got["messages"], json!([strange]), "what nobody signed stays here");
                }
            }
        }
    }
}
