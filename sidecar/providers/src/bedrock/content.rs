//! A conversation, from OpenAI's words to Converse's: turns of user and assistant, with what the system says apart and the
//! results of tools in the user's turn.

use serde_json::{Value, json};

use super::model::Traits;
use super::part::{Reader, text_block};
use crate::anthropic::part::is_signed;
use crate::{BadRequest, function};

/// Ids of calls have at most so many characters.
const MAX_ID_CHARS: usize = 64;

#[derive(Debug)]
pub(super) struct Conversation {
    traits: Traits,
    reader: Reader,
    /// Blocks for `system`.
    pub(super) system: Vec<Value>,
    turns: Vec<Turn>,
    /// Some message calls a tool or holds a result.
    pub(super) uses_tools: bool,
    /// Calls of the old `function_call` have no id; they are answered in order.
    functions: usize,
    /// What tools have shown to a model that cannot be told so: its place is behind all results.
    shown: Vec<Value>,
}

#[derive(Debug)]
struct Turn {
    role: Role,
    blocks: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    User,
    Assistant,
}

// === impl Conversation ===

impl Conversation {
    pub(super) fn read(messages: Vec<Value>, traits: Traits) -> Result<Self, BadRequest> {
        let reader = Reader::new(traits);
        let (system, turns, shown) = (Vec::new(), Vec::new(), Vec::new());
        let mut conversation = Self { traits, reader, system, turns, uses_tools: false, functions: 0, shown };
        for (index, message) in messages.into_iter().enumerate() {
            conversation.add(message, &format!("messages[{index}]"))?;
        }
        conversation.show();
        if conversation.turns.is_empty() {
            let message = "\"messages\" has no user or assistant message with content, and Bedrock needs one";
            return Err(BadRequest::at("messages", message));
        }
        conversation.trim_prefill();
        Ok(conversation)
    }

    fn add(&mut self, mut message: Value, at: &str) -> Result<(), BadRequest> {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
        let content_at = format!("{at}.content");
        let content = message.get_mut("content").map(Value::take).unwrap_or_default();
        let mark = message.get_mut("cache_control").map(Value::take);
        if role != "tool" && role != "function" {
            self.show();
        }
        let (role, mut blocks) = match role.as_str() {
            "system" | "developer" => {
                let blocks = self.reader.blocks(content, &content_at)?;
                self.system.extend(marked(blocks, self.reader.mark(mark.as_ref())));
                return Ok(());
            }
            "user" => (Role::User, self.reader.blocks(content, &content_at)?),
            "assistant" => {
                let mut blocks = if self.traits.signed { thoughts(&message) } else { Vec::new() };
                blocks.extend(self.reader.blocks(content, &content_at)?);
                self.add_calls(&message, &mut blocks, at)?;
                (Role::Assistant, blocks)
            }
            "tool" | "function" => (Role::User, self.result(&role, &message, content, at)?),
            other => return Err(BadRequest::at(format!("{at}.role"), format!("{at} has the unknown role {other:?}"))),
        };
        blocks = marked(blocks, self.reader.mark(mark.as_ref()));
        self.push(role, blocks);
        Ok(())
    }

    /// What an assistant's message has beside its content.
    fn add_calls(&mut self, message: &Value, blocks: &mut Vec<Value>, at: &str) -> Result<(), BadRequest> {
        if let Some(refusal) = message["refusal"].as_str() {
            blocks.extend(text_block(refusal.to_owned()));
        }
        for (index, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
            let at = format!("{at}.tool_calls[{index}]");
            let id = call["id"].as_str().ok_or_else(|| BadRequest::at(&at, format!("{at} has no \"id\"")))?;
            blocks.push(tool_use(&tool_id(id), &call["function"], &at)?);
            self.uses_tools = true;
        }
        if message["function_call"].is_object() {
            self.functions += 1;
            let id = function::id(self.functions);
            blocks.push(tool_use(&id, &message["function_call"], &format!("{at}.function_call"))?);
            self.uses_tools = true;
        }
        Ok(())
    }

