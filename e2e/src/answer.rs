//! What an SDK in a pod was answered, as `e2e/app/probe.{py,mjs}` tell it.

use anyhow::{Context, Result};
use serde_json::Value;

/// One call's outcome.
#[derive(Clone, Debug)]
pub struct Answer(Value);

// === impl Answer ===

impl Answer {
    /// Reads the probe's line, the last of what it printed.
    pub fn parse(printed: &str) -> Result<Self> {
        let line = printed.lines().last().unwrap_or_default();
        Ok(Self(serde_json::from_str(line).with_context(|| format!("the probe printed no JSON: {printed:?}"))?))
    }

    /// Whether the SDK took it for an answer.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.0["ok"] == true
    }

    /// The HTTP status; 0 when there was none.
    #[must_use]
    pub fn status(&self) -> u64 {
        self.0["status"].as_u64().unwrap_or_default()
    }

    /// A header by the rest of its name: `backend` for `x-spillway-backend`. Empty when absent.
    #[must_use]
    pub fn header(&self, rest: &str) -> &str {
        self.0["headers"][format!("x-spillway-{rest}")].as_str().unwrap_or_default()
    }

    /// What the model wrote.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0["text"].as_str().unwrap_or_default()
    }

    /// What the SDK's exception says.
    #[must_use]
    pub fn message(&self) -> &str {
        self.0["message"].as_str().unwrap_or_default()
    }

    /// A number or text of the probe's own: `chunks`, `finish`, `model`.
    #[must_use]
    pub fn get(&self, key: &str) -> &Value {
        &self.0[key]
    }
}
