//! What came of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::load::Load;
use super::member::Member;
use super::operators::Operators;
use super::upstream::Upstream;
use super::{Plan, What};

const MINUTE: u64 = 60_000_000_000;

pub struct Report {
    lines: Vec<String>,
    /// More was used than there was.
    pub is_over: bool,
}

impl Report {
    pub(super) fn of(
        plan: &Plan,
        load: &Load,
        upstream: &Upstream,
        began: u64,
        members: &[Arc<Member>],
        operators: &Operators,
    ) -> Self {
        let counts = &load.counts;
        let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let killed: u64 = members.iter().map(|member| get(&member.killed)).sum();
        let (offered, refused) = (get(&counts.offered), get(&counts.refused));
        let mut lines = vec![
            format!("{} sidecars, {} operators, seed {}", plan.sidecars, plan.operators, plan.seed),
            format!("killed: {killed} sidecars, {} leaders", get(&operators.killed)),
            format!(
                "requests: {offered} offered, {} answered, {refused} refused, {} lost with their sidecar, {} failed",
                get(&counts.answered),
                get(&counts.lost),
                get(&counts.failed)
            ),
        ];
        let is_over = match plan.what {
            What::Budget { milli_dollars } => {
                let (limit, spent) = (milli_dollars * 1_000_000, upstream.spent_nanos());
                let dollars = |nanos: u64| format!("${}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
                let (over, left) = (spent.saturating_sub(limit), limit.saturating_sub(spent));
                let early = get(&counts.refused_early);
                lines.push(format!("budget {}, spent {} by the provider's books", dollars(limit), dollars(spent)));
                lines.push(format!("overspend {}; left unspent {:.2} %", dollars(over), percent(left, limit)));
                lines.push(format!(
                    "refused while more than 10 % was left: {early} ({:.2} % of all)",
                    percent(early, offered)
                ));
                over > 0
            }
            What::Rate { requests } => {
                let came = upstream.came();
                let busiest = busiest(&came);
                // The first minute fills what starts empty; the last application stops asking a little after the first.
                let ended = began + u64::try_from(plan.length.as_nanos()).unwrap_or(u64::MAX);
                let steady = came.iter().filter(|at| **at >= began + MINUTE && **at < ended).count() as u64;
                let there = requests as f64 * (ended.saturating_sub(began + MINUTE)) as f64 / MINUTE as f64;
                lines.push(format!(
                    "limit {requests} a minute; the busiest 60 s had {busiest}, {:.1} %",
                    percent(busiest, requests)
                ));
                lines.push(format!("used after the first minute: {:.1} %", steady as f64 * 100.0 / there.max(1.0)));
                busiest > requests
            }
        };
        let surprises = load.surprises.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lines.extend(surprises.iter().map(|surprise| format!("unexpected: {surprise}")));
        Self { lines, is_over }
    }
}

impl Report {
    pub(super) fn add(&mut self, line: String) {
        self.lines.push(line);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / (whole as f64).max(1.0)
}

/// The most that came in any minute.
fn busiest(came: &[u64]) -> u64 {
    let mut first = 0;
    let mut most = 0;
    for (last, at) in came.iter().enumerate() {
        while came[first] + MINUTE <= *at {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_minute_starts_anywhere() {
        let seconds = |list: &[u64]| list.iter().map(|second| second * 1_000_000_000).collect::<Vec<_>>();
        assert_eq!(busiest(&[]), 0);
        assert_eq!(busiest(&seconds(&[0, 59, 60, 61, 118, 119, 121])), 4);
    }
}
