//! A chat request in OpenAI's words to an Anthropic backend.

use serde_json::{Map, Value, json};

use super::content::Conversation;
use super::model::{Schema, Traits, excludes_thinking, is_one_too_many, is_thinking, thinking_first};
use super::{JSON_TOOL, SCHEMA_HEADERS, VERTEX_SEARCH_HEADERS, headers, path, schema, tools, version_in_body};
use crate::body::written;
use crate::openai::request::unsupported;
use crate::{BadRequest, Body, Host, Need, Outgoing, Target, Unsupported, refs};

/// Anthropic demands a bound on the answer; this one is for models whose limit nobody knows.
pub(crate) const DEFAULT_MAX_TOKENS: u64 = 4096;

/// The least Anthropic lets a model think.
const MIN_BUDGET: u64 = 1024;

/// Anthropic's own words, for applications that know who they talk to.
const OWN: &[&str] = &[
    "anthropic_beta",
    "cache_control",
    "container",
    "context_management",
    "diagnostics",
    "fallback_credit_token",
    "fallbacks",
    "inference_geo",
    "mcp_servers",
    "output_config",
    "output_format",
    "speed",
    "stop_sequences",
    "system",
    "user_profile_id",
];

/// Not looked at field by field.
const READ_ELSEWHERE: &[&str] = &[
    "model",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "stream_options",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
];

/// The request as it grows.
struct Draft<'a> {
    target: &'a Target<'a>,
    traits: Traits,
    out: Map<String, Value>,
    tools: Vec<Value>,
    /// Calls are being answered of which it has not come back what was thought before them: Claude refuses to think on then.
    thoughtless: bool,
    headers: &'static [(&'static str, &'static str)],
    dropped: Vec<String>,
}

/// Translates a request.
pub(crate) fn encode(body: &Body, need: &Need, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    let Some(Value::Array(messages)) = body.value("messages") else {
        return Err(BadRequest::at("messages", "\"messages\" is not a list of readable messages"));
    };
    let traits = Traits::of(target);
    let mut conversation = Conversation::read(messages, traits)?;
    // Nothing can be left out in its place: unless the route wants to know beforehand, the provider says no.
    if conversation.is_begun() && !traits.prefill && target.unsupported == Unsupported::Reject {
        let message =
            format!("the last message is the assistant's, and model {:?} does not go on from one", target.model);
        return Err(BadRequest::at("messages", message));
    }
    let (headers, path) = (headers(target, need.stream), path(target, need.stream));
    let thoughtless = conversation.is_thoughtless() && target.unsupported != Unsupported::Pass;
    let (out, tools, dropped) = (Map::new(), Vec::new(), Vec::new());
    let mut draft = Draft { target, traits, out, tools, thoughtless, headers, dropped };
    match version_in_body(target.host) {
        None => draft.set("model", target.model),
        Some(version) => draft.set("anthropic_version", version),
    }
    draft.set("max_tokens", need.max_output_tokens.or(target.max_output_tokens).unwrap_or(DEFAULT_MAX_TOKENS));
    let system = std::mem::take(&mut conversation.system);
    if !system.is_empty() {
        draft.set("system", system);
    }
    let uses_tools = conversation.uses_tools;
    draft.set("messages", conversation.into_messages());
    for key in thinking_first(body) {
        draft.parameter(key, body)?;
    }
    draft.choose_tools(body, uses_tools)?;
    draft.structure(body)?;
    let body = written(&Value::Object(draft.out));
    Ok(Outgoing { path, headers: draft.headers.into(), body, dropped: draft.dropped })
}

// === impl Draft ===

