//! What an answer says, for those who decide by it: read from the answer as the application would get it, so that it means
//! the same whoever gave it.

use serde_json::Value;

use crate::Api;

/// What an answer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub text: String,
    /// The model, or its provider, refused to answer.
    pub refusal: bool,
    /// The API's own word for why it ended; empty if it did not say.
    pub finish_reason: String,
    pub tool_calls: u64,
}

/// Why an answer ended, in every API's word for "it was refused".
const REFUSED: [&str; 2] = ["content_filter", "refusal"];

/// Reads a stream as it goes by.
#[derive(Debug)]
pub struct Listener {
    api: Api,
    choices: Vec<Said>,
    bytes: u64,
}

/// No API gives more answers at once.
const MAX_CHOICES: usize = 128;

// === impl Said ===

impl Said {
    /// Reads a whole answer. Of several choices, the first.
    #[must_use]
    pub fn read(api: Api, body: &[u8]) -> Self {
        Self::read_all(api, body).into_iter().next().unwrap_or_default()
    }

    /// Reads every choice of a whole answer.
    #[must_use]
    pub fn read_all(api: Api, body: &[u8]) -> Vec<Self> {
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        match api {
            Api::CountTokens | Api::Tokenize | Api::Pass(_) => Vec::new(),
            Api::Messages => {
                let mut said = Self::default();
                answer["content"].as_array().into_iter().flatten().for_each(|block| said.block(block));
                said.ended(&answer["stop_reason"]);
                vec![said]
            }
            Api::Responses => {
                let mut said = Self::default();
                said.response(&answer);
                vec![said]
            }
            Api::ChatCompletions | Api::Completions | Api::Embeddings => {
                answer["choices"].as_array().into_iter().flatten().map(Self::choice).collect()
            }
        }
    }

    fn choice(choice: &Value) -> Self {
        let mut said = Self::default();
        said.add(&choice["text"]);
        said.message(&choice["message"]);
        said.tool_calls += choice["message"]["tool_calls"].as_array().map_or(0, Vec::len) as u64;
        said.ended(&choice["finish_reason"]);
        said
    }

    /// Reads a stream that is complete, from the events the application would get.
    #[must_use]
    pub fn read_stream<'a>(api: Api, events: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut listener = Listener::new(api);
        events.for_each(|event| listener.hear(event));
        listener.said().into_iter().next().unwrap_or_default()
    }

    /// A piece of a chat's choice.
    fn delta(&mut self, choice: &Value) {
        self.add(&choice["text"]);
        self.message(&choice["delta"]);
        // A call comes in pieces; each piece says which one it belongs to.
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let number = call["index"].as_u64().unwrap_or(0).min(u64::from(u16::MAX)) + 1;
            self.tool_calls = self.tool_calls.max(number);
        }
        self.ended(&choice["finish_reason"]);
    }

    /// A piece of a response. Its end repeats all of it, which by then is known.
    fn heard(&mut self, data: &Value) {
        let response = &data["response"];
        match data["type"].as_str() {
            Some("response.output_text.delta") => self.add(&data["delta"]),
            Some("response.refusal.delta") => self.refusal = true,
            Some("response.output_item.added") => {
                self.tool_calls += u64::from(data["item"]["type"] == "function_call");
            }
            Some("response.completed" | "response.incomplete") => {
                let reason = &response["incomplete_details"]["reason"];
                self.ended(if reason.is_string() { reason } else { &response["status"] });
            }
            _ => {}
        }
    }

    fn response(&mut self, response: &Value) {
        for item in response["output"].as_array().into_iter().flatten() {
            self.tool_calls += u64::from(item["type"] == "function_call");
            for part in item["content"].as_array().into_iter().flatten() {
                self.add(&part["text"]);
                self.refusal |= part["type"] == "refusal";
            }
        }
        let reason = &response["incomplete_details"]["reason"];
        self.ended(if reason.is_string() { reason } else { &response["status"] });
    }

    fn message(&mut self, message: &Value) {
        self.add(&message["content"]);
        self.refusal |= message["refusal"].as_str().is_some_and(|text| !text.is_empty());
    }

    fn block(&mut self, block: &Value) {
        match block["type"].as_str() {
            Some("text") => self.add(&block["text"]),
            Some("tool_use") => self.tool_calls += 1,
            _ => {}
        }
    }

    fn add(&mut self, text: &Value) {
        self.text.push_str(text.as_str().unwrap_or_default());
    }

    fn ended(&mut self, reason: &Value) {
        if let Some(reason) = reason.as_str() {
            reason.clone_into(&mut self.finish_reason);
            self.refusal |= REFUSED.contains(&reason);
        }
    }
}

// === impl Listener ===

impl Listener {
    #[must_use]
    pub const fn new(api: Api) -> Self {
        Self { api, choices: Vec::new(), bytes: 0 }
    }

    /// Reads an event, or a few that belong together, as the application gets them.
    pub fn hear(&mut self, event: &[u8]) {
        for line in event.split(|byte| *byte == b'\n') {
            let Some(data) = line.strip_prefix(b"data:") else { continue };
            let Ok(data) = serde_json::from_slice::<Value>(data.trim_ascii()) else { continue };
            self.event(&data);
        }
        self.bytes = self.choices.iter().map(|said| said.text.len() as u64).sum();
    }

