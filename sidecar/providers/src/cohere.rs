//! Cohere backends: requests are OpenAI's but for a few names, answers and streams are not.

pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod stream;

use serde_json::Value;

use crate::{Class, Dialect, Fault, Usage};

/// OpenAI's word for why an answer ended, or that the model failed. None: it does not say.
fn finish_reason(holder: &Value) -> Result<Option<&'static str>, Fault> {
    let Some(reason) = holder["finish_reason"].as_str() else { return Ok(None) };
    match reason {
        "MAX_TOKENS" => Ok(Some("length")),
        "TOOL_CALL" => Ok(Some("tool_calls")),
        "ERROR_TOXIC" => Ok(Some("content_filter")),
        "ERROR" => Err(Fault::failed(reason, holder["error"].as_str())),
        "TIMEOUT" => Err(Fault { class: Class::Timeout, ..Fault::failed(reason, holder["error"].as_str()) }),
        // COMPLETE, STOP_SEQUENCE, and what is yet to come.
        _ => Ok(Some("stop")),
    }
}

/// What was counted, and not what is billed: the bill leaves out what Cohere adds to a prompt.
pub(crate) fn usage(holder: &Value) -> Option<Usage> {
    Usage::read(Dialect::Cohere, holder.get("usage")?)
}
