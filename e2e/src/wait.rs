//! Waiting for what `kubectl wait` cannot see, such as the answer an application gets.

use std::{fmt::Debug, time::Duration};

use anyhow::{Result, bail};

use crate::clock;

/// Between two looks. A look starts a program in a pod, which takes longer than this.
const PAUSE: Duration = Duration::from_millis(200);

/// Looks until `good` says so, or fails with what was seen last. `what` completes "waited 10 s for …".
pub fn until<T: Debug>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<T>,
    good: impl Fn(&T) -> bool,
) -> Result<T> {
    let began = clock::now();
    loop {
        let seen = look()?;
        if good(&seen) {
            return Ok(seen);
        }
        if clock::now().duration_since(began) > limit {
            bail!("waited {} s for {what}; saw last: {seen:?}", limit.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
}
