//! Random schedules of arrivals, ends, returns, corrections, departures, resizes and jumps in time, against a model that
//! remembers everything.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const WIDE: LimitId = LimitId(1);
const OWN: LimitId = LimitId(2);

/// What was used of one limit by one tenant, for ever.
type Log = Vec<Use>;

#[derive(Clone, Copy, Debug)]
struct Use {
    at: Nanos,
    /// How much of it counts.
    amount: u64,
    /// The burst bounds it: not what was billed beyond an estimate, nor what was taken under other rates.
    paced: bool,
}

/// Where a request is in the logs: of requests and of tokens, for both limits.
#[derive(Clone, Copy)]
struct Request {
    tenant: u64,
    tokens: u64,
    at: [usize; 2],
}

struct Model {
    limiter: Limiter<u32>,
    rules: [Rule; 2],
    /// By limit, tenant and whether it is of tokens.
    used: BTreeMap<(LimitId, u64, bool), Log>,
    /// What had left a window before it was made longer is not known any more.
    known_since: [Nanos; 2],
    inside: BTreeMap<u32, (Request, Pass)>,
    waiting: BTreeMap<u32, (Request, Ticket)>,
    events: Vec<Event<u32>>,
    now: Nanos,
    turned_away: usize,
}

impl Model {
    fn new(shape: u64) -> Self {
        let bits = |at: u32, of: u64| (shape >> at) % of;
        let queue = (bits(0, 2) == 0).then_some(QueueRule { depth: 4, timeout: 1 << 40 });
        let wide = Rule {
            requests: (bits(1, 4) > 0).then_some(2 + bits(3, 6)),
            tokens: (bits(6, 4) > 0).then_some(10 + bits(8, 40)),
            window: 1 + bits(14, 1_000),
            burst: None,
            concurrency: (bits(24, 2) == 0).then_some(3),
            queue,
            ..rule(1)
        };
        let burst = (bits(25, 2) == 0).then_some(9 + bits(26, 8));
        let own = Rule { tokens: Some(9 + bits(29, 30)), window: 1 + bits(34, 300), burst, queue, ..rule(2) };
        let rules = [wide, own];
        let mut limiter = Limiter::default();
        limiter.resize(0, &rules, &mut Vec::new());
        Self {
            limiter,
            rules,
            used: BTreeMap::new(),
            known_since: [0; 2],
            inside: BTreeMap::new(),
            waiting: BTreeMap::new(),
            events: Vec::new(),
            now: 0,
            turned_away: 0,
        }
    }

    fn ask(&mut self, name: u32, tenant: u64, tokens: u64) {
        let keys = [Key { limit: WIDE, tenant: 0, name: "" }, Key { limit: OWN, tenant, name: "x" }];
        let ask = Ask { keys: &keys, turn: tenant, tokens, at_least: 1, deadline: Nanos::MAX, crowd: None };
        let request = Request { tenant, tokens, at: [0; 2] };
        match self.limiter.ask(self.now, &ask, &mut self.events, || name) {
            Verdict::Pass(pass) => self.admitted(name, request, pass),
            Verdict::Wait(ticket) => _ = self.waiting.insert(name, (request, ticket)),
            Verdict::Refuse(refusal) => assert!(refusal.why == Why::Over || self.limiter.waiting() > 0, "{refusal:?}"),
        }
    }

    fn keys(&self, tenant: u64) -> [(usize, LimitId, u64); 2] {
        [(0, WIDE, 0), (1, OWN, tenant)]
    }

    fn admitted(&mut self, name: u32, mut request: Request, pass: Pass) {
        for (index, limit, tenant) in self.keys(request.tenant) {
            let rule = &self.rules[index];
            let rate = |bound: Option<u64>| bound.map(|bound| (bound, rule.burst.unwrap_or(bound).min(bound)));
            let tokens = rate(rule.tokens).map_or(0, |(_, most)| request.tokens.min(most));
            for (of_tokens, amount, bound) in [(false, 1, rule.requests), (true, tokens, rule.tokens)] {
                let log = self.used.entry((limit, tenant, of_tokens)).or_default();
                log.push(Use { at: self.now, amount, paced: true });
                request.at[index] = log.len() - 1;
                let Some(bound) = bound else { continue };
                // All windows that end here; those that end between two admissions hold less.
                let since =
                    self.now.checked_sub(rule.window).map(|at| at + 1).unwrap_or(0).max(self.known_since[index]);
                let sum: u64 = log.iter().filter(|one| one.at >= since).map(|one| one.amount).sum();
                assert!(sum <= bound, "{sum} of {bound} in the window to {} of {limit:?} {tenant}: {log:?}", self.now);
                if let Some(burst) = rule.burst.filter(|burst| *burst < bound) {
                    paced(log, self.now, burst, Rate { limit: bound, window: rule.window, burst: None });
                }
            }
        }
        if let Some(bound) = self.rules[0].concurrency {
            assert!(self.inside.len() < bound as usize, "in flight");
        }
        self.inside.insert(name, (request, pass));
    }

    /// Whoever waited and got an answer.
    fn hear(&mut self) {
        for (name, answer) in std::mem::take(&mut self.events) {
            let (request, ticket) = self.waiting.remove(&name).expect("only who waits is answered, once");
            match answer {
                Ok(pass) => {
                    let overtaken =
                        |(other, earlier): &&(Request, Ticket)| other.tenant == request.tenant && *earlier < ticket;
                    assert!(self.waiting.values().find(overtaken).is_none(), "{name} has overtaken");
                    self.admitted(name, request, pass);
                }
                // Whoever has waited elsewhere may find the next queue full.
                Err(refusal) => self.turned_away += usize::from(!matches!(refusal.why, Why::QueueFull { .. })),
            }
        }
    }

