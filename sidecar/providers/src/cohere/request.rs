//! A chat request in OpenAI's words to a Cohere backend.

use serde_json::{Value, json};

use crate::body::holds_any;
use crate::openai::family::Family;
use crate::openai::fit;
use crate::{BadRequest, Body, Need, Outgoing, Target, Unsupported, function};

/// What the API has words for.
const OWN: &[&str] = &[
    "citation_options",
    "documents",
    "frequency_penalty",
    "k",
    "max_tokens",
    "messages",
    "model",
    "p",
    "presence_penalty",
    "priority",
    "raw_prompting",
    "response_format",
    "safety_mode",
    "seed",
    "stop_sequences",
    "stream",
    "strict_tools",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
];

/// Fits the parameters by the provider's row, and rewrites the few that differ in more than their name.
pub(crate) fn encode(body: &Body, need: &Need, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    let mut out = body.clone();
    let mut dropped = Vec::new();
    out.set("model", &target.model.into());
    fit::usage(&mut out, need, target.row);
    tools(&mut out, target, &mut dropped)?;
    choose(&mut out, target, &mut dropped);
    let thinking = thinking(&mut out, target);
    fit::parameters(&mut out, Family::Other, target, &mut dropped)?;
    let unknown: Vec<_> = out.keys().filter(|key| !OWN.contains(key)).map(str::to_owned).collect();
    fit::leave_out(&mut out, unknown.iter().map(String::as_str), target, &mut dropped)?;
    calls(&mut out);
    fit::files(&mut out, target)?;
    fit::messages(&mut out, Family::Other, target.row);
    fit::tools(&mut out, target.row);
    if let Some(Value::String(sequence)) = out.value("stop_sequences") {
        out.set("stop_sequences", &json!([sequence]));
    }
    format(&mut out);
    if let Some(thinking) = thinking {
        out.set("thinking", &thinking);
    }
    Ok(Outgoing { path: "/chat".into(), headers: [].as_slice().into(), body: out.to_bytes(), dropped })
}

/// Calls in the old spelling, and their results, in the new one: the other is not known there.
fn calls(out: &mut Body) {
    if !out.get_bytes("messages").is_some_and(|raw| holds_any(raw, &[b"\"function_call\""])) {
        return;
    }
    let mut count = 0;
    out.edit("messages", |message| {
        if message["function_call"].is_object() {
            count += 1;
            let call = message["function_call"].take();
            message["tool_calls"] = json!([{"id": function::id(count), "type": "function", "function": call}]);
        } else if message["role"] == "function" {
            message["role"] = "tool".into();
            message["tool_call_id"] = function::id(count).into();
        }
        true
    });
}

/// How much a model that reasons is to think, in Cohere's words. Nobody else is asked to.
fn thinking(out: &mut Body, target: &Target<'_>) -> Option<Value> {
    if !target.abilities.reasoning.unwrap_or_else(|| target.model.contains("reasoning")) {
        return None;
    }
    let (given, effort) = (out.value("thinking"), out.value("reasoning_effort"));
    out.remove("thinking");
    out.remove("reasoning_effort");
    let budget = match (&given, &effort) {
        (Some(given), _) if given["type"] == "disabled" => return Some(json!({"type": "disabled"})),
        (None, Some(effort)) if effort == "none" => return Some(json!({"type": "disabled"})),
        (Some(given), _) => given["budget_tokens"].as_u64(),
        (None, Some(effort)) => fit::budget(effort.as_str().unwrap_or_default()),
        (None, None) => return None,
    };
    let mut thinking = json!({"type": "enabled"});
    if let Some(budget) = budget {
        thinking["token_budget"] = budget.into();
    }
    Some(thinking)
}

/// Without those that are no functions. Where none are left there is nothing to choose from.
fn tools(out: &mut Body, target: &Target<'_>, dropped: &mut Vec<String>) -> Result<(), BadRequest> {
    let Some(Value::Array(tools)) = out.value("tools") else { return Ok(()) };
    let before = tools.len();
    let kept = function::functions_alone(tools, target, dropped)?;
    if kept.is_empty() {
        out.remove("tools");
        out.remove("tool_choice");
    } else if kept.len() < before {
        out.set("tools", &kept.into());
    }
    Ok(())
}

/// A choice is `REQUIRED`, `NONE`, or the model's own. A named tool becomes the only one.
fn choose(out: &mut Body, target: &Target<'_>, dropped: &mut Vec<String>) {
    let Some(choice) = out.value("tool_choice").filter(|_| target.unsupported != Unsupported::Pass) else { return };
    match (choice.as_str(), choice["function"]["name"].as_str()) {
        (Some("required"), _) => out.set("tool_choice", &"REQUIRED".into()),
        (Some("none"), _) => out.set("tool_choice", &"NONE".into()),
        (_, Some(name)) => {
            let Some(Value::Array(mut tools)) = out.value("tools") else { return };
            tools.retain(|tool| tool["function"]["name"] == name);
            out.set("tools", &tools.into());
            out.set("tool_choice", &"REQUIRED".into());
        }
        _ => {
            out.remove("tool_choice");
            if choice != "auto" {
                dropped.push("tool_choice".to_owned());
            }
        }
    }
}

/// A schema is a field of the JSON format there.
fn format(out: &mut Body) {
    let Some(mut format) = out.value("response_format") else { return };
    match format["type"].as_str() {
        Some("json_schema") => {
            let schema = format.pointer_mut("/json_schema/schema").map(Value::take).unwrap_or_default();
            out.set("response_format", &json!({"type": "json_object", "json_schema": schema}));
        }
        Some("text") => out.remove("response_format"),
        _ => {}
    }
}
