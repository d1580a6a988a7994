//! A chat's answer as a completion's.

use memchr::memmem;
use serde_json::{Map, Value, json};

use crate::{Answer, Body, Fault};

/// Translates an answer that is a chat's; any other stays as it is.
pub(crate) fn from_chat(answer: Answer) -> Result<Answer, Fault> {
    let Answer { body: bytes, usage } = answer;
    if memmem::find(&bytes, b"\"message\"").is_none() {
        return Ok(Answer { body: bytes, usage });
    }
    let mut body = crate::openai::answer::parse(bytes)?;
    let Some(Value::Array(mut choices)) = body.value("choices") else {
        return Ok(Answer { body: body.to_bytes(), usage });
    };
    for choice in choices.iter_mut().filter(|choice| choice["message"].is_object()) {
        let text = choice["message"]["content"].as_str().or_else(|| choice["message"]["refusal"].as_str());
        *choice = self::choice(choice, text.unwrap_or_default());
    }
    retitle(&mut body);
    body.set("choices", &choices.into());
    Ok(Answer { body: body.to_bytes(), usage })
}

/// One answer.
pub(super) fn choice(choice: &Value, text: &str) -> Value {
    json!({
        "index": choice["index"].as_u64().unwrap_or(0),
        "text": text,
        "logprobs": logprobs(&choice["logprobs"]["content"]),
        "finish_reason": choice["finish_reason"],
    })
}

/// Its kind, and an id of that kind.
pub(super) fn retitle(body: &mut Body) {
    let id = body.value("id");
    let id = id.as_ref().and_then(Value::as_str).unwrap_or_default();
    let id = format!("cmpl-{}", id.strip_prefix("chatcmpl-").unwrap_or(id));
    body.set("id", &id.into());
    body.set("object", &"text_completion".into());
}

/// A list for each of the things known of a token, instead of a list of tokens.
fn logprobs(content: &Value) -> Value {
    let Some(tokens) = content.as_array() else { return Value::Null };
    let mut offset = 0;
    let (mut names, mut own, mut top, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for token in tokens {
        let name = token["token"].as_str().unwrap_or_default();
        names.push(Value::from(name));
        own.push(token["logprob"].clone());
        offsets.push(Value::from(offset));
        offset += name.chars().count();
        let others = token["top_logprobs"].as_array().into_iter().flatten();
        let others: Map<String, Value> =
            others.filter_map(|other| Some((other["token"].as_str()?.to_owned(), other["logprob"].clone()))).collect();
        top.push(Value::Object(others));
    }
    json!({"tokens": names, "token_logprobs": own, "top_logprobs": top, "text_offset": offsets})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_becomes_text_and_text_stays_as_it_is() {
        let chat = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 5, "model": "m", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop", "logprobs": {
                "content": [{"token": "hi", "logprob": -0.5, "top_logprobs": [{"token": "ho", "logprob": -1}]}]}},
            {"index": 1, "message": {"content": null, "refusal": "no"}, "finish_reason": "length"},
        ]});
        let answer = from_chat(Answer { body: chat.to_string().into(), usage: None }).unwrap();
        let got: Value = serde_json::from_slice(&answer.body).unwrap();
        let probable =
            json!({"tokens": ["hi"], "token_logprobs": [-0.5], "top_logprobs": [{"ho": -1}], "text_offset": [0]});
        let want = json!({"id": "cmpl-1", "object": "text_completion", "created": 5, "model": "m", "choices": [
            {"index": 0, "text": "hi", "logprobs": probable, "finish_reason": "stop"},
            {"index": 1, "text": "no", "logprobs": null, "finish_reason": "length"},
        ]});
        assert_eq!(got, want);
        let text = r#"{"choices": [{"text": "the \"message\""}]}"#;
        let answer = from_chat(Answer { body: text.into(), usage: None }).unwrap();
        assert_eq!(answer.body, r#"{"choices": [{"text": "the \"message\""}]}"#);
    }
}
