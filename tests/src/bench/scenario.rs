//! What is measured, and the requests for it.

use bytes::Bytes;
use serde_json::json;
use spillway_wire::Snapshot;

use super::upstream::PACED;
use crate::snapshot::{a_backend, a_model, a_provider, a_route, a_snapshot};

/// The window of the models the rows are measured with: large enough for the longest prompt by its bytes alone.
const ROOMY: u64 = 1_047_576;
/// A window that 200 KB of English fit into, but that only counting can tell.
const TIGHT: u64 = 128_000;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub prompt_bytes: usize,
    pub answer: Answer,
    /// How many times the pass-through's own added latency the sidecar may add.
    pub latency_goal: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Plain,
    /// Events as fast as they can be written.
    Stream,
    /// An event a millisecond, so that each one finds everybody idle.
    PacedStream,
}

pub const PLAIN: [Scenario; 3] = [
    Scenario { name: "200 B prompt", prompt_bytes: 200, answer: Answer::Plain, latency_goal: 1.2 },
    Scenario { name: "8 KB prompt", prompt_bytes: 8 * 1024, answer: Answer::Plain, latency_goal: 1.2 },
    Scenario { name: "200 KB prompt", prompt_bytes: 200 * 1024, answer: Answer::Plain, latency_goal: 1.5 },
];
pub const STREAM: Scenario =
    Scenario { name: "200-chunk stream", prompt_bytes: 200, answer: Answer::Stream, latency_goal: 1.2 };
pub const PACED_STREAM: Scenario =
    Scenario { name: "200 chunks, 1 ms apart", prompt_bytes: 200, answer: Answer::PacedStream, latency_goal: 1.2 };
/// The one row that counts on the request path; it has no goal, it is what the other rows save.
pub const COUNTED: &str = "counted";

impl Scenario {
    /// The request's body, asking for `model` or, where the answer is paced, for the model that paces.
    #[must_use]
    pub fn body(&self, model: &str) -> Bytes {
        let model = if self.answer == Answer::PacedStream { format!("{model}{PACED}") } else { model.to_owned() };
        let prose = "Every morning the ferry leaves the old harbour before the fog has gone, and nobody on board is in a hurry. ";
        let prompt: String = prose.chars().cycle().take(self.prompt_bytes).collect();
        let messages = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}]);
        let body =
            json!({"model": model, "stream": self.answer != Answer::Plain, "messages": messages, "temperature": 0.2});
        Bytes::from(body.to_string())
    }
}

/// What the sidecar runs while it is measured: a key to set, a model to rename, a window to check, a price to apply.
#[must_use]
pub fn snapshot(upstream: &str) -> Snapshot {
    let route = |name: &str, window| {
        let mut backend = a_backend("bench", name);
        backend.model = a_model(&format!("upstream-{name}"), window);
        a_route(name, vec![backend])
    };
    let paced = format!("bench{PACED}");
    let provider = a_provider("bench", spillway_wire::Dialect::OpenAi, upstream);
    a_snapshot(vec![route("bench", ROOMY), route(&paced, ROOMY), route(COUNTED, TIGHT)], vec![("bench", provider)])
}
