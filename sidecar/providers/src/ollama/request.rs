//! Requests in OpenAI's words to Ollama.

use serde_json::{Map, Value, json};

use super::message;
use crate::body::written;
use crate::{Api, BadRequest, Body, Need, Outgoing, Target, function};

/// OpenAI's parameters, and Ollama's own, that go into `options` by the same name.
const OPTIONS: &[&str] = &[
    "frequency_penalty",
    "min_p",
    "num_batch",
    "num_ctx",
    "num_gpu",
    "num_keep",
    "num_thread",
    "presence_penalty",
    "repeat_last_n",
    "repeat_penalty",
    "seed",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
];

/// What stays where it is: Ollama's own words, and OpenAI's that it took over.
const SAME: &[&str] = &["format", "keep_alive", "logprobs", "shift", "suffix", "think", "top_logprobs", "truncate"];

const READ_ELSEWHERE: &[&str] = &[
    "function_call",
    "functions",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "options",
    "prompt",
    "stream",
    "stream_options",
    "tool_choice",
    "tools",
];

/// What has fewer bytes fits any window that a server has unasked (2,048 tokens, and 4,096 by now), with its template.
const SURELY_FITS: usize = 1_900;

/// The request as it grows.
struct Draft<'a> {
    target: &'a Target<'a>,
    api: Api,
    out: Map<String, Value>,
    options: Map<String, Value>,
    dropped: Vec<String>,
}

/// Translates a chat, or a prompt to be gone on with.
pub(crate) fn encode(api: Api, body: &Body, need: &Need, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    let (out, dropped) = (Map::new(), Vec::new());
    let options = match body.value("options") {
        Some(Value::Object(options)) => options,
        _ => Map::new(),
    };
    let mut draft = Draft { target, api, out, options, dropped };
    draft.set("model", target.model);
    let path = if api == Api::Completions {
        draft.prompt(body)?;
        "/api/generate"
    } else {
        let Some(Value::Array(messages)) = body.value("messages") else {
            return Err(BadRequest::at("messages", "\"messages\" is not a list of readable messages"));
        };
        draft.set("messages", message::messages(messages)?);
        draft.tools(body)?;
        "/api/chat"
    };
    // Unasked, it streams.
    draft.set("stream", need.stream);
    if let Some(limit) = need.max_output_tokens {
        draft.options.insert("num_predict".into(), limit.into());
    }
    for key in body.keys() {
        draft.parameter(key, body)?;
    }
    draft.keep_whole(body);
    draft.out.insert("options".into(), draft.options.into());
    let body = written(&Value::Object(draft.out));
    Ok(Outgoing { path: path.into(), headers: [].as_slice().into(), body, dropped: draft.dropped })
}

// === impl Draft ===

