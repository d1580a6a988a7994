use super::*;

mod promise;

const SECOND: Nanos = 1_000_000_000;
const MINUTE: Nanos = 60 * SECOND;

/// One limit under test and what it said, by a small name for each request.
struct World {
    limiter: Limiter<u32>,
    passes: HashMap<u32, Pass>,
    tickets: HashMap<u32, Ticket>,
    events: Vec<Event<u32>>,
}

fn rule(id: u64) -> Rule {
    Rule {
        id: LimitId(id),
        name: format!("limit-{id}").into(),
        requests: None,
        tokens: None,
        window: MINUTE,
        burst: None,
        concurrency: None,
        queue: None,
    }
}

const QUEUE: Option<QueueRule> = Some(QueueRule { depth: 4, timeout: 30 * SECOND });

impl World {
    fn new(rules: &[Rule]) -> Self {
        let mut limiter = Limiter::default();
        limiter.resize(0, rules, &mut Vec::new());
        Self { limiter, passes: HashMap::new(), tickets: HashMap::new(), events: Vec::new() }
    }

    /// What becomes of request `name` of `tenant`: `pass`, `wait` or why not.
    fn ask(&mut self, at: Nanos, name: u32, tenant: u64, tokens: u64) -> String {
        self.ask_until(at, name, tenant, tokens, Nanos::MAX)
    }

    fn ask_until(&mut self, at: Nanos, name: u32, tenant: u64, tokens: u64, deadline: Nanos) -> String {
        let label = tenant.to_string();
        let keys: Vec<Key<'_>> =
            self.limiter.limits.iter().map(|limit| Key { limit: limit.rule.id, tenant, name: &label }).collect();
        let ask = Ask { keys: &keys, turn: tenant, tokens, at_least: tokens, deadline, crowd: None };
        match self.limiter.ask(at, &ask, &mut self.events, || name) {
            Verdict::Pass(pass) => {
                self.passes.insert(name, pass);
                "pass".into()
            }
            Verdict::Wait(ticket) => {
                self.tickets.insert(name, ticket);
                "wait".into()
            }
            Verdict::Refuse(refusal) => said(&refusal),
        }
    }

    fn settle(&mut self, at: Nanos, name: u32, tokens: u64) {
        let pass = self.passes.remove(&name).unwrap();
        self.limiter.settle(at, pass, tokens, &mut self.events);
    }

    fn give_back(&mut self, at: Nanos, name: u32) {
        let pass = self.passes.remove(&name).unwrap();
        self.limiter.give_back(at, pass, &mut self.events);
    }

    /// Lets time pass, from alarm to alarm, and says what happened to those who waited.
    fn until(&mut self, at: Nanos) -> Vec<String> {
        while let Some(next) = self.limiter.next().filter(|next| *next <= at) {
            self.limiter.turn(next, &mut self.events);
        }
        self.happened()
    }

    fn happened(&mut self) -> Vec<String> {
        let said = |passes: &mut HashMap<u32, Pass>, (name, answer): Event<u32>| match answer {
            Ok(pass) => {
                passes.insert(name, pass);
                format!("{name} pass")
            }
            Err(refusal) => format!("{name} {}", said(&refusal)),
        };
        std::mem::take(&mut self.events).into_iter().map(|event| said(&mut self.passes, event)).collect()
    }
}

impl<W> Limiter<W> {
    fn reports(&mut self, now: Nanos, top: usize) -> Vec<LimitReport> {
        (0..).map_while(|index| self.report(now, index, top)).collect()
    }
}

fn said(refusal: &Refusal) -> String {
    let Refusal { limit, what, why, ready_in, .. } = refusal;
    let why = match why {
        Why::Over => "over",
        Why::Never => "never",
        Why::QueueFull { .. } => "full",
        Why::Crowded { .. } => "crowded",
        Why::TooLate { .. } => "late",
        Why::Waited { .. } => "waited",
    };
    format!("{why} {what:?} of {limit} for {}s", ready_in.div_ceil(SECOND))
}

#[test]
fn all_are_checked_before_any_is_taken_from() {
    let wide = Rule { requests: Some(2), ..rule(1) };
    let narrow = Rule { tokens: Some(100), ..rule(2) };
    let mut world = World::new(&[wide, narrow]);
    let steps = [
        (0, 1, 60, "pass"),
        (1, 2, 60, "over Tokens of limit-2 for 59s"),
        (2, 3, 60, "over Tokens of limit-2 for 58s"),
        (3, 4, 40, "pass"),
        (4, 5, 1, "over Requests of limit-1 for 56s"),
        (5, 6, 101, "never Tokens of limit-2 for 0s"),
        (60, 7, 60, "pass"),
    ];
    for (at, name, tokens, want) in steps {
        assert_eq!(world.ask(at * SECOND, name, 0, tokens), want, "at {at}");
    }
}

