//! A conversation, from OpenAI's words to Gemini's: turns of user and model, with what the system says apart.
//!
//! A tool's result names the tool there and the call here, so the name is looked up. The newest models want every call back
//! with the signature of the thought behind it; where an application has lost it, a word of Google's own stands in.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::SIGNATURE;
use super::model::Traits;
use super::part::{parts, text, text_part};
use crate::{BadRequest, function};

/// What the API takes for a signature that got lost: base64 of `skip_thought_signature_validator`.
const LOST_SIGNATURE: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

pub(super) struct Conversation {
    traits: Traits,
    /// Parts for `systemInstruction`.
    pub(super) system: Vec<Value>,
    turns: Vec<Turn>,
    /// Names of the calls so far by their ids; of two with one id, the later.
    calls: HashMap<String, String>,
    /// What tools have shown: its place is behind all results, in the user's turn.
    shown: Vec<Value>,
}

struct Turn {
    role: Role,
    parts: Vec<Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    User,
    Model,
    /// A user's turn of nothing but results.
    Results,
}

impl Conversation {
    pub(super) fn read(messages: Vec<Value>, traits: Traits) -> Result<Self, BadRequest> {
        let (system, turns, shown) = (Vec::new(), Vec::new(), Vec::new());
        let mut conversation = Self { traits, system, turns, calls: HashMap::new(), shown };
        let instructs = |message: &Value| message["role"] == "system" || message["role"] == "developer";
        let instructed = messages.iter().all(instructs);
        for (index, message) in messages.into_iter().enumerate() {
            conversation.add(message, &format!("messages[{index}]"))?;
        }
        conversation.show();
        if conversation.turns.is_empty() && !instructed {
            let message = "\"messages\" has no user or assistant message with content, and Gemini models need one";
            return Err(BadRequest::at("messages", message));
        }
        if conversation.turns.is_empty() {
            // Instructions alone are no conversation there.
            conversation.push(Role::User, vec![json!({"text": "."})]);
        }
        Ok(conversation)
    }

    fn add(&mut self, mut message: Value, at: &str) -> Result<(), BadRequest> {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
        let content_at = format!("{at}.content");
        let content = message.get_mut("content").map(Value::take).unwrap_or_default();
        if role != "tool" && role != "function" {
            self.show();
        }
        match role.as_str() {
            "system" | "developer" => {
                let text = text(&content, &content_at)?;
                self.system.extend(text_part(text));
            }
            "user" => {
                let parts = parts(content, self.traits, &content_at)?;
                self.push(Role::User, parts);
            }
            "assistant" => {
                let mut turn = thoughts(&message);
                turn.extend(parts(content, self.traits, &content_at)?);
                if let Some(refusal) = message["refusal"].as_str() {
                    turn.extend(text_part(refusal.to_owned()));
                }
                self.add_calls(&message, &mut turn, at)?;
                self.push(Role::Model, turn);
            }
            "tool" | "function" => {
                let content = self.keep_shown(content, &content_at)?;
                let result = self.result(&message, &content, at)?;
                self.push(Role::Results, vec![result]);
            }
            other => return Err(BadRequest::at(format!("{at}.role"), format!("{at} has the unknown role {other:?}"))),
        }
        Ok(())
    }

    fn add_calls(&mut self, message: &Value, turn: &mut Vec<Value>, at: &str) -> Result<(), BadRequest> {
        let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (index, call) in calls.iter().enumerate() {
            let at = format!("{at}.tool_calls[{index}]");
            let id = call["id"].as_str().unwrap_or_default();
            let mut part = self.call(&call["function"], id, &at)?;
            if let Some(signature) = signature(call) {
                part["thoughtSignature"] = signature.into();
            } else if self.traits.signed_calls && index == 0 {
                part["thoughtSignature"] = LOST_SIGNATURE.into();
            }
            turn.push(part);
        }
        if message["function_call"].is_object() {
            let mut part = self.call(&message["function_call"], "", &format!("{at}.function_call"))?;
            if self.traits.signed_calls {
                part["thoughtSignature"] = LOST_SIGNATURE.into();
            }
            turn.push(part);
        }
        Ok(())
    }

    fn call(&mut self, function: &Value, id: &str, at: &str) -> Result<Value, BadRequest> {
        let name = function::name(function.get("name"), at)?;
        if !id.is_empty() {
            self.calls.insert(id.to_owned(), name.to_owned());
        }
        let mut call = json!({"name": name, "args": function::arguments(function)});
        if self.traits.signed_calls && !id.is_empty() {
            call["id"] = id.into();
        }
        Ok(json!({"functionCall": call}))
    }

    fn result(&self, message: &Value, content: &Value, at: &str) -> Result<Value, BadRequest> {
        let id = message["tool_call_id"].as_str().unwrap_or_default();
        let name = self.calls.get(id).map(String::as_str).or_else(|| message["name"].as_str());
        let name = name
            .ok_or_else(|| BadRequest::at(at, format!("{at} answers {id:?}, which no call before it has for an id")))?;
        let text = text(content, &format!("{at}.content"))?;
        let object = serde_json::from_str::<Map<String, Value>>(&text);
        let response = object.map_or_else(|_| json!({"content": text}), Value::Object);
        let mut result = json!({"name": name, "response": response});
        if self.traits.signed_calls && !id.is_empty() {
            result["id"] = id.into();
        }
        Ok(json!({"functionResponse": result}))
    }

