//! What is told of a request when it is over.

use std::time::{Duration, Instant};

use spillway_policy::NanoUsd;

use super::{End, Settle};
use crate::record::RequestRecord;

// === impl Settle ===

impl Settle {
    /// Its line in the access log, and its place in the metrics.
    pub(super) fn tell(
        &self,
        end: &End,
        (cost, usage_estimated): (Option<NanoUsd>, bool),
        (now, overhead): (Instant, Duration),
    ) {
        let backend = self.backend();
        self.place.runtime().telemetry.request(&RequestRecord {
            id: &self.id,
            api: self.api,
            stream: self.stream,
            outcome: end.outcome,
            status: end.status,
            error: end.error.as_deref(),
            class: end.class,
            route: self.route.as_ref().map(|route| route.name.as_str()),
            backend: backend.map(|backend| backend.name.as_str()),
            provider: backend.map(|backend| backend.provider.name.as_str()),
            provider_kind: backend.map(|backend| backend.provider.kind.as_str()),
            model: backend.map(|backend| backend.model.as_str()),
            attempts: self.attempts,
            fallback_reason: self.reason,
            usage: self.usage,
            usage_estimated,
            cost,
            short: self.is_short(),
            wasted: self.wasted,
            hedged: self.hedged,
            truncated_messages: self.fitting.truncated,
            dropped: self.fitting.dropped.as_deref(),
            lowered_limit: self.fitting.limit,
            summary: self.fitting.told.map(|told| (told.how, told.tokens)),
            summary_cost: self.fitting.cost,
            skipped_events: self.skipped,
            schema: self.schema,
            duration: now.saturating_duration_since(self.started),
            overhead,
            first_token: self.first_token,
            queued: self.passage.queued,
            limit: self.passage.refused_by.as_deref(),
            budget: self.over_budget.as_deref(),
        });
    }
}
