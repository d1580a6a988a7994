//! What sidecars say of the backends of a route -> one state for each, and why, in words. Pure.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use spillway_crds::{BackendState, BackendStatus};
use spillway_wire::{RestState, RestingBackend};

/// What the sidecars that run a route say of its backends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breakers {
    /// Sidecars that run the route as it is now.
    running: usize,
    /// Those of them that have reported.
    reporting: usize,
    by_backend: BTreeMap<String, Tally>,
    /// The smallest that some of them have found each backend's window to be.
    windows: BTreeMap<String, u64>,
}

/// Sidecars that leave one backend alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    open: usize,
    half_open: usize,
    /// The line of whoever does so for longest: one of many reasons, and always the same one.
    longest: Option<RestingBackend>,
}

// === impl Breakers ===

impl Breakers {
    /// Counts a sidecar that runs the route. None: it has not reported yet.
    pub fn count<'a>(&mut self, resting: Option<impl Iterator<Item = &'a RestingBackend>>) {
        self.running += 1;
        let Some(resting) = resting else { return };
        self.reporting += 1;
        for line in resting {
            let tally = self.by_backend.entry(line.backend.clone()).or_default();
            match line.state {
                RestState::Open => tally.open += 1,
                RestState::HalfOpen => tally.half_open += 1,
            }
            let order = |line: &RestingBackend| (line.until, line.since);
            if tally
                .longest
                .as_ref()
                .is_none_or(|longest| (order(line), &line.reason) > (order(longest), &longest.reason))
            {
                tally.longest = Some(line.clone());
            }
        }
    }

    /// Takes over what one of them has learnt of windows.
    pub fn learn<'a>(&mut self, windows: impl Iterator<Item = (&'a String, &'a u64)>) {
        for (backend, window) in windows {
            let smallest = self.windows.entry(backend.clone()).or_insert(u64::MAX);
            *smallest = (*smallest).min(*window);
        }
    }

    /// Gives every backend its state. While fewer than half of those who could know have spoken (the operator has just
    /// started), what was `shown` before is nearer the truth.
    pub(super) fn judge(&self, backends: &mut [BackendStatus], shown: &[BackendStatus], expected: usize) {
        let is_known = expected == 0 || (self.reporting > 0 && self.reporting * 2 >= self.running);
        for backend in backends.iter_mut().filter(|backend| backend.state != BackendState::Unresolved) {
            if is_known {
                let tally = self.by_backend.get(&backend.name);
                let is_smaller = |window: &u64| backend.context_window.is_none_or(|said| *window < said);
                backend.learnt_context_window = self.windows.get(&backend.name).copied().filter(is_smaller);
                (backend.state, backend.message) = match tally {
                    Some(tally) => (tally.state(self.reporting), Some(tally.words(self.reporting))),
                    None => (BackendState::Closed, None),
                };
            } else if let Some(before) = shown.iter().find(|before| is_same(before, backend)) {
                (backend.state, backend.message) = (before.state, before.message.clone());
                backend.learnt_context_window = before.learnt_context_window;
            }
        }
    }
}

fn is_same(before: &BackendStatus, now: &BackendStatus) -> bool {
    let place = |backend: &BackendStatus| [&backend.name, &backend.provider, &backend.model].map(String::clone);
    before.state != BackendState::Unresolved && place(before) == place(now)
}

// === impl Tally ===

impl Tally {
    /// What it is for half of the sidecars at least.
    fn state(&self, reporting: usize) -> BackendState {
        let is_half = |count: usize| count * 2 >= reporting;
        match (is_half(self.open), is_half(self.open + self.half_open)) {
            (true, _) => BackendState::Open,
            (false, true) => BackendState::HalfOpen,
            (false, false) => BackendState::Closed,
        }
    }

