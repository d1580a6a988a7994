//! Budgets whose period is changed.

use super::*;

async fn spend_some(world: &mut World, sidecar: &mut Sidecar, name: &AccountName, times: usize) {
    let mut passed = 0;
    while passed < times {
        let now = world.now();
        if let Ok(hold) = sidecar.admit(now, name, DOLLAR / 10) {
            sidecar.settle(now, hold, DOLLAR / 10);
            passed += 1;
        }
        world.round(&mut [&mut *sidecar]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_spent_by_another_rule_of_the_period_is_not_of_the_present_one_and_is_kept() {
    let month_of = |period| format!("{{limit: '5', period: {period}}}");
    let mut world = World::new(Store::memory(), &month_of("Month"));
    let mut sidecar = Sidecar::new("u1", "a");
    spend_some(&mut world, &mut sidecar, &month(), 20).await;
    assert_eq!(world.bank.standing("shop/x").unwrap().spent, 2 * DOLLAR);

    world.budget(&month_of("Day"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let day = AccountName { period: period("2026-11-21T00:00:00Z"), ..month() };
    spend_some(&mut world, &mut sidecar, &day, 10).await;
    assert_eq!(world.bank.standing("shop/x").unwrap().spent, DOLLAR, "of this day");

    world.budget(&month_of("Month"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.bank.standing("shop/x").unwrap().spent, 2 * DOLLAR, "of this month");
    // It has forgotten the month meanwhile, as one that was started anew by another rule may.
    let account = sidecar.account(&month());
    sidecar.holder.drop_account(account);
    assert_eq!(world.spend(&mut [&mut sidecar], &month(), DOLLAR / 10).await, 30, "what is left, and no more");
}

#[tokio::test(start_paused = true)]
async fn an_account_is_kept_for_as_long_as_the_longer_rule_says() {
    let mut world = World::new(Store::memory(), "{limit: '5', period: Hour}");
    let noon = AccountName { period: period(NOON), ..month() };
    let (mut one, mut other) = (Sidecar::new("u1", "a"), Sidecar::new("u2", "b"));
    spend_some(&mut world, &mut one, &noon, 20).await;
    // A day begins with its first hour, and so does a week with its first day: here it is one that begins at noon.
    world.budget("{limit: '5', period: Once}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.budget("{limit: '5', period: Hour}");
    world.pods.update(|index| index.remove("u1"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let standing = world.bank.standing("shop/x").unwrap();
    assert!(standing.spent == 2 * DOLLAR, "{standing:?}");
    let passed = world.spend(&mut [&mut other], &noon, DOLLAR / 10).await;
    assert!(passed <= 30, "{passed}");
}
