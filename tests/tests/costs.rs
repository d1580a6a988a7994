//! What answers cost, against what other people's software makes of them: to the pico-dollar, and by the whole way a price
//! takes. Catalogue row, operator's entry, the price that is sent, the usage a sidecar reads, the bill it writes. The row is
//! the recorded one: prices change, and what was recorded went by those of its day.
//!
//! Rows, reasons and floors lie with those of the dialects; their README is the module that is shared.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../../sidecar/providers/tests/conformance/data.rs"]
mod data;
#[path = "../../sidecar/providers/tests/conformance/score.rs"]
mod score;

/// How a row differs, as the shared score counts it.
mod normal {
    pub(crate) struct Difference {
        pub(crate) at: String,
        pub(crate) ours: String,
        pub(crate) theirs: String,
    }
}

use bytes::Bytes;
use serde_json::{Value, json};
use spillway_crds::ProviderType;
use spillway_operator::catalogue::{Entry, from_compact};
use spillway_providers::{Api, Dialect, decode};
use spillway_sidecar::bill;

use data::{rows, text};
use normal::Difference;
use score::{Score, Verdict};

/// A bill's units in a pico-dollar.
const PER_PICO: u128 = 1_000;

#[test]
fn answers_cost_what_others_make_of_them() {
    let verdicts = rows("costs").iter().map(verdict).collect();
    Score::of("costs", verdicts).check();
}

fn verdict(row: &Value) -> Verdict {
    let kind = ProviderType::read(text(row, "kind")).expect("rows are of providers that have a type");
    let recorded = from_compact(text(row, "entry")).unwrap();
    let mut differences = Vec::new();
    let ours = charged(kind, &recorded, row);
    let theirs = ["prompt", "answer"].map(|part| row[part].as_u64().map(u128::from));
    for (part, (ours, theirs)) in ["/prompt", "/answer"].into_iter().zip(ours.into_iter().zip(theirs)) {
        let ours = ours.map(|exact| (exact / PER_PICO, exact % PER_PICO));
        let theirs = theirs.map(|exact| (exact, 0));
        if ours != theirs {
            differences.push(difference(part, &ours, &theirs));
        }
    }
    Verdict { id: text(row, "id").to_owned(), provider: text(row, "provider").to_owned(), differences }
}

fn difference<T: std::fmt::Debug>(at: &str, ours: &T, theirs: &T) -> Difference {
    Difference { at: at.to_owned(), ours: format!("{ours:?}"), theirs: format!("{theirs:?}") }
}

/// What a sidecar would charge for prompt and answer. None: it would not know.
fn charged(kind: ProviderType, entry: &Entry, row: &Value) -> [Option<u128>; 2] {
    let Some(price) = entry.price(kind) else { return [None, None] };
    let sent = serde_json::to_string(&price).unwrap();
    let price = bill::price(&serde_json::from_str(&sent).unwrap());
    let answer = json!({
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
        "service_tier": row["tier"],
        "usage": row["usage"],
    });
    let answer = decode(Api::ChatCompletions, Dialect::OpenAi, "", Bytes::from(answer.to_string())).unwrap();
    let bill = price.bill(&bill::usage(answer.usage.unwrap()));
    [Some(bill.prompt), Some(bill.answer)]
}
