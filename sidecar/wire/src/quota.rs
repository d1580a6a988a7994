//! Rights to spend: what a sidecar has used of what it was given, and what it is given.
//!
//! The scheme is that of `spillway_policy::quota`; these are its messages with names in place of numbers. Every figure is a
//! total or a state, never a difference, so a message may be lost, repeated or late. Money is in `_nanos`, parts of rates in
//! thousandths of a request or token, durations in nanoseconds of the one who measures them.

use serde::{Deserialize, Serialize};

use crate::SidecarIdentity;

/// What values of headers and users share that have no count of their own, because there are too many.
pub const OTHERS: &str = "(others)";

/// One budget in one period, as a sidecar names it.
///
/// What a pod is by its identity (its namespace, workload, Job) is not said here: the operator knows that better.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountName {
    /// Key into [`crate::Snapshot::budgets`].
    pub budget: String,
    /// The value of the header, for [`crate::BudgetPer::Header`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// When the period began, in seconds since 1970: [`crate::Period::at`].
    pub period: i64,
}

/// What is counted for the whole fleet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RateName {
    #[serde(flatten)]
    pub of: RateOf,
    pub counts: Counts,
    /// What has a count of its own, for limits per header or user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Whose rate it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateOf {
    /// A limit with [`crate::LimitScope::Fleet`].
    Limit {
        /// `namespace/name` of the ModelRoute.
        route: String,
        limit: String,
    },
    /// The account of a provider, `namespace/name`.
    Provider(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    Requests,
    Tokens,
}

/// Orders the reports of a source: `life` counts the starts of its process, `sent` is that process's own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    pub life: u32,
    pub sent: u64,
}

/// What a sidecar holds, what it has used, and what it could use. Sent every two seconds, and sooner when it is short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaReport {
    /// Names the journal it goes on from: with the pod's uid, the source of these totals.
    pub journal: String,
    pub stamp: Stamp,
    /// The newest leader it has heard.
    pub epoch: u64,
    /// The newest rights of that leader it has taken.
    pub serial: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<AccountUse>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flows: Vec<Flow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<PermitAsk>,
    /// What providers have said of their accounts of late.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<Allowance>,
    /// What it has seen of backends whose breaker the fleet shares: [`QuotaReport::MAX_BREAKERS`] at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breakers: Vec<BreakerEvidence>,
    /// Nothing is in flight, and nothing will be admitted any more.
    #[serde(default)]
    pub last: bool,
}

/// What a sidecar has seen of one backend of one route, since its process began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerEvidence {
    #[serde(flatten)]
    pub of: BackendName,
    /// Attempts that succeeded or failed.
    pub attempts: u64,
    pub failures: u64,
    /// Failures since the last success.
    #[serde(default)]
    pub row: u64,
    /// How often somebody wanted to ask it, kept out or not.
    #[serde(default)]
    pub asked: u64,
    /// The newest verdict it has taken, and attempts since then that succeeded and that failed. 0: none.
    #[serde(default)]
    pub turn: u64,
    #[serde(default)]
    pub good: u64,
    #[serde(default)]
    pub bad: u64,
}

/// A backend of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BackendName {
    /// `namespace/name` of the ModelRoute.
    pub route: String,
    pub backend: String,
}

/// Money of one account in one sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountUse {
    #[serde(flatten)]
    pub account: AccountName,
    pub granted_nanos: u64,
    pub returned_nanos: u64,
    pub spent_nanos: u64,
    /// The worst case of what is in flight.
    pub open_nanos: u64,
    /// What its requests would set aside in a second.
    pub wants_nanos: u64,
    /// The largest reservation of late.
    pub largest_nanos: u64,
}

/// A part of a rate in one sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    #[serde(flatten)]
    pub rate: RateName,
    /// What it has now, in thousandths a window.
    pub floor: u64,
    pub surplus: u64,
    /// For how long it has the surplus yet.
    pub lasts: u64,
    /// What its requests would take, in thousandths a second.
    pub wants: u64,
}

/// Asks for what a share has no room for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitAsk {
    #[serde(flatten)]
    pub rate: RateName,
    pub id: u64,
    pub amount: u64,
    pub patience: u64,
}

/// What is left of an account, as its provider counts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    #[serde(flatten)]
    pub rate: RateName,
    pub limit: u64,
    pub remaining: u64,
    /// How long after it was said there is all of it again.
    pub resets: u64,
    /// How long ago that was.
    pub age: u64,
}

