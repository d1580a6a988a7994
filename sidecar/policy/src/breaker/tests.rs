use super::*;
use crate::start;

const SECOND: Duration = Duration::from_secs(1);

const RULE: Rule = Rule {
    failure_threshold: 3,
    failure_ratio_ppm: 500_000,
    min_requests: 6,
    window: Duration::from_secs(10),
    success_threshold: 2,
    open_for: Duration::from_secs(4),
};

/// A breaker and its clock, in whole seconds.
struct Bench {
    breaker: Breaker,
    start: Instant,
    second: u64,
}

impl Bench {
    fn new() -> Self {
        Self { breaker: Breaker::default(), start: start(), second: 0 }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_secs(self.second)
    }

    /// An attempt that ends at once; false: it was refused.
    fn attempt(&mut self, outcome: Outcome) -> bool {
        let now = self.now();
        let ticket = self.breaker.admit(now);
        ticket.map(|ticket| self.breaker.record(&RULE, ticket, outcome, now)).is_ok()
    }

    fn attempts(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            assert!(self.attempt(*outcome), "refused in {:?}", self.breaker);
        }
    }

    fn open_seconds(&self) -> Option<u64> {
        Some(self.breaker.until()?.duration_since(self.now()).as_secs())
    }
}

use Outcome::{Failure as Bad, Neutral, Pause, Success as Good};

#[test]
fn it_opens_on_failures_in_a_row_or_on_their_share_and_on_nothing_else() {
    let rows: [(&str, &[Outcome], Option<Cause>); 7] = [
        ("three in a row", &[Good, Bad, Bad, Bad], Some(Cause::InARow(3))),
        ("a success between", &[Bad, Bad, Good, Bad, Bad], None),
        ("half of six", &[Good, Bad, Good, Bad, Good, Bad], Some(Cause::Share { failed: 3, of: 6 })),
        ("less than half", &[Good, Bad, Good, Good, Bad, Good, Bad], None),
        ("five are too few for a share", &[Bad, Good, Bad, Good, Bad], None),
        ("what says nothing is not counted", &[Bad, Bad, Neutral, Neutral, Neutral, Neutral], None),
        ("and does not break a row", &[Bad, Bad, Neutral, Bad], Some(Cause::InARow(3))),
    ];
    for (row, outcomes, want) in rows {
        let mut bench = Bench::new();
        bench.attempts(outcomes);
        let opened = (bench.breaker.phase() == Phase::Open).then(|| bench.breaker.cause());
        assert_eq!(opened, want, "{row}");
    }
}

#[test]
fn one_probe_at_a_time_and_enough_good_ones_close_it() {
    let mut bench = Bench::new();
    bench.attempts(&[Bad, Bad, Bad]);
    bench.second = 3;
    assert!(!bench.attempt(Good), "its time is not over");
    bench.second = 4;
    let probe = bench.breaker.admit(bench.now()).unwrap();
    assert!(!bench.attempt(Good), "another one is the probe");
    bench.breaker.record(&RULE, probe, Neutral, bench.now());
    assert_eq!(bench.breaker.phase(), Phase::HalfOpen, "a probe that was dropped frees its place and proves nothing");
    bench.attempts(&[Good, Neutral, Good]);
    assert_eq!(bench.breaker.phase(), Phase::Closed);
}

#[test]
fn failed_probes_make_it_wait_longer_up_to_a_bound_until_it_closes() {
    let mut bench = Bench::new();
    bench.attempts(&[Bad, Bad, Bad]);
    for want in [8, 12, 12] {
        bench.second += bench.open_seconds().unwrap();
        bench.attempts(&[Bad]);
        assert_eq!(bench.open_seconds(), Some(want));
    }
    bench.second += 12;
    bench.attempts(&[Good, Good, Bad, Bad, Bad]);
    assert_eq!(bench.open_seconds(), Some(4), "as if nothing had been");
}

#[test]
fn a_pause_lasts_as_long_as_the_provider_said_and_no_probe_ends_it() {
    let mut bench = Bench::new();
    bench.attempts(&[Bad, Pause(7 * SECOND)]);
    assert_eq!((bench.breaker.phase(), bench.breaker.cause()), (Phase::Open, Cause::Paused));
    bench.second = 7;
    let (one, two) = (bench.breaker.admit(bench.now()), bench.breaker.admit(bench.now()));
    assert!(one.is_ok() && two.is_ok() && bench.breaker.phase() == Phase::Closed, "{one:?} {two:?}");
    bench.attempts(&[Pause(10_000 * SECOND)]);
    assert_eq!(bench.open_seconds(), Some(600), "clamped");
}

