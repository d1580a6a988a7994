//! Which status writes are due. Pure: it is told the time.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::ObjectReference;
use serde_json::Value;

/// The pace of one object: a write a second.
const PACE: Duration = Duration::from_secs(1);
/// Turns of a condition may go at once, this many in a row: applied, programmed, and one more.
const BURST: u32 = 3;
/// The longest pause between attempts while the API server refuses, and how often a pause doubles until then.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const MOST_DOUBLINGS: u32 = 5;
/// How long our own write is believed rather than the watch, which may not have brought it back yet.
const SETTLE: Duration = Duration::from_secs(5);

/// Names an object whose status is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

/// A status that an object should have.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub key: Key,
    /// An object that was deleted and made again is another one.
    pub uid: Option<String>,
    pub generation: Option<i64>,
    pub status: Value,
    /// What the watch says its status is. Null: it cannot tell, so only what was written counts.
    pub current: Value,
}

/// What was written, what is wanted, and when the next write may go.
#[derive(Debug, Default)]
pub struct Schedule {
    entries: BTreeMap<Key, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    written: Option<(Wanted, Instant)>,
    wanted: Option<(Wanted, Instant)>,
    /// Writes in quick succession that are still allowed, and since when.
    burst: Option<(u32, Instant)>,
    /// Failed writes in a row, and when the next one may go.
    failures: u32,
    retry_at: Option<Instant>,
}

// === impl Key ===

impl Key {
    /// The resource name in the API's paths.
    #[must_use]
    pub fn plural(&self) -> String {
        let kind = self.kind.to_lowercase();
        match kind.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None => format!("{kind}s"),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

// === impl Wanted ===

impl Wanted {
    /// How Events name the object.
    #[must_use]
    pub fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some(format!("{}/{}", spillway_crds::GROUP, spillway_crds::VERSION)),
            kind: Some(self.key.kind.clone()),
            namespace: Some(self.key.namespace.clone()),
            name: Some(self.key.name.clone()),
            uid: self.uid.clone(),
            ..ObjectReference::default()
        }
    }
}

// === impl Schedule ===

impl Schedule {
    /// Takes over everything that is wanted now; objects that are not in it are forgotten.
    pub fn replace(&mut self, wanted: Vec<Wanted>, now: Instant) {
        let mut before = std::mem::take(&mut self.entries);
        for wanted in wanted {
            let mut entry = before.remove(&wanted.key).filter(|entry| entry.is_about(&wanted)).unwrap_or_default();
            entry.want(wanted.clone(), now);
            self.entries.insert(wanted.key, entry);
        }
    }

    /// When to look again.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.entries.values().filter_map(|entry| entry.wanted.as_ref().map(|(_, due)| *due)).min()
    }

    /// What an object shows now, as far as is known.
    #[must_use]
    pub fn shown<'a>(&'a self, wanted: &'a Wanted) -> &'a Value {
        let written = self.entries.get(&wanted.key).and_then(|entry| entry.written.as_ref());
        written.map_or(&wanted.current, |(written, _)| &written.status)
    }

    /// What has to be written now. Each is to be given back by [`Schedule::written`] or [`Schedule::failed`].
    pub fn take_due(&mut self, now: Instant) -> Vec<Wanted> {
        let due = self.entries.values_mut().filter_map(|entry| entry.wanted.take_if(|(_, due)| *due <= now));
        due.map(|(wanted, _)| wanted).collect()
    }

    /// The write went through.
    pub fn written(&mut self, wanted: Wanted, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&wanted.key) {
            entry.written = Some((wanted, now));
            (entry.failures, entry.retry_at) = (0, None);
        }
    }

    /// The write did not go through; it is due again unless something newer is wanted by now.
    pub fn failed(&mut self, wanted: Wanted, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&wanted.key) {
            let pause = (PACE * 2_u32.saturating_pow(entry.failures)).min(LONGEST_PAUSE);
            entry.failures = (entry.failures + 1).min(MOST_DOUBLINGS);
            let (_, due) = entry.wanted.get_or_insert((wanted, now));
            *due = now + pause;
            entry.retry_at = Some(now + pause);
        }
    }
}

