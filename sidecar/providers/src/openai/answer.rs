//! Whole answers of the OpenAI family, passed through.

use bytes::Bytes;
use serde_json::Value;

use super::stand_in;
use super::tidy::tidy;
use crate::{Answer, Api, Body, Dialect, Fault, Tier, Usage, fault};

/// Renames the model and reads the usage; a 200 that is no answer is a fault.
pub(crate) fn decode(api: Api, shown_model: &str, bytes: Bytes) -> Result<Answer, Fault> {
    let mut body = parse(bytes)?;
    let part = if api == Api::Embeddings { "data" } else { "choices" };
    match body.array_len(part) {
        Some(count) if count > 0 => {}
        _ => return Err(no_answer(&body, part)),
    }
    let usage = usage(&body);
    tidy(&mut body);
    stand_in::answer(&mut body);
    if !shown_model.is_empty() && body.get_bytes("model").is_some() {
        body.set("model", &shown_model.into());
    }
    Ok(Answer { body: body.to_bytes(), usage })
}

/// An object, or the fault that came instead of one.
pub(crate) fn parse(bytes: Bytes) -> Result<Body, Fault> {
    Body::parse_answer(bytes.clone()).map_err(|error| Fault::garbage(&format!("answer is unreadable: {error}"), &bytes))
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
    let usage = body.value("usage").or_else(|| body.value("x_groq").and_then(|groq| groq.get("usage").cloned()))?;
    let usage = Usage::read(Dialect::OpenAi, &usage)?;
    let tier = usage.tier.or_else(|| Tier::read(&body.value("service_tier")?));
    Some(Usage { tier, ..usage })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

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
