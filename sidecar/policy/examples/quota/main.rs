//! Prints what sharing costs and what it holds, from the machines themselves: 50 sidecars with skewed load, a budget
//! offered 2.2 times over and a rate offered twice, without faults, with mild and with harsh ones.
//!
//! `cargo run -p spillway-policy --example quota [SEEDS]`

mod fleet;

use std::io::Write;

use fleet::{Faults, Fleet, Outcome};

fn main() -> std::io::Result<()> {
    let seeds = std::env::args().nth(1).and_then(|seeds| seeds.parse().ok()).unwrap_or(5);
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "one simulated hour (killed: three minutes), {seeds} seeds each: worst overspend and window, mean of the others; percent\n"
    )?;
    writeln!(
        out,
        "| faults | load | overspend | unspent | forfeited | refused with >10 left | peak window | rate used |"
    )?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- | --- | --- |")?;
    for (faults, name) in
        [(Faults::NONE, "none"), (Faults::MILD, "mild"), (Faults::HARSH, "harsh"), (Faults::KILLED, "killed")]
    {
        for (skewed, load) in [(false, "even"), (true, "skewed")] {
            let runs: Vec<Outcome> = (1..=seeds).map(|seed| Fleet::new(seed, faults, skewed).run()).collect();
            let mean = |of: fn(&Outcome) -> f64| runs.iter().map(of).sum::<f64>() / runs.len().max(1) as f64;
            let most = |of: fn(&Outcome) -> f64| runs.iter().map(of).fold(0.0, f64::max);
            writeln!(
                out,
                "| {name} | {load} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} | {:.1} |",
                most(|run| run.overspent),
                mean(|run| run.unspent),
                mean(|run| run.forfeited),
                mean(|run| run.refused_early),
                most(|run| run.peak),
                mean(|run| run.used),
            )?;
        }
    }
    Ok(())
}
