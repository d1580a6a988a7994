use proptest::prelude::*;

use super::*;

fn source(number: u64) -> Source {
    Source { pod: number, journal: number.wrapping_mul(0x9e37_79b9_7f4a_7c15) }
}

fn named(budget: &str, subject: Subject, period: u64) -> Named {
    let value = if let Subject::Value(value) = &subject { value.clone() } else { None };
    let period = i64::try_from(period).unwrap();
    let name = AccountName { budget: budget.into(), value, period };
    let gone = [("Job/x".to_owned(), 3)].into();
    Named { name, subject, end: Some(period + 3600), limit: 0, gone, touched: 7200 }
}

fn encoded(stored: &Stored) -> Vec<u8> {
    let names = stored.names.iter().map(|(account, named)| (*account, named)).collect();
    encode(&stored.ledger, &names, &stored.retired, &stored.gone)
}

prop_compose! {
    fn book()(
        limit: u64, closed: u64, forfeited: u64, held: u64, block: u64,
        rights in proptest::collection::btree_map(0..20_u64, (any::<u64>(), any::<u64>(), any::<u64>()), 0..5),
    ) -> AccountLedger<Source> {
        let right = |(number, (granted, returned, spent))| (source(number), Right { granted, returned, spent });
        let rights = rights.into_iter().map(right).filter(|(_, right)| *right != Right::default()).collect();
        AccountLedger { limit, rights, closed, forfeited, held, block }
    }
}

prop_compose! {
    fn stored()(
        epoch: u64, leader in "[a-z0-9/]{0,20}",
        books in proptest::collection::btree_map((any::<u64>(), 0..1_u64 << 40), (book(), 0..4_usize, ".{0,20}"), 0..6),
        retired in proptest::collection::btree_map(30..60_u64, any::<i64>(), 0..5),
        rates in proptest::collection::btree_map(any::<u64>(), (any::<u64>(), any::<u64>(), 0..3_u64), 0..5),
        gone in proptest::option::of(".{0,20}"),
    ) -> Stored {
        let (mut accounts, mut names) = (BTreeMap::new(), BTreeMap::new());
        for ((budget, period), (book, which, text)) in books {
            let account = Account { budget: BudgetId(budget), period: Period(period) };
            let subject = match which {
                0 => Subject::Namespace,
                1 => Subject::Workload(text.clone()),
                2 => Subject::Job(text.clone()),
                _ => Subject::Value(Some(text.clone()).filter(|text| !text.is_empty())),
            };
            names.insert(account, Named { limit: book.limit, ..named(&text, subject, period) });
            accounts.insert(account, book);
        }
        let retired: BTreeMap<Source, i64> = retired.into_iter().map(|(number, at)| (source(number), at)).collect();
        let rate = |(rate, (aside, lease, lasts))| (RateId(rate), RateLedger { aside, lease, lasts });
        let ledger = Ledger {
            leader: leader.into(),
            epoch: Epoch(epoch),
            sources: (0..20).map(source).collect(),
            retired: retired.keys().copied().collect(),
            accounts,
            rates: rates.into_iter().map(rate).collect(),
        };
        let gone = gone.map(|text| ((text, 7), [("Job/x".to_owned(), 3)].into()));
        Stored { ledger, names, retired, gone: gone.into_iter().collect() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_stored_is_what_is_read(stored in stored()) {
        prop_assert_eq!(decode(&encoded(&stored)).unwrap(), stored);
    }

    #[test]
    fn what_is_no_ledger_is_refused(bytes: Vec<u8>, stored in stored(), cut in 1..40_usize) {
        prop_assert!(decode(&bytes).is_err());
        let mut bytes = encoded(&stored);
        bytes.truncate(bytes.len().saturating_sub(cut));
        prop_assert!(decode(&bytes).is_err());
    }
}

#[test]
fn ten_thousand_sidecars_under_three_budgets_fit_into_a_config_map() {
    // Numbers that look like real ones: no two alike.
    let mut state = 1_u64;
    let mut roll = |most: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 16) % most
    };
    let sources: Vec<Source> = (0..10_000)
        .map(|_| Source { pod: roll(u64::MAX) << 16 ^ roll(1 << 40), journal: roll(u64::MAX) << 16 ^ 7 })
        .collect();
    let mut ledger = Ledger { sources: sources.iter().copied().collect(), ..Ledger::default() };
    let mut names = BTreeMap::new();
    for budget in 0..3_u64 {
        let right = |source: &Source, spent: u64, more: u64, returned: u64| {
            (*source, Right { granted: spent + more + returned, returned, spent })
        };
        let rights =
            sources.iter().map(|source| right(source, roll(5_000_000_000), roll(100_000_000), roll(50_000_000)));
        let book = AccountLedger {
            limit: 100_000 * 1_000_000_000,
            rights: rights.collect(),
            closed: 12_345_678_901_234,
            forfeited: 0,
            held: 0,
            block: 1_000 * 1_000_000_000,
        };
        let account = Account { budget: BudgetId(budget), period: Period(1_793_491_200) };
        ledger.accounts.insert(account, book);
        names.insert(account, named("shop/month", Subject::Namespace, 1_793_491_200));
    }
    let stored = Stored { ledger, names, ..Stored::default() };
    let bytes = encoded(&stored).len();
    println!("10,000 sidecars under 3 budgets: {bytes} bytes");
    assert!(bytes < 1_000_000, "{bytes}");
}
