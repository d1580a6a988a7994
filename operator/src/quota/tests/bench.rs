//! What it costs to lead: ten thousand sidecars under three budgets, each reporting every two seconds and spending all the time.

use std::time::Duration;

use spillway_wire::{QuotaReport, SidecarIdentity};

use super::*;
use crate::pods::PodIndex;
use crate::quota::ledger::Stored;

const SIDECARS: usize = 10_000;
const TICKS_A_SECOND: usize = 4;
const SECONDS: usize = 20;
/// Each sidecar reports every so many ticks.
const REPORTS: usize = 2 * TICKS_A_SECOND;

/// The time this thread has run so far.
fn ran() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn resident_mb() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096 / 1_000_000
}

fn budgets() -> Vec<String> {
    let spec = |name: &str, per: &str| {
        object("ModelBudget", &format!("{{limit: '1000000', period: Month, selector: {{per: {per}}}}}"))
            .replace("name: x", &format!("name: {name}"))
    };
    vec![SHOP.to_owned(), spec("a", "Namespace"), spec("b", "Workload"), spec("c", "Namespace")]
}

fn accounts() -> [AccountName; 3] {
    ["shop/a", "shop/b", "shop/c"].map(|budget| AccountName { budget: budget.into(), ..month() })
}

/// What the leader did, and what it took.
#[derive(Default)]
struct Cost {
    took: Duration,
    hearing: Duration,
    writing: Duration,
    writes: usize,
    bytes: usize,
    sent: usize,
}

fn tick(
    desk: &mut Desk,
    at: At,
    bodies: &[(SidecarIdentity, Vec<u8>)],
    pods: &PodIndex,
    cost: &mut Cost,
) -> Vec<RightsDelivery> {
    let start = ran();
    for (from, body) in bodies {
        let report: QuotaReport = serde_json::from_slice(body).unwrap();
        let delivery = QuotaDelivery { from: from.clone(), report };
        check::check(&delivery).unwrap();
        desk.hear(at, &delivery, false);
    }
    let heard = ran();
    let turn = desk.turn(at.now, None);
    let sent = turn.rights.into_iter().map(|post| RightsDelivery { uid: post.uid, rights: post.rights });
    let sent: Vec<RightsDelivery> = sent.inspect(|delivery| drop(down(delivery))).collect();
    cost.sent += sent.len();
    let turned = ran();
    // The pen rests for four times as long as it wrote: at a tick of 250 ms, each write there is.
    if let Some(write) = turn.write {
        cost.bytes = desk.encode(&write).len();
        cost.writes += 1;
        let token = format!("{}", cost.writes).into();
        desk.written(at.now, &write.ledger, token, pods);
    }
    let wrote = ran();
    cost.hearing += heard - start;
    cost.writing += wrote - turned;
    cost.took += wrote - start;
    sent
}

#[test]
#[ignore = "a measurement: tests/bench.sh"]
fn one_leader_of_ten_thousand_sidecars() {
    let pods = Pods::fixed((0..SIDECARS).map(|number| pod(&format!("uid-{number}"))));
    let plan = Plan::new(Arc::new(compile(&world(&budgets().iter().map(String::as_str).collect::<Vec<_>>()))));
    let at = |tick: usize| At {
        now: (tick as u64 + 1) * SECOND / TICKS_A_SECOND as u64,
        unix: period(NOON) + (tick / TICKS_A_SECOND) as i64,
    };
    let mut sidecars: Vec<Sidecar> = (0..SIDECARS).map(|number| Sidecar::new(&format!("uid-{number}"), "j")).collect();
    let without = resident_mb();
    let stored: Stored = Stored::default();
    let mut desk = Desk::take_over("bench".into(), stored, "0".into(), plan, at(0));
    let (mut warm, mut cost) = (Cost::default(), Cost::default());
    for now in 0..(SECONDS + 10) * TICKS_A_SECOND {
        let mut bodies = Vec::new();
        for sidecar in sidecars.iter_mut().skip(now % REPORTS).step_by(REPORTS) {
            for name in accounts() {
                if let Ok(hold) = sidecar.admit(at(now).now, &name, DOLLAR / 1000) {
                    sidecar.settle(at(now).now, hold, DOLLAR / 2000);
                }
            }
            let QuotaDelivery { from, report } = sidecar.report(at(now).now);
            bodies.push((from, serde_json::to_vec(&report).unwrap()));
        }
        let measured = now >= 10 * TICKS_A_SECOND;
        let index = pods.read();
        let sent = tick(&mut desk, at(now), &bodies, &index, if measured { &mut cost } else { &mut warm });
        if now % (2 * TICKS_A_SECOND) == 0 {
            let start = ran();
            desk.tidy(at(now), &index);
            cost.took += ran() - start;
        }
        drop(index);
        for RightsDelivery { uid, rights } in sent {
            let number: usize = uid.strip_prefix("uid-").unwrap().parse().unwrap();
            sidecars[number].take(at(now).now, &rights);
        }
    }
    let share = |time: Duration| time.as_secs_f64() / SECONDS as f64 * 100.0;
    let standing = desk.standing("shop/a", at(0).unix).unwrap();
    println!(
        "one leader, {SIDECARS} sidecars x 3 budgets, a report each 2 s: {:.1} % of a core (reports {:.1} %, ledger {:.1} % \
         for {} writes of {} bytes), {} messages a second, {} MB beside the sidecars' own; granted ${:.2}",
        share(cost.took),
        share(cost.hearing),
        share(cost.writing),
        cost.writes,
        cost.bytes,
        cost.sent / SECONDS,
        resident_mb().saturating_sub(without),
        standing.outstanding as f64 / 1e9,
    );
}
