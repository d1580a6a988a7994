//! Amazon Bedrock: everyone's requests become those of its Converse API, its answers and streams become OpenAI's.
//!
//! Converse is one protocol over models of many makers, who differ in what they take ([`model`]). A stream is binary there:
//! messages with checksums ([`frames`]). A Claude can be asked in Anthropic's own words as well, by Bedrock's older API:
//! `invoke/` in front of the model's id says so, and [`crate::anthropic`] does the rest.

mod betas;
mod content;
pub(crate) mod embed;
pub(crate) mod frames;
pub(crate) mod model;
mod part;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod stream;
mod tools;

pub(crate) use model::can_be_forced;
use serde_json::Value;

use crate::openai::table::row;
use crate::path::segment;
use crate::{Class, Dialect, Fault, Host, Speech, Target, Tier, Usage};

/// In front of a model's id: Anthropic's body, by the older API.
const INVOKE: &str = "invoke/";

/// In front of a model's id: what is done anyway.
const CONVERSE: &str = "converse/";

/// What Claude's requests carry instead of the header `anthropic-version`.
pub(crate) const ANTHROPIC_VERSION: &str = "bedrock-2023-05-31";

/// What a stream comes as.
pub(crate) const STREAM_HEADERS: &[(&str, &str)] = &[("accept", "application/vnd.amazon.eventstream")];

/// How a model is spoken to.
pub(crate) fn speech(model: &str) -> Speech {
    let (dialect, host) = match model.strip_prefix(INVOKE) {
        Some(_) => (Dialect::BedrockInvoke, Host::Bedrock),
        None => (Dialect::Bedrock, Host::Own),
    };
    Speech { dialect, host, row: row("Bedrock") }
}

/// The model's id (or the ARN of an inference profile) as Bedrock knows it.
pub(crate) fn id(model: &str) -> &str {
    model.strip_prefix(INVOKE).or_else(|| model.strip_prefix(CONVERSE)).unwrap_or(model)
}

/// Whether a model can be held to a tool's schema.
pub(crate) fn takes_strict(target: &Target<'_>) -> bool {
    model::Traits::of(target).strict
}

/// Whether a block goes on in Anthropic's own words: one that Claude is to cite.
pub(crate) fn takes_cited(block: &Value, target: &Target<'_>) -> bool {
    part::is_cited(block) && model::Traits::of(target).cites
}

/// Where a maker's own requests go, streamed or not.
pub(crate) fn invoke_path(model: &str, stream: bool) -> String {
    path(model, if stream { "invoke-with-response-stream" } else { "invoke" })
}

/// The id is one segment of the path, whatever colons and slashes it holds.
pub(crate) fn path(model: &str, method: &str) -> String {
    format!("/model/{}/{method}", segment(id(model)))
}

/// OpenAI's word for why an answer ended.
fn finish_reason(reason: &str) -> &'static str {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "guardrail_intervened" | "content_filtered" => "content_filter",
        // end_turn, stop_sequence, and what is yet to come.
        _ => "stop",
    }
}

/// Bedrock could not read what the model wrote: whatever there is of it is no answer.
fn malformed(reason: &str) -> Option<Fault> {
    let is_malformed = matches!(reason, "malformed_model_output" | "malformed_tool_use");
    let message = || format!("the model's answer is broken: Bedrock gave {reason} as the reason why it ended");
    is_malformed.then(|| Fault::own(Class::InternalServerError, message()))
}

/// The counts of an answer, or of a stream's last event.
pub(crate) fn usage(holder: &Value) -> Option<Usage> {
    let usage = Usage::read(Dialect::Bedrock, holder.get("usage")?)?;
    Some(Usage { tier: holder.get("serviceTier").and_then(Tier::read), ..usage })
}

/// How many of the answer's tokens were thoughts. Only Claude says so, and only when asked to.
fn thinking_tokens(holder: &Value) -> u64 {
    let details = holder.pointer("/additionalModelResponseFields/usage/output_tokens_details/thinking_tokens");
    details.and_then(Value::as_u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_id_is_one_segment_of_the_path() {
        let rows = [
            ("amazon.nova-pro-v1:0", "/model/amazon.nova-pro-v1%3A0/converse"),
            ("us.anthropic.claude-opus-4-6-v1", "/model/us.anthropic.claude-opus-4-6-v1/converse"),
            ("converse/cohere.command-r-v1:0", "/model/cohere.command-r-v1%3A0/converse"),
            ("invoke/anthropic.claude-opus-5", "/model/anthropic.claude-opus-5/converse"),
            (
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2",
                "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fa1b2/converse",
            ),
        ];
        for (model, want) in rows {
            assert_eq!(path(model, "converse"), want, "{model}");
        }
    }
}
