//! The stored ledger as bytes: JSON, gzipped, as the ledger of usage is.
//!
//! Size: a ConfigMap takes 1 MiB. A sidecar costs some 18 bytes, and each of its rights 14 more.

use std::collections::{BTreeMap, BTreeSet};

use flate2::Compression;
use serde::{Deserialize, Serialize};
use spillway_policy::quota::{Account, AccountLedger, BudgetId, Epoch, Ledger, Period, RateId, RateLedger, Right};
use spillway_wire::AccountName;

use super::accounts::{Gone, Named};
use super::names::{Source, Subject};
use crate::packed::{Corrupt, pack, unpack};

const VERSION: u32 = 1;

/// All that survives the operator.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stored {
    pub(super) ledger: Ledger<Source>,
    pub(super) names: BTreeMap<Account, Named>,
    /// When sources were retired, in seconds since 1970.
    pub(super) retired: BTreeMap<Source, i64>,
    /// What workloads that are gone have spent of budgets of values.
    pub(super) gone: Gone,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    leader: String,
    epoch: u64,
    sources: Vec<(u64, u64)>,
    retired: Vec<(u64, u64, i64)>,
    accounts: Vec<AccountDocument>,
    rates: Vec<(u64, u64, u64)>,
    /// A rate's place in the list, and how long after its last use it is of no interest any more.
    #[serde(default)]
    passing: Vec<(usize, u64)>,
    /// Budget, period, and what each workload has spent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gone: Vec<(String, i64, BTreeMap<String, u64>)>,
}

