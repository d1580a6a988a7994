use super::*;
use crate::{
    breaker::{Breaker, Outcome, Phase, Ticket},
    start,
};

const SECOND: Duration = Duration::from_secs(1);

const RULE: Rule = Rule {
    failure_threshold: 4,
    failure_ratio_ppm: 500_000,
    min_requests: 10,
    window: Duration::from_secs(10),
    success_threshold: 2,
    open_for: Duration::from_secs(5),
};

/// Both ends, in whole seconds, without a network between them.
struct Bench {
    fleet: Fleet<u32>,
    members: BTreeMap<u32, (Breaker, Evidence)>,
    start: Instant,
    second: u64,
    sent: u64,
}

impl Bench {
    fn new(members: u32) -> Self {
        let members = (0..members).map(|member| (member, Default::default())).collect();
        let mut this = Self { fleet: Fleet::new(1), members, start: start(), second: 0, sent: 0 };
        this.round();
        this
    }

    fn now(&self) -> Instant {
        self.start + SECOND * u32::try_from(self.second).unwrap()
    }

    /// Everybody reports and is told.
    fn round(&mut self) {
        let now = self.now();
        self.sent += 1;
        for (source, (breaker, counted)) in &self.members {
            let said = Evidence { asked: counted.asked, ..breaker.evidence() };
            self.fleet.hear(&RULE, source, (Stamp { life: 1, sent: self.sent }, said), now);
        }
        for (source, verdict) in self.fleet.turn(&RULE, now) {
            self.members.get_mut(&source).unwrap().0.obey(&verdict, now);
        }
    }

    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.second += 1;
            self.round();
        }
    }

    /// An attempt that ends at once; false: it was kept out.
    fn attempt(&mut self, member: u32, outcome: Outcome) -> bool {
        let now = self.now();
        let (breaker, counted) = self.members.get_mut(&member).unwrap();
        counted.asked += 1;
        breaker.admit(now).map(|ticket| breaker.record(&RULE, ticket, outcome, now)).is_ok()
    }

    fn fail(&mut self, member: u32, times: u32) {
        for _ in 0..times {
            assert!(self.attempt(member, Outcome::Failure), "member {member} was kept out");
        }
    }

    fn phases(&self) -> Vec<Phase> {
        let phase = |breaker: &Breaker| breaker.trouble(self.now()).map_or(Phase::Closed, |trouble| trouble.phase);
        self.members.values().map(|(breaker, _)| phase(breaker)).collect()
    }
}

use Outcome::{Failure as Bad, Success as Good};
use Phase::{Closed, HalfOpen, Open};

/// Attempts of members, and what the breaker is after them.
type Row<'a> = (&'a str, &'a [(u32, Outcome)], Phase);

#[test]
fn failures_of_several_open_it_for_all_of_them_and_a_success_of_anybody_breaks_the_row() {
    let rows: [Row<'_>; 5] = [
        ("four, of whomever", &[(0, Bad), (1, Bad), (0, Bad), (1, Bad)], Open),
        ("three", &[(0, Bad), (1, Bad), (0, Bad)], Closed),
        ("four, and a success among them", &[(0, Bad), (1, Bad), (0, Bad), (1, Good), (0, Bad)], Closed),
        (
            "half of ten",
            &[(0, Good), (1, Bad), (2, Good), (1, Bad), (0, Good), (1, Bad), (2, Good), (0, Bad), (0, Good), (2, Bad)],
            Open,
        ),
        ("what says nothing", &[(0, Outcome::Neutral), (1, Outcome::Crowded(0)), (0, Bad)], Closed),
    ];
    for (row, attempts, want) in rows {
        let mut bench = Bench::new(4);
        for (member, outcome) in attempts {
            bench.attempt(*member, *outcome);
            bench.round();
        }
        assert_eq!(bench.phases(), [want; 4], "{row}");
    }
}

#[test]
fn what_was_before_the_first_report_is_of_no_certain_age_and_does_not_count() {
    let mut bench = Bench::new(0);
    bench.members.insert(0, Default::default());
    bench.fail(0, 3);
    bench.round();
    bench.fail(0, 1);
    bench.round();
    assert_eq!(bench.fleet.state, State::Closed, "its own breaker is open, and that is all");
    assert_eq!(bench.phases(), [Open]);
}

#[test]
fn a_few_that_were_asked_last_probe_and_close_it_for_everybody() {
    let mut bench = Bench::new(6);
    bench.fail(0, 2);
    bench.fail(1, 2);
    bench.round();
    assert_eq!(bench.phases(), [Open; 6]);
    for second in 0..4 {
        bench.wait(1);
        assert!((0..6).all(|member| !bench.attempt(member, Good)), "second {second}");
    }
    for member in [1, 2] {
        bench.wait(1);
        assert!(bench.attempt(member, Good), "member {member}");
    }
    assert!(!bench.attempt(4, Good), "three are enough");
    assert_eq!(bench.phases().iter().filter(|phase| **phase == HalfOpen).count(), PROBERS);
    bench.wait(1);
    assert_eq!(bench.phases(), [Closed; 6], "one good probe of each of two");
}

