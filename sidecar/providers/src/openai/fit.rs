//! A request made fit for a provider's row.

mod files;
mod messages;
mod tools;

use serde_json::{Value, json};

pub(crate) use files::files;
pub(crate) use messages::messages;
pub(crate) use tools::tools;

use super::family::{Family, is_neutral};
use super::request::{unsupported, with_usage};
use super::table::{Row, StreamUsage, Thinking};
use crate::{BadRequest, Body, Need, Target, Unsupported, format};

/// From this budget on, thinking is what OpenAI calls a medium or a high effort.
const MEDIUM_BUDGET: u64 = 2048;
const HIGH_BUDGET: u64 = 4096;

/// The usage of every stream is asked for: without it nobody could say what it cost. The application sees it only if it
/// asked.
pub(crate) fn usage(out: &mut Body, need: &Need, row: &Row) {
    if row.usage == StreamUsage::Include {
        out.set("usage", &json!({"include": true}));
    }
    if need.stream && row.usage != StreamUsage::Always {
        out.set("stream_options", &with_usage(out.value("stream_options")));
    } else {
        out.remove("stream_options");
    }
}

/// Parameters: renamed, bounded, translated or left out.
pub(crate) fn parameters(
    out: &mut Body,
    family: Family,
    target: &Target<'_>,
    dropped: &mut Vec<String>,
) -> Result<(), BadRequest> {
    let row = target.row;
    if family.reasons() {
        rename(out, "max_tokens", "max_completion_tokens");
    } else {
        for (from, to) in row.renames {
            rename(out, from, to);
        }
    }
    if target.unsupported != Unsupported::Pass {
        think(out, row.thinking, target.model);
        if let (Some(hottest), Some(value)) = (row.hottest, out.value("temperature"))
            && value.as_f64().is_some_and(|temperature| temperature > hottest)
        {
            out.set("temperature", &hottest.into());
        }
    }
    leave_out(out, row.drops.iter().copied(), target, dropped)?;
    if target.abilities.reasoning == Some(true) {
        leave_out(out, row.reasoning_drops.iter().copied(), target, dropped)?;
    }
    let format = out.value("response_format").filter(format::is_of_servers);
    if format.is_some_and(|format| !row.formats.iter().any(|kind| format["type"] == *kind)) {
        leave_out(out, std::iter::once("response_format"), target, dropped)?;
    }
    let refused = |key: &&&str| out.value(key).is_some_and(|value| family.refuses(key, &value));
    let suspects: Vec<_> = family.suspects().filter(refused).copied().collect();
    leave_out(out, suspects.into_iter(), target, dropped)?;
    if row.required != "required" && out.get_bytes("tool_choice") == Some(b"\"required\"") {
        out.set("tool_choice", &row.required.into());
    }
    Ok(())
}

/// Parameters that the provider refuses: left out, refused or passed, as the route says.
pub(crate) fn leave_out<'a>(
    out: &mut Body,
    keys: impl Iterator<Item = &'a str>,
    target: &Target<'_>,
    dropped: &mut Vec<String>,
) -> Result<(), BadRequest> {
    if target.unsupported == Unsupported::Pass {
        return Ok(());
    }
    for key in keys {
        // A null says nothing, and is refused as anything else would be.
        let Some(value) = out.get_bytes(key).map(|_| out.value(key).unwrap_or_default()) else { continue };
        let neutral = is_neutral(key, &value);
        if target.unsupported == Unsupported::Reject && !neutral {
            return Err(unsupported(key, target.model));
        }
        out.remove(key);
        if !neutral {
            dropped.push(key.to_owned());
        }
    }
    Ok(())
}

/// The new name's own value, where both are given, is what the application meant for those who know it.
fn rename(out: &mut Body, from: &str, to: &str) {
    if out.get_bytes(from).is_none() {
        return;
    }
    if from == "max_tokens" && out.get_bytes(to).is_some() {
        out.remove(from);
    } else {
        out.remove(to);
        out.rename(from, to);
    }
}

/// Two ways to ask for thought, made into the one the provider knows.
fn think(out: &mut Body, thinking: Thinking, model: &str) {
    match thinking {
        Thinking::Pass => {}
        Thinking::Effort => {
            let value = out.value("thinking").unwrap_or_default();
            out.remove("thinking");
            if value["type"] == "enabled" && out.get_bytes("reasoning_effort").is_none() {
                out.set("reasoning_effort", &effort(value["budget_tokens"].as_u64().unwrap_or(0)).into());
            }
        }
        Thinking::Budget => {
            let effort = out.value("reasoning_effort").filter(|_| model.contains("claude"));
            let Some(budget) = effort.as_ref().and_then(Value::as_str).and_then(budget) else { return };
            out.remove("reasoning_effort");
            out.set("thinking", &json!({"type": "enabled", "budget_tokens": budget}));
        }
        Thinking::Switch => {
            let wanted = out.value("thinking").map(|value| value["type"] == "enabled");
            let effort = out.value("reasoning_effort").map(|value| value != "none");
            out.remove("reasoning_effort");
            if let Some(on) = wanted.or(effort) {
                out.set("thinking", &json!({"type": if on { "enabled" } else { "disabled" }}));
            }
        }
    }
}

