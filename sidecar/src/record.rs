//! What is said about one request once it is over: the access log and the metrics are made of it. No content.

use std::time::Duration;

use spillway_policy::{Class, NanoUsd, Usage};
use spillway_providers::Api;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Answered,
    /// The application got an error instead of an answer.
    Failed,
    /// The stream broke after its first content; the application was told so in the stream.
    Cut,
    /// The application went away before its answer was complete.
    ClientLeft,
}

/// One request, as the access log and the metrics see it.
#[derive(Clone, Debug)]
pub struct RequestRecord<'a> {
    pub id: &'a str,
    pub api: Api,
    pub stream: bool,
    pub outcome: Outcome,
    /// The status the application got. 499: it had gone.
    pub status: u16,
    /// The code in the error body, if the answer was an error.
    pub error: Option<&'a str>,
    /// Why the last attempt failed, if it did.
    pub class: Option<Class>,
    /// `namespace/name` of the ModelRoute. None: the request never got as far; so for all below.
    pub route: Option<&'a str>,
    pub backend: Option<&'a str>,
    /// `namespace/name` of the ModelProvider.
    pub provider: Option<&'a str>,
    /// `ModelProvider.spec.type`.
    pub provider_kind: Option<&'a str>,
    /// The provider's name of the model.
    pub model: Option<&'a str>,
    pub attempts: u32,
    /// Why the first choice was not the last.
    pub fallback_reason: Option<&'static str>,
    pub usage: Option<Usage>,
    /// The provider did not say what it billed (or could not any more): `usage` is ours.
    pub usage_estimated: bool,
    /// None: unknown price, or nothing was used.
    pub cost: Option<NanoUsd>,
    /// `cost` is too little: sound or pictures were billed as text, because nobody knows their price.
    pub short: bool,
    /// What attempts cost whose answers nobody got. Not part of `cost`.
    pub wasted: NanoUsd,
    /// A second backend was asked although the first one might still have answered.
    pub hedged: bool,
    pub truncated_messages: u32,
    /// Parameters that the backend does not take and that were left out: `logit_bias,seed`.
    pub dropped: Option<&'a str>,
    /// The limit that the answer got in place of the one that was asked for.
    pub lowered_limit: Option<u64>,
    /// How the summary was come by that stands for older messages, and its length in tokens.
    pub summary: Option<(&'static str, u64)>,
    /// What was paid for it. Not part of `cost`.
    pub summary_cost: NanoUsd,
    /// Events of the provider's stream that held no JSON and were left out.
    pub skipped_events: u32,
    /// What the check of the answer's form said, if there was one.
    pub schema: Option<&'static str>,
    /// From the request's head to the last byte of the answer.
    pub duration: Duration,
    /// What of it was spent here, not waiting for a provider, until the answer's head.
    pub overhead: Duration,
    /// From the request's head to the first content of a stream.
    pub first_token: Option<Duration>,
    /// How long it waited in the queues of limits, if it did.
    pub queued: Option<Duration>,
    /// The limit that refused it.
    pub limit: Option<&'a str>,
    /// The budget that had no room for it as it was.
    pub budget: Option<&'a str>,
}

// === impl RequestRecord ===

impl<'a> RequestRecord<'a> {
    /// A request that was turned away before anything was known of it but its door.
    #[must_use]
    pub const fn turned_away(id: &'a str, api: Api, status: u16, error: &'a str) -> Self {
        Self {
            id,
            api,
            stream: false,
            outcome: Outcome::Failed,
            status,
            error: Some(error),
            class: None,
            route: None,
            backend: None,
            provider: None,
            provider_kind: None,
            model: None,
            attempts: 0,
            fallback_reason: None,
            usage: None,
            usage_estimated: false,
            cost: None,
            short: false,
            wasted: NanoUsd(0),
            hedged: false,
            truncated_messages: 0,
            dropped: None,
            lowered_limit: None,
            summary: None,
            summary_cost: NanoUsd(0),
            skipped_events: 0,
            schema: None,
            duration: Duration::ZERO,
            overhead: Duration::ZERO,
            first_token: None,
            queued: None,
            limit: None,
            budget: None,
        }
    }
}

// === impl Outcome ===

impl Outcome {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Cut => "cut",
            Self::ClientLeft => "client_left",
        }
    }
}
