//! A request in Anthropic's words to a backend of another dialect.

use serde_json::{Map, Value, json};

use super::tools::beside;
use super::{part, turn};
use crate::anthropic::part::marked;
use crate::gemini::model::takes_budget;
use crate::need::excerpt;
use crate::openai::family::{Family, takes_no_effort};
use crate::openai::request::unsupported;
use crate::openai::table::Thinking;
use crate::{BadRequest, Body, Dialect, Need, Target, Unsupported, choice, function};

/// OpenAI takes no more.
const MAX_STOPS: usize = 4;

/// Longer ids are refused by OpenAI as `user`.
const MAX_USER_BYTES: usize = 64;

/// The request as it grows.
struct Draft<'a> {
    target: &'a Target<'a>,
    family: Family,
    out: Map<String, Value>,
    dropped: Vec<String>,
}

/// Translates a request into a chat request, which every other dialect is translated from. Also what was left out.
pub(crate) fn to_chat(body: &Body, need: &Need, target: &Target<'_>) -> Result<(Body, Vec<String>), BadRequest> {
    let family = target.family();
    let mut draft = Draft { target, family, out: Map::new(), dropped: Vec::new() };
    draft.set("model", target.model);
    let messages = messages(body, target, &mut draft.dropped)?;
    draft.set("messages", messages);
    if let Some(limit) = need.max_output_tokens {
        draft.set(family.max_tokens_key(), limit);
    }
    if need.stream {
        draft.set("stream", true);
    }
    for key in body.keys() {
        draft.parameter(key, body)?;
    }
    draft.choose_from_the_left(body);
    Ok((Body::parse(Value::Object(draft.out).to_string().into())?, draft.dropped))
}

fn messages(body: &Body, target: &Target<'_>, dropped: &mut Vec<String>) -> Result<Vec<Value>, BadRequest> {
    let mut out = Vec::new();
    match body.value("system") {
        None => {}
        Some(Value::String(text)) => out.push(json!({"role": "system", "content": text})),
        Some(Value::Array(blocks)) => {
            let parts = blocks
                .into_iter()
                .enumerate()
                .map(|(index, block)| part::parts(block, target, &format!("system[{index}]")));
            out.push(json!({"role": "system", "content": parts.collect::<Result<Vec<_>, _>>()?.concat()}));
        }
        Some(_) => return Err(BadRequest::at("system", "\"system\" must be a string or a list of text blocks")),
    }
    let Some(Value::Array(turns)) = body.value("messages") else {
        return Err(BadRequest::at("messages", "\"messages\" is not a list of readable messages"));
    };
    for (index, turn) in turns.into_iter().enumerate() {
        part::untold(&turn, &format!("messages[{index}].content"), target, dropped)?;
        out.extend(turn::messages(turn, target, &format!("messages[{index}]"))?);
    }
    Ok(out)
}

// === impl Draft ===

