//! The access log: one JSON object a line, a field only where there is something to say.

use serde::Serialize;

use super::log::timestamp;
use crate::record::RequestRecord;

#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    target: &'static str,
    request_id: &'a str,
    operation: &'static str,
    stream: bool,
    outcome: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Tokens>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_nanos: Option<u64>,
    /// It is too little: the price of some of the tokens is unknown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cost_short: bool,
    /// What attempts cost whose answers nobody got.
    #[serde(skip_serializing_if = "Option::is_none")]
    wasted_nanos: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    hedged: bool,
    #[serde(skip_serializing_if = "is_zero")]
    truncated_messages: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lowered_limit: Option<u64>,
    /// `made` or `found`.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_nanos: Option<u64>,
    #[serde(skip_serializing_if = "is_zero")]
    skipped_events: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'static str>,
    duration_us: u64,
    overhead_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queued_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<&'a str>,
}

#[derive(Serialize)]
struct Tokens {
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write: u64,
    /// The provider did not say; these are ours.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
}

/// The line for a request, with its line end.
pub(super) fn line(record: &RequestRecord<'_>) -> Vec<u8> {
    let line = Line {
        timestamp: timestamp(),
        level: "INFO",
        target: "spillway::access",
        request_id: record.id,
        operation: super::metrics::operation(record.api),
        stream: record.stream,
        outcome: record.outcome.as_str(),
        status: record.status,
        error: record.error,
        class: record.class.map(|class| class.as_str()),
        route: record.route,
        backend: record.backend,
        provider: record.provider,
        model: record.model,
        attempts: record.attempts,
        fallback_reason: record.fallback_reason,
        tokens: record.usage.map(|usage| Tokens {
            input: usage.input,
            output: usage.output,
            cache_read: usage.cache_read,
            cache_write: usage.cache_write,
            estimated: record.usage_estimated,
        }),
        cost_nanos: record.cost.map(|cost| cost.0),
        cost_short: record.short,
        wasted_nanos: Some(record.wasted.0).filter(|nanos| *nanos > 0),
        hedged: record.hedged,
        truncated_messages: record.truncated_messages,
        dropped: record.dropped,
        lowered_limit: record.lowered_limit,
        summary: record.summary.map(|(how, _)| how),
        summary_tokens: record.summary.map(|(_, tokens)| tokens),
        summary_nanos: Some(record.summary_cost.0).filter(|nanos| *nanos > 0),
        skipped_events: record.skipped_events,
        schema: record.schema,
        duration_us: micros(record.duration),
        overhead_us: micros(record.overhead),
        first_token_us: record.first_token.map(micros),
        queued_us: record.queued.map(micros),
        limit: record.limit,
        budget: record.budget,
    };
    let mut bytes = Vec::with_capacity(512);
    serde_json::to_writer(&mut bytes, &line).expect("plain values always serialise");
    bytes.push(b'\n');
    bytes
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
