//! What this boot has used, by day, route, backend, provider and model.
//!
//! Totals only ever grow. A request adds to one line through a handle it got with its route, so that nothing is looked
//! up or allocated for it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use spillway_wire::{UsageKey, UsageLine, UsageTotals};
use tokio::sync::Notify;

use crate::clock::{self, Day};

/// Today and yesterday: a day's last requests may settle after midnight.
const DAYS: usize = 2;

/// All totals. Cheap to share; written by the data plane, read by whoever reports.
#[derive(Debug, Default)]
pub struct UsageTable {
    series: Mutex<BTreeMap<SeriesKey, Arc<Series>>>,
    changed: Notify,
}

/// What a series counts: a [`UsageKey`] without its day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesKey {
    pub route: String,
    pub backend: String,
    pub provider: String,
    pub model: String,
}

/// Totals of one backend of one route.
#[derive(Debug, Default)]
pub struct Series {
    days: Mutex<[Option<(Day, UsageTotals)>; DAYS]>,
}

// === impl UsageTable ===

impl UsageTable {
    /// The series of a key, the same one for as long as the process lives.
    pub fn series(&self, key: SeriesKey) -> Arc<Series> {
        Arc::clone(lock(&self.series).entry(key).or_default())
    }

    /// Adds what a request used to the day it was admitted in.
    pub fn add(&self, series: &Series, day: Day, used: UsageTotals) {
        series.add(day, used);
        self.changed.notify_one();
    }

    /// Waits until something was added since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Every total, in the order of the keys.
    #[must_use]
    pub fn lines(&self) -> Vec<UsageLine> {
        let series = lock(&self.series);
        let mut lines: Vec<UsageLine> = series.iter().flat_map(|(key, series)| series.lines(key)).collect();
        lines.sort_by(|a, b| a.key.cmp(&b.key));
        lines
    }
}

// === impl Series ===

impl Series {
    fn add(&self, day: Day, used: UsageTotals) {
        let mut days = lock(&self.days);
        let slot = match days.iter().position(|entry| entry.is_some_and(|(known, _)| known == day)) {
            Some(slot) => slot,
            // A free slot, or the oldest day's.
            None => (0..DAYS).min_by_key(|slot| days[*slot].map(|(known, _)| known)).unwrap_or(0),
        };
        match &mut days[slot] {
            Some((known, totals)) if *known == day => sum(totals, used),
            // Older than everything remembered (a stream that ran for days): the newest days are worth more.
            Some((known, _)) if *known > day => {}
            entry => *entry = Some((day, used)),
        }
    }

    fn lines(&self, key: &SeriesKey) -> Vec<UsageLine> {
        let line = |(day, totals)| UsageLine {
            key: UsageKey {
                day: clock::day_name(day),
                route: key.route.clone(),
                backend: key.backend.clone(),
                provider: key.provider.clone(),
                model: key.model.clone(),
            },
            totals,
        };
        lock(&self.days).iter().flatten().copied().map(line).collect()
    }
}

fn sum(totals: &mut UsageTotals, used: UsageTotals) {
    let UsageTotals { requests, errors, input_tokens, output_tokens, cost_nanos, unpriced } = used;
    let pairs = [
        (&mut totals.requests, requests),
        (&mut totals.errors, errors),
        (&mut totals.input_tokens, input_tokens),
        (&mut totals.output_tokens, output_tokens),
        (&mut totals.cost_nanos, cost_nanos),
        (&mut totals.unpriced, unpriced),
    ];
    for (total, more) in pairs {
        *total = total.saturating_add(more);
    }
}

/// Totals stay true when a thread dies while it holds them: every step leaves a sum that was right before or after.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(route: &str) -> SeriesKey {
        let text = str::to_owned;
        SeriesKey { route: text(route), backend: text("mini"), provider: text("ai/openai"), model: text("gpt") }
    }

    const ONE: UsageTotals =
        UsageTotals { requests: 1, errors: 0, input_tokens: 10, output_tokens: 5, cost_nanos: 7, unpriced: 0 };

    #[test]
    fn totals_grow_per_day_and_the_oldest_day_is_forgotten() {
        let table = UsageTable::default();
        let series = table.series(key("shop/chat"));
        for day in [20_778, 20_778, 20_779, 20_780, 20_778] {
            table.add(&series, day, ONE);
        }
        let days: Vec<_> = table.lines().into_iter().map(|line| (line.key.day, line.totals.requests)).collect();
        assert_eq!(days, [("2026-11-22".to_owned(), 1), ("2026-11-23".to_owned(), 1)]);
    }

    #[test]
    fn a_series_outlives_the_config_that_asked_for_it() {
        let table = UsageTable::default();
        table.add(&table.series(key("shop/chat")), 1, ONE);
        table.add(&table.series(key("shop/chat")), 1, ONE);
        table.add(&table.series(key("shop/other")), 1, ONE);
        let input: Vec<_> = table.lines().into_iter().map(|line| line.totals.input_tokens).collect();
        assert_eq!(input, [20, 10]);
    }
}
