//! Cohere backends: requests are OpenAI's but for a few names, answers and streams are not.

pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod stream;

use serde_json::Value;

use crate::{Dialect, Usage};

/// OpenAI's word for why an answer ended.
fn finish_reason(reason: &str) -> &'static str {
    match reason {
        "MAX_TOKENS" => "length",
        "TOOL_CALL" => "tool_calls",
        "ERROR_TOXIC" => "content_filter",
        // COMPLETE, STOP_SEQUENCE, ERROR, TIMEOUT, and what is yet to come.
        _ => "stop",
    }
}

/// What was counted, and not what is billed: the bill leaves out what Cohere adds to a prompt.
fn usage(holder: &Value) -> Option<Usage> {
    Usage::read(Dialect::Cohere, holder.get("usage")?)
}