#[test]
fn a_failed_probe_opens_it_for_longer_and_others_probe_next() {
    let mut bench = Bench::new(2);
    bench.fail(0, 4);
    bench.round();
    bench.attempt(0, Good);
    bench.wait(5);
    assert_eq!(bench.phases(), [HalfOpen, Open], "nobody wants it at the other one");
    assert!(bench.attempt(0, Bad));
    bench.wait(9);
    assert!(!bench.attempt(1, Good), "twice as long");
    bench.attempt(0, Good);
    bench.wait(2);
    assert_eq!(bench.phases(), [Open, HalfOpen], "the probe of the first one failed");
    assert!(bench.attempt(1, Good) && bench.attempt(1, Good));
    bench.wait(1);
    assert_eq!(bench.phases(), [Closed; 2]);
}

#[test]
fn whoever_was_chosen_and_is_not_asked_any_more_gets_company() {
    let mut bench = Bench::new(5);
    bench.fail(0, 4);
    bench.round();
    bench.attempt(0, Good);
    bench.wait(5);
    assert_eq!(bench.phases(), [HalfOpen, Open, Open, Open, Open]);
    assert!(!bench.attempt(4, Good), "it is not its turn");
    bench.wait(1);
    assert_eq!(bench.phases(), [HalfOpen, Open, Open, Open, HalfOpen], "there is room for three");
    bench.members.remove(&0);
    bench.fleet.forget(bench.now() + FORGET / 2);
    assert_eq!(bench.fleet.probers.len(), 2);
    bench.wait(10);
    bench.fleet.forget(bench.now());
    assert_eq!(bench.fleet.probers.len(), 1, "a source that is gone has no place");
}

#[test]
fn it_is_said_that_the_fleet_keeps_it_open_longer_than_its_own_rule() {
    let mut bench = Bench::new(2);
    let cause = |bench: &Bench, member| bench.members[&member].0.trouble(bench.now()).unwrap().cause;
    bench.fail(0, 4);
    bench.round();
    let fleet = Cause::Fleet { failed: 4, of: 4 };
    assert_eq!((cause(&bench, 0), cause(&bench, 1)), (fleet, fleet), "for the lease is longer");
    let epoch = |bench: &Bench| bench.members[&0].0.epoch();
    let before = epoch(&bench);
    bench.wait(4);
    assert_eq!(epoch(&bench), before, "and that is no change");
    let mut breaker = Breaker::default();
    let rule = Rule { open_for: LEASE * 2, ..RULE };
    for _ in 0..4 {
        let ticket = breaker.admit(bench.now()).unwrap();
        breaker.record(&rule, ticket, Bad, bench.now());
    }
    let verdict = Verdict { turn: 1, say: Say::StayOut, lease: LEASE, failed: 1, of: 1 };
    breaker.obey(&verdict, bench.now());
    assert_eq!((breaker.cause(), breaker.until()), (Cause::InARow(4), Some(bench.now() + LEASE * 2)));
}

#[test]
fn who_hears_nothing_any_more_goes_on_by_himself_with_a_probe() {
    let mut bench = Bench::new(2);
    bench.fail(0, 4);
    bench.round();
    bench.second += 5;
    assert!(!bench.attempt(1, Good));
    bench.second += 1;
    assert!(bench.attempt(1, Bad), "the lease is over");
    assert_eq!(bench.phases()[1], Open, "and its own rule counts");
}

#[test]
fn it_goes_by_an_edited_rule_at_once_and_a_reset_closes_it_for_all() {
    let mut bench = Bench::new(2);
    bench.fail(0, 4);
    bench.round();
    bench.second = 1;
    let quick = Rule { open_for: SECOND, ..RULE };
    let now = bench.now();
    assert!(bench.fleet.turn(&quick, now).iter().any(|(_, verdict)| verdict.say == Say::Probe));
    bench.fleet.close();
    bench.round();
    assert_eq!(bench.phases(), [Closed; 2]);
}

/// Random numbers without a dependency: splitmix64.
fn roll(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ (mixed >> 27)) >> 16) % below
}

/// A sidecar of the storm: its breaker, and what it was last told that it has to keep to.
#[derive(Default)]
struct Sidecar {
    breaker: Breaker,
    asked: u64,
    /// The newest verdict, and when it came.
    told: Option<(Verdict, u64)>,
    open: Vec<Ticket>,
}

