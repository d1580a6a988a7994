//! A request to a backend without this API: as a chat, which every other dialect is translated from.

use serde_json::{Map, Value, json};

use super::{input::Conversation, tools};
use crate::openai::family::Family;
use crate::openai::request::unsupported;
use crate::{BadRequest, Body, Need, Target, Unsupported};

/// Read elsewhere, repeated in the answer, or about what is not kept here anyway.
const READ: [&str; 12] = [
    "model",
    "input",
    "instructions",
    "max_output_tokens",
    "stream",
    "stream_options",
    "background",
    "metadata",
    "max_tool_calls",
    "previous_response_id",
    "tools",
    "tool_choice",
];

/// A chat calls these the same.
const SAME: [&str; 7] =
    ["temperature", "top_p", "user", "service_tier", "prompt_cache_key", "prompt_cache_retention", "safety_identifier"];

/// The request as it grows.
struct Draft<'a> {
    target: &'a Target<'a>,
    family: Family,
    out: Map<String, Value>,
    dropped: Vec<String>,
}

/// Translates a request into a chat request. Also what was left out.
pub(crate) fn to_chat(body: &Body, need: &Need, target: &Target<'_>) -> Result<(Body, Vec<String>), BadRequest> {
    let family = target.family();
    let mut draft = Draft { target, family, out: Map::new(), dropped: Vec::new() };
    draft.set("model", target.model);
    let Conversation { messages, left_out, .. } =
        Conversation::read(body.value("instructions"), body.value("input").unwrap_or_default())?;
    draft.set("messages", messages);
    for at in left_out {
        draft.refuse(&at, None)?;
    }
    if let Some(limit) = need.max_output_tokens {
        draft.set(family.max_tokens_key(), limit);
    }
    if need.stream {
        draft.set("stream", true);
    }
    draft.tools(body)?;
    for key in body.keys().filter(|key| !READ.contains(key)) {
        if let Some(value) = body.value(key) {
            draft.parameter(key, value, body)?;
        }
    }
    Ok((Body::parse(Value::Object(draft.out).to_string().into())?, draft.dropped))
}

// === impl Draft ===

impl Draft<'_> {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.out.insert(key.to_owned(), value.into());
    }

    fn parameter(&mut self, key: &str, mut value: Value, body: &Body) -> Result<(), BadRequest> {
        match key {
            _ if SAME.contains(&key) => self.set(key, value),
            "parallel_tool_calls" => {
                // Refused by some where there is nothing to call.
                if self.out.contains_key("tools") {
                    self.set(key, value);
                }
            }
            // What else can be included is there anyway, or belongs to tools that a provider runs itself.
            "include" => {
                if wants_logprobs(&value) {
                    self.set("logprobs", true);
                }
            }
            "top_logprobs" => {
                if body.value("include").is_some_and(|include| wants_logprobs(&include)) {
                    self.set(key, value);
                }
            }
            "reasoning" => {
                if let Some(effort) = value.get_mut("effort").map(Value::take).filter(|effort| !effort.is_null()) {
                    self.effort(effort)?;
                }
            }
            "text" => {
                if let Some(format) = value.get_mut("format").map(Value::take).filter(|format| !format.is_null()) {
                    self.format(format)?;
                }
                if let Some(verbosity) = value.get_mut("verbosity").map(Value::take).filter(Value::is_string) {
                    self.set("verbosity", verbosity);
                }
            }
            // Nothing is kept; who says so is right.
            "store" if value == false => {}
            "truncation" if value == "disabled" => {}
            _ => self.refuse(key, Some(value))?,
        }
        Ok(())
    }

    /// What the backend cannot be told: dropped, refused or passed, as the route says.
    fn refuse(&mut self, key: &str, value: Option<Value>) -> Result<(), BadRequest> {
        match (self.target.unsupported, value) {
            (Unsupported::Reject, _) => return Err(unsupported(key, self.target.model)),
            (Unsupported::Pass, Some(value)) => self.set(key, value),
            (Unsupported::Drop | Unsupported::Pass, _) => self.dropped.push(key.to_owned()),
        }
        Ok(())
    }

    fn tools(&mut self, body: &Body) -> Result<(), BadRequest> {
        let Some(value) = body.value("tools") else { return Ok(()) };
        let mut tools = tools::tools(value, self.target.model)?;
        let choice = body.value("tool_choice").map(|choice| tools::choice(&choice, &mut tools)).transpose()?;
        if tools.is_empty() {
            return Ok(());
        }
        self.set("tools", tools);
        if let Some(choice) = choice {
            self.set("tool_choice", choice);
        }
        Ok(())
    }

    /// OpenAI's models that do not reason refuse to be told how much.
    fn effort(&mut self, effort: Value) -> Result<(), BadRequest> {
        if self.family == Family::Gpt {
            return self.refuse("reasoning", None);
        }
        self.set("reasoning_effort", effort);
        Ok(())
    }

    fn format(&mut self, mut format: Value) -> Result<(), BadRequest> {
        match format["type"].as_str() {
            Some("text") => {}
            Some("json_object") => self.set("response_format", format),
            Some("json_schema") => {
                let mut schema = Map::new();
                for key in ["name", "description", "schema", "strict"] {
                    if let Some(value) = format.get_mut(key).map(Value::take).filter(|value| !value.is_null()) {
                        schema.insert(key.into(), value);
                    }
                }
                self.set("response_format", json!({"type": "json_schema", "json_schema": schema}));
            }
            _ => self.refuse("text", Some(format))?,
        }
        Ok(())
    }
}

fn wants_logprobs(include: &Value) -> bool {
    include.as_array().is_some_and(|list| list.iter().any(|word| word == "message.output_text.logprobs"))
}
