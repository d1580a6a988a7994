//! Which tool is to be called, decided from the tools that are left.
//!
//! A choice outlives a tool that is left out on the way: what is left of it then every provider would refuse.

use std::collections::HashSet;

use serde_json::Value;

use crate::{BadRequest, Body};

/// What goes with tools, and without them is refused.
const BESIDE_TOOLS: [&str; 2] = ["tool_choice", "parallel_tool_calls"];

/// Which tool is to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Auto,
    None,
    Any,
    Named(String),
}

/// The name of a tool, or of the one that is chosen.
pub(crate) fn name(value: &Value) -> Option<&str> {
    ["function", "custom"].iter().find_map(|kind| value[*kind]["name"].as_str()).or_else(|| value["name"].as_str())
}

/// Whether the tool that is chosen was declared and is not among those that are left.
pub(crate) fn is_gone(chosen: &str, declared: &[Value], left: &[Value]) -> bool {
    let has = |tools: &[Value]| tools.iter().any(|tool| name(tool) == Some(chosen));
    has(declared) && !has(left)
}

/// Leaves the tools alone that may be called, which every dialect can say, and gives the choice among them. `allowed`: their
/// names, and whether one has to be.
pub(crate) fn allow(allowed: &Value, tools: &mut Vec<Value>) -> Value {
    let is_allowed = among(allowed);
    tools.retain(is_allowed);
    word(allowed)
}

fn among(allowed: &Value) -> impl Fn(&Value) -> bool {
    let names: HashSet<&str> = allowed["tools"].as_array().into_iter().flatten().filter_map(name).collect();
    move |tool| name(tool).is_some_and(|name| names.contains(name))
}

fn word(allowed: &Value) -> Value {
    if allowed["mode"] == "required" { "required".into() } else { "auto".into() }
}

/// A chat's request whose choice is one among the tools that are left, and what was left out. `knows_allowed`: it goes to
/// someone who can choose among several. `takes`: whether a tool stays. None: it is one already.
pub(crate) fn settled(body: &Body, knows_allowed: bool, takes: impl Fn(&Value) -> bool) -> Option<(Body, Vec<String>)> {
    body.get_bytes("tool_choice").filter(|choice| choice.starts_with(b"{"))?;
    let (Value::Array(tools), choice) = (body.value("tools")?, body.value("tool_choice")?) else { return None };
    let mut out = body.clone();
    if choice["type"] == "allowed_tools" {
        if knows_allowed {
            return None;
        }
        let allowed = &choice["allowed_tools"];
        let is_allowed = among(allowed);
        out.set("tool_choice", &word(allowed));
        out.edit("tools", |tool| is_allowed(tool));
        if out.get_bytes("tools") == Some(b"[]") {
            out.remove("tools");
            BESIDE_TOOLS.iter().for_each(|key| out.remove(key));
        }
        return Some((out, Vec::new()));
    }
    let left: Vec<Value> = tools.iter().filter(|tool| takes(tool)).cloned().collect();
    name(&choice).filter(|name| is_gone(name, &tools, &left))?;
    out.remove("tool_choice");
    Some((out, vec!["tool_choice".to_owned()]))
}

// === impl Choice ===

