//! Messages with names become messages with numbers, and back.

use spillway_policy::quota as policy;
use spillway_wire as wire;

/// A sidecar's report. What names nothing that counts is left out.
pub(super) fn report(
    report: &wire::QuotaReport,
    mut account: impl FnMut(&wire::AccountName) -> Option<policy::Account>,
) -> policy::Report {
    let wire::QuotaReport { journal: _, stamp: given, epoch, serial, accounts, flows: _, asks: _, last } = report;
    let mut usages: Vec<policy::Usage> = Vec::with_capacity(accounts.len());
    for given in accounts {
        let Some(account) = account(&given.account) else { continue };
        // Of two totals of one account only one can be true, and no sidecar of ours sends two.
        if !usages.iter().any(|known| known.account == account) {
            usages.push(usage(account, given));
        }
    }
    policy::Report {
        stamp: stamp(*given),
        epoch: policy::Epoch(*epoch),
        serial: *serial,
        accounts: usages,
        flows: Vec::new(),
        asks: Vec::new(),
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

/// It has less than a request takes, or waits for leave.
pub(super) fn is_short(report: &policy::Report) -> bool {
    let is_short = |usage: &policy::Usage| {
        let used = usage.returned.saturating_add(usage.spent).saturating_add(usage.open);
        usage.wants > 0 && usage.granted.saturating_sub(used) < usage.largest
    };
    report.accounts.iter().any(is_short) || !report.asks.is_empty()
}

/// Rights for a sidecar. What has no name is left out.
pub(super) fn rights(
    rights: &policy::Rights,
    journal: &str,
    name: impl Fn(policy::Account) -> Option<wire::AccountName>,
) -> wire::Rights {
    let policy::Rights { epoch, serial, answers, grants, shares: _, permits: _ } = rights;
    let grant = |grant: &policy::Grant| {
        let policy::Grant { account, total, keep, left } = *grant;
        Some(wire::Grant { account: name(account)?, total_nanos: total, keep_nanos: keep, left_nanos: left })
    };
    wire::Rights {
        journal: journal.to_owned(),
        epoch: epoch.0,
        serial: *serial,
        answers: wire::Stamp { life: answers.life, sent: answers.sent },
        grants: grants.iter().filter_map(grant).collect(),
        shares: Vec::new(),
        permits: Vec::new(),
    }
}

const fn stamp(given: wire::Stamp) -> policy::Stamp {
    policy::Stamp { life: given.life, sent: given.sent }
}