#[test]
fn the_later_of_two_moments_counts() {
    let rows = [(1, 4, "a shorter pause changes nothing"), (9, 9, "a longer one does")];
    for (pause, want, row) in rows {
        let mut bench = Bench::new();
        let early = bench.breaker.admit(bench.now()).unwrap();
        bench.attempts(&[Bad, Bad, Bad]);
        bench.breaker.record(&RULE, early, Pause(pause * SECOND), bench.now());
        assert_eq!(bench.open_seconds(), Some(want), "{row}");
        bench.second = want;
        bench.attempts(&[Neutral]);
        assert_eq!(bench.breaker.phase(), Phase::HalfOpen, "{row}: it still has to prove itself");
    }
}

#[test]
fn what_is_wrong_is_known_at_any_moment_although_nobody_asks() {
    let mut bench = Bench::new();
    let trouble = |bench: &Bench| {
        let trouble = bench.breaker.trouble(bench.now())?;
        let seconds = |at: Instant| at.duration_since(bench.start).as_secs();
        Some((trouble.phase, trouble.cause, seconds(trouble.since), trouble.until.map(seconds)))
    };
    assert_eq!(trouble(&bench), None);
    bench.attempts(&[Bad, Bad, Bad]);
    let rows = [(0, Phase::Open, Some(4)), (3, Phase::Open, Some(4)), (4, Phase::HalfOpen, None)];
    for (second, phase, until) in rows {
        bench.second = second;
        assert_eq!(trouble(&bench), Some((phase, Cause::InARow(3), 0, until)), "second {second}");
    }
    bench.attempts(&[Good]);
    assert_eq!(trouble(&bench), Some((Phase::HalfOpen, Cause::InARow(3), 0, None)), "one good probe is not enough");
    bench.attempts(&[Bad]);
    assert_eq!(trouble(&bench), Some((Phase::Open, Cause::ProbeFailed, 4, Some(12))));
    bench.second = 12;
    bench.attempts(&[Good, Good]);
    assert_eq!(trouble(&bench), None);
    bench.attempts(&[Pause(SECOND * 5)]);
    assert_eq!(trouble(&bench), Some((Phase::Open, Cause::Paused, 12, Some(17))));
    bench.second = 17;
    assert_eq!(trouble(&bench), None, "a pause that is over needs no probe");
}

#[test]
fn a_paused_probe_has_proved_nothing() {
    let mut bench = Bench::new();
    bench.attempts(&[Bad, Bad, Bad]);
    bench.second = 4;
    bench.attempts(&[Pause(2 * SECOND)]);
    assert_eq!(bench.open_seconds(), Some(2), "and has not failed either");
    bench.second = 6;
    bench.attempts(&[Good]);
    assert_eq!(bench.breaker.phase(), Phase::HalfOpen);
}

#[test]
fn what_was_begun_before_it_opened_does_not_count_after() {
    let mut bench = Bench::new();
    let early = bench.breaker.admit(bench.now()).unwrap();
    bench.attempts(&[Bad, Bad, Bad]);
    bench.second = 4;
    bench.attempts(&[Good]);
    bench.breaker.record(&RULE, early, Bad, bench.now());
    bench.breaker.record(&RULE, early, Good, bench.now());
    assert_eq!(bench.breaker.phase(), Phase::HalfOpen);
}

#[test]
fn a_reset_closes_it_and_the_history_says_what_happened_when() {
    let mut bench = Bench::new();
    assert!(!bench.breaker.close(Cause::Reset, bench.now()), "it was closed");
    for _ in 0..20 {
        bench.attempts(&[Bad, Bad, Bad]);
        assert!(bench.breaker.close(Cause::Reset, bench.now()));
        bench.second += 1;
    }
    let history: Vec<_> = bench.breaker.history().copied().collect();
    assert_eq!(history.len(), HISTORY);
    let at = bench.start + 19 * SECOND;
    let want = [(Phase::Open, Cause::InARow(3)), (Phase::Closed, Cause::Reset)];
    assert_eq!(history[HISTORY - 2..], want.map(|(to, cause)| Transition { at, to, cause }));
}