impl Choice {
    /// Reads `tool_choice`, or `function_call`.
    pub(crate) fn read(choice: &Value) -> Result<Self, BadRequest> {
        match choice.as_str() {
            Some("auto") => return Ok(Self::Auto),
            Some("none") => return Ok(Self::None),
            Some("required" | "any") => return Ok(Self::Any),
            _ => {}
        }
        name(choice).map(|name| Self::Named(name.to_owned())).ok_or_else(|| {
            let message = format!("\"tool_choice\" is {choice:.64}, want auto, none, required or a named function");
            BadRequest::at("tool_choice", message)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Api, Dialect, Target, Unsupported, encode, read, row};

    /// Every dialect, and those who speak OpenAI's without all of its words.
    const TARGETS: [(&str, Dialect, &str); 9] = [
        ("OpenAI", Dialect::OpenAi, "gpt-4o"),
        ("VLLM", Dialect::OpenAi, "qwen3"),
        ("Mistral", Dialect::OpenAi, "mistral-large"),
        ("Anthropic", Dialect::Anthropic, "claude-sonnet-4-5"),
        ("Gemini", Dialect::Gemini, "gemini-2.5-flash"),
        ("Bedrock", Dialect::Bedrock, "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("Bedrock", Dialect::BedrockInvoke, "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("Cohere", Dialect::Cohere, "command-a"),
        ("Ollama", Dialect::Ollama, "llama3.1"),
    ];

    fn sent(at: (&str, Dialect, &str), api: Api, more: &Value) -> Result<(Value, Vec<String>), BadRequest> {
        let mut request = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let body = Body::parse(request.to_string().into()).unwrap();
        let need = read(api, &body).unwrap();
        let (kind, dialect, model) = at;
        let target = Target { row: row(kind), unsupported: Unsupported::Drop, ..Target::new(dialect, model) };
        let out = encode(api, &body, &need, &target)?;
        Ok((serde_json::from_slice(&out.body).unwrap(), out.dropped))
    }

    /// The choice, wherever a dialect has it: null where there is none.
    fn chosen(sent: &Value) -> Value {
        let places = ["/toolConfig/functionCallingConfig", "/toolConfig/toolChoice", "/tool_choice"];
        places.iter().find_map(|place| sent.pointer(place)).cloned().unwrap_or_default()
    }

    fn says(sent: &Value, word: &str) -> bool {
        sent.to_string().contains(word)
    }

    #[test]
    fn a_choice_of_anthropics_goes_with_the_tool_it_was_for() {
        let search = json!({"type": "web_search_20250305", "name": "web_search"});
        let tool = json!({"name": "look", "input_schema": {"type": "object"}});
        for at in TARGETS {
            if matches!(at.1, Dialect::Anthropic | Dialect::BedrockInvoke) {
                continue; // They have it.
            }
            let any = json!({"type": "any", "disable_parallel_tool_use": true});
            let (alone, dropped) = sent(at, Api::Messages, &json!({"tools": [search], "tool_choice": any})).unwrap();
            assert_eq!(chosen(&alone), Value::Null, "{at:?}");
            assert!(!says(&alone, "tools") && !says(&alone, "parallel"), "{at:?} {alone}");
            assert_eq!(dropped, ["tools[0]", "tool_choice"], "{at:?}");
            let named = json!({"type": "tool", "name": "web_search"});
            let (beside, dropped) =
                sent(at, Api::Messages, &json!({"tools": [search, tool], "tool_choice": named})).unwrap();
            assert_eq!(chosen(&beside), Value::Null, "{at:?}");
            assert!(says(&beside, "look") && !says(&beside, "web_search"), "{at:?} {beside}");
            assert_eq!(dropped, ["tools[0]", "tool_choice"], "{at:?}");
            let other = json!({"type": "tool", "name": "look"});
            let (kept, dropped) =
                sent(at, Api::Messages, &json!({"tools": [search, tool], "tool_choice": other})).unwrap();
            assert!(at.1 == Dialect::Ollama || !chosen(&kept).is_null(), "{at:?} {kept}");
            assert!(dropped.contains(&"tools[0]".to_owned()), "{at:?}");
        }
    }

    #[test]
    fn a_choice_of_a_custom_tool_goes_with_it() {
        let custom = json!({"type": "custom", "custom": {"name": "free"}});
        let tool = json!({"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}});
        for at in TARGETS {
            let choice = json!({"type": "custom", "custom": {"name": "free"}});
            let (sent, dropped) =
                sent(at, Api::ChatCompletions, &json!({"tools": [tool, custom], "tool_choice": choice})).unwrap();
            if at.1 == Dialect::OpenAi {
                assert_eq!((&sent["tool_choice"], dropped.len()), (&choice, 0), "{at:?}");
                continue;
            }
            assert_eq!(chosen(&sent), Value::Null, "{at:?}");
            assert!(says(&sent, "look") && !says(&sent, "free"), "{at:?} {sent}");
            assert_eq!(dropped, ["tools[1]", "tool_choice"], "{at:?}");
        }
    }

    #[test]
    fn where_only_some_tools_are_allowed_the_others_are_not_declared() {
        let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {}}});
        let allowed = |mode: &str, names: &[&str]| {
            let tools: Vec<_> =
                names.iter().map(|name| json!({"type": "function", "function": {"name": name}})).collect();
            json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}})
        };
        for at in TARGETS {
            let request = |choice: Value| json!({"tools": [tool("look"), tool("tell")], "tool_choice": choice});
            for (mode, word) in [("auto", "auto"), ("required", "required")] {
                let choice = allowed(mode, &["tell"]);
                let (got, dropped) = sent(at, Api::ChatCompletions, &request(choice.clone())).unwrap();
                if at.0 == "OpenAI" {
                    assert_eq!(got["tool_choice"], choice);
                    continue;
                }
                let mut plain = request(word.into());
                plain["tools"] = json!([tool("tell")]);
                assert_eq!((got, dropped), sent(at, Api::ChatCompletions, &plain).unwrap(), "{at:?} {mode}");
            }
            if at.0 != "OpenAI" {
                let (got, _) = sent(at, Api::ChatCompletions, &request(allowed("required", &["none"]))).unwrap();
                assert!(!says(&got, "tool"), "{at:?} {got}");
            }
        }
    }
}