    fn event(&mut self, data: &Value) {
        if self.api == Api::Messages {
            let Some(said) = self.choice(0) else { return };
            said.block(&data["content_block"]);
            said.add(&data["delta"]["text"]);
            return said.ended(&data["delta"]["stop_reason"]);
        }
        if self.api == Api::Responses {
            if let Some(said) = self.choice(0) {
                said.heard(data);
            }
            return;
        }
        for choice in data["choices"].as_array().into_iter().flatten() {
            let index = choice["index"].as_u64().unwrap_or(0);
            if let Some(said) = self.choice(usize::try_from(index).unwrap_or(usize::MAX)) {
                said.delta(choice);
            }
        }
    }

    fn choice(&mut self, index: usize) -> Option<&mut Said> {
        if index >= self.choices.len() && index < MAX_CHOICES {
            self.choices.resize_with(index + 1, Said::default);
        }
        self.choices.get_mut(index)
    }

    /// How much text was heard.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What every choice says so far.
    #[must_use]
    pub fn said(self) -> Vec<Said> {
        self.choices
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(text: &str, refusal: bool, finish_reason: &str, tool_calls: u64) -> Said {
        Said { text: text.into(), refusal, finish_reason: finish_reason.into(), tool_calls }
    }

    #[test]
    fn a_whole_answer_says_the_same_in_every_api() {
        let choice = |choice: Value| json!({ "choices": [choice] });
        let rows = [
            (
                Api::ChatCompletions,
                choice(json!({"message": {"content": "hi"}, "finish_reason": "stop"})),
                said("hi", false, "stop", 0),
            ),
            (
                Api::ChatCompletions,
                choice(json!({"message": {"content": null, "refusal": "no"}})),
                said("", true, "", 0),
            ),
            (
                Api::ChatCompletions,
                choice(json!({"message": {}, "finish_reason": "content_filter"})),
                said("", true, "content_filter", 0),
            ),
            (Api::ChatCompletions, choice(json!({"message": {"tool_calls": [{}, {}]}})), said("", false, "", 2)),
            (
                Api::Completions,
                choice(json!({"text": "hi", "finish_reason": "length"})),
                said("hi", false, "length", 0),
            ),
            (
                Api::Messages,
                json!({"content": [{"type": "text", "text": "h"}, {"type": "tool_use"}, {"type": "text", "text": "i"}],
                    "stop_reason": "tool_use"}),
                said("hi", false, "tool_use", 1),
            ),
            (Api::Messages, json!({"content": [], "stop_reason": "refusal"}), said("", true, "refusal", 0)),
            (
                Api::Responses,
                json!({"status": "completed", "output": [{"type": "reasoning", "summary": [{"text": "x"}]},
                    {"type": "message", "content": [{"type": "output_text", "text": "hi"}]}, {"type": "function_call"}]}),
                said("hi", false, "completed", 1),
            ),
            (
                Api::Responses,
                json!({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "output": []}),
                said("", true, "content_filter", 0),
            ),
            (Api::Embeddings, json!({"data": []}), said("", false, "", 0)),
        ];
        for (api, body, want) in rows {
            assert_eq!(Said::read(api, body.to_string().as_bytes()), want, "{api:?} {body}");
        }
    }

    #[test]
    fn a_stream_says_what_its_pieces_say_together() {
        let chat = |deltas: &[Value]| {
            let event = |choice: &Value| format!("data: {}\n\n", json!({ "choices": [choice] }));
            deltas.iter().map(event).chain(["data: [DONE]\n\n".to_owned()]).collect::<Vec<_>>()
        };
        let messages = |events: &[Value]| events.iter().map(|event| format!("event: x\ndata: {event}\n\n")).collect();
        let call = |index: u64| json!({"delta": {"tool_calls": [{"index": index}]}});
        let whole = json!({"status": "completed", "output": [{"content": [{"type": "output_text", "text": "hi"}]}]});
        let rows: [(Api, Vec<String>, Said); 4] = [
            (
                Api::Responses,
                messages(&[
                    json!({"type": "response.created", "response": {"status": "in_progress", "output": []}}),
                    json!({"type": "response.output_text.delta", "delta": "hi"}),
                    json!({"type": "response.completed", "response": whole}),
                ]),
                said("hi", false, "completed", 0),
            ),
            (
                Api::ChatCompletions,
                chat(&[
                    json!({"delta": {"content": "h"}}),
                    json!({"index": 1, "delta": {"content": "another choice"}}),
                    json!({"delta": {"content": "i"}, "finish_reason": "stop"}),
                ]),
                said("hi", false, "stop", 0),
            ),
            (Api::ChatCompletions, chat(&[call(0), call(0), call(1)]), said("", false, "", 2)),
            (
                Api::Messages,
                messages(&[
                    json!({"type": "content_block_start", "content_block": {"type": "text", "text": ""}}),
                    json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "hi"}}),
                    json!({"type": "content_block_start", "content_block": {"type": "tool_use"}}),
                    json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}),
                ]),
                said("hi", false, "tool_use", 1),
            ),
        ];
        for (api, events, want) in rows {
            assert_eq!(Said::read_stream(api, events.iter().map(String::as_bytes)), want, "{events:?}");
        }
    }
}
