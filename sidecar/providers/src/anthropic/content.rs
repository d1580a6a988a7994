//! A conversation, from OpenAI's words to Anthropic's.
//!
//! OpenAI takes any roles in any order; Anthropic takes turns of user and assistant, with what the system says apart and
//! the results of tools inside the user's turn. So neighbours of one role become one turn, whose blocks keep their order.

use serde_json::{Value, json};

use super::model::Traits;
use super::part::{blocks, is_signed, marked, text_block};
use super::thoughts::without_index;
use crate::{BadRequest, function};

#[derive(Debug)]
pub(super) struct Conversation {
    /// Blocks for the top-level `system`.
    pub(super) system: Vec<Value>,
    turns: Vec<Turn>,
    /// Some message calls a tool or holds a result.
    pub(super) uses_tools: bool,
    /// Calls of the old `function_call` have no id; they are answered in order.
    functions: usize,
    traits: Traits,
    /// What the system said since: its place is between a user's turn and an assistant's.
    interjected: Vec<Value>,
}

#[derive(Debug)]
struct Turn {
    role: Role,
    /// Results of tools come first in a turn, whatever was said between a call and its result.
    results: Vec<Value>,
    blocks: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    User,
    Assistant,
    /// Newer models take what the system says in the middle where it was said.
    System,
}

// === impl Conversation ===

impl Conversation {
    pub(super) fn read(messages: Vec<Value>, traits: Traits) -> Result<Self, BadRequest> {
        let (system, turns, interjected) = (Vec::new(), Vec::new(), Vec::new());
        let mut conversation = Self { system, turns, uses_tools: false, functions: 0, traits, interjected };
        for (index, message) in messages.into_iter().enumerate() {
            conversation.add(message, &format!("messages[{index}]"))?;
        }
        if conversation.turns.is_empty() {
            let message = "\"messages\" has no user or assistant message with content, and Anthropic models need one";
            return Err(BadRequest::at("messages", message));
        }
        conversation.settle_system();
        conversation.trim_prefill();
        Ok(conversation)
    }

