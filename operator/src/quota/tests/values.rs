//! Limits and budgets of each value of a header: opened when somebody asks, bounded in number, forgotten.

use spillway_wire::{AccountUse, Flow, OTHERS, QuotaReport, Stamp};

use super::*;

const REQUESTS: u64 = 120;
const WINDOW: u64 = 10 * SECOND;

fn by_tenant() -> String {
    let limit =
        format!("{{name: team, scope: Fleet, per: Header, header: x-tenant, requests: {REQUESTS}, window: 10s}}");
    SHOP.replace("  backends:\n", &format!("  limits: [{limit}]\n  backends:\n"))
}

fn tenant(value: &str) -> RateName {
    let of = RateOf::Limit { route: "shop/chat".into(), limit: "team".into() };
    RateName { of, counts: Counts::Requests, value: Some(value.into()) }
}

fn busiest(passed: &[u64]) -> usize {
    let in_window = |end: &u64| passed.iter().filter(|at| **at <= *end && **at + WINDOW > *end).count();
    passed.iter().map(in_window).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn the_first_request_of_a_value_asks_and_passes() {
    let mut world = World::new(Store::memory(), "{limit: '5', period: Month}");
    world.config(&[&by_tenant()]);
    let mut one = Sidecar::new("u1", "a");
    world.round(&mut [&mut one]).await;
    world.round(&mut [&mut one]).await;
    assert!(!one.passes(world.now(), &tenant("acme")), "nobody knows of it");
    world.round(&mut [&mut one]).await;
    assert!(one.passes(world.now(), &tenant("acme")), "leave has come within a round");
    let shown = one.report(world.now()).report.flows;
    assert!(shown.iter().all(|flow| flow.rate == tenant("acme") && flow.floor == 0), "no part for good: {shown:?}");
}

#[tokio::test(start_paused = true)]
async fn each_value_is_shared_by_who_asks_for_it_and_never_passes_its_limit() {
    let store = Store::memory();
    let mut world = World::new(store.clone(), "{limit: '5', period: Month}");
    world.config(&[&by_tenant()]);
    let mut sidecars = ["u1", "u2", "u3"].map(|uid| Sidecar::new(uid, uid));
    // Two ask for the one, two for the other; all together for four times as much as there is.
    let asks = [(0, "acme"), (1, "acme"), (1, "zeta"), (2, "zeta")];
    let mut passed: [Vec<u64>; 4] = Default::default();
    for round in 0..300 {
        if round == 150 {
            // Another leader, from what is stored.
            world.stop.cancel();
            tokio::time::sleep(Duration::from_secs(1)).await;
            let before = std::mem::replace(&mut world, World::new(store.clone(), "{limit: '5', period: Month}"));
            world.start = before.start;
            world.config(&[&by_tenant()]);
        }
        for (passed, (at, value)) in passed.iter_mut().zip(asks) {
            let now = world.now();
            passed.extend((0..12).filter_map(|_| sidecars[at].passes(now, &tenant(value)).then_some(now)));
        }
        let [one, two, three] = &mut sidecars;
        world.round(&mut [one, two, three]).await;
    }
    for (value, [one, other]) in [("acme", [0, 1]), ("zeta", [2, 3])] {
        let mut both = [&passed[one][..], &passed[other]].concat();
        both.sort_unstable();
        let most = busiest(&both);
        assert!(most <= REQUESTS as usize, "{value}: {most} of {REQUESTS}");
        let windows = world.now() / WINDOW;
        let used = both.len() as u64 * 100 / (windows * REQUESTS);
        assert!(used >= 55, "{value}: {used} % of {windows} windows");
        let shares = [one, other].map(|at| passed[at].len());
        assert!(shares.iter().all(|of| of * 3 >= both.len()), "{value}: {shares:?} where each asks for as much");
    }
}

/// As long as a value may be, and no two alike.
fn like_a_hash(value: usize) -> String {
    let part = |seed: u64| {
        (value as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) ^ seed.wrapping_mul(value as u64)
    };
    [3, 0x1234_5678_9abc_def1, 0xfedc_ba98_7654_3211, 7].map(|seed| format!("{:016x}", part(seed))).concat()
}

fn many(values: std::ops::Range<usize>, period: i64) -> QuotaDelivery {
    let account = |value: usize| AccountUse {
        account: AccountName { budget: "shop/x".into(), value: Some(like_a_hash(value)), period },
        granted_nanos: 0,
        returned_nanos: 0,
        spent_nanos: 0,
        open_nanos: 0,
        wants_nanos: 10,
        largest_nanos: 10,
    };
    let flow = |value: usize| Flow { rate: tenant(&value.to_string()), floor: 0, surplus: 0, lasts: 0, wants: 1_000 };
    let accounts = values.clone().map(account).collect();
    let stamp = Stamp { life: 1, sent: 1 + values.start as u64 };
    let flows = values.map(flow).collect();
    let report = QuotaReport { journal: "many".into(), stamp, accounts, flows, ..QuotaReport::default() };
    QuotaDelivery { from: Sidecar::new("u3", "many").from, report }
}

#[tokio::test(start_paused = true)]
async fn values_without_number_share_one_count_and_take_nothing_from_other_budgets() {
    let mut world = World::new(Store::memory(), "{limit: '5', period: Month}");
    let spec = |name: &str, spec: &str| object("ModelBudget", spec).replace("name: x", &format!("name: {name}"));
    let by_header = spec("x", "{limit: '1', period: Month, selector: {per: Header, header: x-tenant}}");
    world.config(&[&by_tenant(), &by_header, &spec("all", "{limit: '2', period: Month}")]);
    for batch in 0..8 {
        world.bank.receive(many(batch * 1_000..(batch + 1) * 1_000, month().period)).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (mut accounts, mut rates) = (0, 0);
    while let Ok(line) = world.lines.try_recv() {
        let RightsDelivery { rights, .. } = serde_json::from_slice(&line).unwrap();
        accounts += rights.crowded_accounts.len();
        rates += rights.crowded_rates.len();
    }
    assert!((500..8_000).contains(&accounts), "{accounts} accounts and {rates} rates");
    let stored = world.store.read().await.unwrap().bytes.unwrap().len();
    assert!((200_000..900_000).contains(&stored), "{stored} bytes");

    let mut one = Sidecar::new("u1", "a");
    let all = AccountName { budget: "shop/all".into(), ..month() };
    let others = AccountName { value: Some(OTHERS.into()), ..month() };
    for (name, why) in [(all, "another budget goes on"), (others, "what they share is there")] {
        let mut tries = 0;
        while one.admit(world.now(), &name, DOLLAR / 10).is_err() {
            tries += 1;
            assert!(tries < 10, "{why}");
            world.round(&mut [&mut one]).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn workloads_are_known_of_budgets_of_values_as_well_and_outlive_their_pods() {
    let spec = "{limit: '5', period: Week, selector: {per: Header, header: x-tenant}}";
    let mut world = World::new(Store::memory(), spec);
    let monday = period("2026-11-16T00:00:00Z");
    let name = |value: &str| AccountName { value: Some(value.into()), period: monday, ..month() };
    let mut sidecars = [Sidecar::new("u1", "a"), Sidecar::new("u2", "b")];
    sidecars[1].from.workload = "Job/nightly".into();
    for (at, value, dollars) in [(0, "acme", 2), (0, "zeta", 1), (1, "acme", 1)] {
        let sidecar = &mut sidecars[at];
        for _ in 0..dollars {
            let mut passed = false;
            while !passed {
                let now = world.now();
                if let Ok(hold) = sidecar.admit(now, &name(value), DOLLAR) {
                    sidecar.settle(now, hold, DOLLAR);
                    passed = true;
                }
                world.round(&mut [&mut *sidecar]).await;
            }
        }
    }
    let want = [("Deployment/web".to_owned(), 3 * DOLLAR), ("Job/nightly".to_owned(), DOLLAR)];
    let workloads = |world: &World| {
        let mut workloads = world.bank.standing("shop/x").unwrap().workloads;
        workloads.sort();
        workloads
    };
    assert_eq!(workloads(&world), want);
    world.pods.update(|index| index.remove("u2"));
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(workloads(&world), want, "its pod is gone");
    let store = world.store.clone();
    tokio::time::sleep(Duration::from_secs(10)).await;
    drop(world);
    let next = World::new(store, spec);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = workloads(&next);
    assert!(after.contains(&want[1]), "and so is the leader: {after:?}");
}