#[derive(Serialize, Deserialize)]
struct AccountDocument {
    budget: u64,
    period: u64,
    limit: u64,
    closed: u64,
    forfeited: u64,
    held: u64,
    block: u64,
    /// The source's place in the list, granted, returned, spent.
    rights: Vec<(usize, u64, u64, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<NameDocument>,
}

#[derive(Serialize, Deserialize)]
struct NameDocument {
    budget: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<i64>,
    of: SubjectDocument,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    gone: BTreeMap<String, u64>,
    touched: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SubjectDocument {
    Namespace,
    Workload(String),
    Job(String),
    Value(Option<String>),
}

/// The ledger as bytes for storage, with what its accounts are called and when its sources were retired.
pub(super) fn encode(
    ledger: &Ledger<Source>,
    names: &BTreeMap<Account, &Named>,
    retired_at: &BTreeMap<Source, i64>,
    gone: &Gone,
) -> Vec<u8> {
    let Ledger { leader, epoch, sources, retired, accounts, rates } = ledger;
    let places: BTreeMap<&Source, usize> = sources.iter().zip(0..).collect();
    let retired = retired.iter().map(|source| {
        let at = retired_at.get(source).copied().unwrap_or_default();
        (source.pod, source.journal, at)
    });
    let document = Document {
        version: VERSION,
        leader: leader.to_string(),
        epoch: epoch.0,
        sources: sources.iter().map(|source| (source.pod, source.journal)).collect(),
        retired: retired.collect(),
        accounts: accounts.iter().map(|(account, book)| of_account(account, book, names, &places)).collect(),
        rates: rates.iter().map(|(rate, RateLedger { aside, lease, lasts: _ })| (rate.0, *aside, *lease)).collect(),
        passing: rates
            .values()
            .zip(0..)
            .filter(|(left, _)| left.lasts > 0)
            .map(|(left, at)| (at, left.lasts))
            .collect(),
        gone: gone.iter().map(|((budget, period), by)| (budget.clone(), *period, by.clone())).collect(),
    };
    // It is written often: speed counts for more than the last bytes.
    pack(&document, Compression::fast())
}

fn of_account(
    account: &Account,
    book: &AccountLedger<Source>,
    names: &BTreeMap<Account, &Named>,
    places: &BTreeMap<&Source, usize>,
) -> AccountDocument {
    let AccountLedger { limit, rights, closed, forfeited, held, block } = book;
    // A right to nothing needs no line.
    let rights = rights.iter().filter(|(_, right)| **right != Right::default());
    let rights = rights.filter_map(|(source, Right { granted, returned, spent })| {
        Some((*places.get(source)?, *granted, *returned, *spent))
    });
    AccountDocument {
        budget: account.budget.0,
        period: account.period.0,
        limit: *limit,
        closed: *closed,
        forfeited: *forfeited,
        held: *held,
        block: *block,
        rights: rights.collect(),
        name: names.get(account).map(|named| of_name(named)),
    }
}

fn of_name(named: &Named) -> NameDocument {
    let Named { name, subject, end, limit: _, gone, touched } = named;
    let of = match subject.clone() {
        Subject::Namespace => SubjectDocument::Namespace,
        Subject::Workload(name) => SubjectDocument::Workload(name),
        Subject::Job(name) => SubjectDocument::Job(name),
        Subject::Value(value) => SubjectDocument::Value(value),
    };
    NameDocument { budget: name.budget.clone(), end: *end, of, gone: gone.clone(), touched: *touched }
}

/// The ledger from stored bytes.
pub(super) fn decode(bytes: &[u8]) -> Result<Stored, Corrupt> {
    let document: Document = unpack(bytes, VERSION)?;
    let Document { version: _, leader, epoch, sources, retired, accounts, rates, passing, gone } = document;
    let sources: Vec<Source> = sources.into_iter().map(|(pod, journal)| Source { pod, journal }).collect();
    let retired: BTreeMap<Source, i64> =
        retired.into_iter().map(|(pod, journal, at)| (Source { pod, journal }, at)).collect();
    let mut names = BTreeMap::new();
    let mut books = BTreeMap::new();
    for mut document in accounts {
        let account = Account { budget: BudgetId(document.budget), period: Period(document.period) };
        if let Some(name) = document.name.take() {
            names.insert(account, named(name, &document));
        }
        books.insert(account, book(document, &sources)?);
    }
    let passing: BTreeMap<usize, u64> = passing.into_iter().collect();
    let rates = rates.into_iter().zip(0..).map(|((rate, aside, lease), at)| {
        let lasts = passing.get(&at).copied().unwrap_or_default();
        (RateId(rate), RateLedger { aside, lease, lasts })
    });
    let ledger = Ledger {
        leader: leader.into(),
        epoch: Epoch(epoch),
        sources: sources.into_iter().collect::<BTreeSet<_>>(),
        retired: retired.keys().copied().collect(),
        accounts: books,
        rates: rates.collect(),
    };
    let gone = gone.into_iter().map(|(budget, period, by)| ((budget, period), by)).collect();
    Ok(Stored { ledger, names, retired, gone })
}

fn book(document: AccountDocument, sources: &[Source]) -> Result<AccountLedger<Source>, Corrupt> {
    let AccountDocument { budget: _, period: _, limit, closed, forfeited, held, block, rights, name: _ } = document;
    let right = |(place, granted, returned, spent): (usize, u64, u64, u64)| {
        let source = sources.get(place).copied().ok_or(Corrupt::Dangling { what: "source", place })?;
        Ok((source, Right { granted, returned, spent }))
    };
    let rights = rights.into_iter().map(right).collect::<Result<_, Corrupt>>()?;
    Ok(AccountLedger { limit, rights, closed, forfeited, held, block })
}

fn named(document: NameDocument, account: &AccountDocument) -> Named {
    let NameDocument { budget, end, of, gone, touched } = document;
    let subject = match of {
        SubjectDocument::Namespace => Subject::Namespace,
        SubjectDocument::Workload(name) => Subject::Workload(name),
        SubjectDocument::Job(name) => Subject::Job(name),
        SubjectDocument::Value(value) => Subject::Value(value),
    };
    let value = if let Subject::Value(value) = &subject { value.clone() } else { None };
    let period = i64::try_from(account.period).unwrap_or(i64::MAX);
    Named { name: AccountName { budget, value, period }, subject, end, limit: account.limit, gone, touched }
}

#[cfg(test)]
mod tests;
