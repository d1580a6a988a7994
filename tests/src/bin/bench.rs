//! `bench run [--quick]` measures; `bench passthrough ADDRESS` is the yardstick it starts for itself.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use spillway_tests::bench::{passthrough, run};

#[derive(Parser)]
enum Arguments {
    /// Measure the sidecar beside a bare proxy and print a table.
    Run {
        /// Fewer and shorter rounds, in under a minute.
        #[arg(long)]
        quick: bool,
        /// Only rows whose name contains TEXT, such as `200 KB` for a profiler to look at.
        #[arg(long, value_name = "TEXT", default_value = "")]
        rows: String,
        /// The program to measure [default: spillway-sidecar beside this one]
        #[arg(long)]
        sidecar: Option<PathBuf>,
        /// Exit with 1 when a goal is missed.
        #[arg(long)]
        strict: bool,
    },
    /// Copy requests to ADDRESS and answers back, reading nothing.
    Passthrough { upstream: SocketAddr },
}

/// One thread: the load and its upstream share a core, and the yardstick has the other one.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse() {
        Arguments::Passthrough { upstream } => passthrough::serve(upstream).await,
        Arguments::Run { quick, rows, sidecar, strict } => {
            let effort = if quick { run::Effort::QUICK } else { run::Effort::FULL };
            let figures = tokio::task::LocalSet::new().run_until(run::run(effort, &rows, sidecar)).await?;
            write!(std::io::stdout(), "{figures}")?;
            let missed = figures.missed().len();
            anyhow::ensure!(!strict || missed == 0, "{missed} goals missed");
            Ok(())
        }
    }
}