/// The same in other words, for one rule: everything is worked out from a list of what has happened.
struct Reference {
    log: Vec<(u64, bool)>,
    row: u32,
    blocked: Option<(u64, bool)>,
    trial: Option<(u32, bool)>,
    grown: u64,
    turns: u64,
}

impl Reference {
    fn admit(&mut self, now: u64) -> Option<(u64, bool)> {
        match (self.blocked, self.trial) {
            (Some((until, _)), _) if now < until => return None,
            (Some((_, needs_probe)), _) => {
                (self.blocked, self.trial) = (None, needs_probe.then_some((0, true)));
                self.turns += 1;
            }
            (None, Some((_, true))) => return None,
            (None, Some((good, false))) => self.trial = Some((good, true)),
            (None, None) => {}
        }
        Some((self.turns, self.trial.is_some()))
    }

    fn record(&mut self, (turn, probe): (u64, bool), outcome: Outcome, now: u64) {
        if let Outcome::Pause(pause) = outcome {
            let until = now + (pause.as_millis() as u64).min(600_000);
            self.turns += u64::from(self.blocked.is_none());
            let old = self.blocked.unwrap_or((0, self.trial.is_some()));
            (self.blocked, self.trial) = (Some((until.max(old.0), old.1)), None);
        } else if turn == self.turns && probe {
            let good = self.trial.map_or(0, |(good, _)| good) + u32::from(outcome == Good);
            self.trial = Some((good, false));
            if outcome == Bad {
                self.grown += 1;
                self.block(now + 4_000 * [1, 2, 3][self.grown.min(2) as usize]);
            } else if good == 2 {
                self.close();
            }
        } else if turn == self.turns && outcome != Neutral {
            self.row = if outcome == Bad { self.row + 1 } else { 0 };
            self.log.push((now, outcome == Bad));
            let bucket = |at: u64| (at - self.log[0].0) / 1_000;
            let recent: Vec<_> = self.log.iter().filter(|(at, _)| bucket(*at) + 10 > bucket(now)).collect();
            let bad = recent.iter().filter(|(_, bad)| *bad).count();
            if outcome == Bad && (self.row == 3 || (recent.len() >= 6 && bad * 2 >= recent.len())) {
                self.block(now + 4_000);
            }
        }
    }

    fn block(&mut self, until: u64) {
        (self.blocked, self.trial, self.turns) = (Some((until, true)), None, self.turns + 1);
    }

    fn close(&mut self) {
        self.turns += u64::from(self.blocked.is_some() || self.trial.is_some());
        *self = Self { log: Vec::new(), row: 0, blocked: None, trial: None, grown: 0, turns: self.turns };
    }
}

/// Random numbers without a dependency: splitmix64.
fn roll(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ (mixed >> 27)) >> 16) % below
}

#[test]
fn a_hundred_thousand_random_sequences_end_as_in_the_reference() {
    let start = start();
    for sequence in 0..100_000u64 {
        let (mut seed, mut now) = (sequence, 0);
        let mut breaker = Breaker::default();
        let mut reference = Reference { log: Vec::new(), row: 0, blocked: None, trial: None, grown: 0, turns: 0 };
        let mut open = Vec::new();
        let failing = roll(&mut seed, 10);
        for step in 0..40 {
            now += [0, 1, 300, 900, 4_000][roll(&mut seed, 5) as usize];
            let at = start + Duration::from_millis(now);
            let kind = roll(&mut seed, 40);
            if kind == 0 {
                breaker.close(Cause::Reset, at);
                reference.close();
            } else if kind < 20 || open.is_empty() {
                let (ours, theirs) = (breaker.admit(at), reference.admit(now));
                assert_eq!(ours.is_ok(), theirs.is_some(), "sequence {sequence}, step {step}: {breaker:?}");
                open.extend(ours.ok().zip(theirs));
            } else {
                let index = roll(&mut seed, open.len() as u64) as usize;
                let (ours, theirs) = open.swap_remove(index);
                let outcome = match roll(&mut seed, 12) {
                    0 => Neutral,
                    1 => Pause(Duration::from_millis(roll(&mut seed, 9_000))),
                    part if part < 2 + failing => Bad,
                    _ => Good,
                };
                breaker.record(&RULE, ours, outcome, at);
                reference.record(theirs, outcome, now);
            }
            let until = breaker.until().map(|until| until.duration_since(start).as_millis() as u64);
            let state = (breaker.epoch(), until, breaker.phase() == Phase::HalfOpen);
            let blocked = reference.blocked.map(|(until, _)| until);
            let want = (reference.turns, blocked, reference.trial.is_some());
            assert_eq!(state, want, "sequence {sequence}, step {step}: {breaker:?}");
        }
    }
}

