//! The `spillway` command: one file a subcommand, one writer for what people read.

mod analyze;
mod check;
mod cluster;
mod crds;
mod dev;
mod explain;
mod inject;
mod models;
mod output;
mod reset_breaker;
mod spend;
mod status;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{app, settings::OperatorArgs};

/// Keys, limits, budgets and fallbacks for applications that call language models, beside each application.
#[derive(Debug, Parser)]
#[command(name = "spillway", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The namespace of objects that name none, as kubectl has it.
const DEFAULT_NAMESPACE: &str = "default";

const EXAMPLES: &str = "\
Examples:
  spillway check examples/                            say what is wrong with these files, offline
  spillway analyze                                    what is wrong or risky in the whole cluster
  spillway explain chat examples/ --tokens 150k       whom such a prompt goes to, and why not to the others
  spillway dev examples/ -- python app.py             run an application against them on this machine
  spillway models --tools --sort cost                 the cheapest models that take tools
  spillway status                                     are all sidecars in sync, and what is not well
  spillway spend --by workload,model --period today   what was spent, and by whom
  spillway inject -f deployment.yaml | kubectl apply -f -
  spillway reset-breaker chat -n shop                 its provider is well again, do not wait
  spillway crds | kubectl apply -f -

Exit codes:
  0  all is well
  1  something was refused or failed; the message says what and how to fix it
  2  the command line could not be understood
  `spillway dev` exits with the code of its command (125, 126, 127: it could not be run).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the control plane: resources in, config for every sidecar out, status back.
    Operator(Box<OperatorArgs>),
    /// Run a command with a sidecar beside it, configured from files: no cluster, no root.
    Dev(Box<dev::Args>),
    /// Say what is wrong with resources in files, without a cluster.
    Check(check::Args),
    /// Say what is wrong or risky in a whole set of resources, in files or in a cluster.
    Analyze(analyze::Args),
    /// Show which backends a request would go to, hop by hop, and why not to the others.
    Explain(explain::Args),
    /// List what is known of models, and compare what they cost.
    Models(models::Args),
    /// Print manifests with the sidecar added, as the webhook would add it.
    Inject(inject::Args),
    /// Say whether the cluster runs what its resources say, and what is wrong.
    Status(status::Args),
    /// Show who has spent what.
    Spend(spend::Args),
    /// Have every sidecar try a route's backends again at once.
    ResetBreaker(reset_breaker::Args),
    /// Print the CustomResourceDefinitions.
    #[command(after_help = crds::EXAMPLES)]
    Crds,
}

// === impl Cli ===

impl Cli {
    /// Runs the subcommand to its end.
    pub fn run(self) -> ExitCode {
        let result = match self.command {
            Command::Operator(args) => return operator(*args),
            Command::Dev(args) => return dev::run(*args),
            Command::Check(args) => check::run(&args),
            Command::Analyze(args) => analyze::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Models(args) => models::run(&args),
            Command::Inject(args) => inject::run(&args),
            Command::Status(args) => status::run(&args),
            Command::Spend(args) => spend::run(&args),
            Command::ResetBreaker(args) => reset_breaker::run(&args),
            Command::Crds => crds::run(),
        };
        result.unwrap_or_else(|error| output::fail(&error))
    }
}

fn operator(args: OperatorArgs) -> ExitCode {
    if let Err(error) = output::log_json(args.log_level()) {
        return output::fail(&error);
    }
    let result = args.check().map_err(anyhow::Error::from).and_then(|settings| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(app::run(settings))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the operator ends");
            ExitCode::FAILURE
        }
    }
}
