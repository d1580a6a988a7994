//! Starts everything, runs every row against every target in turn, and hands the figures to the report.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;

use super::load::{self, Load, Seen, median_micros};
use super::median;
use super::report::{Figures, Latency, Memory, Throughput};
use super::scenario::{self, Answer, COUNTED, Scenario};
use crate::clock::Epoch;
use crate::process::{Process, built, pin_self, pinned, two_cores};
use crate::sidecar::Sidecar;

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub rounds: usize,
    pub warm_up: Duration,
    pub measured: Duration,
}

impl Effort {
    pub const FULL: Self =
        Self { rounds: 7, warm_up: Duration::from_millis(200), measured: Duration::from_millis(1000) };
    pub const QUICK: Self =
        Self { rounds: 3, warm_up: Duration::from_millis(100), measured: Duration::from_millis(300) };
}

/// Connections of the throughput rows.
pub const CONNECTIONS: usize = 32;

/// How long the sidecar keeps a tokenizer that nobody needs: longer than a row takes, and no longer than one waits gladly.
pub(super) const IDLE: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Direct,
    PassThrough,
    Sidecar,
}

struct Bench {
    epoch: Epoch,
    effort: Effort,
    upstream: SocketAddr,
    pass: (Process, SocketAddr),
    sidecar: Sidecar,
}

/// The bench, of the rows whose name contains `rows`. `sidecar` is the program to measure; by default the one built
/// beside this one.
pub async fn run(effort: Effort, rows: &str, sidecar: Option<PathBuf>) -> anyhow::Result<Figures> {
    let cores = two_cores();
    if let Some((_, own)) = cores {
        pin_self(own)?;
    }
    let core = cores.map(|(proxies, _)| proxies);
    let epoch = Epoch::start();
    let upstream = super::upstream::start(epoch).await?;
    let program = match sidecar {
        Some(program) => program,
        None => built()?.join("spillway-sidecar"),
    };
    let snapshot = scenario::snapshot(&format!("http://{upstream}/v1"));
    let mut command = pinned(&program, core);
    command.env("SPILLWAY_TOKENIZER_IDLE", format!("{}ms", IDLE.as_millis()));
    let sidecar = Sidecar::configured(command, &snapshot).await?;
    let bench = Bench { epoch, effort, upstream, pass: passthrough(upstream, core)?, sidecar };
    bench
        .measure(rows, cores.is_some())
        .await
        .with_context(|| format!("sidecar's output:\n{}", last_lines(&bench.sidecar)))
}

fn passthrough(upstream: SocketAddr, core: Option<usize>) -> anyhow::Result<(Process, SocketAddr)> {
    let own = std::env::current_exe()?;
    let mut command = pinned(&own, core);
    command.arg("passthrough").arg(upstream.to_string()).stdout(Stdio::piped());
    let mut process = Process::start(&mut command)?;
    let output = process.child().stdout.take().context("output is piped")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let address = line.trim().parse().with_context(|| format!("the pass-through's address, not {line:?}"))?;
    Ok((process, address))
}

