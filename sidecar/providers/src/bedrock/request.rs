//! A chat request in OpenAI's words to Converse.

use serde_json::{Map, Value, json};

use super::content::Conversation;
use super::model::{Thinking, TopK, Traits};
use super::tools;
use super::{STREAM_HEADERS, path};
use crate::anthropic::model::{excludes_thinking, is_one_too_many, is_thinking, thinking_first};
use crate::anthropic::schema;
use crate::body::written;
use crate::choice::Choice;
use crate::openai::fit::budget;
use crate::{BadRequest, Body, Need, Outgoing, Target, Unsupported};

/// The least Claude can be told to think.
const MIN_BUDGET: u64 = 1024;

/// Converse's scale of temperatures ends here, OpenAI's at 2.
const HOTTEST: f64 = 1.0;

/// Converse's own words at the top level, for applications that know who they talk to.
const OWN: &[&str] = &["guardrailConfig", "requestMetadata", "performanceConfig", "promptVariables", "serviceTier"];

const READ_ELSEWHERE: &[&str] = &[
    "model",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "stream",
    "stream_options",
    "tool_choice",
    "function_call",
    "parallel_tool_calls",
    "response_format",
];

/// Where Claude says how much of its answer was thought.
const THINKING_TOKENS: &str = "/usage/output_tokens_details";

/// The request as it grows.
struct Draft<'a> {
    target: &'a Target<'a>,
    traits: Traits,
    out: Map<String, Value>,
    /// `inferenceConfig`
    inference: Map<String, Value>,
    /// `additionalModelRequestFields`: what Converse does not look at.
    more: Map<String, Value>,
    tools: Vec<Value>,
    /// Calls are being answered of which it has not come back what was thought before them: Claude refuses to think on then.
    thoughtless: bool,
    dropped: Vec<String>,
}

/// Translates a request.
pub(crate) fn encode(body: &Body, need: &Need, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    let Some(Value::Array(messages)) = body.value("messages") else {
        return Err(BadRequest::at("messages", "\"messages\" is not a list of readable messages"));
    };
    let traits = Traits::of(target);
    let mut conversation = Conversation::read(messages, traits)?;
    let (out, inference, more, tools, dropped) = (Map::new(), Map::new(), Map::new(), Vec::new(), Vec::new());
    let thoughtless = conversation.is_thoughtless() && target.unsupported != Unsupported::Pass;
    let mut draft = Draft { target, traits, out, inference, more, tools, thoughtless, dropped };
    let system = std::mem::take(&mut conversation.system);
    if !system.is_empty() {
        draft.set("system", system);
    }
    if let Some(limit) = need.max_output_tokens {
        draft.inference.insert("maxTokens".into(), limit.into());
    }
    for key in thinking_first(body) {
        draft.parameter(key, body)?;
    }
    let format = draft.structure(body)?;
    draft.choose_tools(body, conversation.uses_tools, format)?;
    draft.set("messages", conversation.into_messages());
    Ok(draft.finish(need.stream))
}

// === impl Draft ===

