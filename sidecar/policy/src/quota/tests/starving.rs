//! What is left is for whoever can use it.

use super::world::*;

const LIMIT: u64 = 5_000;

fn spends(world: &mut World, money: u64) -> bool {
    let wanted = Wanted { account: world.account(0), money, tokens: 0, torn: false };
    let passed = world.admit(0, wanted).is_none();
    world.settle(0, 0, |reserved| reserved);
    passed
}

#[test]
fn a_request_dearer_than_all_that_is_left_does_not_starve_those_that_are_not() {
    let loss = crate::quota::Loss::Floor;
    let rule = crate::quota::RateRule { limit: 50, window: WINDOW, quantum: 1, loss, on_demand: false };
    let mut world = World::new(LIMIT, rule, 1);
    assert!(!spends(&mut world, 2 * LIMIT), "that much there never was");
    world.round();
    world.round();
    assert!(spends(&mut world, 1_000), "the reports so far told of the dear one alone");
    world.check();
}
