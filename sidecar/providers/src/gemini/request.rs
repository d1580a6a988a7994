//! A chat request in OpenAI's words to a Gemini backend.

use serde_json::{Map, Value, json};

use super::content::Conversation;
use super::model::Traits;
use super::tools;
use crate::body::written;
use crate::openai::fit::budget;
use crate::openai::request::unsupported;
use crate::path::segment;
use crate::{BadRequest, Body, Host, Need, Outgoing, Target, Unsupported, vertex};

/// Gemini's own words at the top level, for applications that know who they talk to.
const OWN: &[&str] = &["safetySettings", "safety_settings", "cachedContent", "cached_content", "labels"];

/// The largest budget that all take which take one.
const MAX_BUDGET: u64 = 24_576;

/// Gemini takes no more.
const MAX_STOPS: usize = 5;

const READ_ELSEWHERE: &[&str] =
    &["model", "messages", "max_tokens", "max_completion_tokens", "stream", "stream_options"];

/// The request as it grows.
struct Draft<'a> {
    target: &'a Target<'a>,
    traits: Traits,
    out: Map<String, Value>,
    /// `generationConfig`
    config: Map<String, Value>,
    tools: Vec<Value>,
    dropped: Vec<String>,
}

/// Translates a request.
pub(crate) fn encode(body: &Body, need: &Need, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    let Some(Value::Array(messages)) = body.value("messages") else {
        return Err(BadRequest::at("messages", "\"messages\" is not a list of readable messages"));
    };
    let traits = Traits::of(target);
    let mut conversation = Conversation::read(messages, traits)?;
    let (out, config) = (Map::new(), Map::new());
    let mut draft = Draft { target, traits, out, config, tools: Vec::new(), dropped: Vec::new() };
    let system = std::mem::take(&mut conversation.system);
    draft.out.insert("contents".into(), conversation.into_contents());
    if !system.is_empty() {
        draft.out.insert("systemInstruction".into(), json!({"parts": system}));
    }
    if let Some(limit) = need.max_output_tokens {
        draft.set("maxOutputTokens", limit);
    }
    for key in body.keys() {
        draft.parameter(key, body)?;
    }
    if traits.levels && !draft.config.contains_key("temperature") {
        // Google advises against anything else for these models; said, it stays so whatever the default becomes.
        draft.set("temperature", 1.0);
    }
    if draft.tools.is_empty() {
        // There is nothing left to choose from.
        draft.out.shift_remove("toolConfig");
    } else {
        draft.out.insert("tools".into(), draft.tools.into());
    }
    if !draft.config.is_empty() {
        draft.out.insert("generationConfig".into(), draft.config.into());
    }
    let body = written(&Value::Object(draft.out));
    Ok(Outgoing { path: path(target, need.stream).into(), headers: [].as_slice().into(), body, dropped: draft.dropped })
}

/// The model is part of the path, and so is whether the answer comes in pieces.
fn path(target: &Target<'_>, stream: bool) -> String {
    let model = target.model;
    let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
    if target.host == Host::Vertex {
        return vertex::google_path(model, method);
    }
    let (folder, name) = model.split_once('/').filter(|(folder, _)| is_folder(folder)).unwrap_or(("models", model));
    format!("/{folder}/{}:{method}", segment(name))
}

fn is_folder(folder: &str) -> bool {
    matches!(folder, "models" | "tunedModels")
}

// === impl Draft ===