impl Draft<'_> {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.out.insert(key.to_owned(), value.into());
    }

    fn prompt(&mut self, body: &Body) -> Result<(), BadRequest> {
        let prompt = crate::completions::request::prompt(body, self.target.model)?;
        self.set("prompt", prompt);
        Ok(())
    }

    /// There is no choice of tools: which of them may be called is said by which are declared.
    fn tools(&mut self, body: &Body) -> Result<(), BadRequest> {
        let mut tools = match (body.value("tools"), body.value("functions")) {
            (Some(Value::Array(tools)), _) => tools,
            (Some(_), _) => return Err(BadRequest::at("tools", "\"tools\" must be an array")),
            (None, Some(Value::Array(old))) => {
                old.into_iter().map(|function| json!({"type": "function", "function": function})).collect()
            }
            (None, _) => return Ok(()),
        };
        tools = function::functions_alone(tools, self.target, &mut self.dropped)?;
        let key = if body.value("tools").is_some() { "tool_choice" } else { "function_call" };
        let choice = body.value(key).unwrap_or_default();
        match (choice.as_str(), choice["function"]["name"].as_str().or_else(|| choice["name"].as_str())) {
            (Some("none"), _) => return Ok(()),
            (_, Some(name)) => {
                tools.retain(|tool| tool["function"]["name"] == name);
                self.refuse(key, choice.clone())?;
            }
            (None | Some("auto"), None) => {}
            (Some(_), None) => self.refuse(key, choice.clone())?,
        }
        for tool in tools.iter_mut().filter_map(Value::as_object_mut) {
            tool.shift_remove("cache_control");
        }
        if !tools.is_empty() {
            self.set("tools", tools);
        }
        Ok(())
    }

    fn parameter(&mut self, key: &str, body: &Body) -> Result<(), BadRequest> {
        if READ_ELSEWHERE.contains(&key) {
            return Ok(());
        }
        let Some(value) = body.value(key) else { return Ok(()) };
        match key {
            "stop" => {
                let list = if value.is_array() { value } else { json!([value]) };
                self.options.insert("stop".into(), list);
            }
            "response_format" => self.format(value)?,
            "reasoning_effort" => self.effort(&value),
            "thinking" => self.set("think", value["type"] != "disabled"),
            // A completion's is a number.
            "logprobs" if self.api == Api::Completions => {
                self.set("logprobs", true);
                self.set("top_logprobs", value);
            }
            _ if OPTIONS.contains(&key) => {
                self.options.insert(key.to_owned(), value);
            }
            _ if SAME.contains(&key) => self.set(key, value),
            _ => self.refuse(key, value)?,
        }
        Ok(())
    }

    /// Unasked, a server cuts a prompt that is too long for it, or forgets how it began, and answers what is left as if nothing
    /// had happened. Told not to, it says so, and something can be done.
    fn keep_whole(&mut self, body: &Body) {
        let said =
            ["messages", "prompt", "suffix", "tools", "functions"].into_iter().filter_map(|key| body.get_bytes(key));
        if said.map(<[u8]>::len).sum::<usize>() > SURELY_FITS {
            for key in ["truncate", "shift"] {
                self.out.entry(key).or_insert(false.into());
            }
        }
    }

    /// A parameter the API has no word for: dropped, refused or passed, as the route says.
    fn refuse(&mut self, key: &str, value: Value) -> Result<(), BadRequest> {
        if let Some(value) = self.target.refuse(key, value, &mut self.dropped)? {
            self.set(key, value);
        }
        Ok(())
    }

    fn format(&mut self, mut format: Value) -> Result<(), BadRequest> {
        match format["type"].as_str() {
            Some("json_object") => self.set("format", "json"),
            Some("json_schema") => {
                let schema = format.pointer_mut("/json_schema/schema").map(Value::take).unwrap_or_default();
                self.set("format", schema);
            }
            _ => return self.refuse("response_format", format),
        }
        Ok(())
    }

    /// Most models think or do not; OpenAI's open ones think as much as they are told, and cannot be told not to.
    fn effort(&mut self, effort: &Value) {
        let word = match effort.as_str().unwrap_or_default() {
            "none" | "minimal" => "low",
            "xhigh" | "max" => "high",
            word => word,
        };
        if self.target.model.contains("gpt-oss") {
            self.set("think", word);
        } else {
            self.set("think", *effort != "none");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, read};

    #[test]
    fn a_server_is_told_not_to_cut_what_may_be_too_long_for_it_unless_the_request_has_a_word_of_its_own() {
        let long = "word ".repeat(600);
        let rows = [
            (Api::ChatCompletions, json!({"messages": [{"role": "user", "content": "hi"}]}), [None, None]),
            (Api::ChatCompletions, json!({"messages": [{"role": "user", "content": long}]}), [Some(false); 2]),
            (
                Api::ChatCompletions,
                json!({"messages": [{"role": "user", "content": long}], "truncate": true}),
                [Some(true), Some(false)],
            ),
            (Api::Completions, json!({"prompt": long}), [Some(false); 2]),
        ];
        for (api, mut request, want) in rows {
            request["model"] = "m".into();
            let body = Body::parse(request.to_string().into()).unwrap();
            let need = read(api, &body).unwrap();
            let out = encode(api, &body, &need, &Target::new(Dialect::Ollama, "m")).unwrap();
            let sent: Value = serde_json::from_slice(&out.body).unwrap();
            assert_eq!(["truncate", "shift"].map(|key| sent[key].as_bool()), want, "{sent}");
        }
    }
}