fn last_lines(sidecar: &Sidecar) -> String {
    let output = sidecar.output();
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

impl Bench {
    async fn measure(&self, rows: &str, pinned: bool) -> anyhow::Result<Figures> {
        let idle = self.resident();
        let mut served = 0;
        let mut latency = Vec::new();
        let wanted = |scenario: &&Scenario| scenario.name.contains(rows);
        let streams = [&scenario::STREAM, &scenario::PACED_STREAM];
        for scenario in scenario::PLAIN.iter().chain(streams).filter(wanted) {
            progress(&format!("{}, one at a time", scenario.name))?;
            latency.push(self.latency(scenario, &mut served).await?);
        }
        let mut throughput = Vec::new();
        for scenario in scenario::PLAIN.iter().chain([&scenario::STREAM]).filter(wanted) {
            progress(&format!("{}, {CONNECTIONS} at once", scenario.name))?;
            throughput.push(self.throughput(scenario, &mut served).await?);
        }
        let after = self.resident();
        progress("200 KB prompt, counted")?;
        let long = &scenario::PLAIN[2];
        let direct = self.once(Target::Direct, long, COUNTED, 1).await?.0;
        // The first one loads the tokenizer, which may take longer than a round.
        self.once(Target::Sidecar, long, COUNTED, 1).await?;
        let counted = self.once(Target::Sidecar, long, COUNTED, 1).await?.0;
        let counted_micros = typical(counted) - typical(direct);
        let with_tokenizer = self.sidecar.process.resident_bytes();
        progress("a tokenizer that nobody needs")?;
        tokio::time::sleep(IDLE * 3 / 2).await;
        let given_back = self.sidecar.process.resident_bytes();
        let memory = Memory { idle, after, served, with_tokenizer, given_back };
        Ok(Figures { pinned, latency, throughput, counted_micros, memory })
    }

    async fn latency(&self, scenario: &'static Scenario, served: &mut u64) -> anyhow::Result<Latency> {
        let mut rounds: BTreeMap<Target, Vec<(f64, f64, f64)>> = BTreeMap::new();
        for _ in 0..self.effort.rounds {
            for target in [Target::Direct, Target::PassThrough, Target::Sidecar] {
                let (mut seen, _) = self.once(target, scenario, "bench", 1).await?;
                *served += if target == Target::Sidecar { seen.requests } else { 0 };
                let figures =
                    (median_micros(&mut seen.whole), median_micros(&mut seen.first), median_micros(&mut seen.lag));
                rounds.entry(target).or_default().push(figures);
            }
        }
        let middle = |target, pick: fn(&(f64, f64, f64)) -> f64| median(rounds[&target].iter().map(pick).collect());
        let added = |pick: fn(&(f64, f64, f64)) -> f64| {
            let direct = middle(Target::Direct, pick);
            (middle(Target::PassThrough, pick) - direct, middle(Target::Sidecar, pick) - direct)
        };
        let (whole, first, lag) = (added(|round| round.0), added(|round| round.1), added(|round| round.2));
        Ok(Latency { scenario, direct: middle(Target::Direct, |round| round.0), whole, first, lag })
    }

    async fn throughput(&self, scenario: &'static Scenario, served: &mut u64) -> anyhow::Result<Throughput> {
        let mut rounds: BTreeMap<Target, Vec<(f64, f64)>> = BTreeMap::new();
        for _ in 0..self.effort.rounds {
            for target in [Target::PassThrough, Target::Sidecar] {
                let (seen, cpu) = self.once(target, scenario, "bench", CONNECTIONS).await?;
                *served += if target == Target::Sidecar { seen.requests } else { 0 };
                let each = cpu as f64 / 1e3 / seen.requests.max(1) as f64;
                rounds.entry(target).or_default().push((seen.per_second(), each));
            }
        }
        let pair = |pick: fn(&(f64, f64)) -> f64| {
            let of = |target| median(rounds[&target].iter().map(pick).collect());
            (of(Target::PassThrough), of(Target::Sidecar))
        };
        Ok(Throughput { scenario, per_second: pair(|round| round.0), cpu_micros: pair(|round| round.1) })
    }

    /// One load on one target, with the time its process spent on a core meanwhile.
    async fn once(
        &self,
        target: Target,
        scenario: &Scenario,
        model: &str,
        connections: usize,
    ) -> anyhow::Result<(Seen, u64)> {
        let (address, process) = match target {
            Target::Direct => (self.upstream, None),
            Target::PassThrough => (self.pass.1, Some(&self.pass.0)),
            Target::Sidecar => (self.sidecar.data, Some(&self.sidecar.process)),
        };
        // A paced stream takes a fifth of a second; a round of it needs a few.
        let slower = if scenario.answer == Answer::PacedStream { 2 } else { 1 };
        let load = Load {
            target: address,
            body: scenario.body(model),
            connections,
            warm_up: self.effort.warm_up,
            measured: self.effort.measured * slower,
        };
        let before = process.map_or(0, Process::cpu_nanos);
        let seen = load::run(&load, self.epoch).await.with_context(|| format!("{target:?}, {}", scenario.name))?;
        Ok((seen, process.map_or(0, Process::cpu_nanos) - before))
    }

    fn resident(&self) -> (u64, u64) {
        (self.pass.0.resident_bytes(), self.sidecar.process.resident_bytes())
    }
}

fn typical(mut seen: Seen) -> f64 {
    median_micros(&mut seen.whole)
}

/// To standard error, so that the table alone is the output.
fn progress(what: &str) -> std::io::Result<()> {
    writeln!(std::io::stderr(), "  {what}")
}