impl Draft<'_> {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.config.insert(key.to_owned(), value.into());
    }

    fn parameter(&mut self, key: &str, body: &Body) -> Result<(), BadRequest> {
        if READ_ELSEWHERE.contains(&key) {
            return Ok(());
        }
        let Some(value) = body.value(key) else { return Ok(()) };
        match key {
            "top_p" | "top_k" if !self.traits.sampling => self.refuse(key, value)?,
            "temperature" | "seed" => self.set(key, value),
            "top_p" => self.set("topP", value),
            "top_k" => self.set("topK", value),
            "n" => self.set("candidateCount", value),
            "presence_penalty" if self.traits.penalties => self.set("presencePenalty", value),
            "frequency_penalty" if self.traits.penalties => self.set("frequencyPenalty", value),
            "logprobs" => self.set("responseLogprobs", value),
            "top_logprobs" => self.set("logprobs", value),
            "stop" => self.stop(value)?,
            "modalities" => self.modalities(&value),
            "tools" => self.tools.extend(tools::tools(value, self.target, &mut self.dropped)?),
            "functions" => self.tools.extend(tools::functions(&value, self.target, &mut self.dropped)?),
            "web_search_options" => self.tools.push(json!({"googleSearch": {}})),
            "tool_choice" | "function_call" => {
                self.out.insert("toolConfig".into(), tools::choice(&value)?);
            }
            "response_format" => self.format(value)?,
            // The other tiers are what is had without a word.
            "service_tier" if self.target.host == Host::Own && (value == "flex" || value == "priority") => {
                self.out.insert("serviceTier".into(), value);
            }
            "reasoning_effort" => self.effort(&value)?,
            "thinking" => self.thinking(&value),
            // Several at once is what it does without a word.
            "parallel_tool_calls" if value == true => {}
            _ if OWN.contains(&key) => {
                self.out.insert(key.to_owned(), value);
            }
            _ => self.refuse(key, value)?,
        }
        Ok(())
    }

    /// A parameter the API has no word for: dropped, refused or passed, as the route says.
    fn refuse(&mut self, key: &str, value: Value) -> Result<(), BadRequest> {
        if let Some(value) = self.target.refuse(key, value, &mut self.dropped)? {
            self.out.insert(key.to_owned(), value);
        }
        Ok(())
    }

    fn stop(&mut self, value: Value) -> Result<(), BadRequest> {
        let Value::Array(mut sequences) = value else {
            self.set("stopSequences", vec![value]);
            return Ok(());
        };
        match self.target.unsupported {
            Unsupported::Reject if sequences.len() > MAX_STOPS => return Err(unsupported("stop", self.target.model)),
            Unsupported::Drop if sequences.len() > MAX_STOPS => {
                sequences.truncate(MAX_STOPS);
                self.dropped.push("stop".to_owned());
            }
            _ => {}
        }
        self.set("stopSequences", sequences);
        Ok(())
    }

    fn modalities(&mut self, value: &Value) {
        let words = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        let words: Vec<_> = words.map(str::to_ascii_uppercase).collect();
        self.set("responseModalities", words);
    }

    fn format(&mut self, mut format: Value) -> Result<(), BadRequest> {
        match format["type"].as_str() {
            Some("text") => self.set("responseMimeType", "text/plain"),
            Some("json_object") => self.set("responseMimeType", "application/json"),
            Some("json_schema") => {
                self.set("responseMimeType", "application/json");
                let schema = format.pointer_mut("/json_schema/schema").map(Value::take).unwrap_or_default();
                self.set("responseJsonSchema", schema);
            }
            _ => return self.refuse("response_format", format),
        }
        Ok(())
    }

    fn effort(&mut self, value: &Value) -> Result<(), BadRequest> {
        let effort = value.as_str().unwrap_or_default();
        let config = match (effort, self.traits.levels, budget(effort)) {
            // The newest cannot be told not to think, only not to tell.
            ("none", true, _) => json!({"thinkingLevel": "low", "includeThoughts": false}),
            ("none", false, _) if !self.traits.thinks => return Ok(()),
            ("none", false, _) => json!({"thinkingBudget": self.traits.least_budget, "includeThoughts": false}),
            ("minimal" | "low", true, _) => json!({"thinkingLevel": "low", "includeThoughts": true}),
            (_, true, Some(_)) => json!({"thinkingLevel": "high", "includeThoughts": true}),
            ("minimal", false, _) => json!({"thinkingBudget": 128, "includeThoughts": true}),
            (_, false, Some(budget)) => json!({"thinkingBudget": budget, "includeThoughts": true}),
            (_, _, None) => return self.refuse("reasoning_effort", value.clone()),
        };
        self.set("thinkingConfig", config);
        Ok(())
    }

    /// Anthropic's parameter, from its callers and from applications that speak to both.
    fn thinking(&mut self, value: &Value) {
        let enabled = value["type"] != "disabled";
        if !enabled && !self.traits.thinks {
            return;
        }
        let mut config = json!({"includeThoughts": enabled});
        match (self.traits.levels, value["budget_tokens"].as_u64()) {
            (false, _) if !enabled => config["thinkingBudget"] = self.traits.least_budget.into(),
            (false, Some(budget)) => config["thinkingBudget"] = budget.min(MAX_BUDGET).into(),
            _ => {}
        }
        self.set("thinkingConfig", config);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Api, Dialect, read};

    #[test]
    fn of_more_places_to_stop_at_than_gemini_takes_the_first_are_kept_as_the_route_says() {
        for (count, unsupported, want) in [
            (5, Unsupported::Reject, Some((5, 0))),
            (6, Unsupported::Reject, None),
            (6, Unsupported::Drop, Some((5, 1))),
            (6, Unsupported::Pass, Some((6, 0))),
        ] {
            let stop: Vec<_> = (0..count).map(|number| number.to_string()).collect();
            let request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stop": stop});
            let body = Body::parse(request.to_string().into()).unwrap();
            let need = read(Api::ChatCompletions, &body).unwrap();
            let target = Target { unsupported, ..Target::new(Dialect::Gemini, "gemini-2.5-flash") };
            let got = encode(&body, &need, &target).ok().map(|out| {
                let sent: Value = serde_json::from_slice(&out.body).unwrap();
                (sent["generationConfig"]["stopSequences"].as_array().unwrap().len(), out.dropped.len())
            });
            assert_eq!(got, want, "{count} {unsupported:?}");
        }
    }
}