/// What a sidecar may do: a line of the stream of [`crate::Down`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// The source it is meant for: another one ignores it.
    pub journal: String,
    pub epoch: u64,
    pub serial: u64,
    /// The newest report that this takes into account.
    pub answers: Stamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Share>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permits: Vec<Permit>,
    /// Of values that there is no room for: they are counted by [`OTHERS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crowded_accounts: Vec<AccountName>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crowded_rates: Vec<RateName>,
    /// Of breakers that the fleet shares. They have an order of their own, and depend on nothing else in this message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breakers: Vec<BreakerVerdict>,
}

/// What becomes of a breaker that the fleet shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerVerdict {
    #[serde(flatten)]
    pub of: BackendName,
    /// Of two verdicts on a backend the one with the larger number counts.
    pub turn: u64,
    pub say: BreakerSay,
    /// How long it counts when nothing more is heard.
    pub lease: u64,
    /// What it was opened for: so many failures of so many attempts.
    #[serde(default)]
    pub failed: u64,
    #[serde(default)]
    pub attempts: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerSay {
    /// Nobody asks.
    StayOut,
    /// One attempt at a time, to see whether it is well again.
    Probe,
    Closed,
}

/// Money of one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    #[serde(flatten)]
    pub account: AccountName,
    /// All that was ever granted to this source.
    pub total_nanos: u64,
    /// Of it, what it has given back and what it has spent, as far as is known.
    #[serde(default)]
    pub returned_nanos: u64,
    #[serde(default)]
    pub spent_nanos: u64,
    /// Of what it has no use for now it may keep this much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_nanos: Option<u64>,
    /// What nobody has spent yet, fleet-wide.
    pub left_nanos: u64,
}

/// What a sidecar may use of a rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    #[serde(flatten)]
    pub rate: RateName,
    pub window: u64,
    /// Its own until it is told otherwise, in thousandths a window.
    pub floor: u64,
    /// Its own for as long as `lease`, from when it sent the report that this answers.
    pub surplus: u64,
    /// What may be used at once, at least.
    pub least: u64,
    pub lease: u64,
}

/// Leave for one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permit {
    #[serde(flatten)]
    pub rate: RateName,
    pub id: u64,
    pub amount: u64,
}

/// A report with the identity that the receiving replica verified, passed on to the replica that leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaDelivery {
    pub from: SidecarIdentity,
    pub report: QuotaReport,
}

/// Rights on their way from the replica that leads to the one whose stream the sidecar listens to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightsDelivery {
    /// Of the pod.
    pub uid: String,
    pub rights: Rights,
}

// === impl QuotaReport ===

impl QuotaReport {
    /// More backends than a pod has routes for.
    pub const MAX_BREAKERS: usize = 1024;
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn names_are_written_as_they_are_read() {
        let report = json!({
            "journal": "j", "stamp": {"life": 1, "sent": 2}, "epoch": 3, "serial": 4, "last": false,
            "accounts": [{"budget": "shop/month", "value": "acme", "period": 1_793_491_200, "granted_nanos": 9,
                "returned_nanos": 1, "spent_nanos": 2, "open_nanos": 3, "wants_nanos": 4, "largest_nanos": 5}],
            "flows": [
                {"limit": {"route": "shop/chat", "limit": "team"}, "counts": "tokens", "value": "a",
                    "floor": 1, "surplus": 2, "lasts": 3, "wants": 4},
                {"provider": "ai/openai", "counts": "requests", "floor": 1, "surplus": 2, "lasts": 3, "wants": 4},
            ],
            "asks": [{"provider": "ai/openai", "counts": "tokens", "id": 1, "amount": 2, "patience": 3}],
            "said": [{"provider": "ai/openai", "counts": "tokens", "limit": 9, "remaining": 2, "resets": 3, "age": 4}],
            "breakers": [{"route": "shop/chat", "backend": "mini", "attempts": 9, "failures": 3, "row": 1, "asked": 12,
                "turn": 4_294_967_299u64, "good": 1, "bad": 0}],
        });
        let read: QuotaReport = from_value(report.clone()).unwrap();
        assert_eq!(read.flows[1].rate.of, RateOf::Provider("ai/openai".to_owned()));
        assert_eq!(to_value(read).unwrap(), report);
        let rights = json!({
            "journal": "j", "epoch": 3, "serial": 0, "answers": {"life": 0, "sent": 0},
            "breakers": [{"route": "shop/chat", "backend": "mini", "turn": 4_294_967_299u64, "say": "stay_out",
                "lease": 6_000_000_000u64, "failed": 5, "attempts": 7}],
        });
        let read: Rights = from_value(rights.clone()).unwrap();
        assert_eq!((read.breakers[0].say, to_value(&read).unwrap()), (BreakerSay::StayOut, rights));
    }
}
