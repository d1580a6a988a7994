//! OpenAI-compatible backends for Anthropic callers.

mod part;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod stream;
mod tools;
mod turn;
mod waiting;

/// Anthropic's word for an answer that says that there is none.
pub(crate) const REFUSAL: &str = "refusal";

/// Anthropic's word for why an answer ended.
pub(crate) fn stop_reason(finish_reason: &str, calls_tools: bool) -> &'static str {
    match finish_reason {
        "length" | "model_length" | "max_tokens" => "max_tokens",
        "tool_calls" | "function_call" => "tool_use",
        "content_filter" => REFUSAL,
        // Some servers stop where others say that they call.
        _ if calls_tools => "tool_use",
        _ => "end_turn",
    }
}
