//! Messages with names become messages with numbers, and back.

use std::collections::BTreeSet;

use spillway_policy::quota as policy;
use spillway_wire as wire;

/// The numbers of what a report names, in its order. None: it counts nowhere.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) accounts: Vec<Option<policy::Account>>,
    pub(super) flows: Vec<Option<policy::RateId>>,
    pub(super) asks: Vec<Option<policy::RateId>>,
}

/// A sidecar's report. What names nothing that counts is left out.
pub(super) fn report(report: &wire::QuotaReport, numbers: &Numbers) -> policy::Report {
    let wire::QuotaReport {
        journal: _,
        stamp: given,
        epoch,
        serial,
        accounts,
        flows,
        asks,
        said: _,
        breakers: _,
        last,
    } = report;
    // Of two totals of one account only one can be true, and no sidecar of ours sends two.
    let mut seen = BTreeSet::new();
    let usages = accounts.iter().zip(&numbers.accounts).filter_map(|(given, number)| Some(usage((*number)?, given)));
    let flows = flows.iter().zip(&numbers.flows).filter_map(|(given, number)| Some(flow((*number)?, given)));
    let asks = asks.iter().zip(&numbers.asks).filter_map(|(given, number)| Some(ask((*number)?, given)));
    policy::Report {
        stamp: stamp(*given),
        epoch: policy::Epoch(*epoch),
        serial: *serial,
        accounts: usages.filter(|usage| seen.insert(usage.account)).collect(),
        flows: flows.collect(),
        asks: asks.collect(),
        last: *last,
    }
}

const fn usage(account: policy::Account, given: &wire::AccountUse) -> policy::Usage {
    policy::Usage {
        account,
        granted: given.granted_nanos,
        returned: given.returned_nanos,
        spent: given.spent_nanos,
        open: given.open_nanos,
        wants: given.wants_nanos,
        largest: given.largest_nanos,
    }
}

const fn flow(rate: policy::RateId, given: &wire::Flow) -> policy::Flow {
    let wire::Flow { rate: _, floor, surplus, lasts, wants } = *given;
    policy::Flow { rate, floor, surplus, lasts, wants }
}

const fn ask(rate: policy::RateId, given: &wire::PermitAsk) -> policy::PermitAsk {
    let wire::PermitAsk { rate: _, id, amount, patience } = *given;
    policy::PermitAsk { rate, id, amount, patience }
}

/// It has less than a request takes, or waits for leave.
pub(super) fn is_short(report: &policy::Report) -> bool {
    let is_short = |usage: &policy::Usage| {
        let used = usage.returned.saturating_add(usage.spent).saturating_add(usage.open);
        usage.wants > 0 && usage.granted.saturating_sub(used) < usage.largest
    };
    let is_stuck = |flow: &policy::Flow| flow.wants > 0 && flow.floor == 0 && flow.surplus == 0;
    report.accounts.iter().any(is_short) || report.flows.iter().any(is_stuck) || !report.asks.is_empty()
}

/// Rights for a sidecar. What has no name is left out.
pub(super) fn rights(
    rights: &policy::Rights,
    journal: &str,
    account: impl Fn(policy::Account) -> Option<wire::AccountName>,
    rate: impl Fn(policy::RateId) -> Option<wire::RateName>,
) -> wire::Rights {
    let policy::Rights { epoch, serial, answers, grants, shares, permits } = rights;
    let grant = |grant: &policy::Grant| {
        let policy::Grant { account: of, total, returned, spent, keep, left } = *grant;
        Some(wire::Grant {
            account: account(of)?,
            total_nanos: total,
            returned_nanos: returned,
            spent_nanos: spent,
            keep_nanos: keep,
            left_nanos: left,
        })
    };
    let share = |share: &policy::Share| {
        let policy::Share { rate: of, window, floor, surplus, least, lease } = *share;
        Some(wire::Share { rate: rate(of)?, window, floor, surplus, least, lease })
    };
    let permit = |permit: &policy::Permit| {
        let policy::Permit { rate: of, id, amount } = *permit;
        Some(wire::Permit { rate: rate(of)?, id, amount })
    };
    wire::Rights {
        journal: journal.to_owned(),
        epoch: epoch.0,
        serial: *serial,
        answers: wire::Stamp { life: answers.life, sent: answers.sent },
        grants: grants.iter().filter_map(grant).collect(),
        shares: shares.iter().filter_map(share).collect(),
        permits: permits.iter().filter_map(permit).collect(),
        crowded_accounts: Vec::new(),
        crowded_rates: Vec::new(),
        breakers: Vec::new(),
    }
}

pub(super) const fn stamp(given: wire::Stamp) -> policy::Stamp {
    policy::Stamp { life: given.life, sent: given.sent }
}