#[test]
fn tokens_are_reserved_and_corrected_by_what_was_used() {
    let mut world = World::new(&[Rule { tokens: Some(100), ..rule(1) }]);
    let left = |world: &mut World, at: Nanos| world.limiter.reports(at, 1)[0].top[0].tokens;
    assert_eq!(world.ask(0, 1, 0, 80), "pass");
    world.settle(SECOND, 1, 30);
    assert_eq!(left(&mut world, SECOND), 30, "what was not used is free");
    assert_eq!(world.ask(2 * SECOND, 2, 0, 50), "pass");
    world.settle(3 * SECOND, 2, 150);
    assert_eq!(left(&mut world, 3 * SECOND), 180, "what was used beyond is owed");
    assert_eq!(world.ask(4 * SECOND, 3, 0, 1), "over Tokens of limit-1 for 59s", "until it has been worked off");
    assert_eq!(world.ask(64 * SECOND, 4, 0, 21), "over Tokens of limit-1 for 56s", "80 came late and count late");
    assert_eq!(world.ask(64 * SECOND, 5, 0, 20), "pass");
}

#[test]
fn what_never_reached_a_provider_is_as_if_it_had_not_been() {
    let mut world = World::new(&[Rule { requests: Some(1), tokens: Some(10), concurrency: Some(1), ..rule(1) }]);
    assert_eq!(world.ask(0, 1, 0, 10), "pass");
    assert!(world.ask(1, 2, 0, 10).starts_with("over"));
    world.give_back(2, 1);
    assert_eq!(world.ask(3, 3, 0, 10), "pass");
}

#[test]
fn one_tenant_is_not_the_other() {
    let mut world = World::new(&[Rule { requests: Some(1), ..rule(1) }]);
    for (name, tenant, want) in
        [(1, 1, "pass"), (2, 2, "pass"), (3, 1, "over Requests of limit-1 for 60s"), (4, 3, "pass")]
    {
        assert_eq!(world.ask(0, name, tenant, 1), want, "{name}");
    }
}

#[test]
fn a_burst_spreads_what_the_window_allows() {
    let mut world = World::new(&[Rule { requests: Some(60), burst: Some(2), ..rule(1) }]);
    let steps =
        [(0, "pass"), (0, "pass"), (0, "over Requests of limit-1 for 1s"), (1, "pass"), (3, "pass"), (3, "pass")];
    for (name, (at, want)) in (0..).zip(steps) {
        assert_eq!(world.ask(at * SECOND, name, 0, 1), want, "step {name}");
    }
}

#[test]
fn who_waits_is_served_in_turns_as_places_become_free() {
    let mut world = World::new(&[Rule { concurrency: Some(1), queue: QUEUE, ..rule(1) }]);
    // One limit for all; tenants only take turns in it.
    let ask = |world: &mut World, name: u32, turn: u64| {
        let keys = [Key { limit: LimitId(1), tenant: 0, name: "" }];
        let ask = Ask { keys: &keys, turn, tokens: 1, at_least: 1, deadline: Nanos::MAX, crowd: None };
        match world.limiter.ask(0, &ask, &mut world.events, || name) {
            Verdict::Pass(pass) => _ = world.passes.insert(name, pass),
            Verdict::Wait(ticket) => _ = world.tickets.insert(name, ticket),
            Verdict::Refuse(refusal) => world.events.push((name, Err(refusal))),
        }
    };
    for (name, turn) in [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1)] {
        ask(&mut world, name, turn);
    }
    assert_eq!(world.happened(), ["6 full Concurrency of limit-1 for 5s"], "the queue has four places");
    ask(&mut world, 7, 2);
    assert_eq!(world.happened(), ["5 full Concurrency of limit-1 for 4s"], "who has most in it makes place for others");
    for (done, want) in [(1, "2 pass"), (2, "7 pass"), (7, "3 pass"), (3, "4 pass")] {
        world.settle(0, done, 1);
        assert_eq!(world.happened(), [want], "after {done}");
    }
    assert_eq!((world.limiter.waiting(), world.limiter.next()), (0, None));
}