impl Draft<'_> {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.out.insert(key.to_owned(), value.into());
    }

    fn finish(mut self, stream: bool) -> Outgoing {
        self.out.insert("inferenceConfig".into(), self.inference.into());
        if !self.more.is_empty() {
            self.out.insert("additionalModelRequestFields".into(), self.more.into());
        }
        let (method, headers) = if stream { ("converse-stream", STREAM_HEADERS) } else { ("converse", [].as_slice()) };
        Outgoing {
            path: path(self.target.model, method).into(),
            headers: headers.into(),
            body: written(&Value::Object(self.out)),
            dropped: self.dropped,
        }
    }

    fn parameter(&mut self, key: &str, body: &Body) -> Result<(), BadRequest> {
        if READ_ELSEWHERE.contains(&key) {
            return Ok(());
        }
        let Some(value) = body.value(key) else { return Ok(()) };
        match key {
            "temperature" | "top_p" => self.sampling(key, value, body)?,
            "top_k" if self.thinks_apart() => self.refuse(key, value)?,
            "top_k" => match self.traits.top_k {
                TopK::Plain => self.more("top_k", value),
                TopK::Nova => self.more("inferenceConfig", json!({"topK": value})),
                TopK::Nowhere => self.refuse(key, value)?,
            },
            "stop" => self.stop(value)?,
            "tools" => self.tools.extend(tools::tools(value, self.traits, self.target, &mut self.dropped)?),
            "functions" => {
                self.tools.extend(tools::functions(&value, self.traits, self.target, &mut self.dropped)?);
            }
            "web_search_options" if self.traits.search => self.tools.push(tools::web_search()),
            "reasoning_effort" => self.effort(&value)?,
            "thinking" => self.thinking(value)?,
            "service_tier" => {
                let tier = if value == "auto" { "default".into() } else { value };
                self.set("serviceTier", json!({"type": tier}));
            }
            "additionalModelRequestFields" => self.more.extend(value.as_object().cloned().unwrap_or_default()),
            _ if OWN.contains(&key) => self.set(key, value),
            _ => self.refuse(key, value)?,
        }
        Ok(())
    }

    fn more(&mut self, key: &str, value: impl Into<Value>) {
        self.more.insert(key.to_owned(), value.into());
    }

    /// A parameter the model cannot express: dropped, refused or passed, as the route says.
    fn refuse(&mut self, key: &str, value: Value) -> Result<(), BadRequest> {
        if let Some(value) = self.target.refuse(key, value, &mut self.dropped)? {
            self.more(key, value);
        }
        Ok(())
    }

    /// Some parameters exclude that a Claude thinks. What is passed as it is, is its own judge.
    fn thinks_apart(&self) -> bool {
        self.target.unsupported != Unsupported::Pass && is_thinking(self.more.get("thinking"))
    }

    fn sampling(&mut self, key: &str, value: Value, body: &Body) -> Result<(), BadRequest> {
        if !self.traits.sampling || (self.thinks_apart() && excludes_thinking(key, &value)) {
            return self.refuse(key, value);
        }
        let passed = self.target.unsupported == Unsupported::Pass;
        if !passed && self.more.get("reasoningConfig").is_some_and(|config| config["maxReasoningEffort"] == "high") {
            return self.refuse(key, value); // Nova takes neither beside its highest effort.
        }
        if self.traits.one_sampling && is_one_too_many(key, body, self.target, &mut self.dropped)? {
            return Ok(());
        }
        let hot = key == "temperature" && value.as_f64().is_some_and(|temperature| temperature > HOTTEST);
        let value = if hot && !passed { HOTTEST.into() } else { value };
        let name = if key == "top_p" { "topP" } else { key };
        self.inference.insert(name.to_owned(), value);
        Ok(())
    }

    /// Claude refuses sequences of white space alone.
    fn stop(&mut self, value: Value) -> Result<(), BadRequest> {
        let sequences = match value {
            Value::String(text) => vec![Value::String(text)],
            Value::Array(texts) => texts,
            _ => return Err(BadRequest::at("stop", "\"stop\" must be a string or a list of strings")),
        };
        let takes_all = self.traits.blank_stops || self.target.unsupported == Unsupported::Pass;
        let is_blank = |text: &Value| text.as_str().is_some_and(|text| text.trim().is_empty());
        let (blank, kept): (Vec<_>, Vec<_>) = sequences.into_iter().partition(|text| !takes_all && is_blank(text));
        if !blank.is_empty() {
            self.refuse("stop", blank.into())?;
        }
        if !kept.is_empty() {
            self.inference.insert("stopSequences".into(), kept.into());
        }
        Ok(())
    }

    fn effort(&mut self, value: &Value) -> Result<(), BadRequest> {
        let effort = value.as_str().unwrap_or_default();
        let level = match effort {
            "minimal" | "low" => "low",
            "medium" => "medium",
            _ => "high",
        };
        match (self.traits.thinking, budget(effort)) {
            (Thinking::Nova, None) if effort == "none" => self.more("reasoningConfig", json!({"type": "disabled"})),
            (_, None) if effort == "none" => {}
            (Thinking::Never, _) | (_, None) => return self.refuse("reasoning_effort", value.clone()),
            (Thinking::Effort { efforts, .. }, Some(_)) => {
                let thinking = json!({"type": "adaptive", "display": "summarized"});
                self.claude_thinks(thinking, Some(efforts.weakened(effort)));
            }
            (Thinking::Budget, Some(budget)) => {
                // Thinking is part of the answer's bound, and must leave room in it.
                let limit = self.inference.get("maxTokens").and_then(Value::as_u64);
                let budget = limit.map_or(budget, |limit| budget.min(limit.saturating_sub(1)));
                if budget < MIN_BUDGET || self.thoughtless {
                    return self.refuse("reasoning_effort", value.clone());
                }
                self.claude_thinks(json!({"type": "enabled", "budget_tokens": budget}), None);
            }
            (Thinking::Nova, Some(_)) => self.nova_thinks("reasoning_effort", level)?,
            (Thinking::Plain, Some(_)) => self.more("reasoning_effort", level),
        }
        Ok(())
    }

    /// Claude's own parameter, from applications that know who they talk to.
    fn thinking(&mut self, value: Value) -> Result<(), BadRequest> {
        let enabled = value["type"] == "enabled";
        let effort = match value["budget_tokens"].as_u64().unwrap_or(0) {
            10_000.. => "high",
            5_000.. => "medium",
            _ => "low",
        };
        match self.traits.thinking {
            Thinking::Budget | Thinking::Effort { budget: true, .. } if enabled && self.thoughtless => {
                return self.refuse("thinking", value);
            }
            Thinking::Budget | Thinking::Effort { budget: true, .. } => self.claude_thinks(value, None),
            Thinking::Effort { budget: false, .. } if enabled => {
                self.claude_thinks(json!({"type": "adaptive"}), Some(effort));
            }
            Thinking::Effort { budget: false, .. } => self.claude_thinks(value, None),
            Thinking::Nova if enabled => self.nova_thinks("thinking", effort)?,
            Thinking::Plain if enabled => self.more("reasoning_effort", effort),
            _ if value["type"] == "disabled" => {}
            Thinking::Never | Thinking::Nova | Thinking::Plain => return self.refuse("thinking", value),
        }
        Ok(())
    }

    fn claude_thinks(&mut self, thinking: Value, effort: Option<&str>) {
        if thinking["type"] != "disabled" {
            self.set("additionalModelResponseFieldPaths", json!([THINKING_TOKENS]));
        }
        self.more("thinking", thinking);
        if let Some(effort) = effort {
            self.more("output_config", json!({"effort": effort}));
        }
    }

    /// At its highest effort it takes no bound on its answer. Where there is one it thinks less, and that is told: a bound is
    /// what somebody is ready to pay.
    fn nova_thinks(&mut self, key: &str, level: &str) -> Result<(), BadRequest> {
        let bounded = self.inference.contains_key("maxTokens") && level == "high";
        let level = match self.target.unsupported {
            Unsupported::Drop if bounded => {
                self.dropped.push(key.to_owned());
                "medium"
            }
            Unsupported::Reject if bounded => {
                let message = format!(
                    "{key:?} asks model {:?} for its highest effort, at which it takes no bound on its answer (ask for less, \
                     leave the bound out, or set request.unsupported: Drop)",
                    self.target.model
                );
                return Err(BadRequest::at(key, message));
            }
            Unsupported::Drop | Unsupported::Reject | Unsupported::Pass => level,
        };
        self.more("reasoningConfig", json!({"type": "enabled", "maxReasoningEffort": level}));
        Ok(())
    }

    /// `response_format`: a schema where the model takes one, else the tool that has to be called.
    fn structure(&mut self, body: &Body) -> Result<Option<Value>, BadRequest> {
        let Some(mut format) = body.value("response_format") else { return Ok(None) };
        if format["type"] != "json_schema" {
            self.refuse("response_format", format)?;
            return Ok(None);
        }
        let wanted = format.pointer_mut("/json_schema").map(Value::take).unwrap_or_default();
        if !self.traits.schema || schema::is_open(&wanted["schema"]) {
            return tools::json_tool(&wanted["schema"], self.traits).map(Some);
        }
        schema::no_circle(&wanted["schema"], "Bedrock")?;
        let mut named = json!({"schema": schema::strict(&wanted["schema"])?.to_string()});
        for key in ["name", "description"] {
            if wanted[key].is_string() {
                named[key] = wanted[key].clone();
            }
        }
        self.set("outputConfig", json!({"textFormat": {"type": "json_schema", "structure": {"jsonSchema": named}}}));
        Ok(None)
    }

    /// `toolConfig`. `format`: the tool whose arguments are the answer.
    fn choose_tools(&mut self, body: &Body, uses_tools: bool, format: Option<Value>) -> Result<(), BadRequest> {
        let given = body.value("tool_choice").or_else(|| body.value("function_call"));
        let mut choice = given.as_ref().map(Choice::read).transpose()?;
        if choice == Some(Choice::None) {
            self.tools.clear();
        }
        let can_be_forced = self.traits.forced || self.target.unsupported == Unsupported::Pass;
        let is_forced = matches!(choice, Some(Choice::Any | Choice::Named(_)));
        if is_forced && !self.tools.is_empty() && (!can_be_forced || self.thinks_apart()) {
            self.refuse("tool_choice", given.clone().unwrap_or_default())?;
            choice = None;
        }
        if let Some(tool) = format {
            // With the application's own tools beside it, the model has the last word. While it thinks it may not be forced.
            let forced = self.traits.forced && !is_thinking(self.more.get("thinking"));
            choice = match (forced, self.tools.is_empty()) {
                (false, _) => None,
                (true, true) => Some(Choice::Named(crate::anthropic::JSON_TOOL.to_owned())),
                (true, false) => choice.filter(|choice| *choice != Choice::Auto).or(Some(Choice::Any)),
            };
            // It is an aid where the model cannot be told to use it.
            choice = choice.filter(|_| self.traits.choice);
            self.tools.insert(0, tool);
        }
        if self.tools.is_empty() {
            if uses_tools {
                self.set("toolConfig", json!({"tools": [tools::stand_in()]}));
            }
            return Ok(());
        }
        let mut config = json!({"tools": std::mem::take(&mut self.tools)});
        let parallel = body.value("parallel_tool_calls").and_then(|value| value.as_bool());
        if let Some(parallel) = parallel.filter(|_| self.traits.parallel) {
            // Said in Claude's words alone: a choice in both is a conflict.
            let choice = tools::in_claudes_words(&choice.take().unwrap_or(Choice::Auto), parallel);
            self.more("tool_choice", choice);
        } else if parallel == Some(false) {
            self.refuse("parallel_tool_calls", false.into())?;
        }
        if let Some(choice) = choice.filter(|choice| *choice != Choice::None) {
            if self.traits.choice {
                config["toolChoice"] = tools::in_converse(&choice).unwrap_or_default();
            } else if choice != Choice::Auto {
                self.refuse("tool_choice", given.unwrap_or_default())?;
            }
        }
        self.set("toolConfig", config);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
