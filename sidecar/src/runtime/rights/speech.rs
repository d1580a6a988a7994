//! The machine's messages, with names in place of numbers.

use spillway_policy::quota as machine;
use spillway_wire as wire;

use super::Names;

pub(super) fn report(
    report: &machine::Report,
    journal: &str,
    names: &Names,
    said: Vec<wire::Allowance>,
) -> wire::QuotaReport {
    let machine::Report { stamp, epoch, serial, accounts, flows, asks, last } = report;
    wire::QuotaReport {
        journal: journal.to_owned(),
        stamp: wire::Stamp { life: stamp.life, sent: stamp.sent },
        epoch: epoch.0,
        serial: *serial,
        accounts: accounts.iter().filter_map(|usage| account(usage, names)).collect(),
        flows: flows.iter().filter_map(|flow| self::flow(flow, names)).collect(),
        asks: asks.iter().filter_map(|ask| self::ask(ask, names)).collect(),
        said,
        // Added by whoever knows the backends.
        breakers: Vec::new(),
        last: *last,
    }
}

fn account(usage: &machine::Usage, names: &Names) -> Option<wire::AccountUse> {
    let machine::Usage { account, granted, returned, spent, open, wants, largest } = *usage;
    Some(wire::AccountUse {
        account: account_name(account, names)?,
        granted_nanos: granted,
        returned_nanos: returned,
        spent_nanos: spent,
        open_nanos: open,
        wants_nanos: wants,
        largest_nanos: largest,
    })
}

pub(super) fn account_name(account: machine::Account, names: &Names) -> Option<wire::AccountName> {
    let name = names.budget_name(account.budget)?;
    let period = i64::try_from(account.period.0).unwrap_or(i64::MAX);
    Some(wire::AccountName { budget: name.budget.clone(), value: name.value.clone(), period })
}

pub(super) fn flow(flow: &machine::Flow, names: &Names) -> Option<wire::Flow> {
    let machine::Flow { rate, floor, surplus, lasts, wants } = *flow;
    Some(wire::Flow { rate: names.rate_name(rate)?.clone(), floor, surplus, lasts, wants })
}

fn ask(ask: &machine::PermitAsk, names: &Names) -> Option<wire::PermitAsk> {
    let machine::PermitAsk { rate, id, amount, patience } = *ask;
    Some(wire::PermitAsk { rate: names.rate_name(rate)?.clone(), id, amount, patience })
}

pub(super) fn rights(rights: &wire::Rights, names: &mut Names) -> machine::Rights {
    let wire::Rights {
        journal: _,
        epoch,
        serial,
        answers,
        grants,
        shares,
        permits,
        // Of names, not of numbers.
        crowded_accounts: _,
        crowded_rates: _,
        breakers: _,
    } = rights;
    machine::Rights {
        epoch: machine::Epoch(*epoch),
        serial: *serial,
        answers: machine::Stamp { life: answers.life, sent: answers.sent },
        grants: grants.iter().map(|grant| self::grant(grant, names)).collect(),
        shares: shares.iter().map(|share| self::share(share, names)).collect(),
        permits: permits.iter().map(|permit| self::permit(permit, names)).collect(),
    }
}

fn grant(grant: &wire::Grant, names: &mut Names) -> machine::Grant {
    let wire::Grant { account, total_nanos, returned_nanos, spent_nanos, keep_nanos, left_nanos } = grant;
    machine::Grant {
        account: names.account(account),
        total: *total_nanos,
        returned: *returned_nanos,
        spent: *spent_nanos,
        keep: *keep_nanos,
        left: *left_nanos,
    }
}

fn share(share: &wire::Share, names: &mut Names) -> machine::Share {
    let wire::Share { rate, window, floor, surplus, least, lease } = share;
    let rate = names.rate(rate.clone());
    machine::Share { rate, window: *window, floor: *floor, surplus: *surplus, least: *least, lease: *lease }
}

fn permit(permit: &wire::Permit, names: &mut Names) -> machine::Permit {
    let wire::Permit { rate, id, amount } = permit;
    machine::Permit { rate: names.rate(rate.clone()), id: *id, amount: *amount }
}
