//! A completion's request as a chat's.

use serde_json::{Map, Value, json};

use crate::openai::family::is_neutral;
use crate::openai::request::unsupported;
use crate::{BadRequest, Body, Target, Unsupported};

/// What a chat has no word for.
const UNSUPPORTED: &[&str] = &["best_of", "echo", "suffix"];

/// Translates a request into a chat request. Also what was left out.
pub(crate) fn to_chat(body: &Body, target: &Target<'_>) -> Result<(Body, Vec<String>), BadRequest> {
    let prompt = prompt(body, target.model)?;
    if body.get_bytes("max_tokens") == Some(b"0") {
        let message =
            format!("\"max_tokens\" is 0, and model {:?} only chats: it cannot repeat a prompt", target.model);
        return Err(BadRequest::at("max_tokens", message));
    }
    let mut out = Map::new();
    let mut dropped = Vec::new();
    out.insert("messages".into(), json!([{"role": "user", "content": prompt}]));
    for key in body.keys().filter(|key| *key != "prompt") {
        let Some(value) = body.value(key) else { continue };
        match key {
            // A number there; here, a wish and a number.
            "logprobs" => {
                out.insert("logprobs".into(), true.into());
                out.insert("top_logprobs".into(), value);
            }
            _ if !UNSUPPORTED.contains(&key) => {
                out.insert(key.to_owned(), value);
            }
            _ if is_nothing(key, &value) => {}
            _ => match target.unsupported {
                Unsupported::Drop => dropped.push(key.to_owned()),
                Unsupported::Reject => return Err(unsupported(key, target.model)),
                Unsupported::Pass => {
                    out.insert(key.to_owned(), value);
                }
            },
        }
    }
    Ok((Body::parse(Value::Object(out).to_string().into())?, dropped))
}

/// The one prompt of a request. Several want an answer each, and tokens are words of one model's own.
pub(crate) fn prompt(body: &Body, model: &str) -> Result<String, BadRequest> {
    let refused = |what: &str, fix: &str| {
        let message = format!("\"prompt\" is {what}, and model {model:?} takes one text at a time ({fix})");
        Err(BadRequest::at("prompt", message))
    };
    let text = "send the text that they stand for";
    match body.value("prompt") {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text),
        Some(Value::Array(prompts)) => match prompts.as_slice() {
            [Value::String(text)] => Ok(text.clone()),
            [] => refused("an empty list", "send a string"),
            [Value::String(_), ..] => refused("a list of several", "send a request for each"),
            [Value::Number(_), ..] => refused("a list of tokens, which are one model's own", text),
            [Value::Array(_), ..] => refused("a list of lists of tokens, which are one model's own", text),
            _ => refused("a list of what is no text", "send a string"),
        },
        Some(_) => refused("no text", "send a string"),
    }
}

fn is_nothing(key: &str, value: &Value) -> bool {
    let unset = match key {
        "echo" => *value == Value::Bool(false),
        "best_of" => value.as_u64() == Some(1),
        _ => value.as_str().is_some_and(str::is_empty),
    };
    unset || is_neutral(key, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Api, Dialect, encode, read};

    #[test]
    fn a_prompt_that_is_no_single_text_is_refused_with_what_to_send_instead() {
        let rows = [
            (json!(["a", "b"]), "a list of several", "a request for each"),
            (json!([1, 2]), "a list of tokens", "the text that they stand for"),
            (json!([[1], [2, 3]]), "a list of lists of tokens", "the text that they stand for"),
            (json!([]), "an empty list", "a string"),
            (json!([null]), "no text", "a string"),
        ];
        for (prompt, what, fix) in rows {
            let body = Body::parse(json!({"model": "m", "prompt": prompt}).to_string().into()).unwrap();
            let Ok(need) = read(Api::Completions, &body) else { continue };
            for dialect in Dialect::ALL.into_iter().filter(|dialect| *dialect != Dialect::OpenAi) {
                let refused = encode(Api::Completions, &body, &need, &Target::new(dialect, "big")).unwrap_err();
                let BadRequest { param, message } = refused;
                assert_eq!(param.as_deref(), Some("prompt"), "{dialect:?} {prompt}");
                let says = message.contains(what)
                    && message.contains("\"big\"")
                    && message.ends_with(&format!("(send {fix})"));
                assert!(says, "{dialect:?} {prompt}: {message}");
            }
        }
    }
}
