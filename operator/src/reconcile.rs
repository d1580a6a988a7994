//! The one loop: something changed → gather → compile → publish → conditions → status.
//!
//! IO is at both ends; what is between is pure. Every replica publishes; only the one that leads hands statuses on. There
//! is no error path: a broken resource is a diagnostic, a broken watch keeps the last store, and a failed status write
//! is tried again by its own task.

mod transitions;
mod wanted;

use std::{sync::Arc, time::Duration};

use tokio::time;

use self::transitions::Transitions;
use crate::{
    compile::{Compiled, compile},
    context::Context,
    gather::{Gathered, gather},
};

/// Days end and periods turn over without anyone ringing; statuses follow within this.
const AT_LEAST_EVERY: Duration = Duration::from_secs(30);
/// After a look at a large fleet, this many times as long passes before the next one: a tenth of a core at most.
const REST: u32 = 9;
const LONGEST_REST: Duration = Duration::from_secs(2);
/// After taking over, sidecars have this long to say what they run before their silence shows in a status: an upgrade of the
/// operator must not look like an outage of the fleet.
const HEARING: Duration = Duration::from_secs(5);

/// Runs for ever.
pub async fn run(context: Context) {
    let mut transitions = Transitions::default();
    let mut rested = time::Instant::now();
    let mut leading: Option<time::Instant> = None;
    loop {
        // Compiling again for a change of the fleet alone costs little, and a status can then never speak of
        // another generation than the one it was worked out from.
        let hearing = leading.map(|since| HEARING.saturating_sub(since.elapsed())).filter(|left| !left.is_zero());
        let _ = time::timeout(hearing.unwrap_or(AT_LEAST_EVERY), context.changes.settle(rested)).await;
        let pending = context.source.pending();
        if !pending.is_empty() {
            // Never publish half a world; whoever completes its list rings again.
            tracing::info!(waiting_for = pending.join(","), "not everything has been read yet");
            continue;
        }
        let started = context.clock.monotonic();
        let gathered = gather(&context.source, &context.compile, Some(context.clock.today()));
        let compiled = Arc::new(compile(&gathered.resources));
        context.publisher.publish(compiled.clone());
        context.bank.follow(&compiled);
        transitions.tell(&gathered, &compiled);
        leading = context.usage.is_leading().then(|| leading.unwrap_or_else(time::Instant::now));
        hand_over(&context, &gathered, &compiled, leading);
        let took = context.clock.monotonic() - started;
        context.metrics.reconcile_seconds.observe(took.as_secs_f64());
        rested = time::Instant::now() + (took * REST).min(LONGEST_REST);
    }
}

/// Statuses of everything, to the task that knows which of them are news.
fn hand_over(context: &Context, gathered: &Gathered, compiled: &Compiled, leading: Option<time::Instant>) {
    if context.statuses.is_closed() {
        return;
    }
    if leading.is_none() {
        context.metrics.budgets.reset();
    }
    let statuses = leading.map(|since| wanted::all(context, gathered, compiled, since.elapsed() < HEARING));
    context.statuses.send_replace(statuses.unwrap_or_default());
}