    fn end(&mut self, nth: u64, returned: bool, used: u64) {
        let Some(name) = self.inside.keys().nth(nth as usize % self.inside.len().max(1)).copied() else { return };
        let (request, pass) = self.inside.remove(&name).unwrap();
        for (index, limit, tenant) in self.keys(request.tenant) {
            let reserved = self.used[&(limit, tenant, true)][request.at[index]].amount;
            let owed = |amount| Use { at: self.now, amount, paced: false };
            let tokens = self.used.get_mut(&(limit, tenant, true)).unwrap();
            tokens[request.at[index]].amount = if returned { 0 } else { reserved.min(used) };
            if !returned && used > reserved && self.rules[index].tokens.is_some() {
                tokens.push(owed(used - reserved));
                // Other entries keep their places: this one is the last of its log, and the other log gets one as well.
                self.used.get_mut(&(limit, tenant, false)).unwrap().push(owed(0));
            }
            if returned {
                self.used.get_mut(&(limit, tenant, false)).unwrap()[request.at[index]].amount = 0;
            }
        }
        if returned {
            self.limiter.give_back(self.now, pass, &mut self.events);
        } else {
            self.limiter.settle(self.now, pass, used, &mut self.events);
        }
        self.hear();
    }

    fn resize(&mut self, index: usize, limit: u64, window: Nanos) {
        let rule = &mut self.rules[index];
        let known = self.now.saturating_sub(rule.window);
        if window > rule.window {
            self.known_since[index] = self.known_since[index].max(known + 1);
        }
        (rule.tokens, rule.window) = (rule.tokens.map(|_| limit), window);
        let id = rule.id;
        for log in self.used.iter_mut().filter(|((limit, ..), _)| *limit == id).map(|(_, log)| log) {
            log.iter_mut().for_each(|one| one.paced = false);
        }
        self.limiter.resize(self.now, &self.rules, &mut self.events);
        self.hear();
    }

    /// Time passes, from alarm to alarm; sometimes nobody looks in between.
    fn pass_time(&mut self, by: Nanos, look: bool) {
        let until = self.now + by;
        while let Some(next) = self.limiter.next().filter(|next| look && *next <= until) {
            self.now = next.max(self.now);
            self.limiter.turn(self.now, &mut self.events);
            self.hear();
        }
        self.now = until;
    }

    fn step(&mut self, name: u32, word: u64) {
        let bits = |at: u32, of: u64| (word >> at) % of;
        match bits(0, 16) {
            0..=6 => self.ask(name, bits(4, 3), 1 + bits(8, 12)),
            7..=8 => self.end(bits(4, 8), false, bits(8, 14)),
            9 => self.end(bits(4, 8), false, bits(8, 60)),
            10 => self.end(bits(4, 8), true, 0),
            11 => {
                let nth = bits(4, 8) as usize;
                let left = self.waiting.keys().nth(nth).copied();
                if let Some((_, ticket)) = left.and_then(|name| self.waiting.remove(&name)) {
                    self.limiter.leave(self.now, ticket, &mut self.events);
                }
            }
            12 => self.resize(bits(4, 2) as usize, 9 + bits(8, 40), 1 + bits(16, 1_000)),
            13 => self.pass_time(bits(8, 2_000), true),
            _ => self.pass_time(bits(8, 60), bits(4, 4) > 0),
        }
        self.hear();
        assert!(self.limiter.limits.iter().all(|limit| limit.waiting <= 4), "a queue is deeper than it may be");
    }

    /// Everything ends: whoever waits is served, and nothing is left behind.
    fn drain(&mut self) {
        let away = self.turned_away;
        for _ in 0..10_000 {
            while !self.inside.is_empty() {
                self.end(0, false, 1);
            }
            if self.waiting.is_empty() {
                break;
            }
            let next = self.limiter.next().expect("nothing is in flight, so time alone serves those who wait");
            assert!(next < 1 << 40, "nobody is turned away when there is room");
            self.pass_time(next.saturating_sub(self.now), true);
        }
        assert_eq!((self.limiter.waiting(), self.limiter.next(), self.turned_away - away), (0, None, 0));
        self.now += 1 << 30;
        for limit in self.limiter.reports(self.now, 9) {
            assert_eq!((limit.tenants, limit.waiting, limit.top.len()), (0, 0, 0), "{limit:?}");
        }
    }
}

/// In no stretch of time that ends now is more used than the burst and what has refilled since it began.
fn paced(log: &Log, now: Nanos, burst: u64, rate: Rate) {
    let mut sum = 0;
    for one in log.iter().rev().filter(|one| one.paced) {
        sum += one.amount;
        let refilled = rate.limit * (now - one.at);
        assert!(sum * rate.window <= burst * rate.window + refilled, "{sum} at once of {burst} at {now}: {log:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_window_is_ever_over_the_limit_and_nobody_is_forgotten(
        shape: u64, words in proptest::collection::vec(any::<u64>(), 1..22),
    ) {
        let mut model = Model::new(shape);
        for (name, word) in (0..).zip(words) {
            model.step(name, word);
        }
        model.drain();
    }
}
