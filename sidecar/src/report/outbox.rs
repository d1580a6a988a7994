//! What there is to tell the operator, and what it has been told. Pure: no clock, no network, no file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spillway_wire::{Ack, Map, Report, RestingBackend, UsageKey, UsageLine, UsageTotals};

/// Earlier boots whose totals wait for the operator: a container that restarts in a loop must not fill its journal.
const MAX_EARLIER: usize = 256;
/// Seconds by which one moment may seem to be another: it is worked out anew each time, from two clocks.
const JITTER: u64 = 2;

/// The totals of one boot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Account {
    boot: String,
    /// Of the last report that was made.
    sequence: u64,
    usage: Vec<UsageLine>,
}

/// What a restart needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Saved {
    accounts: Vec<Account>,
}

#[derive(Debug)]
pub(super) struct Outbox {
    boot: String,
    sequence: u64,
    /// Kept here and not only where it is counted, because a day is forgotten there when the third one begins.
    usage: BTreeMap<UsageKey, UsageTotals>,
    backends: Vec<RestingBackend>,
    windows: Map<Map<u64>>,
    earlier: Vec<Account>,
}

// === impl Account ===

impl Account {
    fn report(&mut self) -> Report {
        self.sequence += 1;
        let (boot, usage) = (self.boot.clone(), self.usage.clone());
        Report { boot, sequence: self.sequence, ack: Ack::default(), usage, last: true, backends: Vec::new() }
    }
}

// === impl Outbox ===

impl Outbox {
    /// Starts the books of `boot`; what earlier boots could not deliver comes along.
    pub(super) fn new(boot: String, saved: Option<Saved>) -> Self {
        let mut earlier = saved.map(|saved| saved.accounts).unwrap_or_default();
        earlier.retain(|account| !account.usage.is_empty() && account.boot != boot);
        let surplus = earlier.len().saturating_sub(MAX_EARLIER);
        earlier.drain(..surplus);
        let (usage, backends, windows) = Default::default();
        Self { boot, sequence: 0, usage, backends, windows, earlier }
    }

    /// Takes over the totals as they are now. True if one of them is new.
    pub(super) fn note(&mut self, lines: Vec<UsageLine>) -> bool {
        let mut changed = false;
        for UsageLine { key, totals } in lines {
            changed |= self.usage.insert(key, totals) != Some(totals);
        }
        changed
    }

    /// Takes over which backends are left alone now. True if that is new.
    pub(super) fn note_backends(&mut self, backends: Vec<RestingBackend>) -> bool {
        let same =
            self.backends.len() == backends.len() && self.backends.iter().zip(&backends).all(|(a, b)| same(a, b));
        if !same {
            self.backends = backends;
        }
        !same
    }

    /// Takes over which windows have proved smaller than the config says. True if that is new.
    pub(super) fn note_windows(&mut self, windows: Map<Map<u64>>) -> bool {
        let same = self.windows == windows;
        self.windows = windows;
        !same
    }

    /// The next report of this boot: everything it ever counted.
    pub(super) fn report(&mut self, ack: Ack, last: bool) -> Report {
        self.sequence += 1;
        let usage = self.usage.iter().map(|(key, totals)| UsageLine { key: key.clone(), totals: *totals }).collect();
        let (backends, ack) = (self.backends.clone(), Ack { learnt_windows: self.windows.clone(), ..ack });
        Report { boot: self.boot.clone(), sequence: self.sequence, ack, usage, last, backends }
    }

    /// The last report of an earlier boot, if one was left undelivered.
    pub(super) fn earlier_report(&mut self) -> Option<Report> {
        self.earlier.first_mut().map(Account::report)
    }

    /// The operator has it. `oldest_day` is the first one that is still counted.
    pub(super) fn delivered(&mut self, report: &Report, oldest_day: &str) {
        self.earlier.retain(|account| account.boot != report.boot);
        if report.boot == self.boot {
            let told = |key: &UsageKey, totals: &UsageTotals| {
                report.usage.iter().any(|line| line.key == *key && line.totals == *totals)
            };
            self.usage.retain(|key, totals| key.day.as_str() >= oldest_day || !told(key, totals));
        }
    }

    /// The operator will never take it.
    pub(super) fn refused(&mut self, report: &Report) {
        self.earlier.retain(|account| account.boot != report.boot);
    }

    pub(super) fn saved(&self) -> Saved {
        let mut accounts = self.earlier.clone();
        let usage = self.usage.iter().map(|(key, totals)| UsageLine { key: key.clone(), totals: *totals }).collect();
        accounts.push(Account { boot: self.boot.clone(), sequence: self.sequence, usage });
        Saved { accounts }
    }
}

/// Whether two lines say the same, apart from the clocks.
fn same(one: &RestingBackend, other: &RestingBackend) -> bool {
    let near = |one: u64, other: u64| one.abs_diff(other) <= JITTER;
    let until = match (one.until, other.until) {
        (Some(one), Some(other)) => near(one, other),
        (one, other) => one == other,
    };
    let RestingBackend { route, backend, state, reason, since, until: _ } = one;
    (route, backend, state, reason) == (&other.route, &other.backend, &other.state, &other.reason)
        && near(*since, other.since)
        && until
}