    /// Takes out of a result what is no text.
    fn keep_shown(&mut self, mut content: Value, at: &str) -> Result<Value, BadRequest> {
        let Some(list) = content.as_array_mut() else { return Ok(content) };
        let is_shown = |part: &Value| matches!(part["type"].as_str(), Some("image_url" | "file" | "input_audio"));
        let (shown, texts): (Vec<_>, Vec<_>) = std::mem::take(list).into_iter().partition(is_shown);
        self.shown.extend(parts(shown.into(), self.traits, at)?);
        Ok(texts.into())
    }

    fn show(&mut self) {
        let shown = std::mem::take(&mut self.shown);
        if !shown.is_empty() {
            self.push(Role::User, shown);
        }
    }

    fn push(&mut self, role: Role, parts: Vec<Value>) {
        if parts.is_empty() {
            return;
        }
        match self.turns.last_mut() {
            Some(turn) if turn.role == role => turn.parts.extend(parts),
            _ => self.turns.push(Turn { role, parts }),
        }
    }

    pub(super) fn into_contents(self) -> Value {
        let content = |turn: Turn| {
            let role = if turn.role == Role::Model { "model" } else { "user" };
            json!({"role": role, "parts": turn.parts})
        };
        self.turns.into_iter().map(content).collect()
    }
}

/// What the model thought in an earlier turn.
fn thoughts(message: &Value) -> Vec<Value> {
    let reasoning = message["reasoning_content"].as_str().filter(|text| !text.is_empty());
    reasoning.map(|text| json!({"thought": true, "text": text})).into_iter().collect()
}

/// Where an answer of ours has put it, and where others put theirs.
fn signature(call: &Value) -> Option<&str> {
    [SIGNATURE, "/provider_specific_fields/thought_signature"]
        .iter()
        .find_map(|pointer| call.pointer(pointer)?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, Target};

    #[test]
    fn what_tools_show_comes_behind_all_their_results() {
        let call = |id: &str| json!({"id": id, "function": {"name": "f", "arguments": "{}"}});
        let image = json!({"type": "image_url", "image_url": {"url": "data:image/jpg;base64,AA=="}});
        let messages = json!([
            {"role": "user", "content": "a"},
            {"role": "assistant", "tool_calls": [call("1"), call("2")]},
            {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "see"}, image]},
            {"role": "tool", "tool_call_id": "2", "content": "b"},
        ]);
        let Value::Array(messages) = messages else { panic!("a list") };
        let traits = Traits::of(&Target::new(Dialect::Gemini, "gemini-2.5-flash"));
        let contents = Conversation::read(messages, traits).unwrap().into_contents();
        let result = |said: &str| json!({"functionResponse": {"name": "f", "response": {"content": said}}});
        assert_eq!(contents[2]["parts"], json!([result("see"), result("b")]));
        assert_eq!(contents[3]["parts"], json!([{"inlineData": {"mimeType": "image/jpeg", "data": "AA=="}}]));
    }

    #[test]
    fn empty_text_is_no_part_and_a_turn_of_nothing_is_none() {
        let call = json!([{"id": "1", "function": {"name": "f", "arguments": "{}"}}]);
        let (hi, again) = (json!({"role": "user", "content": "hi"}), json!({"role": "user", "content": "again"}));
        let empty = |role: &str| json!({"role": role, "content": ""});
        let part = json!({"type": "text", "text": ""});
        let (called, said) = (json!({"functionCall": {"name": "f", "args": {}}}), json!({"text": "hi"}));
        let rows = [
            (json!([hi, {"role": "assistant", "content": "", "tool_calls": call}]), json!([[said], [called]])),
            (json!([hi, {"role": "assistant", "content": [part], "tool_calls": call}]), json!([[said], [called]])),
            (json!([hi, empty("assistant"), again]), json!([[said, {"text": "again"}]])),
            (json!([empty("system"), empty("user"), hi]), json!([[said]])),
            (json!([{"role": "user", "content": [part, {"type": "text", "text": "hi"}, ""]}]), json!([[said]])),
            (json!([empty("system")]), json!([[{"text": "."}]])),
            (json!([empty("user")]), json!(null)),
            (json!([{"role": "user", "content": [part]}]), json!(null)),
        ];
        let traits = Traits::of(&Target::new(Dialect::Gemini, "gemini-2.5-flash"));
        for (messages, want) in rows {
            let read = Conversation::read(messages.as_array().unwrap().clone(), traits);
            let parts = read.map_or(Value::Null, |conversation| {
                assert!(conversation.system.is_empty(), "{messages}");
                let contents = conversation.into_contents();
                contents.as_array().unwrap().iter().map(|turn| turn["parts"].clone()).collect()
            });
            assert_eq!(parts, want, "{messages}");
        }
    }
}
