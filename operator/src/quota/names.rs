//! Names become numbers, by a hash that every replica and every version agrees on.

use sha2::{Digest, Sha256};
use spillway_policy::quota::{BudgetId, RateId};
use spillway_wire::{BudgetPer, Counts, OTHERS, RateOf, SidecarIdentity};

/// One pod, and one journal of its sidecar: what totals are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Source {
    pub pod: u64,
    pub journal: u64,
}

/// Who has a budget of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Subject {
    Namespace,
    Workload(String),
    Job(String),
    /// Requests with this value in the header, or without any.
    Value(Option<String>),
}

// === impl Source ===

impl Source {
    pub(super) fn new(uid: &str, journal: &str) -> Self {
        Self { pod: pod(uid), journal: hash("journal", &[journal]) }
    }
}

/// The number of a pod.
pub(super) fn pod(uid: &str) -> u64 {
    hash("pod", &[uid])
}

// === impl Subject ===

impl Subject {
    /// Whom a sidecar's requests are counted for: by what it is, and only the header's value by what it says. None: it says
    /// a value where none counts.
    pub(super) fn of(per: &BudgetPer, from: &SidecarIdentity, value: Option<&str>) -> Option<Self> {
        match per {
            BudgetPer::Header(_) => Some(Self::Value(value.map(str::to_owned))),
            _ if value.is_some() => None,
            BudgetPer::Namespace => Some(Self::Namespace),
            BudgetPer::Workload => Some(Self::Workload(from.workload.clone())),
            BudgetPer::JobRun => Some(match &from.job {
                Some(job) => Self::Job(job.clone()),
                None => Self::Workload(from.workload.clone()),
            }),
        }
    }

    /// Whether there may be so many like it that those beyond some number share one account.
    pub(super) fn is_one_of_many(&self) -> bool {
        matches!(self, Self::Value(Some(value)) if value != OTHERS)
    }

    /// The number of its part of a budget.
    pub(super) fn budget(&self, budget: &str) -> BudgetId {
        BudgetId(match self {
            Self::Namespace => hash("budget", &[budget]),
            Self::Workload(name) => hash("budget", &[budget, "workload", name]),
            Self::Job(name) => hash("budget", &[budget, "job", name]),
            Self::Value(Some(value)) => hash("budget", &[budget, "value", value]),
            Self::Value(None) => hash("budget", &[budget, "no value"]),
        })
    }
}

/// The number of a rate. One that is counted over another time is another one, and so is that of another subject.
pub(super) fn rate(of: &RateOf, counts: Counts, window: u64, subject: &[&str]) -> RateId {
    let window = window.to_string();
    let counts = match counts {
        Counts::Requests => "requests",
        Counts::Tokens => "tokens",
    };
    let mut parts: Vec<&str> = match of {
        RateOf::Limit { route, limit } => vec!["limit", route, limit],
        RateOf::Provider(provider) => vec!["provider", provider],
    };
    parts.extend([counts, window.as_str()]);
    parts.extend(subject);
    RateId(hash("rate", &parts))
}

/// Lengths are part of it, so that no two lists of parts look alike.
fn hash(kind: &str, parts: &[&str]) -> u64 {
    let mut digest = Sha256::new().chain_update(kind);
    for part in parts {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.finalize()[..8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored ledgers and other replicas have these numbers: they never change.
    #[test]
    fn numbers_stay_what_they_are() {
        assert_eq!(
            Source::new("uid", "journal"),
            Source { pod: 1_669_230_819_408_957_130, journal: 11_144_174_649_175_984_922 }
        );
        assert_eq!(Subject::Namespace.budget("shop/month"), BudgetId(9_604_790_251_923_186_600));
        assert_eq!(
            Subject::Workload("Deployment/web".into()).budget("shop/month"),
            BudgetId(6_116_958_255_220_536_974)
        );
        let limit = RateOf::Limit { route: "shop/chat".into(), limit: "team".into() };
        assert_eq!(rate(&limit, Counts::Tokens, 60, &[]), RateId(17_352_539_671_063_541_533));
    }

    #[test]
    fn what_a_sidecar_is_decides_for_whom_it_counts() {
        let from = |workload: &str, job: Option<&str>| SidecarIdentity {
            namespace: "shop".into(),
            pod: "p".into(),
            uid: "u".into(),
            workload: workload.into(),
            revision: None,
            tenant: None,
            job: job.map(str::to_owned),
        };
        let web = from("Deployment/web", None);
        let job = from("CronJob/nightly", Some("nightly-29387520"));
        let header = BudgetPer::Header("x-tenant".into());
        let rows = [
            (&BudgetPer::Namespace, &web, None, Some(Subject::Namespace)),
            (&BudgetPer::Namespace, &web, Some("acme"), None),
            (&BudgetPer::Workload, &web, None, Some(Subject::Workload("Deployment/web".into()))),
            (&BudgetPer::JobRun, &job, None, Some(Subject::Job("nightly-29387520".into()))),
            (&BudgetPer::JobRun, &web, None, Some(Subject::Workload("Deployment/web".into()))),
            (&header, &web, Some("acme"), Some(Subject::Value(Some("acme".into())))),
            (&header, &web, None, Some(Subject::Value(None))),
        ];
        for (per, from, value, want) in rows {
            assert_eq!(Subject::of(per, from, value), want, "{per:?} {value:?}");
        }
    }
}
