//! `spillway analyze`: what is wrong or risky in a whole set of resources, and what to do about each.

mod budgets;
mod chains;
mod finding;
mod limits;
mod providers;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use serde_json::json;

use self::finding::{Finding, Severity};
use super::{
    DEFAULT_NAMESPACE,
    output::{self, Format},
    world::{Place, World},
};
use crate::{compile::Compiled, resources::Resources};

/// Flags of `spillway analyze`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// The namespace of objects in files that name none; in a cluster, say only what is about this one.
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// Let warnings fail it too.
    #[arg(long)]
    strict: bool,
    /// What is printed.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
}

const EXAMPLES: &str = "\
Examples:
  spillway analyze examples/                   these files as one set
  spillway analyze                             the cluster of the current context, all namespaces
  spillway analyze -n shop --strict            what is about one namespace; warnings fail it too
  spillway analyze config/ -o json | jq '.findings[] | select(.severity != \"info\")'

Beyond what `spillway check` says of each object it looks at all of them together: fallbacks that can never help, backends
and rules that are never reached, limits that another one keeps from being reached, models whose price a budget does not
know, models about to be switched off, providers that nobody uses, routes that nobody can call or that one provider's outage
takes down. Each line names the object, the field, why, and what to do.

Exit codes: 0 no error; 1 at least one error (with --strict: or warning), or nothing could be read.";

/// What the checks look at.
pub(super) struct Seen<'a> {
    pub(super) resources: &'a Resources,
    pub(super) compiled: &'a Compiled,
}

type Check = fn(&Seen<'_>, &mut Vec<Finding>);

/// What is looked for beyond what the conditions say.
const CHECKS: [Check; 12] = [
    chains::rules_to_who_failed,
    chains::rules_that_shortening_preempts,
    chains::unnamed_fallbacks,
    chains::fallbacks_that_do_less,
    limits::never_reached,
    limits::let_nothing_through,
    budgets::unpriced,
    providers::unused,
    providers::keys_in_clear,
    providers::nobody_serves,
    providers::nobody_calls,
    providers::single_points_of_failure,
];

/// Prints what was found; the exit code says whether any of it is an error.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let world = args.place.read(args.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE))?;
    let mut findings: Vec<Finding> = world.problems.iter().map(Finding::unread).collect();
    findings.extend(analyze(&world.resources, &world.compiled));
    if let Some(namespace) = args.namespace.as_deref().filter(|_| args.place.paths.is_empty()) {
        let here = format!(" {namespace}/");
        findings.retain(|finding| finding.object.contains(&here));
    }
    findings.sort();
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings, infos) = (count(Severity::Error), count(Severity::Warning), count(Severity::Info));
    match args.output {
        Format::Text => {
            let lines = findings.iter().map(|finding| format!("{}{finding}\n", file(&world, finding)));
            output::print(&lines.collect::<String>())?;
            let counts =
                [(objects(&world.resources), "object"), (errors, "error"), (warnings, "warning"), (infos, "hint")];
            output::note(&counts.map(|(n, noun)| output::count(n, noun)).join(", "));
        }
        Format::Json => {
            let found = json!({"findings": findings, "errors": errors, "warnings": warnings, "infos": infos});
            output::print(&format!("{found:#}\n"))?;
        }
    }
    let failed = errors > 0 || (args.strict && warnings > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Everything there is to say.
fn analyze(resources: &Resources, compiled: &Compiled) -> Vec<Finding> {
    let mut found: Vec<Finding> = compiled.diagnostics.iter().map(Finding::of).collect();
    let seen = Seen { resources, compiled };
    for check in CHECKS {
        check(&seen, &mut found);
    }
    found
}

fn objects(resources: &Resources) -> usize {
    let Resources { providers, routes, policies, budgets, secrets: _, namespaces: _, settings: _ } = resources;
    providers.len() + routes.len() + policies.len() + budgets.len()
}

/// `config/chat.yaml: `, for what is from a file.
fn file(world: &World, finding: &Finding) -> String {
    world.origins.get(&finding.object).map(|file| format!("{}: ", file.display())).unwrap_or_default()
}