impl Draft<'_> {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.out.insert(key.to_owned(), value.into());
    }

    fn parameter(&mut self, key: &str, body: &Body) -> Result<(), BadRequest> {
        if matches!(key, "model" | "messages" | "system" | "max_tokens" | "stream") {
            return Ok(()); // Read elsewhere.
        }
        let Some(mut value) = body.value(key) else { return Ok(()) };
        match key {
            "temperature" | "top_p" if self.family.refuses(key, &value) => self.refuse(key, value)?,
            // Not OpenAI's word, but that of most who copy its API.
            "top_k" if matches!(self.family, Family::Other) => self.set(key, value),
            "temperature" | "top_p" => self.set(key, value),
            "stop_sequences" => self.stop(value)?,
            "metadata" => {
                let user = value["user_id"].as_str().filter(|user| user.len() <= MAX_USER_BYTES);
                if let Some(user) = user {
                    self.set("user", user);
                }
            }
            "tools" => self.tools(value)?,
            "tool_choice" => self.choice(&value)?,
            "thinking" => self.thinking(value)?,
            "output_config" => {
                let thinks = body.value("thinking").is_none_or(|thinking| thinking["type"] != "disabled");
                if let Some(effort) = value.get_mut("effort").map(Value::take).filter(|_| thinks) {
                    self.effort("output_config", effort)?;
                }
                self.format(value.get_mut("format").map(Value::take).unwrap_or_default())?;
            }
            "output_format" => self.format(value)?,
            // All else is Anthropic's alone: service_tier, container, mcp_servers, …
            _ => self.refuse(key, value)?,
        }
        Ok(())
    }

    /// A parameter the backend cannot express: dropped, refused or passed, as the route says.
    fn refuse(&mut self, key: &str, value: Value) -> Result<(), BadRequest> {
        match self.target.unsupported {
            Unsupported::Drop => self.dropped.push(key.to_owned()),
            Unsupported::Reject => return Err(unsupported(key, self.target.model)),
            Unsupported::Pass => self.set(key, value),
        }
        Ok(())
    }

    fn stop(&mut self, value: Value) -> Result<(), BadRequest> {
        let Value::Array(mut sequences) = value else {
            return Err(BadRequest::at("stop_sequences", "\"stop_sequences\" must be a list of strings"));
        };
        if sequences.is_empty() {
            return Ok(());
        }
        let stops = Value::from(sequences.clone());
        if self.family.refuses("stop", &stops)
            || (sequences.len() > MAX_STOPS && self.target.unsupported == Unsupported::Reject)
        {
            return self.refuse("stop_sequences", stops);
        }
        if sequences.len() > MAX_STOPS && self.target.unsupported == Unsupported::Drop {
            sequences.truncate(MAX_STOPS);
            self.dropped.push("stop_sequences".to_owned());
        }
        self.set("stop", sequences);
        Ok(())
    }

    fn tools(&mut self, value: Value) -> Result<(), BadRequest> {
        let Value::Array(tools) = value else { return Err(BadRequest::at("tools", "\"tools\" must be an array")) };
        let mut out = Vec::new();
        for (index, mut tool) in tools.into_iter().enumerate() {
            let at = format!("tools[{index}]");
            // Tools that Anthropic runs itself have a type and no schema.
            if tool["type"].is_null() && !tool["input_schema"].is_object() {
                return Err(BadRequest::at(&at, format!("{at} has no \"input_schema\"")));
            }
            if !tool["input_schema"].is_object() {
                out.extend(function::foreign(tool, &at, self.target, &mut self.dropped)?);
                continue;
            }
            let Some(name) = tool["name"].as_str() else {
                return Err(BadRequest::at(&at, format!("{at} has no \"name\"")));
            };
            let mut function = json!({"name": name});
            if tool["description"].is_string() {
                function["description"] = tool["description"].take();
            }
            function["parameters"] = tool["input_schema"].take();
            beside(&tool, &mut function, &at, self.target, &mut self.dropped)?;
            out.push(marked(
                json!({"type": "function", "function": function}),
                tool.get_mut("cache_control").map(Value::take),
            ));
        }
        if !out.is_empty() {
            self.set("tools", out);
        }
        Ok(())
    }

    fn choice(&mut self, value: &Value) -> Result<(), BadRequest> {
        let choice = match value["type"].as_str() {
            Some("auto") => "auto".into(),
            Some("any") => "required".into(),
            Some("none") => "none".into(),
            Some("tool") => json!({"type": "function", "function": {"name": value["name"]}}),
            _ => {
                let given = excerpt(value.to_string().as_bytes());
                let message = format!("\"tool_choice\" is {given}, want the type auto, any, none or tool");
                return Err(BadRequest::at("tool_choice", message));
            }
        };
        self.set("tool_choice", choice);
        if let Some(disabled) = value["disable_parallel_tool_use"].as_bool() {
            self.set("parallel_tool_calls", !disabled);
        }
        Ok(())
    }

    /// A choice goes with the tools it was made among.
    fn choose_from_the_left(&mut self, body: &Body) {
        let (Some(choice), Some(Value::Array(declared))) = (self.out.get("tool_choice"), body.value("tools")) else {
            return;
        };
        let left = self.out.get("tools").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if choice::name(choice).is_some_and(|name| choice::is_gone(name, &declared, left)) {
            self.dropped.push("tool_choice".to_owned());
            self.out.shift_remove("tool_choice");
        } else if left.is_empty() && !declared.is_empty() {
            self.dropped.extend((choice == "required").then(|| "tool_choice".to_owned()));
            self.out.shift_remove("tool_choice");
        }
        if !self.out.contains_key("tools") && !declared.is_empty() {
            self.out.shift_remove("parallel_tool_calls");
        }
    }

    fn thinking(&mut self, value: Value) -> Result<(), BadRequest> {
        // One hands on what Claude understands, the other counts thoughts in tokens as well.
        let by_itself = self.target.dialect == Dialect::Gemini
            && (value["type"] == "disabled" || (value["type"] == "enabled" && takes_budget(self.target.model)));
        if self.target.dialect == Dialect::Bedrock || by_itself {
            self.set("thinking", value);
            return Ok(());
        }
        let effort = match (value["type"].as_str(), value["budget_tokens"].as_u64().unwrap_or(0)) {
            (Some("disabled"), _) => return self.no_thinking(value),
            // The effort comes with it, in output_config.
            (Some("adaptive"), _) => return Ok(()),
            (_, 10_000..) => "high",
            (_, 5_000..) => "medium",
            _ => "low",
        };
        match self.family {
            Family::Gpt => self.refuse("thinking", value),
            // It was asked for in so many words, in output_config.
            _ if self.out.contains_key("reasoning_effort") => Ok(()),
            _ => self.effort("thinking", effort.into()),
        }
    }

    /// A model that thinks unless it is told not to would bill what nobody asked for.
    fn no_thinking(&mut self, value: Value) -> Result<(), BadRequest> {
        let Target { dialect, model, abilities, row, .. } = self.target;
        // Of a model that nobody has described it is not known that it does not think.
        let (thinks, knows) = match dialect {
            Dialect::Ollama => (true, true),
            Dialect::Cohere => [abilities.reasoning.unwrap_or(model.contains("reasoning")); 2].into(),
            _ => {
                let reasons = abilities.reasoning.unwrap_or(self.family.reasons());
                let knows = abilities.efforts.none.unwrap_or(reasons && takes_no_effort(model));
                (abilities.reasoning.unwrap_or(self.family != Family::Gpt), knows)
            }
        };
        match row.thinking {
            Thinking::Switch => self.set("thinking", value),
            _ if knows => self.set("reasoning_effort", "none"),
            // Claude, behind someone's door: it thinks when it is asked to.
            Thinking::Budget => {}
            Thinking::Pass | Thinking::Effort if !thinks => {}
            // The templates of models that can be told so read the one or the other, and the rest neither.
            _ if row.template_words => {
                self.set("chat_template_kwargs", json!({"enable_thinking": false, "thinking": false}));
            }
            Thinking::Pass | Thinking::Effort => self.refuse("thinking", value)?,
        }
        Ok(())
    }

    /// OpenAI's models that do not reason refuse to be told how much.
    fn effort(&mut self, key: &str, effort: Value) -> Result<(), BadRequest> {
        if self.family == Family::Gpt {
            return self.refuse(key, effort);
        }
        self.set("reasoning_effort", effort);
        Ok(())
    }

    fn format(&mut self, mut format: Value) -> Result<(), BadRequest> {
        match format["type"].as_str() {
            None => Ok(()),
            Some("json_schema") => {
                let schema = json!({"name": "answer", "schema": format["schema"].take(), "strict": true});
                self.set("response_format", json!({"type": "json_schema", "json_schema": schema}));
                Ok(())
            }
            Some(_) => self.refuse("output_format", format),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Abilities, Api, Outgoing, encode, read, row};

    fn told_not_to_think(
        kind: &str,
        model: &str,
        reasoning: Option<bool>,
        unsupported: Unsupported,
    ) -> Option<Outgoing> {
        let request = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
            "thinking": {"type": "disabled"}});
        let body = Body::parse(request.to_string().into()).unwrap();
        let need = read(Api::Messages, &body).unwrap();
        let abilities = Abilities { reasoning, ..Abilities::default() };
        let target = Target { row: row(kind), abilities, unsupported, ..Target::new(Dialect::OpenAi, model) };
        encode(Api::Messages, &body, &need, &target).ok()
    }

    #[test]
    fn who_is_told_not_to_think_does_not_or_the_application_hears_that_it_may() {
        let template = Some(("chat_template_kwargs", json!({"enable_thinking": false, "thinking": false})));
        let rows = [
            ("OpenAICompatible", "m", None, None, true),
            ("OpenAICompatible", "m", Some(true), None, true),
            ("OpenAICompatible", "m", Some(false), None, false),
            ("Groq", "m", None, None, true),
            ("OpenAI", "gpt-4o", None, None, false),
            ("OpenAI", "gpt-5", None, None, true),
            ("OpenAI", "gpt-5.1", None, Some(("reasoning_effort", json!("none"))), false),
            ("DeepSeek", "deepseek-chat", None, Some(("thinking", json!({"type": "disabled"}))), false),
            ("VLLM", "qwen3", None, template.clone(), false),
            ("SGLang", "qwen3", Some(true), template.clone(), false),
            ("LlamaCpp", "m", None, template, false),
            ("VLLM", "llama-3", Some(false), None, false),
        ];
        for (kind, model, reasoning, told, dropped) in rows {
            let row = format!("{kind} {model} {reasoning:?}");
            let out = told_not_to_think(kind, model, reasoning, Unsupported::Drop).unwrap();
            let sent: Value = serde_json::from_slice(&out.body).unwrap();
            let words = ["chat_template_kwargs", "reasoning_effort", "thinking"];
            let got = words.into_iter().find_map(|key| Some((key, sent.get(key)?.clone())));
            assert_eq!(
                (got, out.dropped.as_slice()),
                (told, &["thinking".to_owned()][..usize::from(dropped)]),
                "{row}"
            );
            assert_eq!(told_not_to_think(kind, model, reasoning, Unsupported::Reject).is_none(), dropped, "{row}");
        }
    }

    #[test]
    fn an_effort_that_is_given_wins_over_one_that_a_budget_means() {
        let (thinking, effort) = (json!({"type": "enabled", "budget_tokens": 1024}), json!({"effort": "high"}));
        let rows = [
            json!({"thinking": thinking, "output_config": effort}),
            json!({"output_config": effort, "thinking": thinking}),
        ];
        for more in rows {
            let mut request = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
            request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let body = Body::parse(request.to_string().into()).unwrap();
            let need = read(Api::Messages, &body).unwrap();
            let out = encode(Api::Messages, &body, &need, &Target::new(Dialect::OpenAi, "gpt-5")).unwrap();
            let sent: Value = serde_json::from_slice(&out.body).unwrap();
            assert_eq!(sent["reasoning_effort"], "high", "{request}");
        }
    }
}
