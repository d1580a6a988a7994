//! Under what terms an answer was made: how fast, and where.

use serde_json::Value;

/// How fast an answer was promised to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    Standard,
    Flex,
    Priority,
}

// === impl Tier ===

impl Tier {
    /// Reads a provider's word for the tier that answered, or that a request asks for. Words for what costs as usual
    /// (`default`, `scale`, a provisioned throughput) are the standard tier; `auto` says nothing.
    #[must_use]
    pub fn read(word: &Value) -> Option<Self> {
        let word = word.as_str().or_else(|| word.get("type")?.as_str())?.to_ascii_lowercase();
        match word.as_str() {
            "" | "auto" => None,
            "flex" | "on_demand_flex" => Some(Self::Flex),
            "priority" | "on_demand_priority" | "fast" => Some(Self::Priority),
            _ => Some(Self::Standard),
        }
    }

    /// Fast answers cost more; what Anthropic calls its priority tier is paid for beforehand.
    pub(super) fn of_anthropic(usage: &Value) -> Option<Self> {
        if usage.get("speed").is_some_and(|speed| speed == "fast") {
            return Some(Self::Priority);
        }
        usage
            .get("service_tier")
            .and_then(Self::read)
            .map(|tier| if tier == Self::Flex { tier } else { Self::Standard })
    }
}

/// Whether a place that is named costs more than any: `us` does.
pub(crate) fn is_regional(place: &Value) -> bool {
    place == "us"
}
