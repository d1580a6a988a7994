//! Breakers that the fleet shares: reports in, verdicts out.

use spillway_wire::{BackendName, BreakerEvidence, BreakerSay, BreakerVerdict};

use super::*;

/// Route `shop/chat` with a breaker that four failures in a row open, for five seconds.
fn breaking(scope: &str) -> [String; 2] {
    let breaker = format!("{{failureThreshold: 4, successThreshold: 1, openFor: 5s, scope: {scope}}}");
    let target = "{group: spillway.dev, kind: ModelRoute, name: chat}";
    let policy = object("FallbackPolicy", &format!("{{targetRefs: [{target}], circuitBreaker: {breaker}}}"));
    [SHOP.to_owned(), policy]
}

impl World {
    fn breaking(store: Store, scope: &str) -> Self {
        let world = Self::new(store, "{limit: '5', period: Month}");
        let [shop, policy] = breaking(scope);
        world.config(&[&shop, &policy]);
        world
    }
}

/// So many failures of so many attempts at backend `mini`, all of the last ones.
fn seen(attempts: u64, failures: u64) -> Vec<BreakerEvidence> {
    let of = BackendName { route: "shop/chat".into(), backend: "mini".into() };
    vec![BreakerEvidence { of, attempts, failures, row: failures, asked: attempts, ..BreakerEvidence::default() }]
}

fn three() -> [Sidecar; 3] {
    let mut three = ["u1", "u2", "u3"].map(|uid| Sidecar::new(uid, uid));
    three.iter_mut().for_each(|sidecar| sidecar.breakers = seen(0, 0));
    three
}

/// What each was told last.
fn told(sidecars: &[&mut Sidecar; 3]) -> [Option<BreakerSay>; 3] {
    sidecars.each_ref().map(|sidecar| sidecar.verdicts.last().map(|verdict| verdict.say))
}

/// Two of them fail twice each.
async fn opened(world: &mut World, three: &mut [&mut Sidecar; 3]) -> BreakerVerdict {
    world.round(three).await;
    assert_eq!(told(three), [None; 3], "there is nothing to say of what is closed");
    for sidecar in &mut three[..2] {
        sidecar.breakers = seen(2, 2);
    }
    world.round(three).await;
    assert_eq!(told(three), [Some(BreakerSay::StayOut); 3]);
    three[2].verdicts.last().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn what_two_have_seen_keeps_the_third_out_until_one_of_them_has_probed() {
    let mut world = World::breaking(Store::memory(), "Fleet");
    let [mut one, mut other, mut third] = three();
    let mut all = [&mut one, &mut other, &mut third];
    let verdict = opened(&mut world, &mut all).await;
    assert_eq!((verdict.failed, verdict.attempts, verdict.lease), (4, 4, 6 * SECOND));
    for _ in 0..11 {
        let heard = all[2].verdicts.len();
        world.round(&mut all).await;
        assert_eq!(told(&all), [Some(BreakerSay::StayOut); 3]);
        assert!(all[2].verdicts.len() > heard, "each report is answered: it is a lease");
    }
    world.round(&mut all).await;
    world.round(&mut all).await;
    assert_eq!(told(&all), [Some(BreakerSay::Probe), Some(BreakerSay::Probe), Some(BreakerSay::StayOut)]);
    let turn = all[1].verdicts.last().unwrap().turn;
    all[1].breakers = vec![BreakerEvidence { turn, good: 1, row: 0, ..seen(3, 2).remove(0) }];
    world.round(&mut all).await;
    assert_eq!(told(&all), [Some(BreakerSay::Closed); 3]);
    let turn = all[0].verdicts.last().unwrap().turn;
    for sidecar in &mut all {
        sidecar.breakers[0].turn = turn;
        sidecar.verdicts.clear();
    }
    world.round(&mut all).await;
    assert_eq!(told(&all), [None; 3], "everybody knows");
}

#[tokio::test(start_paused = true)]
async fn a_successor_knows_nothing_and_what_it_says_is_newer() {
    let store = Store::memory();
    let [mut one, mut other, mut third] = three();
    let mut all = [&mut one, &mut other, &mut third];
    let mut first = World::breaking(store.clone(), "Fleet");
    let before = opened(&mut first, &mut all).await;
    drop(first);
    let mut second = World::breaking(store, "Fleet");
    for sidecar in &mut all {
        (sidecar.breakers, sidecar.verdicts) = (seen(50, 50), Vec::new());
        sidecar.breakers[0].turn = before.turn;
    }
    for _ in 0..4 {
        second.round(&mut all).await;
        assert_eq!(told(&all), [None; 3], "when they have failed is not known");
    }
    all[2].breakers = seen(54, 54);
    second.round(&mut all).await;
    assert_eq!(told(&all), [Some(BreakerSay::StayOut); 3]);
    assert!(all[0].verdicts.last().unwrap().turn > before.turn);
}

#[tokio::test(start_paused = true)]
async fn breakers_of_pods_and_of_others_are_nobodys_business() {
    let mut world = World::breaking(Store::memory(), "Pod");
    let [mut one, mut other, mut third] = three();
    let mut all = [&mut one, &mut other, &mut third];
    world.round(&mut all).await;
    all[0].breakers = seen(9, 9);
    world.round(&mut all).await;
    assert_eq!(told(&all), [None; 3]);
    all[0].breakers[0].of.route = "bank/chat".into();
    let report = all[0].report(world.now());
    let error = world.bank.receive(report).unwrap_err().to_string();
    assert_eq!(error, r#"the report speaks of "bank/chat", but its pod is in namespace "shop""#);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_no_longer_shared_or_asks_for_another_model_is_forgotten() {
    let [mut one, mut other, mut third] = three();
    let mut all = [&mut one, &mut other, &mut third];
    let mut world = World::breaking(Store::memory(), "Fleet");
    let before = opened(&mut world, &mut all).await;
    let [shop, policy] = breaking("Fleet");
    world.config(&[&shop.replace("model: gpt-4o-mini", "model: gpt-4o"), &policy]);
    world.round(&mut all).await;
    assert_eq!(told(&all), [Some(BreakerSay::Closed); 3]);
    for scope in ["Pod", "Fleet"] {
        let [shop, policy] = breaking(scope);
        world.config(&[&shop, &policy]);
        all.iter_mut().for_each(|sidecar| sidecar.verdicts.clear());
        world.round(&mut all).await;
        assert_eq!(told(&all), [None; 3], "{scope}");
    }
    world.round(&mut all).await;
    all[0].breakers = seen(9, 9);
    world.round(&mut all).await;
    let after = all[1].verdicts.last().unwrap();
    assert_eq!(after.say, BreakerSay::StayOut);
    assert!(after.turn > before.turn + 1, "it counts although the breaker was forgotten: {after:?}");
}
