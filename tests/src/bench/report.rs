//! The figures as a table, with the goal beside each and what was missed at the end.

use std::fmt;

use super::run::{CONNECTIONS, IDLE};
use super::scenario::{Answer, Scenario};

/// At least this share of the pass-through's throughput.
const THROUGHPUT_GOAL: f64 = 0.8;
const IDLE_GOAL_BYTES: u64 = 10 * 1024 * 1024;
const TOKENIZER_GOAL_BYTES: u64 = 35 * 1024 * 1024;
/// What a stream may lose beside the pass-through: until its first piece, and with each piece.
const FIRST_CHUNK_GOAL_MICROS: f64 = 100.0;
const EACH_CHUNK_GOAL_MICROS: f64 = 3.0;

/// Pairs are (pass-through, sidecar).
type Pair<T> = (T, T);

pub struct Figures {
    pub pinned: bool,
    pub latency: Vec<Latency>,
    pub throughput: Vec<Throughput>,
    /// Added by a prompt that has to be counted.
    pub counted_micros: f64,
    pub memory: Memory,
}

/// Microseconds at one request at a time.
pub struct Latency {
    pub scenario: &'static Scenario,
    pub direct: f64,
    pub whole: Pair<f64>,
    pub first: Pair<f64>,
    pub lag: Pair<f64>,
}

pub struct Throughput {
    pub scenario: &'static Scenario,
    pub per_second: Pair<f64>,
    pub cpu_micros: Pair<f64>,
}

pub struct Memory {
    pub idle: Pair<u64>,
    pub after: Pair<u64>,
    /// By the sidecar, in between.
    pub served: u64,
    pub with_tokenizer: u64,
    /// Once nobody has needed it for a while.
    pub given_back: u64,
}

impl Figures {
    /// The goals that were missed, each with its figure.
    #[must_use]
    pub fn missed(&self) -> Vec<String> {
        self.goals().into_iter().filter(|goal| !goal.met).map(|goal| goal.says).collect()
    }

    fn goals(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        for row in &self.latency {
            let name = row.scenario.name;
            if row.scenario.answer == Answer::Plain {
                goals.push(Goal::at_most(
                    format!("{name}: added latency, ratio"),
                    ratio(row.whole),
                    row.scenario.latency_goal,
                ));
            }
            if row.scenario.answer == Answer::PacedStream {
                let more = |pair: Pair<f64>| pair.1 - pair.0;
                goals.push(Goal::at_most(
                    format!("{name}: first chunk, us more"),
                    more(row.first),
                    FIRST_CHUNK_GOAL_MICROS,
                ));
                goals.push(Goal::at_most(
                    format!("{name}: each chunk, us more"),
                    more(row.lag),
                    EACH_CHUNK_GOAL_MICROS,
                ));
            }
        }
        for row in &self.throughput {
            let name = format!("{}: throughput, ratio", row.scenario.name);
            goals.push(Goal::at_least(name, ratio(row.per_second), THROUGHPUT_GOAL));
        }
        goals.push(Goal::at_most("idle memory, MB".into(), megabytes(self.memory.idle.1), megabytes(IDLE_GOAL_BYTES)));
        let tokenizer = megabytes(self.memory.with_tokenizer);
        goals.push(Goal::at_most("memory with a tokenizer, MB".into(), tokenizer, megabytes(TOKENIZER_GOAL_BYTES)));
        goals
    }
}

struct Goal {
    met: bool,
    says: String,
}

impl Goal {
    fn at_most(name: String, figure: f64, goal: f64) -> Self {
        Self { met: figure <= goal, says: format!("{name} {figure:.2} (goal: at most {goal})") }
    }

    fn at_least(name: String, figure: f64, goal: f64) -> Self {
        Self { met: figure >= goal, says: format!("{name} {figure:.2} (goal: at least {goal})") }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pinned { "proxy on one core, load and upstream on another" } else { "cores not pinned" };
        writeln!(f, "Loopback bench; medians; {place}\n")?;
        self.latency_table(f)?;
        self.throughput_table(f)?;
        let Memory { idle, after, served, with_tokenizer, given_back } = &self.memory;
        writeln!(f, "{:<24} {:>12} {:>12}", "Resident memory, MB", "pass-through", "sidecar")?;
        writeln!(f, "{:<24} {:>12.1} {:>12.1}", "idle", megabytes(idle.0), megabytes(idle.1))?;
        let row = format!("after {served} requests");
        writeln!(f, "{row:<24} {:>12.1} {:>12.1}", megabytes(after.0), megabytes(after.1))?;
        writeln!(f, "{:<24} {:>12} {:>12.1}", "with a tokenizer", "", megabytes(*with_tokenizer))?;
        writeln!(f, "{:<24} {:>12} {:>12.1}", "and without it again", "", megabytes(*given_back))?;
        writeln!(f, "(nobody has counted for {IDLE:?}, which SPILLWAY_TOKENIZER_IDLE sets in place of ten minutes)\n")?;
        writeln!(
            f,
            "A 200 KB prompt that only a count shows to fit, counted before, adds {:.0} us.\n",
            self.counted_micros
        )?;
        for goal in self.goals() {
            writeln!(f, "{} {}", if goal.met { "met   " } else { "MISSED" }, goal.says)?;
        }
        Ok(())
    }
}

impl Figures {
    fn latency_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = "Added, one at a time, us";
        writeln!(f, "{title:<30} {:>8} {:>12} {:>10} {:>7}", "direct", "pass-through", "sidecar", "ratio")?;
        for row in &self.latency {
            let name = row.scenario.name;
            let mut line = |what: &str, direct: String, pair: Pair<f64>| {
                let label = format!("{name}{what}");
                writeln!(f, "{label:<30} {direct:>8} {:>12.1} {:>10.1} {:>7.2}", pair.0, pair.1, ratio(pair))
            };
            if row.scenario.answer == Answer::PacedStream {
                line(", first", String::new(), row.first)?;
                line(", each", String::new(), row.lag)?;
            } else {
                line("", format!("{:.1}", row.direct), row.whole)?;
            }
        }
        writeln!(f)
    }

    fn throughput_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = format!("Per second, {CONNECTIONS} at once");
        let heads = ["pass-through", "sidecar", "ratio", "cpu us", "cpu us"];
        writeln!(f, "{title:<30} {:>12} {:>10} {:>7} {:>8} {:>8}", heads[0], heads[1], heads[2], heads[3], heads[4])?;
        for row in &self.throughput {
            let (pass, sidecar) = row.per_second;
            write!(f, "{:<30} {pass:>12.0} {sidecar:>10.0} {:>7.2}", row.scenario.name, ratio(row.per_second))?;
            writeln!(f, " {:>8.1} {:>8.1}", row.cpu_micros.0, row.cpu_micros.1)?;
        }
        writeln!(f)
    }
}

/// How many times the pass-through's figure the sidecar's is.
fn ratio((pass, sidecar): Pair<f64>) -> f64 {
    if pass > 0.0 { sidecar / pass } else { f64::INFINITY }
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
