//! Items of a response that are about tools: what each kind is, for all who read a conversation in them.
//!
//! This API has a kind of call for each tool that it knows (functions, shells, patches, computers, MCP servers), and gets
//! new ones. They are told by how they end, and by whether an application is to answer them.

use serde_json::Value;

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A call that the application answers.
    Call,
    /// A call with what it found: the provider made it, at an MCP server.
    Answered,
    /// What a call found.
    Result,
    /// What is left of a tool that the provider ran itself.
    Trace,
    /// A message, a thought, or what nobody has heard of yet.
    Other,
}

/// What an item is by its type, and by what is in it.
pub(crate) fn kind(item: &Value) -> Kind {
    match item["type"].as_str().unwrap_or_default() {
        "function_call" => Kind::Call,
        "mcp_call" if item["id"].is_string() && (item["output"].is_string() || !item["error"].is_null()) => {
            Kind::Answered
        }
        kind if kind.ends_with("_call_output") => Kind::Result,
        kind if kind.ends_with("_call") && item["call_id"].is_string() => Kind::Call,
        kind if kind.ends_with("_call") || kind.ends_with("_output") || kind.starts_with("mcp_") => Kind::Trace,
        _ => Kind::Other,
    }
}

/// Whether a type may be that of a call, or of what one found.
pub(crate) fn may_be_of_tools(kind: &[u8]) -> bool {
    kind.ends_with(b"_call") || kind.ends_with(b"_call_output")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_is_one_whatever_its_tool() {
        let rows = [
            (json!({"type": "function_call"}), Kind::Call),
            (json!({"type": "custom_tool_call", "call_id": "1"}), Kind::Call),
            (json!({"type": "computer_call", "id": "i", "call_id": "1"}), Kind::Call),
            (json!({"type": "computer_call_output", "call_id": "1"}), Kind::Result),
            (json!({"type": "local_shell_call_output", "id": "1"}), Kind::Result),
            (json!({"type": "mcp_call", "id": "1", "output": "x"}), Kind::Answered),
            (json!({"type": "mcp_call", "id": "1", "error": {"message": "no"}}), Kind::Answered),
            (json!({"type": "mcp_call", "id": "1", "output": null}), Kind::Trace),
            (json!({"type": "web_search_call", "id": "1"}), Kind::Trace),
            (json!({"type": "mcp_list_tools"}), Kind::Trace),
            (json!({"type": "message"}), Kind::Other),
            (json!({"role": "user"}), Kind::Other),
            (json!("x"), Kind::Other),
        ];
        for (item, want) in rows {
            assert_eq!(kind(&item), want, "{item}");
            let name = item["type"].as_str().unwrap_or_default();
            let is_of_tools = matches!(want, Kind::Call | Kind::Answered | Kind::Result);
            assert!(!is_of_tools || may_be_of_tools(name.as_bytes()), "{item}");
        }
    }
}
