//! Requests in OpenAI's words to a backend that speaks them.

use memchr::memmem;
use serde_json::{Value, json};

use super::family::Family;
use crate::{Api, BadRequest, Body, Need, Outgoing, Target, Unsupported};

/// Rewrites what a policy owns, and passes the rest on.
pub(crate) fn encode(api: Api, body: &Body, need: &Need, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    let mut out = body.clone();
    out.set("model", &target.model.into());
    if need.stream {
        out.set("stream_options", &with_usage(body.value("stream_options")));
    }
    let mut dropped = Vec::new();
    if api == Api::ChatCompletions {
        let family = Family::of(target.model);
        fit_family(&mut out, family, target, &mut dropped)?;
        fit_messages(&mut out, family);
    }
    Ok(Outgoing { path: path(api), headers: &[], body: out.to_bytes(), dropped })
}

/// Where each API lives.
pub(crate) fn path(api: Api) -> &'static str {
    match api {
        Api::ChatCompletions | Api::Messages => "/chat/completions",
        Api::Completions => "/completions",
        Api::Embeddings => "/embeddings",
    }
}

/// Without the usage of a stream nobody could say what it cost; the application sees it only if it asked.
pub(crate) fn with_usage(options: Option<Value>) -> Value {
    let mut options = options.filter(Value::is_object).unwrap_or_else(|| json!({}));
    options["include_usage"] = Value::Bool(true);
    options
}

/// Reasoning models know one name for the bound on the answer, and refuse sampling parameters.
fn fit_family(
    out: &mut Body,
    family: Family,
    target: &Target<'_>,
    dropped: &mut Vec<String>,
) -> Result<(), BadRequest> {
    if !family.reasons() {
        return Ok(());
    }
    if out.get_bytes("max_completion_tokens").is_some() {
        out.remove("max_tokens");
    } else {
        out.rename("max_tokens", "max_completion_tokens");
    }
    for key in family.suspects() {
        let refused = out.value(key).is_some_and(|value| family.refuses(key, &value));
        match target.unsupported {
            Unsupported::Pass => {}
            _ if !refused => {}
            Unsupported::Drop => {
                out.remove(key);
                dropped.push(key.to_owned());
            }
            Unsupported::Reject => return Err(unsupported(key, target.model)),
        }
    }
    Ok(())
}

pub(crate) fn unsupported(key: &str, model: &str) -> BadRequest {
    let message = format!("model {model:?} does not take \"{key}\" (leave it out, or set request.unsupported: Drop)");
    BadRequest::at(key, message)
}

/// Two habits of applications that only some backends forgive: the role `developer`, which only OpenAI's reasoning models
/// tell from `system`, and an image's URL without its object. Messages that have neither are not looked into.
fn fit_messages(out: &mut Body, family: Family) {
    let developer = family != Family::OSeries && out.may_have_developer();
    let bare_image = || out.may_have_images() && out.get_bytes("messages").is_some_and(has_bare_image);
    if !developer && !bare_image() {
        return;
    }
    let Some(mut messages) = out.value("messages") else { return };
    for message in messages.as_array_mut().into_iter().flatten() {
        if developer && message["role"] == "developer" {
            message["role"] = "system".into();
        }
        for part in message.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten() {
            if part["image_url"].is_string() {
                part["image_url"] = json!({"url": part["image_url"].take()});
            }
        }
    }
    out.set("messages", &messages);
}

/// `"image_url": "…"`, where an object belongs.
fn has_bare_image(raw: &[u8]) -> bool {
    let name = b"\"image_url\"";
    memmem::find_iter(raw, name).any(|at| {
        let rest = raw.get(at + name.len()..).unwrap_or_default().trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"\""))
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Dialect, read};

    fn sent(model: &str, unsupported: Unsupported, body: Value) -> Result<(Value, Vec<String>), BadRequest> {
        let body = Body::parse(Bytes::from(body.to_string())).unwrap();
        let need = read(Api::ChatCompletions, &body).unwrap();
        let target = Target { dialect: Dialect::OpenAi, model, max_output_tokens: None, unsupported };
        let out = encode(Api::ChatCompletions, &body, &need, &target)?;
        Ok((serde_json::from_slice(&out.body).unwrap(), out.dropped))
    }

    fn chat(more: Value) -> Value {
        let mut body = json!({"model": "chat", "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    #[test]
    fn only_what_a_policy_owns_is_rewritten() {
        let raw = r#"{ "messages":[{"role":"user","content":"\u0068i"}],  "model":"chat","x_new": {"a": 1.50}}"#;
        let body = Body::parse(Bytes::from_static(raw.as_bytes())).unwrap();
        let need = read(Api::ChatCompletions, &body).unwrap();
        let target = Target {
            dialect: Dialect::OpenAi,
            model: "gpt-4o",
            max_output_tokens: None,
            unsupported: Unsupported::Drop,
        };
        let out = encode(Api::ChatCompletions, &body, &need, &target).unwrap();
        let want = r#"{"messages":[{"role":"user","content":"\u0068i"}],"model":"gpt-4o","x_new":{"a": 1.50}}"#;
        assert_eq!(out.body, want);
        assert_eq!(out.path, "/chat/completions");
    }

    #[test]
    fn usage_is_always_asked_for_in_streams() {
        let (sent, _) =
            sent("m", Unsupported::Drop, chat(json!({"stream": true, "stream_options": {"x": 1}}))).unwrap();
        assert_eq!(sent["stream_options"], json!({"x": 1, "include_usage": true}));
    }

    #[test]
    fn reasoning_models_get_what_they_take() {
        let body = chat(json!({"max_tokens": 9, "temperature": 0.2, "top_p": 1, "stop": "x", "seed": 4}));
        let rows = [
            ("gpt-4o", json!({"max_tokens": 9, "temperature": 0.2, "top_p": 1, "stop": "x", "seed": 4}), vec![]),
            ("o3-mini", json!({"max_completion_tokens": 9, "top_p": 1, "stop": "x", "seed": 4}), vec!["temperature"]),
            ("gpt-5", json!({"max_completion_tokens": 9, "top_p": 1, "seed": 4}), vec!["temperature", "stop"]),
        ];
        for (model, want, want_dropped) in rows {
            let (got, dropped) = sent(model, Unsupported::Drop, body.clone()).unwrap();
            let mut want = chat(want);
            want["model"] = model.into();
            assert_eq!((got, dropped), (want, want_dropped.iter().map(ToString::to_string).collect()), "{model}");
        }
        let error = sent("gpt-5", Unsupported::Reject, body.clone()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("temperature"));
        assert_eq!(sent("gpt-5", Unsupported::Pass, body).unwrap().0["temperature"], 0.2);
    }

    #[test]
    fn habits_that_some_backends_refuse_are_straightened() {
        let body = json!({"model": "m", "messages": [
            {"role": "developer", "content": "be kind"},
            {"role": "user", "content": [{"type": "image_url", "image_url": "https://a/b.png"}]}]});
        let (got, _) = sent("llama", Unsupported::Drop, body.clone()).unwrap();
        assert_eq!(got["messages"][0]["role"], "system");
        assert_eq!(got["messages"][1]["content"][0]["image_url"], json!({"url": "https://a/b.png"}));
        assert_eq!(sent("o1", Unsupported::Drop, body).unwrap().0["messages"][0]["role"], "developer");
    }
}
