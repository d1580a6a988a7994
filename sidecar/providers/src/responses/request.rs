//! A request to a backend without this API: as a chat, which every other dialect is translated from.

use serde_json::{Map, Value, json};

use super::{input::Conversation, tools};
use crate::need::excerpt;
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

/// What OpenAI knows that can be included.
const INCLUDED: [&str; 8] = [
    LOGPROBS,
    "reasoning.encrypted_content",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
];

const LOGPROBS: &str = "message.output_text.logprobs";

/// OpenAI's own bound.
const MAX_TOP_LOGPROBS: u64 = 20;

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
    let input = body.value("input").unwrap_or_default();
    let Conversation { messages, left_out, .. } =
        Conversation::read(body.value("instructions"), input, target.dialect)?;
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
        let given = || excerpt(body.get_bytes(key).unwrap_or_default());
        match key {
            _ if SAME.contains(&key) => self.set(key, value),
            "parallel_tool_calls" => {
                // Refused by some where there is nothing to call.
                if self.out.contains_key("tools") {
                    self.set(key, value);
                }
            }
            "include" => self.include(&value, &given())?,
            // One response is one answer.
            "n" if value.as_u64().is_none_or(|count| count == 0) => {
                return Err(BadRequest::at(
                    key,
                    format!("\"n\" must be a whole number of at least 1, not {}", given()),
                ));
            }
            "n" if value == 1 => {}
            "n" => self.refuse(key, None)?,
            "top_logprobs" if value.as_u64().is_none_or(|count| count > MAX_TOP_LOGPROBS) => {
                let message =
                    format!("\"top_logprobs\" must be a whole number up to {MAX_TOP_LOGPROBS}, not {}", given());
                return Err(BadRequest::at(key, message));
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
            "truncation" if value != "auto" => {
                let message = format!("\"truncation\" must be \"auto\" or \"disabled\", not {}", given());
                return Err(BadRequest::at(key, message));
            }
            _ => self.refuse(key, Some(value))?,
        }
        Ok(())
    }

    /// What else can be included is there anyway, or belongs to tools that a provider runs itself.
    fn include(&mut self, value: &Value, given: &str) -> Result<(), BadRequest> {
        let words = value.as_array().filter(|words| words.iter().all(Value::is_string));
        let Some(words) = words else {
            let message = format!("\"include\" must be a list of strings, not {given}");
            return Err(BadRequest::at("include", message));
        };
        if wants_logprobs(value) {
            self.set("logprobs", true);
        }
        if words.iter().all(|word| word.as_str().is_some_and(|word| INCLUDED.contains(&word))) {
            return Ok(());
        }
        // A chat has no such list, whoever is to decide.
        self.refuse("include", None)
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
    include.as_array().is_some_and(|list| list.iter().any(|word| word == LOGPROBS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Api, Dialect, encode, read};

    fn sent(unsupported: Unsupported, more: &Value) -> Result<(Value, Vec<String>), BadRequest> {
        let mut body = json!({"model": "chat", "input": "hi"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let body = Body::parse(body.to_string().into()).unwrap();
        let target = Target { unsupported, ..Target::new(Dialect::Anthropic, "claude-sonnet-4-5") };
        let out = encode(Api::Responses, &body, &read(Api::Responses, &body).unwrap(), &target)?;
        Ok((serde_json::from_slice(&out.body).unwrap(), out.dropped))
    }

    #[test]
    fn nonsense_is_refused_by_name_and_what_a_chat_cannot_do_is_the_routes_to_decide() {
        let nonsense = [
            ("n", json!(0)),
            ("n", json!("two")),
            ("top_logprobs", json!(21)),
            ("top_logprobs", json!(-1)),
            ("truncation", json!("sometimes")),
            ("truncation", json!(true)),
            ("include", json!("message.output_text.logprobs")),
            ("include", json!([7])),
            ("input", json!([[]])),
            ("input", json!(["\u{1f600}"])),
        ];
        for (key, value) in nonsense {
            for unsupported in [Unsupported::Drop, Unsupported::Reject, Unsupported::Pass] {
                let bad = sent(unsupported, &json!({ key: value })).unwrap_err();
                assert!(bad.param.as_deref().is_some_and(|param| param.starts_with(key)), "{key} {value}: {bad:?}");
                assert!(bad.message.contains(key), "{bad}");
            }
        }
        for (key, value) in [("n", json!(2)), ("truncation", json!("auto")), ("include", json!(["moon.phase"]))] {
            let (_, dropped) = sent(Unsupported::Drop, &json!({ key: value })).unwrap();
            assert_eq!(dropped, [key]);
            assert_eq!(sent(Unsupported::Reject, &json!({ key: value })).unwrap_err().param.as_deref(), Some(key));
        }
        let plain =
            json!({"n": 1, "truncation": "disabled", "include": ["reasoning.encrypted_content"], "store": false});
        assert_eq!(sent(Unsupported::Reject, &plain).unwrap().1, [""; 0]);
    }

    #[test]
    fn text_that_is_none_is_refused_where_it_would_have_to_be_told_in_other_words() {
        let raw = r#"{"model":"chat","max_tokens":9,"messages":[{"role":"user","content":"\ud800"}],"input":[{"role":"user","content":"\ud800"}]}"#;
        let body = Body::parse(raw.into()).unwrap();
        let rows = [
            (Api::ChatCompletions, Dialect::Anthropic, Some("messages[0]")),
            (Api::ChatCompletions, Dialect::Gemini, Some("messages[0]")),
            (Api::ChatCompletions, Dialect::OpenAi, None),
            (Api::Messages, Dialect::OpenAi, Some("messages[0]")),
            (Api::Messages, Dialect::Anthropic, None),
            (Api::Responses, Dialect::Bedrock, Some("messages[0]")),
        ];
        for (api, dialect, want) in rows {
            let need = read(api, &body).unwrap();
            let bad = encode(api, &body, &need, &Target::new(dialect, "m")).err();
            assert_eq!(bad.as_ref().and_then(|bad| bad.param.as_deref()), want, "{api:?} {dialect:?} {bad:?}");
        }
    }
}
