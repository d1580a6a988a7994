//! `fleet budget` and `fleet rate`: what is promised of a whole fleet, seen while it is killed. Run by `make fleet`.

use std::io::Write as _;
use std::time::Duration;

use clap::{Args, Parser};
use spillway_tests::fleet::{self, Plan, What};

#[derive(Parser)]
enum Arguments {
    /// One budget, offered more than twice over.
    Budget {
        /// The budget, in thousandths of a dollar.
        #[arg(long, default_value_t = 10_000)]
        milli_dollars: u64,
        #[arg(long, default_value_t = 220)]
        offered_percent: u64,
        #[command(flatten)]
        common: Common,
    },
    /// One fleet-wide limit of requests a minute.
    Rate {
        #[arg(long, default_value_t = 3_000)]
        requests: u64,
        #[arg(long, default_value_t = 200)]
        offered_percent: u64,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args)]
struct Common {
    #[arg(long, default_value_t = 50)]
    sidecars: usize,
    #[arg(long, default_value_t = 3)]
    operators: usize,
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// Kill a sidecar every so many seconds; 0: never.
    #[arg(long, default_value_t = 5)]
    kill_sidecar: u64,
    /// Kill the operator that leads every so many seconds; 0: never.
    #[arg(long, default_value_t = 30)]
    kill_leader: u64,
    /// Every sidecar asks for as much as every other.
    #[arg(long)]
    even: bool,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (what, offered_percent, common) = match Arguments::parse() {
        Arguments::Budget { milli_dollars, offered_percent, common } => {
            (What::Budget { milli_dollars }, offered_percent, common)
        }
        Arguments::Rate { requests, offered_percent, common } => (What::Rate { requests }, offered_percent, common),
    };
    let every = |seconds: u64| (seconds > 0).then(|| Duration::from_secs(seconds));
    let plan = Plan {
        sidecars: common.sidecars,
        operators: common.operators,
        length: Duration::from_secs(common.seconds),
        kill_sidecar: every(common.kill_sidecar),
        kill_leader: every(common.kill_leader),
        what,
        offered_percent,
        skewed: !common.even,
        seed: common.seed,
    };
    let report = fleet::run(&plan).await?;
    write!(std::io::stdout(), "{report}")?;
    anyhow::ensure!(!report.is_over, "more was used than there was");
    Ok(())
}