// === impl Entry ===

impl Entry {
    fn is_about(&self, wanted: &Wanted) -> bool {
        let known = self.written.as_ref().or(self.wanted.as_ref());
        known.is_none_or(|(known, _)| known.uid == wanted.uid)
    }

    fn want(&mut self, wanted: Wanted, now: Instant) {
        let unknown = wanted.current.is_null();
        let believed = |at: &Instant| unknown || now.saturating_duration_since(*at) < SETTLE;
        let settled = self.written.as_ref().filter(|(_, at)| believed(at));
        let present = settled.map_or(&wanted.current, |(written, _)| &written.status);
        if same(present, &wanted.status) {
            self.wanted = None;
            return;
        }
        let turned = turns(present) != turns(&wanted.status);
        let fresh = self.written.as_ref().is_none_or(|(written, _)| written.generation != wanted.generation);
        let paced = self.written.as_ref().map_or(now, |(_, at)| *at + PACE);
        let due = if fresh || (turned && self.spend_burst(now)) { now } else { paced };
        let due = self.retry_at.map_or(due, |retry| due.max(retry));
        // A wish that waits already keeps its turn: a stream of small changes must not push it away.
        let due = self.wanted.as_ref().map_or(due, |(_, earlier)| due.min(*earlier));
        self.wanted = Some((wanted, due));
    }

    fn spend_burst(&mut self, now: Instant) -> bool {
        let (left, since) = self.burst.unwrap_or((BURST, now));
        let left = if now.saturating_duration_since(since) >= PACE * BURST { BURST } else { left };
        self.burst = Some((left.saturating_sub(1), if left == BURST { now } else { since }));
        left > 0
    }
}

/// Equal in meaning: a transition time alone is no reason to write, it was set by whoever saw the turn first.
fn same(one: &Value, other: &Value) -> bool {
    one == other || timeless(one) == timeless(other)
}

