//! How many rows hold, and whether that is enough.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::data::folder;
use crate::normal::Difference;

/// What became of one row.
pub(crate) struct Verdict {
    pub(crate) id: String,
    pub(crate) provider: String,
    /// Empty: the same.
    pub(crate) differences: Vec<Difference>,
}

/// A reason why rows may differ: in which rows, where in them, and by which words of the recording.
struct Reason {
    rows: Vec<String>,
    at: Vec<String>,
    /// One of them must be in what was recorded, in lower case. Empty: any recording.
    says: Vec<String>,
}

#[derive(Default)]
struct Tally {
    same: usize,
    explained: usize,
    different: usize,
}

pub(crate) struct Score {
    kind: &'static str,
    tallies: BTreeMap<String, Tally>,
    /// What to print of the differences that are left.
    left: String,
}

impl Score {
    pub(crate) fn of(kind: &'static str, verdicts: Vec<Verdict>) -> Self {
        let reasons = reasons(kind);
        let wanted = std::env::var("CONFORMANCE").unwrap_or_default();
        let wanted: Vec<&str> = wanted.split(',').filter(|word| !word.is_empty()).collect();
        let mut score = Self { kind, tallies: BTreeMap::new(), left: String::new() };
        for verdict in verdicts {
            let tally = score.tallies.entry(verdict.provider.clone()).or_default();
            let unexplained: Vec<_> = verdict
                .differences
                .iter()
                .filter(|difference| !reasons.iter().any(|reason| reason.covers(&verdict.id, difference)))
                .collect();
            match (verdict.differences.is_empty(), unexplained.is_empty()) {
                (true, _) => tally.same += 1,
                (false, true) => tally.explained += 1,
                (false, false) => {
                    tally.different += 1;
                    let place = format!("{kind}/{}", verdict.id);
                    if wanted.iter().any(|word| place.contains(word)) {
                        for Difference { at, ours, theirs } in unexplained {
                            let line = writeln!(score.left, "{place} {at}: {ours:.300} / {theirs:.300}");
                            line.expect("a string can be written to");
                        }
                    }
                }
            }
        }
        score
    }

    /// Prints the table, and fails when fewer rows hold than are written in the floors.
    #[expect(clippy::print_stdout, reason = "the table is what the test is run for")]
    pub(crate) fn check(self) {
        let all = self.tallies.values().fold(Tally::default(), |sum, tally| Tally {
            same: sum.same + tally.same,
            explained: sum.explained + tally.explained,
            different: sum.different + tally.different,
        });
        let mut table = format!("\n{:24} {:>6} {:>9} {:>9}\n", self.kind, "same", "explained", "different");
        for (provider, tally) in self.tallies.iter().chain([(&"all".to_owned(), &all)]) {
            let Tally { same, explained, different } = tally;
            let line =
                writeln!(table, "{provider:24} {same:>6} {explained:>9} {different:>9} {:>7.1} %", tally.percent());
            line.expect("a string can be written to");
        }
        let mut floors = floors();
        if std::env::var_os("UPDATE").is_some() {
            let holding: BTreeMap<_, _> = self.tallies.iter().map(|(name, tally)| (name, tally.holding())).collect();
            floors[self.kind] = json!(holding);
            fs::write(floors_file(), format!("{floors:#}\n")).expect("floors can be written");
        }
        println!("{}{table}", self.left);
        let holding = |name: &str| self.tallies.get(name).map_or(0, Tally::holding);
        let fallen: Vec<_> = floors[self.kind]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, floor)| floor.as_u64().is_some_and(|floor| (holding(name) as u64) < floor))
            .map(|(name, floor)| format!("{name}: {} of {floor}", holding(name)))
            .collect();
        assert!(fallen.is_empty(), "{} rows that held do so no longer: {fallen:?}{table}", self.kind);
    }
}

impl Tally {
    const fn holding(&self) -> usize {
        self.same + self.explained
    }

    fn percent(&self) -> f64 {
        let all = self.holding() + self.different;
        100.0 * self.holding() as f64 / all.max(1) as f64
    }
}

impl Reason {
    fn covers(&self, id: &str, difference: &Difference) -> bool {
        self.rows.iter().any(|glob| matches(glob, id))
            && self.at.iter().any(|glob| matches(glob, &difference.at))
            && self.is_said(&difference.theirs.to_string())
    }

    fn is_said(&self, recorded: &str) -> bool {
        let recorded = recorded.to_lowercase();
        self.says.is_empty() || self.says.iter().any(|words| recorded.contains(words))
    }
}

/// `*` is any text.
fn matches(glob: &str, text: &str) -> bool {
    match glob.split_once('*') {
        None => glob == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|text| {
            (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| matches(rest, &text[at..]))
        }),
    }
}

fn reasons(kind: &str) -> Vec<Reason> {
    let text = fs::read_to_string(folder().join("explained.json")).expect("the reasons are committed");
    let all: Vec<Value> = serde_json::from_str(&text).expect("the reasons are JSON");
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut seen = BTreeSet::new();
    all.iter()
        .inspect(|reason| assert!(seen.insert(reason["why"].to_string()), "a reason is given once: {}", reason["why"]))
        .filter(|reason| reason["of"] == kind)
        .map(|reason| Reason {
            rows: strings(&reason["rows"]),
            at: strings(&reason["at"]),
            says: strings(&reason["says"]),
        })
        .collect()
}

fn floors_file() -> PathBuf {
    folder().join("floors.json")
}

fn floors() -> Value {
    let text = fs::read_to_string(floors_file()).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_else(|_| json!({}))
}
