//! Random schedules of everything that can happen, against an observer who adds up what providers bill.

use proptest::prelude::*;

use super::world::*;
use crate::quota::*;

/// One thing happens. Ordinary things are more frequent than faults, or nothing would ever be spent.
fn step(world: &mut World, word: u64, strict: bool) {
    let bits = |at: u32, of: u64| (word >> at) % of;
    let nth = |at: u32| bits(at, 8) as usize;
    let slot = usize::from(bits(60, 8) == 0);
    world.now += bits(56, 16) * SECOND / 50;
    match bits(0, 50) {
        0..=7 => {
            let account = world.account(u64::from(bits(8, 8) == 0));
            let (money, tokens) = (1 + bits(20, 200), bits(32, 5).saturating_sub(1));
            world.admit(nth(16), Wanted { account, money, tokens, torn: bits(12, 32) == 0 });
        }
        8..=11 => world.settle(nth(8), nth(12), |reserved| match bits(16, 4) {
            0 if !strict => reserved + bits(20, 100),
            0 | 1 => reserved,
            _ => bits(20, reserved + 1),
        }),
        12..=16 => world.report(nth(8)),
        17..=21 => world.deliver_report(nth(8), slot, bits(16, 4) == 0),
        22..=25 => world.turn(slot),
        26..=29 => world.store(nth(8), bits(16, 8) > 0),
        30..=34 => world.deliver_rights(nth(8), bits(16, 4) == 0),
        35 => world.lose(nth(8)),
        36 => world.now += 1 + bits(8, 6 * SECOND),
        37 => fault(world, word >> 8),
        38..=40 => world.drain(nth(8), 1 + bits(12, 3)),
        41..=42 => world.renew(slot),
        43 => world.wish(nth(8), 1 + bits(12, 6)),
        44 => {
            let wanted = Wanted { account: world.account(0), money: 0, tokens: 1 + bits(12, 6), torn: false };
            world.admit(nth(8), wanted);
        }
        // Everything that is under way arrives, in order: otherwise few schedules would get anywhere.
        _ => world.round(),
    }
    world.check();
}

fn fault(world: &mut World, word: u64) {
    let bits = |at: u32, of: u64| (word >> at) % of;
    let (nth, slot) = (bits(8, 8) as usize, bits(16, 2) as usize);
    match bits(0, 12) {
        0 => world.crash(nth, true, &[bits(20, 50), 0, bits(30, 20)]),
        1 => world.crash(nth, false, &[bits(20, 50), 0, bits(30, 20)]),
        2 => world.take_over(slot),
        3 => world.retire(slot, nth),
        4 => world.leave(nth),
        5 if world.sidecars.len() < 6 => world.join(),
        6 => {
            world.period += 1;
            world.limit(world.account(0), 200 + bits(20, 2_000));
        }
        7 => world.limit(world.account(0), 100 + bits(20, 3_000)),
        8 => world.limit_rate(8 + bits(20, 80)),
        9 => world.bounce(nth),
        11 => world.forget(nth),
        // Long enough for leases to end, and for what nobody uses to be forgotten.
        10 => world.now += bits(20, 500) * SECOND,
        _ => world.reread(slot),
    }
}

/// What is left can be spent once faults are over.
fn spend_the_rest(world: &mut World) {
    let account = world.account(0);
    for sidecar in 0..world.sidecars.len() {
        while !world.sidecars[sidecar].flying.is_empty() {
            world.settle(sidecar, 0, |_| 0);
        }
    }
    if world.sidecars.is_empty() {
        return;
    }
    // Long enough for all demand to be seen, and then to be forgotten.
    for _ in 0..2 {
        world.now += 30 * SECOND;
        world.heal();
    }
    world.check();
    let statement = world.operators[0].as_ref().and_then(|one| one.machine.statement(account)).expect("it leads");
    let left = statement.limit.saturating_sub(statement.spent + statement.forfeited);
    assert_eq!((statement.held, statement.open), (0, 0), "{statement:?}");
    let limit = world.bills[&account].limit;
    let known = statement.spent + statement.granted + statement.forfeited;
    assert!(statement.limit == limit && (statement.granted == 0 || known <= limit), "{statement:?} of {limit}");
    if left > 0 {
        let mut refusal = None;
        for _ in 0..12 {
            refusal = world.admit(0, Wanted { account, money: left, tokens: 0, torn: false });
            if refusal.is_none() {
                break;
            }
            world.round();
        }
        assert_eq!(refusal, None, "{statement:?}");
    }
    world.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_schedule_passes_a_budget_or_a_rate_or_strands_anything_for_good(
        limit in 500..5_000_u64, rate in 8..100_u64, strict: bool, on_demand: bool, loss in 0..3_usize,
        words in proptest::collection::vec(any::<u64>(), 8..60),
    ) {
        let loss = [Loss::Hold, Loss::Floor, Loss::Deny][loss];
        let rule = RateRule { limit: rate, window: WINDOW, quantum: 1, loss, on_demand };
        let mut world = World::new(limit, rule, 3);
        (0..3).for_each(|_| world.round());
        for word in words {
            step(&mut world, word, strict);
        }
        spend_the_rest(&mut world);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reports_in_any_order_and_any_number_give_the_same_ledger(
        amounts in proptest::collection::vec((0..4_u32, 1..100_u64, 0..100_u64), 1..40), order: Vec<u16>,
    ) {
        let account = Account { budget: BUDGET, period: Period(1) };
        let mut reports = reports_of(account, &amounts);
        let ledger = |reports: &[((u32, u32), Report)]| {
            let mut machine = Allocator::take_over("one".into(), &Ledger::default(), token(0));
            machine.set_budget(account, 1 << 40, None);
            for (name, report) in reports {
                machine.report(0, name, report);
            }
            let statement = machine.statement(account);
            (machine.turn(0).write.expect("a candidate writes"), statement)
        };
        let want = ledger(&reports);
        for (at, swap) in order.iter().enumerate() {
            let (at, other) = (at % reports.len(), usize::from(*swap) % reports.len());
            reports.swap(at, other);
            if *swap % 3 == 0 {
                reports.push(reports[other].clone());
            }
        }
        prop_assert_eq!(ledger(&reports), want);
    }
}

/// What four sidecars report while they spend.
fn reports_of(account: Account, amounts: &[(u32, u64, u64)]) -> Vec<((u32, u32), Report)> {
    let mut holders: Vec<Holder> = (0..4).map(|_| Holder::new(1)).collect();
    let mut reports = Vec::new();
    for (at, (which, amount, cost)) in (1..).zip(amounts) {
        let holder = &mut holders[*which as usize];
        let grant = Grant { account, total: at * 200, returned: 0, spent: 0, keep: Some(150), left: 1 << 40 };
        let rights = Rights { epoch: Epoch(1), serial: at, grants: vec![grant], ..Rights::default() };
        let mut entries = Vec::new();
        holder.take(at * SECOND, &rights, &mut entries);
        let ask = Ask { spends: &[Spend { account, amount: *amount }], ..Ask::default() };
        if let Ok(hold) = holder.admit(at * SECOND, &ask, &mut entries) {
            reports.push(((*which, 1), holder.report(at * SECOND)));
            let outcome = Outcome::Done { cost: (*cost).min(*amount), tokens: 0 };
            holder.settle(at * SECOND, hold, outcome, &mut entries);
        }
        reports.push(((*which, 1), holder.report(at * SECOND)));
    }
    reports
}