    /// A tool's result, and behind it the mark of what to cache.
    fn result(&mut self, role: &str, message: &Value, content: Value, at: &str) -> Result<Vec<Value>, BadRequest> {
        let id = match (role, message["tool_call_id"].as_str()) {
            ("function", _) => function::id(self.functions),
            (_, Some(id)) => tool_id(id),
            (_, None) => return Err(BadRequest::at(at, format!("{at} has no \"tool_call_id\""))),
        };
        self.uses_tools = true;
        let rich = self.traits.rich_results;
        let is = |block: &Value, kinds: &[&str]| kinds.iter().any(|kind| block.get(*kind).is_some());
        let taken: &[&str] = if rich { &["text", "image", "document", "searchResult"] } else { &["text"] };
        let blocks = self.reader.blocks(content, &format!("{at}.content"))?;
        let (mut said, others): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|block| is(block, taken));
        let (marks, shown): (Vec<_>, Vec<_>) = others.into_iter().partition(|block| is(block, &["cachePoint"]));
        self.shown.extend(shown);
        if said.is_empty() {
            // A result may say nothing, but there has to be one.
            said.push(json!({"text": ""}));
        }
        let failed = message["is_error"] == true;
        if let Some(Value::String(text)) = said[0].get_mut("text").filter(|_| failed && !rich) {
            *text = function::failed(text);
        }
        let mut result = json!({"toolUseId": id, "content": said});
        if failed && rich {
            result["status"] = "error".into();
        }
        Ok(std::iter::once(json!({"toolResult": result})).chain(marks).collect())
    }

    /// All results are there.
    fn show(&mut self) {
        let shown = std::mem::take(&mut self.shown);
        self.push(Role::User, shown);
    }

    fn push(&mut self, role: Role, blocks: Vec<Value>) {
        if blocks.is_empty() {
            return;
        }
        match self.turns.last_mut() {
            Some(turn) if turn.role == role => turn.blocks.extend(blocks),
            _ => self.turns.push(Turn { role, blocks }),
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

    /// Whether results answer calls before which nothing was thought, in any turn since a user spoke.
    pub(super) fn is_thoughtless(&self) -> bool {
        let has = |turn: &Turn, key: &str| turn.blocks.iter().any(|block| block.get(key).is_some());
        let is_answer = |turn: &Turn| turn.role == Role::User && has(turn, "toolResult");
        let mut begun = self.turns.iter().rev().take_while(|turn| turn.role == Role::Assistant || is_answer(turn));
        self.turns.last().is_some_and(is_answer) && !begun.any(|turn| has(turn, "reasoningContent"))
    }

    pub(super) fn into_messages(self) -> Value {
        let message = |turn: Turn| {
            let role = if turn.role == Role::User { "user" } else { "assistant" };
            json!({"role": role, "content": turn.blocks})
        };
        self.turns.into_iter().map(message).collect()
    }
}

/// Blocks with the mark behind them. No blocks, no mark.
fn marked(mut blocks: Vec<Value>, mark: Option<Value>) -> Vec<Value> {
    if !blocks.is_empty() {
        blocks.extend(mark);
    }
    blocks
}

/// Thinking that came with a signature goes back first, as it was: the model checks it.
fn thoughts(message: &Value) -> Vec<Value> {
    let blocks = message["thinking_blocks"].as_array().into_iter().flatten().filter(|block| is_signed(block));
    let thought = |block: &Value| match block["type"].as_str()? {
        "thinking" => {
            let (text, signature) = (block["thinking"].as_str()?, block["signature"].as_str()?);
            Some(json!({"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}))
        }
        "redacted_thinking" => Some(json!({"reasoningContent": {"redactedContent": block["data"].as_str()?}})),
        _ => None,
    };
    blocks.filter_map(thought).collect()
}

fn tool_use(id: &str, function: &Value, at: &str) -> Result<Value, BadRequest> {
    let name = function::name(function.get("name"), at)?;
    let input = function::arguments(function);
    Ok(json!({"toolUse": {"toolUseId": id, "name": name, "input": input}}))
}

/// Few characters are taken here, and not many of them. What tells two ids apart is mostly at their end.
fn tool_id(id: &str) -> String {
    let id = function::plain_id(id);
    id.chars().skip(id.len().saturating_sub(MAX_ID_CHARS)).collect()
}
