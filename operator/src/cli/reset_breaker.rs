//! `spillway reset-breaker`: every sidecar tries a route's backends again at once.

use std::process::ExitCode;

use anyhow::Context;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use spillway_crds::ModelRoute;

use super::{cluster, output};
use crate::{clock::Clock, compile::RESET};

/// Flags of `spillway reset-breaker`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The name of the ModelRoute.
    #[arg(value_name = "ROUTE")]
    route: String,
    /// Its namespace. Default: that of the current context.
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  spillway reset-breaker chat -n shop
  kubectl annotate mr chat -n shop --overwrite spillway.dev/reset-breaker=\"$(date)\"     the same without this program

Breakers close by themselves once a backend is well again. This is for when you know sooner: its breakers, those of its
models, keys and providers, and pauses that a provider has asked for are forgotten in every sidecar of the route. A
backend that is not well yet opens its breaker again as usual. It needs leave to patch ModelRoutes.

Exit codes: 0 the route is marked, and sidecars act on it as soon as they are told; 1 it could not be marked.";

/// Marks the route.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(mark(args))
}

async fn mark(args: &Args) -> anyhow::Result<ExitCode> {
    let client = cluster::client("").await?;
    let namespace = args.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let routes: Api<ModelRoute> = Api::namespaced(client, &namespace);
    // Any text that was not there before does.
    let patch = json!({"metadata": {"annotations": {RESET: Clock::system().wall().to_string()}}});
    let marked = routes.patch(&args.route, &PatchParams::default(), &Patch::Merge(&patch)).await;
    marked.with_context(|| format!("cannot mark ModelRoute {namespace}/{}", args.route))?;
    output::print(&format!("breakers of ModelRoute {namespace}/{} are being reset in every sidecar\n", args.route))?;
    Ok(ExitCode::SUCCESS)
}
