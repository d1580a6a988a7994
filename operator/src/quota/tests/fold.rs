//! The ledger is the fold of reports, as they come over the wire.

use proptest::prelude::*;
use spillway_policy::quota::{self as policy, Ledger};

use super::*;
use crate::quota::ledger::{Stored, decode};

const AT: At = At { now: SECOND, unix: 1_795_262_400 };

/// What four sidecars say while they spend of two accounts, as bytes.
fn reports(amounts: &[(usize, bool, u64, u64)]) -> Vec<Vec<u8>> {
    let mut sidecars = ["u1", "u2", "u3", "u4"].map(|uid| Sidecar::new(uid, uid));
    let mut said = Vec::new();
    for (at, (which, other, amount, cost)) in (1..).zip(amounts) {
        let sidecar = &mut sidecars[*which];
        let name = AccountName { budget: if *other { "shop/y" } else { "shop/x" }.into(), ..month() };
        let account = sidecar.account(&name);
        let grant = policy::Grant { account, total: at * 200, returned: 0, spent: 0, keep: Some(150), left: 1 << 40 };
        let rights =
            policy::Rights { epoch: policy::Epoch(1), serial: at, grants: vec![grant], ..policy::Rights::default() };
        sidecar.holder.take(at * SECOND, &rights, &mut Vec::new());
        let hold = sidecar.admit(at * SECOND, &name, *amount);
        said.push(serde_json::to_vec(&sidecar.report(at * SECOND)).unwrap());
        if let Ok(hold) = hold {
            sidecar.settle(at * SECOND, hold, (*cost).min(*amount));
            said.push(serde_json::to_vec(&sidecar.report(at * SECOND + 1)).unwrap());
        }
    }
    said
}

/// The stored ledger of a leader that has heard these.
fn folded(plan: &Plan, reports: &[Vec<u8>]) -> Stored {
    let stored = Stored { ledger: Ledger::default(), ..Stored::default() };
    let mut desk = Desk::take_over("one".into(), stored, "0".into(), plan.clone(), AT);
    for report in reports {
        let delivery: QuotaDelivery = serde_json::from_slice(report).unwrap();
        check::check(&delivery).unwrap();
        desk.hear(AT, &delivery, false);
    }
    let write = desk.turn(SECOND, None).write.expect("a candidate writes");
    decode(&desk.encode(&write)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reports_in_any_order_and_any_number_give_the_same_ledger_over_the_wire(
        amounts in proptest::collection::vec((0..4_usize, any::<bool>(), 1..100_u64, 0..100_u64), 1..12),
        order in proptest::collection::vec(any::<u16>(), 0..40),
    ) {
        thread_local!(static PLAN: Plan = {
            let budget = object("ModelBudget", "{limit: '5', period: Month}");
            let other = budget.replace("name: x", "name: y");
            Plan::new(Arc::new(compile(&world(&[SHOP, &budget, &other]))))
        });
        let plan = PLAN.with(Plan::clone);
        let mut reports = reports(&amounts);
        let want = folded(&plan, &reports);
        let spent: u64 = want.ledger.accounts.values().flat_map(|book| book.rights.values()).map(|right| right.spent).sum();
        let most: u64 = amounts.iter().map(|(_, _, amount, cost)| *cost.min(amount)).sum();
        prop_assert!(spent <= most);
        for (at, swap) in order.iter().enumerate() {
            let (at, other) = (at % reports.len(), usize::from(*swap) % reports.len());
            reports.swap(at, other);
            if *swap % 3 == 0 {
                reports.push(reports[other].clone());
            }
        }
        prop_assert_eq!(folded(&plan, &reports), want);
    }
}