#[test]
fn who_waits_for_a_window_is_served_when_it_has_room() {
    let mut world = World::new(&[Rule { tokens: Some(100), queue: QUEUE, window: 20 * SECOND, ..rule(1) }]);
    let said: Vec<String> = [(1, 90), (2, 50), (3, 10)].map(|(name, tokens)| world.ask(0, name, 0, tokens)).into();
    assert_eq!(said, ["pass", "wait", "wait"], "there is room for the third, but the second one was first");
    assert_eq!(world.ask(SECOND, 4, 0, 100), "late Tokens of limit-1 for 39s", "it would have its turn after 30s");
    assert_eq!(world.until(19 * SECOND), [""; 0]);
    assert_eq!(world.until(20 * SECOND), ["2 pass", "3 pass"]);
}

#[test]
fn nobody_waits_past_a_deadline_and_who_leaves_makes_way() {
    let mut world = World::new(&[Rule { requests: Some(1), concurrency: Some(1), queue: QUEUE, ..rule(1) }]);
    assert_eq!(world.ask(0, 1, 0, 1), "pass");
    let deadline = 10 * SECOND;
    assert_eq!(world.ask_until(0, 2, 0, 1, deadline), "late Requests of limit-1 for 60s");
    let mut world = World::new(&[Rule { concurrency: Some(1), queue: QUEUE, ..rule(1) }]);
    let said: Vec<String> = [1, 2, 3].map(|name| world.ask_until(0, name, 0, 1, deadline)).into();
    assert_eq!(said, ["pass", "wait", "wait"]);
    world.limiter.leave(SECOND, world.tickets[&2], &mut world.events);
    assert_eq!(world.until(deadline), ["3 late Concurrency of limit-1 for 1s"]);
    assert_eq!(world.ask(deadline, 4, 0, 1), "wait");
    assert_eq!(world.until(deadline + 30 * SECOND), ["4 waited Concurrency of limit-1 for 1s"]);
}

#[test]
fn a_resize_keeps_what_was_used_and_serves_who_waits_for_less() {
    let before = Rule { requests: Some(2), queue: QUEUE, window: 20 * SECOND, ..rule(1) };
    let mut world = World::new(std::slice::from_ref(&before));
    let said: Vec<String> = [1, 2, 3, 4].map(|name| world.ask(0, name, 0, 1)).into();
    assert_eq!(said, ["pass", "pass", "wait", "wait"]);
    let resize = |world: &mut World, rules: &[Rule]| {
        world.limiter.resize(SECOND, rules, &mut world.events);
        world.happened()
    };
    assert_eq!(resize(&mut world, &[Rule { requests: Some(3), ..before.clone() }]), ["3 pass"]);
    assert_eq!(resize(&mut world, &[Rule { requests: Some(1), ..before.clone() }]), [""; 0]);
    assert_eq!(world.limiter.reports(SECOND, 1)[0].top[0].requests, 3);
    assert_eq!(resize(&mut world, &[rule(2)]), ["4 pass"], "its limit is gone");
    for name in [1, 2, 3] {
        world.settle(2 * SECOND, name, 1);
    }
    assert_eq!(resize(&mut world, &[before]), [""; 0]);
    assert_eq!(world.ask(3 * SECOND, 5, 0, 1), "pass", "one that comes back is new");
    world.settle(4 * SECOND, 4, 1);
}

#[test]
fn a_queue_holds_for_those_who_come_from_another_one_too() {
    let first = Rule { concurrency: Some(2), queue: Some(QueueRule { depth: 9, timeout: 50 * SECOND }), ..rule(1) };
    let rows = [
        ("its depth", 1, 50, vec!["4 full Tokens of limit-2 for 39s"], vec!["3 pass"]),
        (
            "its timeout, from when the wait began",
            9,
            30,
            vec![],
            vec!["3 waited Tokens of limit-2 for 10s", "4 waited Tokens of limit-2 for 10s"],
        ),
    ];
    for (row, depth, timeout, moved, later) in rows {
        let queue = Some(QueueRule { depth, timeout: timeout * SECOND });
        let mut world = World::new(&[first.clone(), Rule { tokens: Some(100), queue, ..rule(2) }]);
        // Both limits are in the way of the last two, and they wait for the first one.
        let said: Vec<String> = [(0, 1, 45), (0, 2, 45), (20, 3, 20), (20, 4, 20)]
            .map(|(at, name, n)| world.ask(at * SECOND, name, 0, n))
            .into();
        assert_eq!(said, ["pass", "pass", "wait", "wait"], "{row}");
        world.settle(21 * SECOND, 1, 45);
        assert_eq!(world.happened(), moved, "{row}");
        assert_eq!(world.until(65 * SECOND), later, "{row}");
    }
}

