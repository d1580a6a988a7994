//! `spillway status`: whether the cluster runs what its resources say.

mod view;

use std::process::ExitCode;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::json;

use self::view::View;
use super::{
    cluster,
    output::{self, Format},
    world,
};
use crate::{clock::Clock, lease::LEASE_NAME};

/// Flags of `spillway status`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Only what is in this namespace. Default: all.
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// What is printed.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
    /// The operator's namespace.
    #[arg(long, value_name = "NS", default_value = "spillway-system")]
    operator_namespace: String,
}

const EXAMPLES: &str = "\
Examples:
  spillway status                     all routes, their sidecars, and what is not as it should be
  spillway status -n shop -o json
  until spillway status -n shop; do sleep 2; done       after kubectl apply, wait until every sidecar runs it

It reads the status that the operator writes, so what it says of sidecars is what they have reported. It needs leave to list
ModelRoutes, ModelProviders, FallbackPolicies, ModelBudgets and Namespaces, and to get the operator's Lease.

Exit codes: 0 all is as it should be; 1 something is not, or could not be read.";

/// Prints how things are.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut view, leader) = runtime.block_on(async {
        let client = cluster::client("").await?;
        let resources = world::listed(&client).await?;
        let leases: Api<Lease> = Api::namespaced(client, &args.operator_namespace);
        let leader = leases.get_opt(LEASE_NAME).await;
        anyhow::Ok((View::of(&resources, args.namespace.as_deref()), leader))
    })?;
    let leader = match leader {
        Ok(lease) => match leading(lease.as_ref(), Clock::system().wall()) {
            Ok(leader) => Some(leader),
            Err(problem) => {
                view.problems.insert(0, format!("operator in {}: {problem}", args.operator_namespace));
                None
            }
        },
        Err(error) => {
            output::note(&format!("spillway: who leads is not known, Lease {LEASE_NAME} cannot be read: {error}"));
            None
        }
    };
    output::print(&match args.output {
        Format::Text => text(&view, leader.as_deref()),
        Format::Json => format!(
            "{:#}\n",
            json!({"leader": leader, "routes": view.routes, "sidecars": {"programmed": view.programmed, "ready": view.ready},
                   "problems": view.problems})
        ),
    })?;
    Ok(if view.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The replica that writes status; Err: why nobody does.
fn leading(lease: Option<&Lease>, now: Timestamp) -> Result<String, String> {
    let Some(spec) = lease.and_then(|lease| lease.spec.as_ref()) else {
        return Err(
            "there is no Lease, so no operator has run there (fix: helm install, or --operator-namespace)".to_owned()
        );
    };
    let holder = spec.holder_identity.as_deref().filter(|holder| !holder.is_empty());
    let Some(holder) = holder else { return Err("nobody leads, so no status is written".to_owned()) };
    let pod = holder.split_once('/').map_or(holder, |(pod, _)| pod);
    let age = spec.renew_time.as_ref().map(|renewed| now.duration_since(renewed.0).as_secs());
    let patience = i64::from(spec.lease_duration_seconds.unwrap_or(15)) * 2;
    match age {
        Some(age) if age > patience => {
            Err(format!("{pod} leads, but was not heard of for {age} s: what follows may be old"))
        }
        _ => Ok(pod.to_owned()),
    }
}

fn text(view: &View, leader: Option<&str>) -> String {
    let mut text = String::new();
    if !view.routes.is_empty() {
        let mut rows = vec![["ROUTE", "SIDECARS", "BACKENDS", "SPENT TODAY"].map(str::to_owned).to_vec()];
        rows.extend(view.routes.iter().map(|route| {
            let dash = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "-".to_owned());
            vec![route.name.clone(), dash(&route.sidecars), dash(&route.backends), dash(&route.spent_today)]
        }));
        text.push_str(&output::table(&rows, |at| at > 0));
        text.push('\n');
    }
    let problems = output::count(view.problems.len(), "problem");
    let sidecars = format!("{} of {} sidecars in sync, counted by route", view.programmed, view.ready);
    let leader = leader.map(|pod| format!("; {pod} leads")).unwrap_or_default();
    text.push_str(&format!("{}: {sidecars}{leader}; {problems}\n", output::count(view.routes.len(), "route")));
    for problem in &view.problems {
        text.push_str(&format!("  {problem}\n"));
    }
    text
}

#[cfg(test)]
mod tests;
