//! A backend with this API: bytes pass through, and only what a policy owns is rewritten.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::body::holds_any;
use crate::openai::answer::{no_answer, usage};
use crate::openai::family::Family;
use crate::openai::request::unsupported;
use crate::openai::table::Path;
use crate::path::segment;
use crate::{Answer, BadRequest, Body, Dialect, Fault, Outgoing, Target, Unsupported, fault};

/// What lets a conversation go on whose thoughts nobody keeps.
const THOUGHTS: &str = "reasoning.encrypted_content";

/// Writes the request.
pub(crate) fn encode(body: &Body, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    let mut out = body.clone();
    let mut dropped = Vec::new();
    out.set("model", &target.model.into());
    fit(&mut out, target, &mut dropped)?;
    if !target.keeps && out.value("store").is_none() {
        out.set("store", &false.into());
        stateless(&mut out, target.family());
    }
    let path = match (target.row.path, target.api_version) {
        (Path::Deployment, Some(version)) => Cow::Owned(format!("/openai/responses?api-version={}", segment(version))),
        (Path::Plain | Path::Deployment, _) => Cow::Borrowed("/responses"),
    };
    Ok(Outgoing { path, headers: Cow::Borrowed(&[]), body: out.to_bytes(), dropped })
}

/// Leaves out what the provider, or the model by its name, refuses.
fn fit(out: &mut Body, target: &Target<'_>, dropped: &mut Vec<String>) -> Result<(), BadRequest> {
    let family = target.family();
    let drops = target.row.responses.unwrap_or_default();
    for key in drops.iter().copied().chain(["temperature", "top_p", "reasoning"]) {
        let Some(value) = out.value(key) else { continue };
        let refused = match key {
            _ if drops.contains(&key) => true,
            "reasoning" => family == Family::Gpt && !value["effort"].is_null(),
            _ => family.refuses(key, &value),
        };
        match target.unsupported {
            _ if !refused => {}
            Unsupported::Pass => {}
            Unsupported::Reject => return Err(unsupported(key, target.model)),
            Unsupported::Drop => {
                out.remove(key);
                dropped.push(key.to_owned());
            }
        }
    }
    Ok(())
}

/// What the provider does not keep it cannot find again: thoughts have to come along in the open, or rather sealed.
fn stateless(out: &mut Body, family: Family) {
    if family.reasons() {
        let mut include = out.value("include").filter(Value::is_array).unwrap_or_else(|| json!([]));
        if let Value::Array(list) = &mut include
            && !list.iter().any(|word| word == THOUGHTS)
        {
            list.push(THOUGHTS.into());
            out.set("include", &include);
        }
    }
    let foreign = |raw: &[u8]| holds_any(raw, &[b"\"reasoning\"", b"\"extra_content\""]);
    if !out.get_bytes("input").is_some_and(foreign) {
        return;
    }
    out.edit("input", |item| {
        if let Value::Object(item) = item {
            item.shift_remove("extra_content");
        }
        item["type"] != "reasoning" || is_sealed(item)
    });
}

/// Thoughts that OpenAI can open: not those of another provider, which are blocks in plain sight.
fn is_sealed(item: &Value) -> bool {
    item["encrypted_content"].as_str().is_some_and(|text| !text.is_empty() && !text.starts_with('['))
}

/// Renames the model and reads the usage; a 200 that is no answer is a fault.
pub(crate) fn decode(shown_model: &str, mut body: Body) -> Result<Answer, Fault> {
    if let Some(fault) = failed(&body) {
        return Err(fault);
    }
    if body.array_len("output").is_none() {
        return Err(no_answer(&body, "output"));
    }
    let usage = usage(&body);
    rename(&mut body, shown_model);
    Ok(Answer { body: body.to_bytes(), usage })
}

/// A response that failed says so, with status 200.
pub(super) fn failed(body: &Body) -> Option<Fault> {
    if body.get_bytes("status") != Some(b"\"failed\"") {
        return None;
    }
    let value: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let inside = fault::inside(Dialect::OpenAi, &value);
    Some(inside.unwrap_or_else(|| Fault::garbage("the response failed", &Bytes::new())))
}

