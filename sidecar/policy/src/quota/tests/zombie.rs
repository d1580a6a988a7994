//! A leader that does not know that it is none any more: what it still gives away has to harm nobody.

use super::world::*;

/// A hundredth of it, the open block, is more than a sidecar asks for that hardly spends anything.
const LIMIT: u64 = 100_000;
const OLD: usize = 0;
const NEW: usize = 1;
/// One sidecar hardly spends anything, the other one all it can get.
const QUIET: usize = 0;
const GREEDY: usize = 1;

fn world() -> World {
    let loss = crate::quota::Loss::Floor;
    let rule = crate::quota::RateRule { limit: 50, window: WINDOW, quantum: 1, loss, on_demand: false };
    let mut world = World::new(LIMIT, rule, 2);
    for _ in 0..5 {
        spend(&mut world, QUIET, 1);
        world.round();
    }
    world
}

fn spend(world: &mut World, sidecar: usize, money: u64) -> bool {
    let wanted = Wanted { account: world.account(0), money, tokens: 0, torn: false };
    let passed = world.admit(sidecar, wanted).is_none();
    world.settle(sidecar, 0, |reserved| reserved);
    passed
}

/// This sidecar reports to this operator, which writes down what it has to and answers.
fn exchange(world: &mut World, sidecar: usize, operator: usize) {
    world.now += SECOND / 2;
    world.report(sidecar);
    world.deliver_report(0, operator, false);
    for _ in 0..3 {
        world.turn(operator);
        world.store_all();
        world.now += SECOND / 10;
    }
    world.deliver_all_rights();
    world.check();
}

/// Spends all that this operator gives, to the last bit.
fn spend_all(world: &mut World, operator: usize) {
    for money in [10_000, 1_000, 100, 10, 1] {
        for _ in 0..40 {
            while spend(world, GREEDY, money) {}
            exchange(world, GREEDY, operator);
        }
    }
}

fn granted(world: &World, sidecar: usize) -> u64 {
    world.sidecars[sidecar].holder.clone().report(world.now).accounts[0].granted
}

#[test]
fn a_sidecar_takes_nothing_from_a_leader_that_was_replaced() {
    let mut world = world();
    world.take_over(NEW);
    for _ in 0..3 {
        exchange(&mut world, QUIET, NEW);
        exchange(&mut world, GREEDY, NEW);
    }
    spend_all(&mut world, NEW);
    let before = granted(&world, QUIET);

    // Who was replaced hears that the sidecar goes short, and has a block open that nobody took from it.
    while spend(&mut world, QUIET, 1) {}
    world.report(QUIET);
    world.deliver_report(0, OLD, false);
    world.turn(OLD);
    assert!(world.grants_under_way(QUIET) > before, "it gives away what it believes to have");
    world.deliver_all_rights();
    world.check();
    assert_eq!(granted(&world, QUIET), before);
}

#[test]
fn what_a_leader_gave_from_its_block_is_nobody_elses_until_everybody_was_heard() {
    let mut world = world();
    let before = granted(&world, QUIET);
    for _ in 0..200 {
        spend(&mut world, QUIET, 2);
        world.now += SECOND / 2;
        world.report(QUIET);
        world.deliver_report(0, OLD, false);
        world.turn(OLD);
        // It dies before anything of that is written down, but not before it is sent.
        world.lose_writes();
        world.deliver_all_rights();
    }
    assert!(granted(&world, QUIET) > before, "it was given something");

    world.take_over(NEW);
    for _ in 0..3 {
        exchange(&mut world, GREEDY, NEW);
    }
    spend_all(&mut world, NEW);
    world.check();
    let spent = world.sidecars[GREEDY].holder.clone().report(world.now).accounts[0].spent;
    assert!(spent > LIMIT * 9 / 10, "all but the block can be had: {spent}");
}