/// Tokens of thought for an effort. None: no thought, or a word nobody knows.
pub(crate) fn budget(effort: &str) -> Option<u64> {
    match effort {
        "minimal" | "low" => Some(1024),
        "medium" => Some(MEDIUM_BUDGET),
        "high" => Some(HIGH_BUDGET),
        "xhigh" => Some(8192),
        "max" => Some(16_384),
        _ => None,
    }
}

const fn effort(budget: u64) -> &'static str {
    match budget {
        HIGH_BUDGET.. => "high",
        MEDIUM_BUDGET.. => "medium",
        _ => "low",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Api, Dialect, encode, read, row};

    #[test]
    fn what_a_server_or_its_thinking_models_refuse_is_left_out_and_told() {
        let asked = json!({"top_k": 5, "stop": ["x"], "presence_penalty": 0.5});
        let rows = [
            ("Groq", None, &["top_k"][..]),
            ("Mistral", None, &["top_k"]),
            ("Cerebras", None, &["presence_penalty", "top_k"]),
            ("OpenAI", None, &["top_k"]),
            ("VLLM", None, &[]),
            ("Together", Some(true), &[]),
            ("XAI", None, &[]),
            ("XAI", Some(false), &[]),
            ("XAI", Some(true), &["presence_penalty", "stop"]),
        ];
        for (kind, reasoning, want) in rows {
            let mut request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
            request.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
            let body = Body::parse(request.to_string().into()).unwrap();
            let need = read(Api::ChatCompletions, &body).unwrap();
            let abilities = crate::Abilities { reasoning, ..crate::Abilities::default() };
            let target = Target { row: row(kind), abilities, ..Target::new(Dialect::OpenAi, "m") };
            let out = encode(Api::ChatCompletions, &body, &need, &target).unwrap();
            assert_eq!(out.dropped, want, "{kind} {reasoning:?}");
        }
    }

    #[test]
    fn the_bound_on_an_answer_has_the_name_that_binds() {
        let rows = [
            ("DeepSeek", "deepseek-chat", "max_tokens"),
            ("Together", "m", "max_tokens"),
            ("ZAI", "glm-4.6", "max_tokens"),
            ("DashScope", "qwen-max", "max_tokens"),
            ("Ollama", "llama3.1", "max_tokens"),
            ("LMStudio", "m", "max_tokens"),
            ("LlamaCpp", "m", "max_tokens"),
            ("GitHubModels", "openai/gpt-5-mini", "max_completion_tokens"),
            ("OpenAI", "gpt-4o", "max_completion_tokens"),
            ("OpenRouter", "m", "max_completion_tokens"),
            ("OpenAICompatible", "m", "max_completion_tokens"),
        ];
        for (kind, model, want) in rows {
            let request =
                json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 5});
            let body = Body::parse(request.to_string().into()).unwrap();
            let need = read(Api::ChatCompletions, &body).unwrap();
            let target = Target { row: row(kind), ..Target::new(Dialect::OpenAi, model) };
            let sent = Body::parse(encode(Api::ChatCompletions, &body, &need, &target).unwrap().body).unwrap();
            let named = ["max_tokens", "max_completion_tokens"].into_iter().filter(|key| sent.get(key) == Some("5"));
            assert_eq!(named.collect::<Vec<_>>(), [want], "{kind}");
        }
    }

    #[test]
    fn a_null_that_a_provider_refuses_is_left_out_and_not_told() {
        let request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "user": null,
            "logit_bias": null, "functions": null, "function_call": null, "n": null, "thinking": null});
        let body = Body::parse(request.to_string().into()).unwrap();
        let need = read(Api::ChatCompletions, &body).unwrap();
        for kind in ["Mistral", "Groq", "Cerebras", "Cohere", "Together"] {
            for unsupported in [Unsupported::Drop, Unsupported::Reject] {
                let dialect = if kind == "Cohere" { Dialect::Cohere } else { Dialect::OpenAi };
                let target = Target { row: row(kind), unsupported, ..Target::new(dialect, "m") };
                let out = encode(Api::ChatCompletions, &body, &need, &target).unwrap();
                let sent = Body::parse(out.body).unwrap();
                let left = target.row.drops.iter().filter(|key| sent.get_bytes(key).is_some());
                assert_eq!((left.count(), out.dropped.len()), (0, 0), "{kind} {unsupported:?}");
            }
        }
    }
}
