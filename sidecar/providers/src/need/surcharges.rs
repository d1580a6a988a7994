//! What makes a request dearer than its length does.

use memchr::memmem;

use super::Beside;
use crate::{Body, Tier, usage};

/// What makes a request dearer than its length does. Text that only names a field counts too, which makes a bound of the cost a
/// little larger than it has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surcharges {
    /// Part of the prompt is to be kept in the provider's cache.
    pub cache_writes: bool,
    /// It has sound in it, or asks for some.
    pub audio: bool,
    /// The service tier it asks for.
    pub tier: Option<Tier>,
    /// It says that its answer is to be made where that costs more.
    pub regional: bool,
    /// What its provider is asked to do by itself.
    pub beside: Beside,
}

/// Looks for what makes a request dearer.
#[must_use]
pub fn surcharges(body: &Body) -> Surcharges {
    let holds = |key, word: &str| body.get_bytes(key).is_some_and(|raw| memmem::find(raw, word.as_bytes()).is_some());
    let cached = |key| holds(key, "\"cache_control\"");
    // Most have none of it, which is known since they were read: a long prompt is not looked through for it.
    let is_marked = || ["messages", "system", "tools"].into_iter().any(cached);
    let cache_writes = body.may_have_marks() && (is_marked() || body.get_bytes("cache_control").is_some());
    Surcharges {
        cache_writes,
        audio: (body.may_have_files() && holds("messages", "\"input_audio\"")) || holds("modalities", "\"audio\""),
        tier: ["speed", "service_tier"].iter().find_map(|key| Tier::read(&body.value(key)?)),
        regional: body.value("inference_geo").is_some_and(|place| usage::is_regional(&place)),
        beside: Beside::read(body),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_makes_a_request_dearer_is_seen() {
        let nothing = Surcharges::default();
        let rows = [
            (json!({"messages": [{"content": "hi"}]}), nothing),
            (json!({"tools": [{"name": "f", "cache_control": {}}]}), Surcharges { cache_writes: true, ..nothing }),
            (json!({"cache_control": {}}), Surcharges { cache_writes: true, ..nothing }),
            (json!({"metadata": {"cache_control": "x"}}), nothing),
            (json!({"messages": [{"content": [{"type": "input_audio"}]}]}), Surcharges { audio: true, ..nothing }),
            (json!({"modalities": ["text", "audio"]}), Surcharges { audio: true, ..nothing }),
            (json!({"service_tier": "priority"}), Surcharges { tier: Some(Tier::Priority), ..nothing }),
            (json!({"speed": "fast"}), Surcharges { tier: Some(Tier::Priority), ..nothing }),
            (json!({"inference_geo": "us"}), Surcharges { regional: true, ..nothing }),
            (json!({"service_tier": "auto"}), nothing),
        ];
        for (body, want) in rows {
            assert_eq!(surcharges(&Body::parse(body.to_string().into()).unwrap()), want, "{body}");
        }
    }
}