#[test]
fn a_queue_that_is_made_shorter_turns_away_whom_it_would_not_have_taken() {
    let before = Rule { concurrency: Some(1), queue: QUEUE, ..rule(1) };
    let with = |depth, timeout| Some(QueueRule { depth, timeout });
    let rows = [
        (with(1, 30 * SECOND), vec!["3 full Concurrency of limit-1 for 2s"]),
        (with(4, SECOND), vec!["2 waited Concurrency of limit-1 for 1s", "3 waited Concurrency of limit-1 for 1s"]),
        (None, vec!["2 over Concurrency of limit-1 for 1s", "3 over Concurrency of limit-1 for 1s"]),
    ];
    for (queue, want) in rows {
        let mut world = World::new(std::slice::from_ref(&before));
        let said: Vec<String> = [1, 2, 3].map(|name| world.ask(0, name, 0, 1)).into();
        assert_eq!(said, ["pass", "wait", "wait"]);
        world.limiter.resize(2 * SECOND, &[Rule { queue, ..before.clone() }], &mut world.events);
        assert_eq!(world.happened(), want, "{queue:?}");
    }
}

#[test]
fn after_a_flood_of_names_each_has_a_count_of_its_own_again_and_nobody_a_second_one() {
    let mut world = World::new(&[Rule { requests: Some(2), ..rule(1) }]);
    let hash = |tenant: usize| (tenant as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for tenant in 0..=MAX_TENANTS {
        assert_eq!(world.ask(0, 0, hash(tenant), 1), "pass");
        world.settle(0, 0, 1);
    }
    // The last one found no place. It goes on, so what is shared is never empty.
    let (sharer, newcomer, later) = (hash(MAX_TENANTS), hash(MAX_TENANTS + 1), hash(MAX_TENANTS + 2));
    let steps = [
        (30, 1, sharer, "pass"),
        (31, 2, newcomer, "over Requests of limit-1 for 29s"),
        (61, 3, newcomer, "pass"),
        (61, 4, newcomer, "pass"),
        (61, 5, newcomer, "over Requests of limit-1 for 60s"),
        (62, 6, sharer, "pass"),
        (62, 7, sharer, "over Requests of limit-1 for 28s"),
    ];
    for (at, name, tenant, want) in steps {
        assert_eq!(world.ask(at * SECOND, name, tenant, 1), want, "{name}");
    }
    for name in [1, 6] {
        world.settle(63 * SECOND, name, 1);
    }
    let steps = [
        (64, 8, sharer, "over Requests of limit-1 for 26s"),
        (91, 9, sharer, "pass"),
        (91, 10, sharer, "over Requests of limit-1 for 31s"),
        (91, 11, later, "pass"),
        (91, 12, later, "pass"),
    ];
    for (at, name, tenant, want) in steps {
        assert_eq!(world.ask(at * SECOND, name, tenant, 1), want, "{name}");
    }
    let names: Vec<String> = world.limiter.reports(91 * SECOND, 9)[0].top.iter().map(|one| one.name.clone()).collect();
    assert!(names.contains(&sharer.to_string()), "it is counted apart again: {names:?}");
}

#[test]
fn a_million_made_up_tenants_share_one_limit_and_no_memory() {
    let mut world = World::new(&[Rule { requests: Some(1), ..rule(1) }]);
    let mut passed = 0;
    for tenant in 0..100_000u64 {
        let hash = tenant.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if world.ask(tenant, 0, hash, 1) == "pass" {
            passed += 1;
            world.settle(tenant, 0, 1);
        }
    }
    assert_eq!(passed, MAX_TENANTS + 1, "each known one its own, and all others one together");
    let tenants = |world: &mut World, at: Nanos| world.limiter.reports(at, 1)[0].tenants;
    assert_eq!(tenants(&mut world, SECOND), MAX_TENANTS + 1);
    assert_eq!(world.ask(30 * SECOND, 0, 1, 1), "over Requests of limit-1 for 31s", "a newcomer is one of the others");
    assert_eq!(tenants(&mut world, 2 * MINUTE), 0, "and all are forgotten");
    assert_eq!(world.ask(2 * MINUTE, 0, 1, 1), "pass");
}