/// Sidecars, a leader, a backend that comes and goes, and a network that loses, repeats and reorders.
struct Storm {
    seed: u64,
    milli: u64,
    start: Instant,
    fleet: Fleet<u32>,
    /// Hears each report once and in order.
    calm: Fleet<u32>,
    sidecars: Vec<Sidecar>,
    reports: Vec<(u32, Stamp, Evidence)>,
    verdicts: Vec<(u32, Verdict)>,
    sent: u64,
    well: bool,
    foul: bool,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let sidecars = (0..6).map(|_| Sidecar::default()).collect();
        let (fleet, calm) = (Fleet::new(1), Fleet::new(1));
        let (reports, verdicts) = (Vec::new(), Vec::new());
        Self {
            seed,
            milli: 0,
            start: start(),
            fleet,
            calm,
            sidecars,
            reports,
            verdicts,
            sent: 0,
            well: true,
            foul: true,
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.milli)
    }

    fn roll(&mut self, below: u64) -> u64 {
        roll(&mut self.seed, below)
    }

    /// Somebody wants to ask the backend.
    fn ask(&mut self) {
        let (now, milli, well) = (self.now(), self.milli, self.well);
        let member = self.roll(6) as usize;
        let ends = self.roll(3);
        let sidecar = &mut self.sidecars[member];
        sidecar.asked += 1;
        let admitted = sidecar.breaker.admit(now);
        if let Some((verdict, at)) = sidecar.told.filter(|_| admitted.is_ok()) {
            let is_out = verdict.say == Say::StayOut && milli < at + LEASE.as_millis() as u64;
            assert!(!is_out, "{verdict:?} came to {member} at {at}, and it asks at {milli}");
        }
        sidecar.open.extend(admitted.ok());
        let over = if ends == 0 { 0 } else { sidecar.open.len() };
        for ticket in sidecar.open.drain(..over) {
            sidecar.breaker.record(&RULE, ticket, if well { Good } else { Bad }, now);
        }
    }

    fn report(&mut self, member: u32) {
        let (now, foul) = (self.now(), self.foul);
        self.sent += 1;
        let sidecar = &self.sidecars[member as usize];
        let said = Evidence { asked: sidecar.asked, ..sidecar.breaker.evidence() };
        let stamp = Stamp { life: 1, sent: self.sent };
        let lost = foul && self.roll(3) == 0;
        if lost {
            return;
        }
        self.calm.hear(&RULE, &member, (stamp, said), now);
        self.fleet.hear(&RULE, &member, (stamp, said), now);
        self.reports.push((member, stamp, said));
        // Some come once more, at any time.
        while foul && self.roll(3) == 0 {
            let any = self.roll(self.reports.len() as u64) as usize;
            let (member, stamp, said) = self.reports[any];
            assert!(!self.fleet.hear(&RULE, &member, (stamp, said), now), "an old report changes nothing");
        }
    }

    fn tell(&mut self) {
        let (now, milli) = (self.now(), self.milli);
        let before = self.fleet.turn;
        let told = self.fleet.turn(&RULE, now);
        self.calm.turn(&RULE, now);
        assert_eq!((self.fleet.turn, self.fleet.state), (self.calm.turn, self.calm.state), "repeats change nothing");
        assert!(before <= self.fleet.turn);
        let seated = self.fleet.probers.values().filter(|chosen| now < **chosen + SEAT).count();
        assert!(seated <= PROBERS, "{seated} probe");
        self.verdicts.extend(told);
        while let Some(any) = self.verdicts.len().checked_sub(1) {
            let any = if self.foul { self.roll(any as u64 + 1) as usize } else { 0 };
            let (member, verdict) = self.verdicts.remove(any);
            let fate = if self.foul { self.roll(4) } else { 3 };
            if fate == 0 {
                continue;
            }
            let sidecar = &mut self.sidecars[member as usize];
            sidecar.breaker.obey(&verdict, now);
            if sidecar.told.is_none_or(|(told, _)| told.turn <= verdict.turn) {
                sidecar.told = Some((verdict, milli));
            }
            if fate == 1 {
                self.verdicts.push((member, verdict));
                break;
            }
        }
    }

    fn step(&mut self) {
        self.milli += [0, 10, 100, 300][self.roll(4) as usize];
        match self.roll(8) {
            0..4 => self.ask(),
            4..7 => {
                let member = self.roll(6) as u32;
                self.report(member);
            }
            _ => self.tell(),
        }
    }
}

#[test]
fn whatever_the_network_does_nobody_asks_who_is_to_stay_out_and_it_ends_when_the_backend_is_well() {
    let mut opened = 0;
    for seed in 0..1_000 {
        let mut storm = Storm::new(seed);
        for step in 0..400 {
            if step % 80 == 0 {
                storm.well = storm.roll(2) == 0;
            }
            storm.step();
        }
        opened += u64::from(storm.fleet.spoke);
        (storm.well, storm.foul) = (true, false);
        let calm = storm.milli;
        while storm.milli < calm + 60_000 {
            storm.step();
        }
        assert_eq!(storm.fleet.state, State::Closed, "seed {seed}");
        for (member, sidecar) in storm.sidecars.iter().enumerate() {
            assert_eq!(sidecar.breaker.refusal(storm.now()), None, "seed {seed}, member {member}");
        }
    }
    assert!(opened > 600, "{opened} have opened");
}