#[cfg(test)]
mod tests {
    use spillway_wire::RestState;

    use super::*;

    #[test]
    fn only_what_turned_is_new_and_not_what_the_clocks_make_of_it() {
        let line = |state, since, until| RestingBackend {
            route: "shop/chat".into(),
            backend: "mini".into(),
            state,
            reason: "a failure".into(),
            since,
            until,
        };
        let mut outbox = Outbox::new("b".into(), None);
        let rows = [
            (vec![], false),
            (vec![line(RestState::Open, 100, Some(130))], true),
            (vec![line(RestState::Open, 101, Some(129))], false),
            (vec![line(RestState::Open, 100, Some(190))], true),
            (vec![line(RestState::HalfOpen, 100, None)], true),
            (vec![line(RestState::HalfOpen, 200, None)], true),
            (vec![], true),
        ];
        for (row, (backends, want)) in rows.into_iter().enumerate() {
            assert_eq!(outbox.note_backends(backends), want, "row {row}");
        }
    }

    fn line(day: &str, requests: u64) -> UsageLine {
        let text = str::to_owned;
        let (route, backend) = (text("shop/chat"), text("mini"));
        let key = UsageKey { day: text(day), route, backend, provider: text("ai/openai"), model: text("gpt") };
        UsageLine { key, totals: UsageTotals { requests, ..UsageTotals::default() } }
    }

    fn requests(report: &Report) -> Vec<u64> {
        report.usage.iter().map(|line| line.totals.requests).collect()
    }

    const DAYS: [&str; 3] = ["2026-11-20", "2026-11-21", "2026-11-22"];

    #[test]
    fn each_report_carries_every_total_and_a_number_of_its_own() {
        let mut outbox = Outbox::new("b".into(), None);
        assert!(outbox.note(vec![line(DAYS[1], 1)]));
        assert!(!outbox.note(vec![line(DAYS[1], 1)]), "nothing is new");
        assert!(outbox.note(vec![line(DAYS[1], 3), line(DAYS[2], 1)]));
        let (first, second) = (outbox.report(Ack::default(), false), outbox.report(Ack::default(), true));
        assert_eq!((first.sequence, second.sequence), (1, 2));
        assert_eq!(requests(&first), [3, 1]);
        assert_eq!(first.usage, second.usage);
        assert_eq!((first.last, second.last), (false, true));
    }

    #[test]
    fn an_old_day_is_forgotten_once_its_last_total_was_delivered() {
        let mut outbox = Outbox::new("b".into(), None);
        outbox.note(vec![line(DAYS[0], 5), line(DAYS[1], 1), line(DAYS[2], 1)]);
        let report = outbox.report(Ack::default(), false);
        assert_eq!(requests(&outbox.report(Ack::default(), false)), [5, 1, 1], "not delivered yet");
        outbox.note(vec![line(DAYS[0], 6)]);
        outbox.delivered(&report, DAYS[1]);
        assert_eq!(requests(&outbox.report(Ack::default(), false)), [6, 1, 1], "it has grown meanwhile");
        let report = outbox.report(Ack::default(), false);
        outbox.delivered(&report, DAYS[1]);
        assert_eq!(requests(&outbox.report(Ack::default(), false)), [1, 1], "recent days stay");
    }

    #[test]
    fn totals_of_an_earlier_boot_are_told_under_its_own_name_until_delivered() {
        let mut first = Outbox::new("one".into(), None);
        first.note(vec![line(DAYS[1], 7)]);
        first.report(Ack::default(), false);
        let mut second = Outbox::new("two".into(), Some(first.saved()));
        assert_eq!(requests(&second.report(Ack::default(), false)), [0u64; 0]);
        second.note(vec![line(DAYS[1], 1)]);
        let mut third = Outbox::new("three".into(), Some(second.saved()));
        for (boot, sequence, count) in [("one", 2, 7), ("two", 2, 1)] {
            let report = third.earlier_report().unwrap();
            assert_eq!((report.boot.as_str(), report.sequence, requests(&report)), (boot, sequence, vec![count]));
            assert!(report.last, "that boot is over");
            third.delivered(&report, DAYS[1]);
        }
        assert_eq!(third.earlier_report(), None);
    }

    #[test]
    fn a_boot_that_used_nothing_leaves_nothing() {
        let saved = Outbox::new("one".into(), None).saved();
        assert_eq!(Outbox::new("two".into(), Some(saved)).earlier_report(), None);
    }

    #[test]
    fn earlier_boots_are_bounded_and_the_oldest_go_first() {
        let account = |n: usize| Account { boot: n.to_string(), sequence: 1, usage: vec![line(DAYS[1], 1)] };
        let saved = Saved { accounts: (0..MAX_EARLIER + 2).map(account).collect() };
        let mut outbox = Outbox::new("now".into(), Some(saved));
        assert_eq!(outbox.earlier.len(), MAX_EARLIER);
        let report = outbox.earlier_report().unwrap();
        assert_eq!(report.boot, "2");
        outbox.refused(&report);
        assert_eq!(outbox.earlier_report().unwrap().boot, "3");
    }
}
