//! Gemini backends: everyone's requests, answers and streams are translated by way of OpenAI's words.

mod content;
pub(crate) mod model;
mod part;
pub(crate) mod request;
pub(crate) mod response;
mod schema;
pub(crate) mod stream;
mod tools;

use serde_json::Value;

use crate::{Target, Usage};

/// In front of the signature of a thought of Gemini's, where an application of Anthropic's API keeps it: in a block of
/// thinking, which it sends back as it got it, to whoever answers next. Only Gemini can read it there.
pub(crate) const SIGNED: &str = "gemini:";

/// Where a call has its signature, in OpenAI's words.
pub(crate) const SIGNATURE: &str = "/extra_content/google/thought_signature";

/// OpenAI's word for why an answer ended.
fn finish_reason(reason: &str, calls_tools: bool) -> &'static str {
    match reason {
        "MAX_TOKENS" => "length",
        _ if is_blocked(reason) => "content_filter",
        "LANGUAGE" | "OTHER" | "NO_IMAGE" => "content_filter",
        // STOP, the ways a call can be malformed, and what is yet to come.
        _ if calls_tools => "tool_calls",
        _ => "stop",
    }
}

/// The model meant to answer and could not: a call or an answer that nobody can read, which Gemini keeps to itself.
fn is_malformed(reason: &str) -> bool {
    matches!(reason, "MALFORMED_FUNCTION_CALL" | "MALFORMED_RESPONSE")
}

/// Whether what was said is not to be shown.
fn is_blocked(reason: &str) -> bool {
    matches!(reason, "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "MODEL_ARMOR")
        || reason.starts_with("IMAGE_")
}

/// Whether a model reads what is anywhere on the web.
pub(crate) fn fetches(target: &Target<'_>) -> bool {
    model::Traits::of(target).urls
}

/// The counts of an answer, or of a chunk: they are cumulative there.
pub(crate) fn usage(answer: &Value) -> Option<Usage> {
    Usage::read(crate::Dialect::Gemini, answer.get("usageMetadata")?)
}
