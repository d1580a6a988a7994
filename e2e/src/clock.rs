//! The only place here that asks what time it is.

use std::time::Instant;

/// Monotonic time.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "these tests are about real time, on a real cluster")]
pub fn now() -> Instant {
    Instant::now()
}
