//! Durations within bounds.

use spillway_crds::Duration;

/// What a duration may be, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) at_least: u64,
    pub(crate) at_most: u64,
}

impl Bounds {
    /// The duration in milliseconds, when one is given. The error gives the value and the bounds.
    pub(crate) fn read(self, duration: Option<&Duration>) -> Result<Option<u64>, String> {
        let Some(duration) = duration else { return Ok(None) };
        let ms = duration.millis().map_err(|error| error.to_string())?;
        let Self { at_least, at_most } = self;
        if (at_least..=at_most).contains(&ms) {
            Ok(Some(ms))
        } else {
            Err(format!("{duration} is outside of {} to {}", text(at_least), text(at_most)))
        }
    }
}

/// Whole seconds as seconds, whole hours as hours, all else as milliseconds.
fn text(ms: u64) -> String {
    match ms {
        _ if ms > 0 && ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_outside_of_their_bounds_are_refused_with_both() {
        let bounds = Bounds { at_least: 1, at_most: 3_600_000 };
        let read = |text: &str| bounds.read(Some(&Duration::from(text)));
        assert_eq!(bounds.read(None), Ok(None));
        assert_eq!(read("1h"), Ok(Some(3_600_000)));
        assert_eq!(read("0s"), Err("0s is outside of 1ms to 1h".to_owned()));
        assert_eq!(read("61m"), Err("61m is outside of 1ms to 1h".to_owned()));
        assert!(read("soon").unwrap_err().contains("is not a duration"));
    }
}