fn timeless(status: &Value) -> Value {
    match status {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| *name != "lastTransitionTime");
            Value::Object(kept.map(|(name, value)| (name.clone(), timeless(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(timeless).collect()),
        plain => plain.clone(),
    }
}

/// The type and status of every condition, wherever a status keeps them: what people wait for.
fn turns(status: &Value) -> Vec<(&str, &str)> {
    let mut lists = vec![&status["conditions"]];
    lists.extend(status["ancestors"].as_array().into_iter().flatten().map(|ancestor| &ancestor["conditions"]));
    let conditions = lists.into_iter().filter_map(Value::as_array).flatten();
    conditions
        .map(|item| (item["type"].as_str().unwrap_or_default(), item["status"].as_str().unwrap_or_default()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(programmed: &str, spend: u32, time: u32) -> Value {
        json!({"conditions": [{"type": "Programmed", "status": programmed, "lastTransitionTime": time}], "spend": spend})
    }

    fn wanted(generation: i64, status: Value) -> Wanted {
        let key = Key { kind: "ModelRoute".into(), namespace: "shop".into(), name: "chat".into() };
        Wanted { key, uid: Some("u1".into()), generation: Some(generation), status, current: Value::Null }
    }

    /// Wants `next` at `at` milliseconds and writes whatever is due then; returns whether a write went out.
    fn step(schedule: &mut Schedule, start: Instant, at: u64, next: Option<Wanted>) -> bool {
        let now = start + Duration::from_millis(at);
        if let Some(next) = next {
            schedule.replace(vec![next], now);
        }
        let due = schedule.take_due(now);
        let any = !due.is_empty();
        due.into_iter().for_each(|wanted| schedule.written(wanted, now));
        any
    }

    #[test]
    fn turns_and_new_specs_go_at_once_and_counters_wait_for_their_second() {
        let start = crate::clock::Clock::system().monotonic();
        let mut schedule = Schedule::default();
        let rows = [
            // at ms, wanted, goes out
            (0, Some(wanted(1, status("Unknown", 0, 1))), true),
            (50, Some(wanted(1, status("Unknown", 0, 2))), false), // the time alone is no change
            (100, Some(wanted(1, status("True", 0, 3))), true),    // a turn
            (200, Some(wanted(1, status("True", 1, 3))), false),   // a counter
            (700, Some(wanted(1, status("True", 2, 3))), false),
            (1099, None, false),
            (1100, None, true), // the newest counter, a second after the last write
            (1200, Some(wanted(2, status("True", 2, 3))), false), // a new spec, the same status (no observedGeneration here)
            (1300, Some(wanted(2, status("Unknown", 3, 4))), true),
        ];
        for (row, (at, next, want)) in rows.into_iter().enumerate() {
            assert_eq!(step(&mut schedule, start, at, next), want, "row {row} at {at}ms");
        }
    }

    #[test]
    fn a_flapping_condition_is_held_to_the_pace() {
        let start = crate::clock::Clock::system().monotonic();
        let mut schedule = Schedule::default();
        let writes = (0..100_u64).filter(|step_number| {
            let flap = if step_number % 2 == 0 { "True" } else { "False" };
            step(&mut schedule, start, step_number * 50, Some(wanted(1, status(flap, 0, 0))))
        });
        let writes = writes.count();
        assert!((5..=12).contains(&writes), "{writes} writes in 5 s");
    }

    #[test]
    fn a_failed_write_comes_back_unless_something_newer_is_wanted() {
        let start = crate::clock::Clock::system().monotonic();
        let mut schedule = Schedule::default();
        schedule.replace(vec![wanted(1, status("True", 0, 0))], start);
        let taken = schedule.take_due(start).remove(0);
        schedule.failed(taken, start);
        assert!(schedule.take_due(start).is_empty());
        assert_eq!(schedule.take_due(start + PACE).len(), 1);
    }

    #[test]
    fn attempts_thin_out_while_the_api_server_refuses() {
        let start = crate::clock::Clock::system().monotonic();
        let mut schedule = Schedule::default();
        schedule.replace(vec![wanted(1, status("True", 0, 0))], start);
        let mut attempts = Vec::new();
        for second in 0..200 {
            let now = start + Duration::from_secs(second);
            for taken in schedule.take_due(now) {
                attempts.push(second);
                schedule.failed(taken, now);
            }
            // What is wanted changes all the time, which is no reason to hurry.
            schedule.replace(vec![wanted(1, status("True", 1, 0))], now);
        }
        assert_eq!(attempts, [0, 1, 3, 7, 15, 31, 61, 91, 121, 151, 181]);
    }

    #[test]
    fn the_watch_is_believed_again_once_our_write_has_settled() {
        let start = crate::clock::Clock::system().monotonic();
        let mut schedule = Schedule::default();
        assert!(step(&mut schedule, start, 0, Some(wanted(1, status("True", 0, 0)))));
        let tampered = Wanted { current: status("False", 0, 0), ..wanted(1, status("True", 0, 0)) };
        assert!(!step(&mut schedule, start, 1000, Some(tampered.clone())), "the watch may lag");
        assert!(step(&mut schedule, start, 6000, Some(tampered)), "someone else wrote it");
    }

    #[test]
    fn an_object_made_again_starts_afresh() {
        let start = crate::clock::Clock::system().monotonic();
        let mut schedule = Schedule::default();
        assert!(step(&mut schedule, start, 0, Some(wanted(1, status("True", 0, 0)))));
        let again = Wanted { uid: Some("u2".into()), ..wanted(1, status("True", 0, 0)) };
        assert!(step(&mut schedule, start, 100, Some(again)));
    }

    #[test]
    fn plurals_are_those_of_the_crds() {
        for crd in spillway_crds::crds() {
            let key = Key { kind: crd.spec.names.kind.clone(), namespace: String::new(), name: String::new() };
            assert_eq!(key.plural(), crd.spec.names.plural);
        }
    }
}
