//! What a provider does by itself for an answer: it searches, fetches, runs programs. All of that is billed beside what it was
//! sent, and what it finds goes into the prompt.

use serde::Deserialize;
use serde_json::Value;

use crate::Body;

/// How much of it there can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beside {
    #[default]
    Nothing,
    /// The model is asked again after each of so many rounds; so many of them are searches.
    AtMost {
        rounds: u32,
        searches: u32,
    },
    Unbounded,
}

/// Tools that the application runs, in the words of all APIs. Anthropic's have a date behind them.
const THE_APPLICATIONS_OWN: [&str; 9] =
    ["function", "custom", "bash_", "text_editor_", "computer", "memory_", "local_shell", "apply_patch", "tool_search"];

/// What decides who runs a tool, whatever else is said of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Tool {
    #[serde(rename = "type")]
    kind: Value,
    max_uses: Value,
    /// A tool without a kind has one of these if the application runs it.
    name: Value,
    function: Option<serde::de::IgnoredAny>,
}

// === impl Beside ===

impl Beside {
    /// What the request asks its provider to do.
    pub(super) fn read(body: &Body) -> Self {
        let raw = body.get_bytes("tools").unwrap_or(b"[]");
        // What is no list of tools is refused by whoever gets it.
        let tools: Vec<Tool> = serde_json::from_slice(raw).unwrap_or_default();
        let options = body.value("web_search_options").map_or(Self::Nothing, |options| {
            let searches = crate::anthropic::searches(&options);
            Self::AtMost { rounds: searches, searches }
        });
        // The words of xAI and OpenRouter for it.
        let others = ["search_parameters", "plugins"].iter().any(|key| body.value(key).is_some());
        let others = if others { Self::Unbounded } else { Self::Nothing };
        tools.iter().map(Tool::beside).chain([options, others]).fold(Self::Nothing, Self::with)
    }

    const fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, other) | (other, Self::Nothing) => other,
            (Self::Unbounded, _) | (_, Self::Unbounded) => Self::Unbounded,
            (Self::AtMost { rounds, searches }, Self::AtMost { rounds: more, searches: found }) => {
                Self::AtMost { rounds: rounds.saturating_add(more), searches: searches.saturating_add(found) }
            }
        }
    }
}

// === impl Tool ===

impl Tool {
    fn beside(&self) -> Beside {
        let Some(kind) = self.kind.as_str() else {
            let own = self.function.is_some() || self.name.is_string();
            return if own { Beside::Nothing } else { Beside::Unbounded };
        };
        if THE_APPLICATIONS_OWN.iter().any(|own| kind.starts_with(own)) {
            return Beside::Nothing;
        }
        match self.max_uses.as_u64().and_then(|uses| u32::try_from(uses).ok()) {
            Some(uses) if kind.starts_with("web_search") => Beside::AtMost { rounds: uses, searches: uses },
            Some(uses) if kind.starts_with("web_fetch") => Beside::AtMost { rounds: uses, searches: 0 },
            _ => Beside::Unbounded,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_provider_does_by_itself_has_a_bound_where_the_request_gives_one() {
        let at_most = |rounds, searches| Beside::AtMost { rounds, searches };
        let function = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
        let search = |uses: u32| json!({"type": "web_search_20250305", "name": "web_search", "max_uses": uses});
        let rows = [
            (json!({}), Beside::Nothing),
            (json!({"tools": null}), Beside::Nothing),
            (json!({"tools": [function]}), Beside::Nothing),
            (json!({"tools": [{"name": "f", "input_schema": {}}]}), Beside::Nothing),
            (
                json!({"tools": [{"type": "bash_20250124", "name": "bash"}, {"type": "computer_use_preview"}]}),
                Beside::Nothing,
            ),
            (json!({"tools": [function, search(3)]}), at_most(3, 3)),
            (json!({"tools": [search(3), {"type": "web_fetch_20250910", "max_uses": 2}]}), at_most(5, 3)),
            (json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}), Beside::Unbounded),
            (json!({"tools": [search(1), {"type": "code_execution_20250825"}]}), Beside::Unbounded),
            (json!({"tools": [{"type": "web_search"}]}), Beside::Unbounded),
            (json!({"tools": [{"googleSearch": {}}]}), Beside::Unbounded),
            (json!({"tools": [{"type": "mcp", "server_url": "x"}]}), Beside::Unbounded),
            (json!({"web_search_options": {}}), at_most(5, 5)),
            (json!({"web_search_options": {"search_context_size": "high"}}), at_most(10, 10)),
            (json!({"web_search_options": null}), Beside::Nothing),
            (json!({"search_parameters": {"mode": "auto"}}), Beside::Unbounded),
            (json!({"plugins": [{"id": "web"}]}), Beside::Unbounded),
        ];
        for (value, want) in rows {
            assert_eq!(Beside::read(&Body::parse(value.to_string().into()).unwrap()), want, "{value}");
        }
    }
}