/// The model's name as the application knows it. False: it was that.
pub(super) fn rename(body: &mut Body, shown_model: &str) -> bool {
    if shown_model.is_empty() || body.value("model").is_none_or(|model| model == shown_model) {
        return false;
    }
    body.set("model", &shown_model.into());
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, row};

    fn sent(kind: &str, model: &str, body: &Value) -> (Value, Outgoing) {
        let body = Body::parse(body.to_string().into()).unwrap();
        let target = Target { row: row(kind), ..Target::new(Dialect::OpenAi, model) };
        let out = encode(&body, &target).unwrap();
        (serde_json::from_slice(&out.body).unwrap(), out)
    }

    #[test]
    fn only_what_a_policy_owns_and_what_is_refused_is_rewritten() {
        let raw =
            r#"{ "input":[{"role":"user","content":"\u0068i"}],  "model":"chat","store":true,"x_new": {"a": 1.50}}"#;
        let body = Body::parse(Bytes::from_static(raw.as_bytes())).unwrap();
        let target = Target { row: row("OpenAI"), ..Target::new(Dialect::OpenAi, "gpt-4o") };
        let want =
            r#"{"input":[{"role":"user","content":"\u0068i"}],"model":"gpt-4o","store":true,"x_new":{"a": 1.50}}"#;
        assert_eq!(encode(&body, &target).unwrap().body, want);

        let body = json!({"model": "chat", "input": "x", "temperature": 0.5, "reasoning": {"effort": "low"},
            "metadata": {"k": "v"}, "store": false});
        let rows = [
            ("OpenAI", "gpt-4o", vec!["reasoning"]),
            ("OpenAI", "gpt-5", vec!["temperature"]),
            ("XAI", "grok-4", vec!["metadata"]),
            ("VLLM", "qwen", vec![]),
        ];
        for (kind, model, want) in rows {
            let (got, Outgoing { dropped, path, .. }) = sent(kind, model, &body);
            assert_eq!(
                (dropped, path.as_ref()),
                (want.iter().map(ToString::to_string).collect(), "/responses"),
                "{model}"
            );
            assert!(want.iter().all(|key| got.get(key).is_none()), "{model}: {got}");
        }
    }

    #[test]
    fn nothing_is_kept_unless_it_is_asked_for_and_thoughts_travel_sealed() {
        let foreign = json!([
            {"type": "reasoning", "summary": []},
            {"type": "reasoning", "summary": [], "encrypted_content": "[{\"type\":\"thinking\"}]"},
            {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"},
            {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}", "extra_content": {"google": {}}},
        ]);
        let (got, _) = sent("OpenAI", "gpt-5", &json!({"model": "chat", "input": foreign, "include": ["x"]}));
        assert_eq!((&got["store"], &got["include"]), (&json!(false), &json!(["x", "reasoning.encrypted_content"])));
        let want = json!([
            {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"},
            {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        ]);
        assert_eq!(got["input"], want);
        let (got, _) = sent("OpenAI", "gpt-4o", &json!({"model": "chat", "input": "x"}));
        assert_eq!(got, json!({"model": "gpt-4o", "input": "x", "store": false}));
    }

    #[test]
    fn a_dated_api_is_asked_at_its_date() {
        let body = Body::parse(r#"{"model":"chat","input":"x"}"#.into()).unwrap();
        let target = Target {
            row: row("AzureOpenAI"),
            api_version: Some("2025-04-01-preview"),
            ..Target::new(Dialect::OpenAi, "mine")
        };
        assert_eq!(encode(&body, &target).unwrap().path, "/openai/responses?api-version=2025-04-01-preview");
    }

    #[test]
    fn an_answer_keeps_its_bytes_but_for_the_model_and_a_failure_is_a_fault() {
        let text = r#"{"id":"resp_1","model":"gpt-5","status":"completed","error":null,"output":[{"x": 1e2}],"usage":{"input_tokens":3,"input_tokens_details":{"cached_tokens":1},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":1}}}"#;
        let parsed = |text: &'static str| Body::parse_answer(Bytes::from_static(text.as_bytes())).unwrap();
        let answer = decode("chat", parsed(text)).unwrap();
        assert_eq!(answer.body, text.replace("gpt-5", "chat"));
        let usage = answer.usage.map(|usage| (usage.input, usage.output, usage.cache_read, usage.reasoning));
        assert_eq!(usage, Some((3, 2, 1, 1)));
        let rows = [
            (
                r#"{"status":"failed","error":{"code":"rate_limit_exceeded","message":"slow"},"output":[]}"#,
                Class::RateLimited,
            ),
            (r#"{"status":"failed","output":[]}"#, Class::InternalServerError),
            (r#"{"error":{"message":"no","type":"invalid_request_error"}}"#, Class::BadRequest),
            (r#"{"object":"response"}"#, Class::InternalServerError),
        ];
        for (text, class) in rows {
            assert_eq!(decode("", parsed(text)).unwrap_err().class, class, "{text}");
        }
    }
}