#[test]
fn who_wants_fewer_requests_and_never_says_for_how_long_is_paused_for_longer_each_time() {
    let crowded = Outcome::Crowded(0);
    let mut bench = Bench::new();
    bench.attempts(&[crowded, crowded, Good, crowded, crowded]);
    assert_eq!(bench.open_seconds(), None, "two in a row are what retries are there for");
    for want in [1, 2, 4, 8, 16, 32, 32] {
        // Those who went out together were told the same thing once.
        let now = bench.now();
        let tickets = [(); 4].map(|()| bench.breaker.admit(now).unwrap());
        for ticket in tickets {
            bench.breaker.record(&RULE, ticket, crowded, now);
        }
        assert_eq!(bench.open_seconds(), Some(want));
        assert!(bench.breaker.cause().is_pause() && !bench.attempt(crowded));
        bench.second += want;
    }
    bench.attempts(&[Good, crowded, crowded]);
    assert_eq!(bench.open_seconds(), None, "one good answer and all is forgotten");
}

#[test]
fn a_breaker_that_is_open_goes_by_an_edited_rule_at_once() {
    let patient = Rule { failure_threshold: 4, min_requests: 100, ..RULE };
    let rows = [
        ("the same", RULE, Some(3)),
        ("shorter", Rule { open_for: 2 * SECOND, ..RULE }, Some(1)),
        ("longer", Rule { open_for: 60 * SECOND, ..RULE }, Some(59)),
        ("over by now", Rule { open_for: SECOND / 2, ..RULE }, Some(0)),
        ("it bears more", patient, None),
    ];
    for (row, rule, want) in rows {
        let mut bench = Bench::new();
        bench.attempts(&[Bad, Bad, Bad]);
        bench.second = 1;
        bench.breaker.revise(&rule, bench.now());
        bench.breaker.revise(&rule, bench.now());
        assert_eq!(bench.open_seconds(), want, "{row}");
        let closed = bench.breaker.phase() == Phase::Closed;
        assert_eq!((closed, bench.breaker.epoch()), (want.is_none(), 1 + u64::from(closed)), "{row}");
    }
}

#[test]
fn an_edited_rule_shortens_no_pause_that_the_provider_asked_for() {
    let patient = Rule { failure_threshold: 40, min_requests: 100, ..RULE };
    let mut bench = Bench::new();
    bench.attempts(&[Pause(9 * SECOND)]);
    bench.breaker.revise(&patient, bench.now());
    assert_eq!(bench.open_seconds(), Some(9));
    let mut bench = Bench::new();
    bench.attempts(&[Bad, Bad, Bad]);
    bench.breaker.pause(9 * SECOND, bench.now());
    bench.breaker.revise(&Rule { open_for: SECOND, ..RULE }, bench.now());
    assert_eq!(bench.open_seconds(), Some(9));
    bench.breaker.revise(&patient, bench.now());
    assert_eq!(bench.open_seconds(), Some(9));
    bench.second = 9;
    assert!(bench.attempt(Good) && bench.breaker.phase() == Phase::Closed, "and then nothing is in doubt");
}

#[test]
fn a_longer_time_after_failed_probes_is_that_of_the_edited_rule() {
    let mut bench = Bench::new();
    bench.attempts(&[Bad, Bad, Bad]);
    bench.second = 4;
    bench.attempts(&[Bad]);
    assert_eq!(bench.open_seconds(), Some(8));
    bench.breaker.revise(&Rule { open_for: SECOND, failure_threshold: 40, ..RULE }, bench.now());
    assert_eq!(bench.open_seconds(), Some(2), "what a probe has shown is no matter of thresholds");
}
