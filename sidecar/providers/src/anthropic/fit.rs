//! A request in Anthropic's own words for a Claude that does not take all of them: an application that knew another model,
//! or a fallback. Parameters beside the messages are looked at, and the messages stay byte for byte.

use serde_json::{Value, json};

use super::model::{Schema, Traits, excludes_thinking, is_one_too_many, is_thinking};
use crate::{BadRequest, Body, Target, Unsupported};

/// From so many tokens to think with on, an effort stands for a budget.
const EFFORTS: [(u64, &str); 2] = [(10_000, "high"), (5_000, "medium")];

/// Leaves out, renames or refuses what this model does not take, and says what was left out.
pub(super) fn fit(out: &mut Body, target: &Target<'_>) -> Result<Vec<String>, BadRequest> {
    let (traits, mut dropped) = (Traits::of(target), Vec::new());
    // What only speaks the protocol is asked as it is, and so is everybody where the route passes everything on.
    if !traits.claude || target.unsupported == Unsupported::Pass {
        return Ok(dropped);
    }
    thinking(out, traits);
    let thinks = is_thinking(out.value("thinking").as_ref());
    let before = out.clone();
    for key in ["temperature", "top_p", "top_k"] {
        let Some(value) = before.value(key) else { continue };
        if !traits.sampling || (thinks && excludes_thinking(key, &value)) {
            leave_out(out, key, value, target, &mut dropped)?;
        } else if traits.one_sampling && is_one_too_many(key, &before, target, &mut dropped)? {
            out.remove(key);
        }
    }
    if let Some(choice) = out.value("tool_choice") {
        let forced = choice["type"] == "any" || choice["type"] == "tool";
        if forced && (thinks || !traits.forced_tools) {
            leave_out(out, "tool_choice", choice, target, &mut dropped)?;
        }
    }
    schema(out, traits, target, &mut dropped)?;
    if target.unsupported == Unsupported::Reject && !traits.prefill && is_begun(out) {
        let message =
            format!("the last message is the assistant's, and model {:?} does not go on from one", target.model);
        return Err(BadRequest::at("messages", message));
    }
    Ok(dropped)
}

/// An effort in place of a budget that the model does not take any more. One that thinks in no way says so itself: nobody
/// asks it in these words by mistake.
fn thinking(out: &mut Body, traits: Traits) {
    let Some(thinking) = out.value("thinking").filter(|thinking| thinking["type"] == "enabled") else { return };
    if traits.budget || !traits.effort || !traits.thinks {
        return;
    }
    let tokens = thinking["budget_tokens"].as_u64().unwrap_or(0);
    let effort = EFFORTS.iter().find(|(least, _)| tokens >= *least).map_or("low", |(_, effort)| effort);
    let mut config = out.value("output_config").filter(Value::is_object).unwrap_or_else(|| json!({}));
    if config["effort"].is_null() {
        config["effort"] = effort.into();
    }
    out.set("thinking", &json!({"type": "adaptive"}));
    out.set("output_config", &config);
}

/// The beta's word for a schema, where the model has another one or none.
fn schema(out: &mut Body, traits: Traits, target: &Target<'_>, dropped: &mut Vec<String>) -> Result<(), BadRequest> {
    let Some(format) = out.value("output_format").filter(Value::is_object) else { return Ok(()) };
    match traits.schema {
        Schema::Beta => Ok(()),
        Schema::Config => {
            let mut config = out.value("output_config").filter(Value::is_object).unwrap_or_else(|| json!({}));
            config["format"] = format;
            out.remove("output_format");
            out.set("output_config", &config);
            Ok(())
        }
        Schema::Tool => leave_out(out, "output_format", format, target, dropped),
    }
}

fn leave_out(
    out: &mut Body,
    key: &str,
    value: Value,
    target: &Target<'_>,
    dropped: &mut Vec<String>,
) -> Result<(), BadRequest> {
    target.refuse(key, value, dropped)?;
    out.remove(key);
    Ok(())
}

fn is_begun(out: &Body) -> bool {
    let messages = out.value("messages");
    let last = messages.as_ref().and_then(Value::as_array).and_then(|messages| messages.last());
    last.is_some_and(|message| message.get("role").is_some_and(|role| role == "assistant"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, Host};

    fn fitted(model: &str, host: Host, unsupported: Unsupported, extra: Value) -> Result<(Value, Vec<String>), String> {
        let mut request = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        request.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let target = Target { host, unsupported, ..Target::new(Dialect::Anthropic, model) };
        let mut body = Body::parse(request.to_string().into()).unwrap();
        let dropped = fit(&mut body, &target).map_err(|error| error.message)?;
        let mut out: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
        for key in ["model", "max_tokens", "messages"] {
            out.as_object_mut().unwrap().remove(key);
        }
        Ok((out, dropped))
    }

    #[test]
    fn a_model_is_not_sent_what_it_refuses() {
        let think = json!({"type": "enabled", "budget_tokens": 6000});
        let adaptive = json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}});
        let format = json!({"type": "json_schema", "schema": {"type": "object"}});
        let rows = [
            ("claude-opus-4-7", Host::Own, json!({"temperature": 0.3, "top_p": 0.5}), json!({}), "temperature top_p"),
            ("claude-opus-4-7", Host::Own, json!({"temperature": 1.0}), json!({}), ""),
            ("claude-opus-4-7", Host::Own, json!({"thinking": think}), adaptive, ""),
            ("claude-opus-4-5", Host::Own, json!({"thinking": think}), json!({"thinking": think}), ""),
            (
                "claude-sonnet-4-5",
                Host::Own,
                json!({"thinking": think, "temperature": 0.2, "tool_choice": {"type": "any"}}),
                json!({"thinking": think}),
                "temperature tool_choice",
            ),
            (
                "claude-sonnet-4-5",
                Host::Own,
                json!({"temperature": 0.2, "top_p": 0.5}),
                json!({"temperature": 0.2}),
                "top_p",
            ),
            ("claude-3-5-haiku", Host::Own, json!({"thinking": think}), json!({"thinking": think}), ""),
            ("claude-sonnet-4-5", Host::Own, json!({"output_format": format}), json!({"output_format": format}), ""),
            ("claude-sonnet-4-5", Host::Vertex, json!({"output_format": format}), json!({}), "output_format"),
            (
                "minimax-m2",
                Host::Own,
                json!({"temperature": 0.2, "top_p": 0.5}),
                json!({"temperature": 0.2, "top_p": 0.5}),
                "",
            ),
        ];
        for (model, host, extra, want, left_out) in rows {
            let (got, dropped) = fitted(model, host, Unsupported::Drop, extra.clone()).unwrap();
            assert_eq!((&got, dropped.join(" ").as_str()), (&want, left_out), "{model} {extra}");
            let (passed, _) = fitted(model, host, Unsupported::Pass, extra.clone()).unwrap();
            assert_eq!(passed, extra, "{model}");
            assert_eq!(
                fitted(model, host, Unsupported::Reject, extra.clone()).is_err(),
                !left_out.is_empty(),
                "{model} {extra}"
            );
        }
    }
}
