use spillway_policy::quota::{Spend, Take};
use spillway_wire::{AccountName, Every, Grant, Period, Stamp};

use super::*;
use crate::journal::Journal;

const HOUR: i64 = 3_600;

fn hourly(name: &str) -> wire::Snapshot {
    let budget = wire::Budget {
        limit_nanos: 1_000,
        per: wire::BudgetPer::Namespace,
        period: Period { every: Every::Hour, zone: None },
        reserve: wire::Reserve::WorstCase,
        on_exhausted: wire::OnExhausted::Block,
    };
    wire::Snapshot { budgets: [(name.to_owned(), budget)].into(), ..wire::Snapshot::default() }
}

fn granted(rights: &Rights, period: i64, total_nanos: u64) {
    rights.granted(AccountName { budget: "a/b".into(), value: None, period }, total_nanos, total_nanos);
}

impl Rights {
    /// All that was ever granted of an account, and what is left of it for everybody.
    pub(crate) fn granted(&self, account: AccountName, total_nanos: u64, left_nanos: u64) {
        let report = self.report().unwrap();
        let (returned_nanos, spent_nanos) = (0, 0);
        self.take(&wire::Rights {
            journal: report.journal,
            epoch: 1,
            serial: report.serial + 1,
            answers: report.stamp,
            grants: vec![Grant { account, total_nanos, returned_nanos, spent_nanos, keep_nanos: None, left_nanos }],
            ..wire::Rights::default()
        });
    }
}

fn reserve(rights: &Arc<Rights>, period: i64, amount: u64) -> Result<Reserved, Denied> {
    let account = Account { budget: rights.budget("a/b", None), period: period_of(period) };
    let spends = [Spend { account, amount }];
    let takes: &[Take] = &[];
    rights.admit(&Ask { spends: &spends, takes, ..Ask::default() }, (amount, 0))
}

fn begun(rights: &Rights, folder: Option<&std::path::Path>) {
    rights.configure(&hourly("a/b"));
    rights.restore(Journal::open(folder.map(Into::into)).quota());
}

#[test]
fn a_process_that_dies_at_any_write_brings_nothing_back_to_life() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rights");
    let rights = Rights::new("first");
    begun(&rights, Some(dir.path()));
    granted(&rights, HOUR, 100);
    let first = reserve(&rights, HOUR, 30).unwrap();
    let second = reserve(&rights, HOUR, 20).unwrap();
    first.settle(7, 0);
    let bytes = std::fs::read(&file).unwrap();
    // What names the format, and the source.
    const HEAD: usize = 4 + 8 + 9 + "first".len();
    let mut seen = Vec::new();
    for cut in 0..=bytes.len() {
        std::fs::write(&file, &bytes[..cut]).unwrap();
        let next = Rights::new("second");
        begun(&next, Some(dir.path()));
        let report = next.report().unwrap();
        let account = report.accounts.first().map(|it| (it.granted_nanos, it.spent_nanos, it.open_nanos));
        if seen.last() != Some(&account) {
            seen.push(account);
        }
        let is_first = report.journal == "first";
        assert_eq!(is_first, report.stamp.life == 2, "cut after {cut} bytes");
        assert_eq!(is_first, cut >= HEAD, "cut after {cut} bytes");
    }
    drop(second);
    let want = [None, Some((100, 0, 0)), Some((100, 30, 0)), Some((100, 50, 0)), Some((100, 27, 0))];
    assert_eq!(seen, want, "what was open is spent");
}

#[test]
fn without_a_journal_each_start_is_a_source_of_its_own() {
    let (one, two) = (Rights::new("one"), Rights::new("two"));
    for rights in [&one, &two] {
        begun(rights, None);
    }
    let names = [&one, &two].map(|rights| rights.report().unwrap().journal);
    assert_eq!(names, ["one", "two"]);
}