impl Draft<'_> {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.out.insert(key.to_owned(), value.into());
    }

    fn parameter(&mut self, key: &str, body: &Body) -> Result<(), BadRequest> {
        if READ_ELSEWHERE.contains(&key) {
            return Ok(());
        }
        let Some(value) = body.value(key) else { return Ok(()) };
        match key {
            "stream" => {
                if value == Value::Bool(true) && self.target.host != Host::Bedrock {
                    self.set(key, true);
                }
                Ok(())
            }
            "temperature" | "top_p" | "top_k" => self.sampling(key, value, body),
            "stop" => self.stop(value),
            "user" => self.user(&value),
            "tools" => {
                self.tools.extend(tools::tools(value, self.target, &mut self.dropped)?);
                Ok(())
            }
            "web_search_options" if self.target.host == Host::Bedrock => self.refuse(key, value),
            "web_search_options" => {
                self.tools.push(tools::web_search(&value));
                if self.target.host == Host::Vertex {
                    self.headers = VERTEX_SEARCH_HEADERS;
                }
                Ok(())
            }
            "reasoning_effort" | "thinking" if !self.traits.thinks => self.refuse(key, value),
            "reasoning_effort" => self.effort(&value),
            "thinking" => self.thinking(value),
            // A header at its maker's own door, which refuses it here.
            "anthropic_beta" if self.target.host == Host::Own => self.refuse(key, value),
            _ if OWN.contains(&key) => {
                self.set(key, value);
                Ok(())
            }
            _ => self.refuse(key, value),
        }
    }

    /// A parameter the model cannot express: dropped, refused or passed, as the route says.
    fn refuse(&mut self, key: &str, value: Value) -> Result<(), BadRequest> {
        if let Some(value) = self.target.refuse(key, value, &mut self.dropped)? {
            self.set(key, value);
        }
        Ok(())
    }

    /// Some parameters exclude that a Claude thinks. What is passed as it is, is its own judge.
    fn thinks_apart(&self) -> bool {
        self.traits.claude && self.target.unsupported != Unsupported::Pass && is_thinking(self.out.get("thinking"))
    }

    fn sampling(&mut self, key: &str, value: Value, body: &Body) -> Result<(), BadRequest> {
        if !self.traits.sampling || (self.thinks_apart() && excludes_thinking(key, &value)) {
            return self.refuse(key, value);
        }
        if self.traits.one_sampling && is_one_too_many(key, body, self.target, &mut self.dropped)? {
            return Ok(());
        }
        // OpenAI's scale ends at 2, Anthropic's at 1: as random as can be stays as random as can be.
        let hot = key == "temperature" && value.as_f64().is_some_and(|temperature| temperature > 1.0);
        if hot && self.target.unsupported != Unsupported::Pass {
            self.set(key, 1.0)
        } else {
            self.set(key, value)
        }
        Ok(())
    }

    /// Sequences of white space alone are refused there.
    fn stop(&mut self, value: Value) -> Result<(), BadRequest> {
        let sequences = match value {
            Value::String(text) => vec![Value::String(text)],
            Value::Array(texts) => texts,
            _ => return Err(BadRequest::at("stop", "\"stop\" must be a string or a list of strings")),
        };
        let is_blank = |text: &Value| text.as_str().is_some_and(|text| text.trim().is_empty());
        let (blank, kept): (Vec<_>, Vec<_>) = sequences.into_iter().partition(is_blank);
        let kept = match self.target.unsupported {
            Unsupported::Pass => kept.into_iter().chain(blank).collect(),
            Unsupported::Drop | Unsupported::Reject if blank.is_empty() => kept,
            Unsupported::Reject => return Err(unsupported("stop", self.target.model)),
            Unsupported::Drop => {
                self.dropped.push("stop".to_owned());
                kept
            }
        };
        if !kept.is_empty() {
            self.set("stop_sequences", kept);
        }
        Ok(())
    }

    /// Anthropic asks for an opaque id, and for no address of a person.
    fn user(&mut self, value: &Value) -> Result<(), BadRequest> {
        match value.as_str() {
            Some(user) if user.contains('@') => self.dropped.push("user".to_owned()),
            Some(user) => self.set("metadata", json!({"user_id": user})),
            None => return Err(BadRequest::at("user", "\"user\" must be a string")),
        }
        Ok(())
    }

    fn effort(&mut self, value: &Value) -> Result<(), BadRequest> {
        let effort = value.as_str().unwrap_or_default();
        let budget = match effort {
            "none" => return Ok(()),
            "minimal" | "low" => 1024,
            "medium" => 2048,
            "high" => 4096,
            "xhigh" => 8192,
            "max" => 16384,
            _ => return self.refuse("reasoning_effort", value.clone()),
        };
        if self.traits.effort {
            let effort = self.traits.efforts.weakened(effort);
            self.set("thinking", json!({"type": "adaptive", "display": "summarized"}));
            self.set("output_config", json!({"effort": effort}));
            return Ok(());
        }
        // Thinking is part of the answer's bound, and must leave room in it.
        let max_tokens = self.out["max_tokens"].as_u64().unwrap_or(DEFAULT_MAX_TOKENS);
        let budget = budget.min(max_tokens.saturating_sub(1));
        if budget < MIN_BUDGET || self.thoughtless {
            return self.refuse("reasoning_effort", value.clone());
        }
        self.set("thinking", json!({"type": "enabled", "budget_tokens": budget}));
        Ok(())
    }

    /// Anthropic's own parameter, from applications that know who they talk to. Newer models take an effort only.
    fn thinking(&mut self, value: Value) -> Result<(), BadRequest> {
        if value["type"] == "enabled" && self.traits.budget && self.thoughtless {
            return self.refuse("thinking", value);
        }
        if value["type"] != "enabled" || self.traits.budget {
            self.set("thinking", value);
            return Ok(());
        }
        let effort = match value["budget_tokens"].as_u64().unwrap_or(0) {
            10_000.. => "high",
            5_000.. => "medium",
            _ => "low",
        };
        self.set("thinking", json!({"type": "adaptive"}));
        self.set("output_config", json!({"effort": effort}));
        Ok(())
    }

    fn choose_tools(&mut self, body: &Body, uses_tools: bool) -> Result<(), BadRequest> {
        if self.tools.is_empty() {
            if uses_tools {
                self.set("tools", vec![tools::stand_in()]);
                self.set("tool_choice", json!({"type": "none"}));
            }
            return Ok(());
        }
        let parallel = body.value("parallel_tool_calls").and_then(|value| value.as_bool());
        let given = body.value("tool_choice");
        let mut choice = tools::choice(given.as_ref(), parallel)?;
        let forced = choice.as_ref().is_some_and(|choice| choice["type"] == "any" || choice["type"] == "tool");
        let can_be_forced = self.traits.forced_tools || self.target.unsupported == Unsupported::Pass;
        if forced && (!can_be_forced || self.thinks_apart()) {
            self.refuse("tool_choice", given.unwrap_or_default())?;
            choice = tools::choice(None, parallel)?;
        }
        if let Some(choice) = choice {
            self.set("tool_choice", choice);
        }
        self.set("tools", self.tools.clone());
        Ok(())
    }

    /// `response_format`: a schema where the model takes one, else a tool that has to be called.
    fn structure(&mut self, body: &Body) -> Result<(), BadRequest> {
        let Some(mut format) = body.value("response_format") else { return Ok(()) };
        if format["type"] != "json_schema" {
            return self.refuse("response_format", format);
        }
        let schema = format.pointer_mut("/json_schema/schema").map(Value::take).unwrap_or_default();
        let native = || Ok(json!({"type": "json_schema", "schema": schema::strict(&schema)?}));
        // Structured answers take no schema that refers to itself and no maps; a tool's parameters may be either.
        let for_tools = refs::circle(&schema).is_some() || schema::is_open(&schema);
        let way = if for_tools { Schema::Tool } else { self.traits.schema };
        match way {
            Schema::Beta => {
                self.set("output_format", native()?);
                self.headers = SCHEMA_HEADERS;
                return Ok(());
            }
            Schema::Config => {
                // The application's own may be anything.
                let config = self.out.remove("output_config").filter(Value::is_object);
                let mut config = config.unwrap_or_else(|| json!({}));
                config["format"] = native()?;
                self.set("output_config", config);
                return Ok(());
            }
            Schema::Tool => {}
        }
        // A choice of the application's own tools leaves the model the last word.
        let choice =
            if self.tools.is_empty() { json!({"type": "tool", "name": JSON_TOOL}) } else { json!({"type": "any"}) };
        self.tools.push(tools::json_tool(schema));
        self.set("tools", self.tools.clone());
        // Models that think may not be forced; they are asked.
        let may_force = self.traits.forced_tools && !is_thinking(self.out.get("thinking"));
        if may_force && (self.tools.len() == 1 || !self.out.contains_key("tool_choice")) {
            self.set("tool_choice", choice);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