    fn add(&mut self, mut message: Value, at: &str) -> Result<(), BadRequest> {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
        let content_at = format!("{at}.content");
        let mut content = message.get_mut("content").map(Value::take).unwrap_or_default();
        let mark = message.get_mut("cache_control").map(Value::take);
        let role = match role.as_str() {
            "system" | "developer" => {
                let blocks = blocks(content, self.traits, &content_at)?;
                if self.traits.system_turns && !self.turns.is_empty() {
                    self.interjected.extend(blocks);
                } else {
                    self.system.extend(blocks);
                }
                return Ok(());
            }
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" | "function" => {
                let id = self.result_id(&role, &message, at)?;
                if content.is_array() {
                    content = blocks(content, self.traits, &content_at)?.into();
                }
                self.uses_tools = true;
                let result = json!({"type": "tool_result", "tool_use_id": id, "content": content});
                self.push(Role::User, vec![marked(result, mark)]);
                return Ok(());
            }
            other => return Err(BadRequest::at(format!("{at}.role"), format!("{at} has the unknown role {other:?}"))),
        };
        let mut turn = if role == Role::Assistant { thoughts(&mut message) } else { Vec::new() };
        turn.extend(blocks(content, self.traits, &content_at)?);
        if role == Role::Assistant {
            self.add_assistant(&mut message, &mut turn, at)?;
        }
        if let Some(last) = turn.pop() {
            turn.push(marked(last, mark));
        }
        self.push(role, turn);
        Ok(())
    }

    /// What an assistant's message has beside its content.
    fn add_assistant(&mut self, message: &mut Value, turn: &mut Vec<Value>, at: &str) -> Result<(), BadRequest> {
        if let Some(Value::String(refusal)) = message.get_mut("refusal").map(Value::take) {
            turn.extend(text_block(refusal));
        }
        let calls = message.get_mut("tool_calls").map(Value::take).unwrap_or_default();
        for (index, call) in calls.as_array().into_iter().flatten().enumerate() {
            let at = format!("{at}.tool_calls[{index}]");
            let id = call["id"].as_str().ok_or_else(|| BadRequest::at(&at, format!("{at} has no \"id\"")))?;
            turn.push(tool_use(id, &call["function"], &at)?);
            self.uses_tools = true;
        }
        if let Some(call) = message.get("function_call").filter(|call| !call.is_null()) {
            self.functions += 1;
            turn.push(tool_use(&function::id(self.functions), call, &format!("{at}.function_call"))?);
            self.uses_tools = true;
        }
        Ok(())
    }

    fn result_id(&self, role: &str, message: &Value, at: &str) -> Result<String, BadRequest> {
        if role == "function" {
            return Ok(function::id(self.functions));
        }
        let id = message["tool_call_id"].as_str().map(function::plain_id);
        id.ok_or_else(|| BadRequest::at(at, format!("{at} has no \"tool_call_id\"")))
    }

    fn push(&mut self, role: Role, blocks: Vec<Value>) {
        if blocks.is_empty() {
            return;
        }
        if role == Role::Assistant {
            self.settle_system();
        }
        match self.turns.last_mut() {
            Some(turn) if turn.role == role => turn.add(blocks),
            _ => self.turns.push(Turn::new(role, blocks)),
        }
    }

    fn settle_system(&mut self) {
        let blocks = std::mem::take(&mut self.interjected);
        if !blocks.is_empty() {
            self.turns.push(Turn::new(Role::System, blocks));
        }
    }

    /// An answer that was begun may not end in white space, and often does by accident.
    fn trim_prefill(&mut self) {
        let Some(turn) = self.turns.last_mut().filter(|turn| turn.role == Role::Assistant) else { return };
        let Some(Value::String(text)) = turn.blocks.last_mut().and_then(|block| block.get_mut("text")) else { return };
        text.truncate(text.trim_end().len());
        if text.is_empty() && turn.blocks.len() > 1 {
            turn.blocks.pop();
        }
    }

    /// Whether the assistant has the last word, for the model to go on from.
    pub(super) fn is_begun(&self) -> bool {
        self.turns.last().is_some_and(|turn| turn.role == Role::Assistant)
    }

    /// Whether results answer calls before which nothing was thought, in any turn since a user spoke.
    pub(super) fn is_thoughtless(&self) -> bool {
        let mut begun = self.turns.iter().rev().take_while(|turn| turn.role == Role::Assistant || turn.is_answer());
        let thought = |block: &Value| block["type"] == "thinking" || block["type"] == "redacted_thinking";
        self.turns.last().is_some_and(Turn::is_answer) && !begun.any(|turn| turn.blocks.iter().any(thought))
    }

    pub(super) fn into_messages(self) -> Value {
        let message = |turn: Turn| {
            let role = match turn.role {
                Role::User => "user",
                Role::Assistant => "assistant",
                Role::System => "system",
            };
            let mut content = turn.results;
            content.extend(turn.blocks);
            json!({"role": role, "content": content})
        };
        self.turns.into_iter().map(message).collect()
    }
}

// === impl Turn ===

impl Turn {
    fn new(role: Role, blocks: Vec<Value>) -> Self {
        let mut turn = Self { role, results: Vec::new(), blocks: Vec::new() };
        turn.add(blocks);
        turn
    }

    fn is_answer(&self) -> bool {
        self.role == Role::User && !self.results.is_empty()
    }

    fn add(&mut self, mut blocks: Vec<Value>) {
        let first = blocks.iter().take_while(|block| block["type"] == "tool_result").count();
        if first == blocks.len() || self.blocks.is_empty() {
            self.results.extend(blocks.drain(..first));
        }
        self.blocks.extend(blocks);
    }
}

/// Thinking that came with a signature goes back first, as it was: the model checks it.
fn thoughts(message: &mut Value) -> Vec<Value> {
    match message.get_mut("thinking_blocks").map(Value::take) {
        Some(Value::Array(blocks)) => blocks.into_iter().filter(is_signed).map(without_index).collect(),
        _ => Vec::new(),
    }
}

fn tool_use(id: &str, function: &Value, at: &str) -> Result<Value, BadRequest> {
    let name = function::name(function.get("name"), at)?;
    let input = function::arguments(function);
    Ok(json!({"type": "tool_use", "id": function::plain_id(id), "name": name, "input": input}))
}