#[test]
fn a_journal_that_cannot_be_written_is_no_journal_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let rights = Rights::new("one");
    begun(&rights, Some(dir.path()));
    granted(&rights, HOUR, 100);
    rights.lock().store.break_file();
    assert!(reserve(&rights, HOUR, 30).is_ok(), "the process goes on");
    assert!(!dir.path().join("rights").exists(), "the next one begins as another source");
}

#[test]
fn an_account_is_forgotten_when_its_period_is_over_and_its_totals_have_arrived() {
    let rights = Rights::new("one");
    begun(&rights, None);
    let now = unix();
    let this = now - now.rem_euclid(HOUR);
    let old = this - 3 * HOUR;
    for period in [this, old] {
        granted(&rights, period, 100);
        reserve(&rights, period, 10).unwrap().settle(5, 0);
    }
    let known = || rights.report().unwrap().accounts.iter().map(|it| it.account.period).collect::<Vec<_>>();
    let said = rights.report().unwrap();
    assert_eq!(known(), [old, this], "it has to be said before");
    let heard = |answers: Stamp| {
        let journal = said.journal.clone();
        rights.take(&wire::Rights { journal, epoch: 1, serial: 9, answers, ..wire::Rights::default() });
    };
    heard(Stamp { sent: said.stamp.sent - 1, ..said.stamp });
    assert_eq!(known(), [old, this], "an answer to what was said before");
    heard(Stamp { life: 9, ..said.stamp });
    assert_eq!(known(), [old, this], "an answer to somebody else");
    heard(said.stamp);
    assert_eq!(known(), [this]);
}

#[test]
fn an_account_outlives_a_rule_by_which_its_period_is_over_sooner() {
    let every = |every| {
        let mut snapshot = hourly("a/b");
        snapshot.budgets.get_mut("a/b").unwrap().period.every = every;
        snapshot
    };
    let rights = Rights::new("one");
    rights.configure(&every(Every::Month));
    let month = Period { every: Every::Month, zone: None }.at(unix()).unwrap().start;
    granted(&rights, month, 100);
    reserve(&rights, month, 10).unwrap().settle(5, 0);
    let hear = || {
        let told = rights.report().unwrap();
        let rights_of =
            wire::Rights { journal: told.journal, epoch: 1, answers: told.stamp, ..wire::Rights::default() };
        rights.take(&rights_of);
    };
    for rule in [Every::Month, Every::Hour, Every::Day, Every::Month] {
        rights.configure(&every(rule));
        (0..3).for_each(|_| hear());
        let known: Vec<_> = rights.report().unwrap().accounts.iter().map(|it| it.spent_nanos).collect();
        assert_eq!(known, [5], "{rule:?}");
    }
}

#[test]
fn what_the_operator_knows_of_an_account_counts_where_it_is_forgotten() {
    let rights = Rights::new("one");
    begun(&rights, None);
    let report = rights.report().unwrap();
    let account = AccountName { budget: "a/b".into(), value: None, period: HOUR };
    let (returned_nanos, spent_nanos) = (10, 70);
    let grant = Grant { account, total_nanos: 100, returned_nanos, spent_nanos, keep_nanos: None, left_nanos: 30 };
    let (journal, answers) = (report.journal, report.stamp);
    rights.take(&wire::Rights {
        journal,
        epoch: 1,
        serial: 1,
        answers,
        grants: vec![grant],
        ..wire::Rights::default()
    });
    assert!(reserve(&rights, HOUR, 21).is_err());
    reserve(&rights, HOUR, 20).unwrap().settle(20, 0);
    assert_eq!(rights.report().unwrap().accounts[0].spent_nanos, 90);
}

#[test]
fn what_is_not_sent_costs_nothing_and_what_was_sent_and_lost_costs_the_most_it_can() {
    let rights = Rights::new("one");
    begun(&rights, None);
    granted(&rights, HOUR, 100);
    drop(reserve(&rights, HOUR, 30).unwrap());
    let mut sent = reserve(&rights, HOUR, 40).unwrap();
    sent.sent();
    drop(sent);
    let account = rights.report().unwrap().accounts.remove(0);
    assert_eq!((account.spent_nanos, account.open_nanos), (40, 0));
}
