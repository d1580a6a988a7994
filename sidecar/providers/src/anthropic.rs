//! Anthropic backends: OpenAI callers are translated, Anthropic callers pass through.

mod content;
mod fit;
pub(crate) mod model;
pub(crate) mod part;
pub(crate) mod passthrough;
pub(crate) mod preface;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod schema;
pub(crate) mod stream;
pub(crate) mod thoughts;
mod tools;

use std::borrow::Cow;

pub(crate) use model::can_be_forced;
pub(crate) use tools::{is_own, searches};

use crate::{Host, Target, bedrock, vertex};

/// The tool that stands in for a JSON schema at models that have no other word for one. Its arguments are the answer.
pub(crate) const JSON_TOOL: &str = "json_tool_call";

const HEADERS: &[(&str, &str)] = &[("anthropic-version", "2023-06-01")];

/// With the beta that lets a request carry a JSON schema.
const SCHEMA_HEADERS: &[(&str, &str)] =
    &[("anthropic-version", "2023-06-01"), ("anthropic-beta", "structured-outputs-2025-11-13")];

/// With the beta that Vertex AI wants named where a model may search the web.
const VERTEX_SEARCH_HEADERS: &[(&str, &str)] = &[("anthropic-beta", "web-search-2025-03-05")];

/// Where messages go.
fn path(target: &Target<'_>, stream: bool) -> Cow<'static, str> {
    match target.host {
        Host::Own => "/messages".into(),
        Host::Vertex => vertex::raw_path(target.model, stream).into(),
        Host::Bedrock => bedrock::invoke_path(target.model, stream).into(),
    }
}

/// Headers of every request. At others' doors the version is in the body.
fn headers(target: &Target<'_>, stream: bool) -> &'static [(&'static str, &'static str)] {
    match target.host {
        Host::Own => HEADERS,
        Host::Bedrock if stream => bedrock::STREAM_HEADERS,
        Host::Vertex | Host::Bedrock => &[],
    }
}

/// The version of the protocol, where it is in the body and the model's name is not.
const fn version_in_body(host: Host) -> Option<&'static str> {
    match host {
        Host::Own => None,
        Host::Vertex => Some(vertex::ANTHROPIC_VERSION),
        Host::Bedrock => Some(bedrock::ANTHROPIC_VERSION),
    }
}

/// Where a choice of a chat has the provider's own word for why it ended, as OpenRouter writes it.
const NATIVE_REASON: &str = "native_finish_reason";

/// What OpenAI has no word for and an application has to know: a turn that is paused goes on when its answer is sent back.
fn native_finish_reason(stop_reason: &str) -> Option<&str> {
    (stop_reason == "pause_turn").then_some(stop_reason)
}

/// OpenAI's word for why an answer ended.
pub(crate) fn finish_reason(stop_reason: &str) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        // end_turn, stop_sequence, pause_turn, and what is yet to come.
        _ => "stop",
    }
}
