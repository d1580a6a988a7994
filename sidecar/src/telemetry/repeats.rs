//! Keeps a failure that repeats from flooding the log: one line for each key every ten seconds, and how many were left out.

use std::{
    collections::HashMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Mutex,
    time::{Duration, Instant},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::log::{Log, timestamp};
use crate::clock;

const EVERY: Duration = Duration::from_secs(10);
/// Keys are a place in the code and a configured name, so this is never reached by configs of a sane size.
const MAX_KEYS: usize = 1024;
/// Fields that make two events of one place different; all others (the error text, ids) do not.
const KEY_FIELDS: [&str; 5] = ["route", "provider", "backend", "model", "path"];

/// When each key was last written, and how often it was not.
#[derive(Debug, Default)]
struct Memory {
    seen: HashMap<u64, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    written: Instant,
    left_out: u64,
}

impl Memory {
    /// `Some(n)`: write it, n were left out since the last one. `None`: leave it out.
    fn admit(&mut self, key: u64, now: Instant) -> Option<u64> {
        if let Some(seen) = self.seen.get_mut(&key) {
            if now.saturating_duration_since(seen.written) < EVERY {
                seen.left_out += 1;
                return None;
            }
            let left_out = seen.left_out;
            *seen = Seen { written: now, left_out: 0 };
            return Some(left_out);
        }
        if self.seen.len() >= MAX_KEYS {
            self.seen.retain(|_, seen| now.saturating_duration_since(seen.written) < EVERY);
        }
        if self.seen.len() < MAX_KEYS {
            self.seen.insert(key, Seen { written: now, left_out: 0 });
        }
        Some(0)
    }
}

/// The layer in front of the log: warnings and errors are looked up in [`Memory`], the rest always passes.
pub(super) struct Repeats {
    memory: Mutex<Memory>,
    log: Log,
}

impl Repeats {
    pub(super) fn new(log: Log) -> Self {
        Self { memory: Mutex::default(), log }
    }

    fn tell(&self, metadata: &Metadata<'_>, left_out: u64) {
        let line = serde_json::json!({
            "timestamp": timestamp(),
            "level": metadata.level().as_str(),
            "target": metadata.target(),
            "message": "the next line is one of several like it since the last one",
            "left_out": left_out,
        });
        self.log.append(format!("{line}\n").as_bytes());
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN {
            return true;
        }
        let mut key = Key(DefaultHasher::new());
        metadata.callsite().hash(&mut key.0);
        event.record(&mut key);
        let admitted =
            self.memory.lock().expect("nothing panics while counting repeats").admit(key.0.finish(), clock::now());
        if let Some(left_out @ 1..) = admitted {
            self.tell(metadata, left_out);
        }
        admitted.is_some()
    }
}

struct Key(DefaultHasher);

impl Visit for Key {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if KEY_FIELDS.contains(&field.name()) {
            format!("{}={value:?}", field.name()).hash(&mut self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_is_written_once_in_ten_seconds_with_a_count() {
        let start = clock::now();
        let mut repeats = Memory::default();
        let rows = [
            // at s, key, want
            (0, 1, Some(0)),
            (1, 1, None),
            (1, 2, Some(0)),
            (9, 1, None),
            (10, 1, Some(2)),
            (11, 1, None),
            (30, 1, Some(1)),
            (30, 2, Some(0)),
        ];
        for (row, (at, key, want)) in rows.into_iter().enumerate() {
            let got = repeats.admit(key, start + Duration::from_secs(at));
            assert_eq!(got, want, "row {row}: key {key} at {at}s");
        }
    }

    #[test]
    fn keys_are_bounded_and_old_ones_make_room() {
        let start = clock::now();
        let mut repeats = Memory::default();
        for key in 0..2 * MAX_KEYS as u64 {
            assert_eq!(repeats.admit(key, start), Some(0), "key {key}");
        }
        assert_eq!(repeats.seen.len(), MAX_KEYS);
        repeats.admit(u64::MAX, start + EVERY);
        assert_eq!(repeats.seen.len(), 1);
    }
}
