//! Whole answers of the OpenAI family, passed through.

use bytes::Bytes;
use serde_json::{Value, json};

use super::stand_in;
use super::tidy::tidy;
use crate::body::holds_any;
use crate::{Answer, Api, Body, Class, Dialect, Fault, Tier, Usage, fault};

/// Renames the model and reads the usage; a 200 that is no answer is a fault.
pub(crate) fn decode(api: Api, shown_model: &str, bytes: Bytes) -> Result<Answer, Fault> {
    let mut body = parse(bytes)?;
    let part = if api == Api::Embeddings { "data" } else { "choices" };
    match body.array_len(part) {
        Some(count) if count > 0 => {}
        _ => return Err(no_answer(&body, part)),
    }
    if let Some(fault) = choice_error(&body) {
        return Err(fault);
    }
    let told = Told::of(&body);
    tidy(&mut body, told.as_ref());
    stand_in::answer(&mut body);
    if !shown_model.is_empty() && body.get_bytes("model").is_some() {
        body.set("model", &shown_model.into());
    }
    Ok(Answer { body: body.to_bytes(), usage: told.map(|told| told.usage) })
}

/// What OpenRouter says of a provider behind it that failed in the middle of an answer: the choice has an `error`, and the
/// answer as a whole has none.
fn choice_error(body: &Body) -> Option<Fault> {
    let raw = body.get_bytes("choices").filter(|raw| holds_any(raw, &[b"\"error\""]))?;
    let choices: Vec<Value> = serde_json::from_slice(raw).ok()?;
    let error = choices.iter().map(|choice| &choice["error"]).find(|error| error.is_object() || error.is_string())?;
    fault::inside(Dialect::OpenAi, &json!({"error": error}))
}

/// An object, or the fault that came instead of one.
pub(crate) fn parse(bytes: Bytes) -> Result<Body, Fault> {
    if is_events(&bytes) {
        let message = "answered with an event stream where one JSON document was asked for (its endpoint streams whatever \
                       \"stream\" says: ask it for streams, or give it another base URL)";
        return Err(Fault::own(Class::InternalServerError, message));
    }
    Body::parse_answer(bytes.clone()).map_err(|error| Fault::garbage(&format!("answer is unreadable: {error}"), &bytes))
}

/// Whether it begins as an event stream does. What is in it is an answer, and no error's text.
fn is_events(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    [&b"data:"[..], b"event:", b"id:", b": "].iter().any(|word| start.starts_with(word))
}

/// The error inside an answer, or that it holds nothing.
pub(crate) fn no_answer(body: &Body, part: &str) -> Fault {
    let bytes = body.to_bytes();
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let inside = fault::inside(Dialect::OpenAi, &value);
    inside.unwrap_or_else(|| Fault::garbage(&format!("answer has no {part:?}"), &bytes))
}

/// The usage where the family puts it.
pub(crate) fn usage(body: &Body) -> Option<Usage> {
    Told::of(body).map(|told| told.usage)
}

/// What an answer says of its usage, and what that means.
pub(crate) struct Told {
    pub(crate) value: Value,
    pub(crate) usage: Usage,
}

// === impl Told ===

impl Told {
    pub(crate) fn of(body: &Body) -> Option<Self> {
        let groq = || body.value("x_groq").and_then(|mut groq| groq.get_mut("usage").map(Value::take));
        let value = body.value("usage").or_else(groq)?;
        let usage = Usage::read(Dialect::OpenAi, &value)?;
        let tier = usage.tier.or_else(|| Tier::read(&body.value("service_tier")?));
        Some(Self { value, usage: Usage { tier, ..usage } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_text(api: Api, text: &'static str) -> Result<Answer, Fault> {
        decode(api, "chat", Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn an_answer_keeps_its_bytes_but_for_the_model() {
        let text = r#"{"id":"1","model":"gpt-4o-2024","choices":[{"x": 1e2}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
        let answer = decode_text(Api::ChatCompletions, text).unwrap();
        assert_eq!(answer.body, text.replace("gpt-4o-2024", "chat"));
        assert_eq!(answer.usage, Some(Usage { input: 3, output: 2, ..Usage::default() }));
        let text = text.replace(r#""choices""#, r#""service_tier":"flex","choices""#);
        let answer = decode(Api::ChatCompletions, "chat", text.into()).unwrap();
        assert_eq!(answer.usage.and_then(|usage| usage.tier), Some(Tier::Flex));
        let answer = decode_text(Api::Embeddings, r#"{"data":[{"embedding":[0.25]}]}"#).unwrap();
        assert_eq!((answer.body, answer.usage), (Bytes::from_static(br#"{"data":[{"embedding":[0.25]}]}"#), None));
    }

    #[test]
    fn a_200_that_is_no_answer_is_a_fault() {
        let rows = [
            (r#"{"error":{"code":429,"message":"slow down"}}"#, Class::RateLimited, "slow down"),
            (r#"{"error":{"message":"no","type":"invalid_request_error"}}"#, Class::BadRequest, "no"),
            ("<html>Access denied by proxy</html>", Class::InternalServerError, "Access denied by proxy"),
            (r#"{"choices":[{"message":{"content":"Hel"#, Class::InternalServerError, "it ends after 38 bytes"),
            (
                r#"{"choices":[{"message":{"content":"Hel"},"finish_reason":"error","error":{"code":429,"message":"slow down"}}]}"#,
                Class::RateLimited,
                "slow down",
            ),
            ("data: {\"choices\":[]}\n\n", Class::InternalServerError, "event stream where one JSON document"),
            (r#"{"choices":[]}"#, Class::InternalServerError, "no \"choices\""),
            ("", Class::InternalServerError, "answer is unreadable"),
        ];
        for (text, class, message) in rows {
            let fault = decode_text(Api::ChatCompletions, text).unwrap_err();
            assert_eq!(fault.class, class, "{text}");
            assert!(fault.message.contains(message), "{text}: {}", fault.message);
        }
    }
}
