//! What a report may be: a sidecar is ours, but its pod may not be anyone's friend.

use spillway_wire::{BackendName, QuotaDelivery, QuotaReport, RateName, RateOf, SidecarIdentity};

/// Accounts, rates and waiting requests that one report may speak of.
const MAX_LINES: usize = 16_384;
/// Kubernetes names stay far below, and so do values of headers that name somebody.
const MAX_NAME_BYTES: usize = 1024;
const MAX_JOURNAL_BYTES: usize = 128;

/// Why a report is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadReport {
    #[error("the report has {count} {what}, {MAX_LINES} are accepted")]
    TooMany { what: &'static str, count: usize },
    #[error("a name in the report has {0} bytes, {MAX_NAME_BYTES} are accepted")]
    LongName(usize),
    #[error("the name of its journal has {0} bytes, 1 to {MAX_JOURNAL_BYTES} are accepted")]
    Journal(usize),
    #[error("the report speaks of {name:?}, but its pod is in namespace {namespace:?}")]
    Foreign { name: String, namespace: String },
}

/// A report costs bounded memory, and only what is its own namespace's.
pub(super) fn check(delivery: &QuotaDelivery) -> Result<(), BadReport> {
    let QuotaDelivery { from: SidecarIdentity { namespace, .. }, report } = delivery;
    let QuotaReport { journal, accounts, flows, asks, said, breakers, stamp: _, epoch: _, serial: _, last: _ } = report;
    if !(1..=MAX_JOURNAL_BYTES).contains(&journal.len()) {
        return Err(BadReport::Journal(journal.len()));
    }
    let counts = [accounts.len(), flows.len(), asks.len(), said.len(), breakers.len()];
    let whats = ["accounts", "rates", "waiting requests", "allowances", "breakers"];
    for (what, count) in whats.into_iter().zip(counts) {
        if count > MAX_LINES {
            return Err(BadReport::TooMany { what, count });
        }
    }
    for account in accounts.iter().map(|line| &line.account) {
        own(&account.budget, namespace)?;
        short(account.value.as_deref())?;
    }
    for BackendName { route, backend } in breakers.iter().map(|line| &line.of) {
        own(route, namespace)?;
        short(Some(backend))?;
    }
    let rates = flows.iter().map(|flow| &flow.rate).chain(asks.iter().map(|ask| &ask.rate));
    for RateName { of, counts: _, value } in rates.chain(said.iter().map(|said| &said.rate)) {
        short(value.as_deref())?;
        match of {
            RateOf::Limit { route, limit } => {
                own(route, namespace)?;
                short(Some(limit))?;
            }
            // Of any namespace; whether it is one that this pod uses is seen by the config.
            RateOf::Provider(provider) => short(Some(provider))?,
        }
    }
    Ok(())
}

fn own(name: &str, namespace: &str) -> Result<(), BadReport> {
    short(Some(name))?;
    if name.split_once('/').is_none_or(|(of, _)| of != namespace) {
        return Err(BadReport::Foreign { name: name.to_owned(), namespace: namespace.to_owned() });
    }
    Ok(())
}

fn short(name: Option<&str>) -> Result<(), BadReport> {
    match name.map(str::len) {
        Some(bytes) if bytes > MAX_NAME_BYTES => Err(BadReport::LongName(bytes)),
        _ => Ok(()),
    }
}
