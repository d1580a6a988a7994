//! A control plane without a cluster: resources from files, one sidecar, a CA that lives as long as the process.
//!
//! The same compile and the same push over TLS as in a cluster; `spillway dev` and `spillway operator --resources` run this.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use secrecy::SecretString;
use tokio::{net::TcpListener, sync::watch, task::spawn_blocking, time};

use super::tasks::Tasks;
use crate::{
    changes::Changes,
    clock::Clock,
    context::Context,
    lease,
    metrics::Metrics,
    pods::{PodEntry, Pods},
    publish::{Endpoint, Publisher, auth::Authenticator},
    quota::{self, Bank, Runner},
    reconcile,
    relay::Relay,
    resources::CompileSettings,
    source::{Files, POLL, Source},
    status::Wanted,
    tls::{Authority, Limits, Tls},
    usage::{Intake, Store},
};

/// What a local control plane is made of.
pub struct Plan {
    pub files: Arc<Files>,
    pub allowed_private_ranges: Vec<String>,
    pub sidecar_addr: SocketAddr,
    /// What the sidecar proves itself with.
    pub token: SecretString,
    /// What it is taken for.
    pub pod: PodEntry,
}

/// A running one.
pub struct Local {
    /// Where its sidecar finds it.
    pub addr: SocketAddr,
    pub ca_pem: String,
    pub context: Context,
    /// What an API server would be told. Nothing is worked out when nobody keeps it.
    pub statuses: watch::Receiver<Vec<Wanted>>,
}

/// Starts it.
pub async fn start(plan: Plan, tasks: &mut Tasks) -> anyhow::Result<Local> {
    let Plan { files, allowed_private_ranges, sidecar_addr, token, pod } = plan;
    let (clock, metrics, changes) = (Clock::system(), Metrics::new(), Changes::default());
    let listener = TcpListener::bind(sidecar_addr).await.with_context(|| format!("listen on {sidecar_addr}"))?;
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), sidecar_addr.ip().to_string()];
    let addr = listener.local_addr()?;
    let tls = Tls::new(Authority::generate(clock.wall())?, names, clock)?;
    let ca_pem = tls.ca_pem();
    let (statuses, told) = watch::channel(Vec::new());
    let usage = Intake::new(Relay::default(), lease::always(), changes.clone(), clock);
    let bank = Bank::new(Relay::default(), lease::always(), clock);
    let pods = Pods::fixed([pod.clone()]);
    let publisher = Publisher::new(pods.clone(), changes.clone(), metrics.clone());
    let context = Context {
        source: Source::Directory(files.clone()),
        compile: CompileSettings { allowed_private_ranges, ..CompileSettings::default() },
        changes: changes.clone(),
        publisher: publisher.clone(),
        pods: pods.clone(),
        usage: usage.clone(),
        bank: bank.clone(),
        clock,
        metrics: metrics.clone(),
        statuses,
    };
    let authenticator = Authenticator::fixed(&token, pod);
    let runner = Runner {
        bank: bank.clone(),
        // Its one sidecar lives no longer than it does.
        store: quota::Store::memory(),
        publisher: publisher.clone(),
        pods: pods.clone(),
        tenure: watch::channel(None).1,
        metrics: metrics.clone(),
        instance: "local".to_owned(),
    };
    let (intake, tls_here) = (usage.clone(), tls.clone());
    let endpoint = Endpoint { publisher, authenticator, intake, bank, tls: tls_here, metrics: metrics.clone() };
    let stop = tasks.stop();
    tasks.spawn("rights", runner.run(stop.clone()));
    tasks.spawn("sidecars", endpoint.serve(listener, Limits::default(), stop.clone()));
    tasks.spawn("ledger", Store::nowhere(metrics).run(usage, pods, stop.clone()));
    tasks.spawn("certificates", async move { tls.keep(None, stop).await });
    tasks.spawn_forever("files", poll(files, changes));
    tasks.spawn_forever("reconcile", reconcile::run(context.clone()));
    Ok(Local { addr, ca_pem, context, statuses: told })
}

/// Rings when a file has changed, and tells what is wrong with it.
async fn poll(files: Arc<Files>, changes: Changes) {
    let mut told = files.problems();
    changes.resources();
    loop {
        time::sleep(POLL).await;
        let look = files.clone();
        if !spawn_blocking(move || look.refresh()).await.unwrap_or(false) {
            continue;
        }
        let problems = files.problems();
        for problem in problems.iter().filter(|problem| !told.contains(problem)) {
            tracing::warn!("{problem}; what it said before stays in force");
        }
        told = problems;
        tracing::info!("files have changed");
        changes.resources();
    }
}
