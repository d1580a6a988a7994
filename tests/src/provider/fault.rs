//! What a model's name asks the provider to do.
//!
//! Counts of events include the first one, which has no content; counts of tokens do not.

use std::time::Duration;

/// Read from the name of the model: `status-429-after-2`, `cut-3`, `late-200`, … Any other name is answered well.
/// `cut-40-of-60` and the like answer with so many tokens instead of [`ANSWER`](super::ANSWER).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// `status-503`, `status-429-after-2`: this status with an error body, with `Retry-After` in seconds.
    Status {
        code: u16,
        retry_after: Option<u64>,
    },
    /// `once-500`, `once-429-after-2`: this status the first time a name is asked for, well from then on.
    Once {
        code: u16,
        retry_after: Option<u64>,
    },
    /// `window`: the prompt does not fit.
    Window,
    /// `fits-2000`: refused if its words, and the tokens it asks for, are more than that. `tells-2000`: the same in the first
    /// event of a stream, or in a 200.
    Fits {
        window: usize,
        in_answer: bool,
    },
    /// `quotes`: a 400 with the request's last message in its words.
    Quotes,
    /// `filter`: the prompt is refused by a content policy.
    Filter,
    /// `reset`: a TCP reset before the first byte of the answer.
    Reset,
    /// `close`: an orderly close instead of an answer.
    Close,
    /// `hang`: never a byte.
    Hang,
    /// `late-300`: the head at once in a stream, its first event (or the whole plain answer) after so many milliseconds.
    Late(Duration),
    /// `cut-3`: a reset after so many events; a plain answer ends in its middle. `cut-40-of-60` counts tokens, and
    /// closes instead of resetting.
    Cut(usize),
    /// `stall-3`: silence after so many events; a plain answer stops in its middle.
    Stall(usize),
    /// `pause-20-of-60-for-30`: after so many tokens so many seconds of silence, and then the rest. It happens once.
    Pause(usize, Duration),
    /// `garble-3`: an event that is no JSON after so many good ones; a plain answer that is none.
    Garble(usize),
    /// `event-error-3`: an error event after so many good ones; in a plain answer an error in a 200.
    EventError(usize),
    /// `no-end`: a stream that ends in order but without its last event.
    NoEnd,
    /// `open-end`: the same, and the connection stays open.
    OpenEnd,
    /// `no-prefill`: no conversation may end with a message of the assistant.
    NoPrefill,
    /// `html`: a middlebox's page with status 200.
    Html,
    /// `redirect`: to another path of the same host.
    Redirect,
    /// `huge`: an answer, or a single event, without end.
    Huge,
    /// `gzip`: compressed although nobody asked for it.
    Gzip,
    /// `crumbs`: the right answer, byte by byte.
    Crumbs,
    /// `tools`: the answer is a call of the tool `look_up`.
    Tools,
}

impl Fault {
    #[must_use]
    pub fn of(model: &str) -> Self {
        let (name, rest) = model.split_once('-').unwrap_or((model, ""));
        let count = rest.parse::<usize>().ok();
        if let Some((count, of)) = rest.split_once("-of-") {
            return Self::after_tokens(name, count.parse().unwrap_or(0), of);
        }
        match (name, count) {
            ("status", _) => {
                let (code, retry_after) = status(rest);
                Self::Status { code, retry_after }
            }
            ("once", _) => {
                let (code, retry_after) = status(rest);
                Self::Once { code, retry_after }
            }
            ("fits" | "tells", Some(window)) => Self::Fits { window, in_answer: name == "tells" },
            ("late", Some(millis)) => Self::Late(Duration::from_millis(millis as u64)),
            ("cut", Some(events)) => Self::Cut(events),
            ("stall", Some(events)) => Self::Stall(events),
            ("garble", Some(events)) => Self::Garble(events),
            ("event", _) => Self::EventError(rest.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0)),
            _ => Self::named(model),
        }
    }

    /// How long the answer is, where the name says so.
    #[must_use]
    pub fn tokens(model: &str) -> Option<usize> {
        let (_, of) = model.split_once("-of-")?;
        of.split('-').next()?.parse().ok()
    }

    fn after_tokens(name: &str, tokens: usize, of: &str) -> Self {
        // The event before the first token has the role.
        let events = tokens + 1;
        match name {
            "cut" => Self::Cut(events),
            "stall" => Self::Stall(events),
            "pause" => {
                let seconds = of.rsplit('-').next().and_then(|seconds| seconds.parse().ok());
                Self::Pause(events, Duration::from_secs(seconds.unwrap_or(0)))
            }
            _ => Self::None,
        }
    }

    fn named(model: &str) -> Self {
        match model {
            "window" => Self::Window,
            "quotes" => Self::Quotes,
            "filter" => Self::Filter,
            "reset" => Self::Reset,
            "close" => Self::Close,
            "hang" => Self::Hang,
            "no-end" => Self::NoEnd,
            "open-end" => Self::OpenEnd,
            "no-prefill" => Self::NoPrefill,
            "html" => Self::Html,
            "redirect" => Self::Redirect,
            "huge" => Self::Huge,
            "gzip" => Self::Gzip,
            "crumbs" => Self::Crumbs,
            "tools" => Self::Tools,
            _ => Self::None,
        }
    }
}

/// `503` or `429-after-2`.
fn status(rest: &str) -> (u16, Option<u64>) {
    let (code, after) = rest.split_once("-after-").unwrap_or((rest, ""));
    (code.parse().unwrap_or(500), after.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_called_after_its_fault() {
        let rows = [
            ("gpt-4o-mini", Fault::None),
            ("status-503", Fault::Status { code: 503, retry_after: None }),
            ("status-429-after-2", Fault::Status { code: 429, retry_after: Some(2) }),
            ("once-500", Fault::Once { code: 500, retry_after: None }),
            ("once-429-after-2", Fault::Once { code: 429, retry_after: Some(2) }),
            ("fits-2000", Fault::Fits { window: 2_000, in_answer: false }),
            ("late-250", Fault::Late(Duration::from_millis(250))),
            ("cut-3", Fault::Cut(3)),
            ("cut-40-of-60", Fault::Cut(41)),
            ("pause-20-of-60-for-30", Fault::Pause(21, Duration::from_secs(30))),
            ("event-error-2", Fault::EventError(2)),
            ("no-end", Fault::NoEnd),
        ];
        for (model, want) in rows {
            assert_eq!(Fault::of(model), want, "{model}");
        }
        assert_eq!(Fault::tokens("pause-20-of-60-for-30"), Some(60));
        assert_eq!(Fault::tokens("cut-3"), None);
    }
}
