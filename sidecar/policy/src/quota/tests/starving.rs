//! What is left is for whoever can use it.

use super::world::*;

const LIMIT: u64 = 5_000;

fn world() -> World {
    let loss = crate::quota::Loss::Floor;
    World::new(LIMIT, crate::quota::RateRule { limit: 50, window: WINDOW, quantum: 1, loss, on_demand: false }, 1)
}

fn spends(world: &mut World, money: u64) -> bool {
    let wanted = Wanted { account: world.account(0), money, tokens: 0, torn: false };
    let passed = world.admit(0, wanted).is_none();
    world.settle(0, 0, |reserved| reserved);
    passed
}

#[test]
fn a_request_dearer_than_all_that_is_left_does_not_starve_those_that_are_not() {
    let mut world = world();
    assert!(!spends(&mut world, 2 * LIMIT), "that much there never was");
    world.round();
    world.round();
    assert!(spends(&mut world, 1_000), "the reports so far told of the dear one alone");
    world.check();
}

#[test]
fn who_waits_in_vain_is_not_told_so_again_and_again() {
    let mut world = world();
    for _ in 0..20 {
        spends(&mut world, 1_000);
        world.round();
    }
    assert!(!spends(&mut world, 1_000), "all of it is spent");
    world.round();
    world.now += SECOND;
    world.turn(0);
    assert_eq!(world.grants_under_way(0), 0, "nothing has changed, and nobody has asked");
}
