//! The cluster of the current context, for commands that look at one.

use anyhow::Context;
use kube::{Client, Config};

/// A client of it. `otherwise`: what to do where there is none.
pub(super) async fn client(otherwise: &str) -> anyhow::Result<Client> {
    let config = Config::infer().await.map_err(|error| {
        // Whoever is at a terminal is in no pod, so what is wrong with the kubeconfig is what is wrong.
        let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        anyhow::anyhow!("no cluster to talk to: {why} (fix: set KUBECONFIG{otherwise})")
    })?;
    Client::try_from(config).context("no cluster to talk to")
}
