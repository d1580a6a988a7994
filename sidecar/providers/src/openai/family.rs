//! What a model's name says about the parameters it takes.
//!
//! OpenAI's reasoning models refuse parameters that its other models, and everyone who copies its API, accept. The name is
//! all there is to go by.

use serde_json::Value;

/// Models of OpenAI's that differ in what they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// `o1`, `o3-mini`, …
    OSeries,
    /// `gpt-5` and later, without the chat variants.
    Gpt5,
    /// `gpt-4o`, `gpt-4.1`, `gpt-3.5-turbo`, …: OpenAI's own, and no reasoning.
    Gpt,
    /// Everyone else's.
    Other,
}

/// Refused by every reasoning model.
const SAMPLING: &[&str] =
    &["temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"];

// === impl Family ===

impl Family {
    pub(crate) fn of(model: &str) -> Self {
        Self::of_name(model.rsplit('/').next().unwrap_or(model))
    }

    /// The family of a deployment, whose name is anyone's choice and mostly has the model's in it.
    pub(crate) fn of_deployment(name: &str) -> Self {
        let name = name.to_ascii_lowercase().replace("gpt5", "gpt-5").replace("gpt4", "gpt-4");
        let starts = name.match_indices(['-', '_']).map(|(at, _)| at + 1);
        let families = std::iter::once(0).chain(starts).filter_map(|at| name.get(at..)).map(Self::of_name);
        families.into_iter().find(|family| *family != Self::Other).unwrap_or(Self::Other)
    }

    fn of_name(name: &str) -> Self {
        if is_o_series(name) {
            return Self::OSeries;
        }
        let Some(version) = name.strip_prefix("gpt-").or_else(|| name.strip_prefix("chatgpt-")) else {
            return Self::Other;
        };
        if version.starts_with("oss") {
            return Self::Other;
        }
        let major: String = version.chars().take_while(char::is_ascii_digit).collect();
        let reasons = major.parse::<u32>().is_ok_and(|major| major >= 5) && !version.contains("-chat");
        if reasons { Self::Gpt5 } else { Self::Gpt }
    }

    pub(crate) fn reasons(self) -> bool {
        matches!(self, Self::OSeries | Self::Gpt5)
    }

    /// The name of the bound on the answer. `max_tokens` is what everyone but the reasoning models knows.
    pub(crate) fn max_tokens_key(self) -> &'static str {
        if self.reasons() { "max_completion_tokens" } else { "max_tokens" }
    }

    /// Whether a parameter with this value would be refused.
    pub(crate) fn refuses(self, key: &str, value: &Value) -> bool {
        !is_neutral(key, value) && self.suspects().any(|suspect| *suspect == key)
    }

    /// Which parameters [`Self::refuses`] may be asked about.
    pub(crate) fn suspects(self) -> impl Iterator<Item = &'static &'static str> {
        let (first, more): (&[&str], &[&str]) = match self {
            Self::OSeries => (SAMPLING, &["parallel_tool_calls", "verbosity"]),
            Self::Gpt5 => {
                (SAMPLING, &["stop", "logit_bias", "audio", "modalities", "prediction", "web_search_options"])
            }
            Self::Gpt => (&["reasoning_effort", "verbosity"], &[]),
            Self::Other => (&[], &[]),
        };
        first.iter().chain(more)
    }
}

fn is_o_series(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next() == Some(b'o')
        && bytes.next().is_some_and(|byte| byte.is_ascii_digit())
        && matches!(bytes.next(), None | Some(b'-'))
}

/// OpenAI's models that can be told not to think: those since `gpt-5.1` that are not for thinking alone.
pub(crate) fn takes_no_effort(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let number = name.strip_prefix("gpt-").and_then(|version| version.split('-').next()).unwrap_or_default();
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    let version: Option<(u32, u32)> = major.parse().ok().zip(minor.parse().ok());
    version.is_some_and(|version| version >= (5, 1)) && !name.contains("-codex") && !name.contains("-pro")
}

/// A parameter that says what would be done without it.
pub(crate) fn is_neutral(key: &str, value: &Value) -> bool {
    match (key, value) {
        (_, Value::Null) => true,
        ("temperature" | "top_p" | "n", value) => value.as_f64() == Some(1.0),
        ("presence_penalty" | "frequency_penalty" | "top_logprobs", value) => value.as_f64() == Some(0.0),
        ("logprobs" | "store", value) => *value == Value::Bool(false),
        ("logit_bias" | "metadata", Value::Object(map)) => map.is_empty(),
        ("service_tier", Value::String(tier)) => tier == "auto" || tier == "default",
        ("modalities", Value::Array(kinds)) => kinds.iter().all(|kind| kind == "text"),
        ("verbosity", Value::String(word)) => word == "medium",
        ("response_format", value) => value.get("type").and_then(Value::as_str) == Some("text"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Family::*, *};

    #[test]
    fn the_newer_can_be_told_not_to_think() {
        let rows = [
            ("gpt-5.1", true),
            ("openai/gpt-5.4-mini", true),
            ("gpt-6", true),
            ("gpt-5", false),
            ("gpt-5-mini", false),
            ("gpt-5.1-codex", false),
            ("gpt-5.2-pro", false),
            ("gpt-4.1", false),
            ("o3", false),
        ];
        for (model, want) in rows {
            assert_eq!(takes_no_effort(model), want, "{model}");
        }
    }

    #[test]
    fn a_name_tells_its_family() {
        let rows = [
            ("o1", OSeries),
            ("o3-mini", OSeries),
            ("openai/o4-mini-2025", OSeries),
            ("gpt-5-mini", Gpt5),
            ("gpt-5.6", Gpt5),
            ("gpt-6", Gpt5),
            ("gpt-5-chat-latest", Gpt),
            ("gpt-4o", Gpt),
            ("gpt-3.5-turbo", Gpt),
            ("chatgpt-4o-latest", Gpt),
            ("openai/gpt-oss-120b", Other),
            ("o1000x", Other),
            ("olmo-2", Other),
            ("", Other),
        ];
        for (model, want) in rows {
            assert_eq!(Family::of(model), want, "{model}");
        }
        let rows =
            [("my-o3", OSeries), ("my-gpt5", Gpt5), ("team_gpt-4o-eu", Gpt), ("my-deploy", Other), ("O1", OSeries)];
        for (deployment, want) in rows {
            assert_eq!(Family::of_deployment(deployment), want, "{deployment}");
        }
    }
}
