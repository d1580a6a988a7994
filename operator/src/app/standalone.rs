//! `spillway operator --resources DIR`: a local control plane with an admin port, for whoever starts the sidecar elsewhere.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, anyhow, bail};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    local::{self, Plan},
    tasks::Tasks,
};
use crate::{
    admin::{self, Pages},
    pods::PodEntry,
    settings::{DirectorySettings, Settings},
    source::{Directory, Files},
    status::Wanted,
};

/// Starts it.
pub(super) async fn start(
    settings: &Settings,
    directory: &DirectorySettings,
    draining: CancellationToken,
    tasks: &mut Tasks,
) -> anyhow::Result<()> {
    let DirectorySettings { path, sidecar_token_file, sidecar_namespace, ca_out, catalogue } = directory;
    if !path.exists() {
        bail!("--resources {} does not exist", path.display());
    }
    let token = std::fs::read_to_string(sidecar_token_file)
        .with_context(|| format!("--sidecar-token-file {}", sidecar_token_file.display()))?;
    if token.trim().is_empty() {
        bail!("--sidecar-token-file {} is empty", sidecar_token_file.display());
    }
    let files = Files::new(Directory::new(vec![path.clone()], sidecar_namespace), Vec::new(), Vec::new());
    let files = files.with_models(catalogue.clone()).map_err(|problem| anyhow!("--catalogue {problem}"))?;
    for problem in files.problems() {
        tracing::warn!("{problem}");
    }
    let plan = Plan {
        files: Arc::new(files),
        allowed_private_ranges: settings.allowed_private_ranges.clone(),
        sidecar_addr: settings.sidecar_addr,
        token: SecretString::from(token.trim()),
        pod: pod(sidecar_namespace),
    };
    let local = local::start(plan, tasks).await?;
    if let Some(file) = ca_out {
        std::fs::write(file, &local.ca_pem).with_context(|| format!("--ca-out {}", file.display()))?;
    }
    let listener = TcpListener::bind(settings.admin_addr).await;
    let listener = listener.with_context(|| format!("--admin-addr {}", settings.admin_addr))?;
    let (metrics, statuses) = (local.context.metrics, local.statuses);
    let pages = Pages {
        pending: Arc::new(move || draining.is_cancelled().then(|| "the end".to_owned()).into_iter().collect()),
        metrics: Arc::new(move || metrics.render()),
        status: Some(Arc::new(move || shown(&statuses.borrow()))),
    };
    tasks.spawn("admin", admin::serve(listener, pages, tasks.stop()));
    tracing::info!(sidecars = %local.addr, "serving resources from files");
    Ok(())
}

/// What `kubectl get` would show of each object, by its name.
fn shown(statuses: &[Wanted]) -> String {
    let statuses = statuses.iter().map(|wanted| (wanted.key.to_string(), &wanted.status));
    serde_json::to_string_pretty(&statuses.collect::<BTreeMap<_, _>>()).expect("names and JSON always serialise")
}

/// What the one sidecar is taken for.
fn pod(namespace: &str) -> PodEntry {
    PodEntry {
        uid: "standalone".to_owned(),
        namespace: namespace.to_owned(),
        name: "standalone".to_owned(),
        labels: BTreeMap::new(),
        workload: "Process/standalone".to_owned(),
        job: None,
        terminating: false,
        running: true,
    }
}