    fn words(&self, reporting: usize) -> String {
        let counts = match (self.open, self.half_open) {
            (open, 0) => format!("open in {open}"),
            (0, half_open) => format!("being tried again in {half_open}"),
            (open, half_open) => format!("open in {open} and being tried again in {half_open}"),
        };
        let why = self.longest.as_ref().map(|line| {
            let moment = |seconds| Some(Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?.to_string());
            let since = moment(line.since).map(|since| format!(" at {since}")).unwrap_or_default();
            let until = line.until.and_then(moment).map(|until| format!("; tried again from {until}"));
            format!(": {}{since}{}", line.reason, until.unwrap_or_default())
        });
        format!("{counts} of {reporting} sidecars{}", why.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use spillway_crds::Role;

    use super::*;

    const SINCE: u64 = 1_795_274_970; // 2026-11-21T15:29:30Z
    const UNTIL: u64 = SINCE + 30;

    fn line(state: RestState, reason: &str, until: Option<u64>) -> RestingBackend {
        let [route, backend] = ["shop/chat", "mini"].map(str::to_owned);
        RestingBackend { route, backend, state, reason: reason.into(), since: SINCE, until }
    }

    fn open(reason: &str) -> RestingBackend {
        line(RestState::Open, reason, Some(UNTIL))
    }

    fn half_open() -> RestingBackend {
        line(RestState::HalfOpen, "a probe failed", None)
    }

    fn backend(state: BackendState, message: Option<&str>) -> BackendStatus {
        let [name, provider, model] = ["mini", "shop/openai", "gpt"].map(str::to_owned);
        let message = message.map(str::to_owned);
        BackendStatus {
            name,
            provider,
            model,
            role: Role::Primary,
            state,
            context_window: None,
            learnt_context_window: None,
            message,
        }
    }

    fn told(lines: &[RestingBackend], silent: usize, quiet: usize) -> Breakers {
        let mut breakers = Breakers::default();
        lines.iter().for_each(|line| breakers.count(Some(std::iter::once(line))));
        (0..silent).for_each(|_| breakers.count(Some(std::iter::empty())));
        (0..quiet).for_each(|_| breakers.count(None::<std::iter::Empty<_>>));
        breakers
    }

    fn judged(lines: &[RestingBackend], silent: usize) -> (BackendState, String) {
        let mut backends = [backend(BackendState::Closed, None)];
        told(lines, silent, 0).judge(&mut backends, &[], 12);
        let [BackendStatus { state, message, .. }] = backends;
        (state, message.unwrap_or_default())
    }

    #[test]
    fn a_backend_is_what_it_is_for_half_of_its_sidecars() {
        use BackendState::{Closed, HalfOpen, Open};
        let rows = [
            (vec![], 12, Closed),
            (vec![open("x")], 0, Open),
            (vec![open("x")], 1, Open),
            (vec![open("x"), open("x")], 10, Closed),
            (vec![half_open(), half_open()], 1, HalfOpen),
            (vec![half_open(), open("x")], 1, HalfOpen),
            (vec![half_open()], 9, Closed),
        ];
        for (lines, silent, want) in rows {
            assert_eq!(judged(&lines, silent).0, want, "{lines:?} and {silent}");
        }
    }

    #[test]
    fn the_message_says_for_how_many_why_and_until_when() {
        let later = RestingBackend { until: Some(UNTIL + 30), ..open("3 failures in a row (key shop/openai)") };
        let five = open("5 failures in a row");
        let in_words = "5 failures in a row at 2026-11-21T15:29:30Z; tried again from 2026-11-21T15:30:00Z";
        let key =
            "3 failures in a row (key shop/openai) at 2026-11-21T15:29:30Z; tried again from 2026-11-21T15:30:30Z";
        let probe = "a probe failed at 2026-11-21T15:29:30Z";
        let rows = [
            (vec![], 12, String::new()),
            (vec![five.clone()], 0, format!("open in 1 of 1 sidecars: {in_words}")),
            (vec![five.clone(), later], 10, format!("open in 2 of 12 sidecars: {key}")),
            (vec![half_open()], 9, format!("being tried again in 1 of 10 sidecars: {probe}")),
            (vec![half_open(), five], 1, format!("open in 1 and being tried again in 1 of 3 sidecars: {in_words}")),
        ];
        for (lines, silent, want) in rows {
            assert_eq!(judged(&lines, silent).1, want, "{lines:?} and {silent}");
        }
    }

    #[test]
    fn moments_out_of_this_world_are_left_out() {
        let mut line = open("x");
        (line.since, line.until) = (u64::MAX, Some(u64::MAX));
        let mut backends = [backend(BackendState::Closed, None)];
        told(&[line], 0, 0).judge(&mut backends, &[], 1);
        assert_eq!(backends[0].message.as_deref(), Some("open in 1 of 1 sidecars: x"));
    }

    #[test]
    fn what_was_shown_stays_until_half_of_the_sidecars_have_spoken() {
        let shown = [backend(BackendState::Open, Some("open in 4 of 4 sidecars: x"))];
        let rows = [
            // reported, running but not reported, expected, kept
            (0, 4, 4, true),
            (1, 3, 4, true),
            (2, 2, 4, false),
            (0, 0, 4, true),
            (0, 0, 0, false),
        ];
        for (silent, quiet, expected, kept) in rows {
            let mut backends = [backend(BackendState::Closed, None)];
            told(&[], silent, quiet).judge(&mut backends, &shown, expected);
            assert_eq!(backends[0] == shown[0], kept, "{silent} {quiet} {expected}");
        }
        let elsewhere = BackendStatus { model: "other".into(), ..shown[0].clone() };
        for before in [elsewhere, backend(BackendState::Unresolved, Some("gone"))] {
            let mut backends = [backend(BackendState::Closed, None)];
            told(&[], 0, 1).judge(&mut backends, &[before], 1);
            assert_eq!(backends[0].state, BackendState::Closed, "that was another backend, or no news of it");
        }
    }

    #[test]
    fn a_window_is_as_small_as_any_sidecar_has_found_it_and_smaller_than_it_is_said_to_be() {
        let mut breakers = told(&[], 2, 0);
        for window in [6_000, 4_000, 5_000] {
            breakers.learn([("mini".to_owned(), window)].iter().map(|(backend, window)| (backend, window)));
        }
        for (said, want) in [(Some(8_000), Some(4_000)), (None, Some(4_000)), (Some(4_000), None)] {
            let mut backends = [BackendStatus { context_window: said, ..backend(BackendState::Closed, None) }];
            breakers.judge(&mut backends, &[], 2);
            assert_eq!(backends[0].learnt_context_window, want, "{said:?}");
            let mut later = [BackendStatus { context_window: said, ..backend(BackendState::Closed, None) }];
            told(&[], 0, 2).judge(&mut later, &backends, 2);
            assert_eq!(later[0].learnt_context_window, want, "{said:?}: nobody has reported yet");
        }
    }

    #[test]
    fn what_does_not_exist_is_unresolved_whatever_sidecars_say() {
        let mut backends = [backend(BackendState::Unresolved, Some("no ModelProvider shop/openai"))];
        let before = backends.clone();
        told(&[open("x")], 0, 0).judge(&mut backends, &[], 1);
        assert_eq!(backends, before);
    }
}
