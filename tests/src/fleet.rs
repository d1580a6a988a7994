//! Fifty sidecars and three operators as processes on one machine, against a real API server, while they are killed: is
//! anything spent that was not there, and how much of what was there could not be?
//!
//! Pods exist at the API server alone: nobody schedules them. Their ServiceAccount tokens are real, and so are the
//! operators' watches, their Lease and what they store. What was spent is counted at the provider, which everybody calls.

mod cluster;
mod load;
mod member;
mod operators;
mod report;
mod upstream;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::task::JoinSet;

use self::cluster::Cluster;
use self::load::Load;
use self::member::Member;
use self::operators::Operators;
use self::report::Report;
use self::upstream::Upstream;
use crate::clock::Epoch;

/// What is asked of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub sidecars: usize,
    pub operators: usize,
    pub length: Duration,
    /// A sidecar is killed so often. None: never.
    pub kill_sidecar: Option<Duration>,
    /// And the operator that leads. It is back after [`operators::AWAY`].
    pub kill_leader: Option<Duration>,
    pub what: What,
    /// Of what there is, how much is asked for, in hundredths.
    pub offered_percent: u64,
    /// Whether a few sidecars ask for most of it.
    pub skewed: bool,
    pub seed: u64,
}

/// What is shared by all sidecars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// One ModelBudget of so many thousandths of a dollar.
    Budget { milli_dollars: u64 },
    /// One fleet-wide limit of so many requests a minute.
    Rate { requests: u64 },
}

/// Runs the plan in the cluster of `KUBECONFIG`. Everything it makes there is in two namespaces, and removed at the end.
pub async fn run(plan: &Plan) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir()?;
    let epoch = Epoch::start();
    let upstream = Upstream::start(epoch, plan.seed).await?;
    let cluster = Cluster::prepare(plan, upstream.address).context("prepare the cluster")?;
    let outcome = play(plan, &folder, epoch, &upstream, &cluster).await;
    cluster.remove();
    outcome.map_err(|error| {
        let kept = folder.keep();
        error.context(format!("what the processes have written is in {}", kept.display()))
    })
}

async fn play(
    plan: &Plan,
    folder: &TempDir,
    epoch: Epoch,
    upstream: &Arc<Upstream>,
    cluster: &Cluster,
) -> anyhow::Result<Report> {
    let operators = Arc::new(Operators::start(plan.operators, folder.path(), cluster).await?);
    let mut members = Vec::with_capacity(plan.sidecars);
    for index in 0..plan.sidecars {
        members.push(Arc::new(Member::start(index, folder.path(), cluster, &operators)?));
    }
    for member in &members {
        member.ready().await?;
    }
    let load = Arc::new(Load::new(plan, epoch, Arc::clone(upstream)));
    let mut tasks = JoinSet::new();
    let began = epoch.nanos();
    for member in &members {
        tasks.spawn(load.clone().drive(Arc::clone(member), began));
    }
    let mut chaos = JoinSet::new();
    if let Some(every) = plan.kill_sidecar {
        chaos.spawn(member::kill_one_every(every, members.clone(), plan.seed));
    }
    if let Some(every) = plan.kill_leader {
        chaos.spawn(operators::kill_leader_every(every, Arc::clone(&operators)));
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    chaos.abort_all();
    // Requests in flight are answered, and their costs reported.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut report = Report::of(plan, &load, upstream, began, &members, &operators);
    if let What::Budget { .. } = plan.what {
        report.add(format!("status of the ModelBudget: {}", cluster.get("modelbudget", "all")?["status"]));
    }
    Ok(report)
}

/// A program that `tests/fleet.sh` has built into the folder of this one.
fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let program = crate::process::built()?.join(name);
    anyhow::ensure!(program.exists(), "{} is missing (fix: run tests/fleet.sh)", program.display());
    Ok(program)
}
