//! What a Claude takes: what the catalogue knows of it, and else what its name says.

use serde_json::Value;

use crate::openai::family::is_neutral;
use crate::{Abilities, BadRequest, Body, Host, Target, Unsupported};

/// What a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traits {
    /// `temperature`, `top_p`, `top_k`.
    pub(super) sampling: bool,
    /// But not `temperature` and `top_p` at once.
    pub(super) one_sampling: bool,
    /// Thinks as much as an effort says; older ones are given a budget of tokens.
    pub(super) effort: bool,
    pub(super) efforts: Strongest,
    /// Still takes a budget.
    pub(super) budget: bool,
    /// Thinks at all.
    pub(super) thinks: bool,
    /// Is a Claude, and so refuses some of the rest of a request while it thinks.
    pub(super) claude: bool,
    pub(super) schema: Schema,
    /// Can be made to call a tool.
    pub(super) forced_tools: bool,
    /// Goes on from a last message of the assistant's.
    pub(super) prefill: bool,
    /// Takes the role `system` between the others.
    pub(super) system_turns: bool,
    /// Fetches images and documents itself.
    pub(super) urls: bool,
}

/// How a model is told the schema of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schema {
    /// As a parameter, with the beta that has it.
    Beta,
    /// As a part of its `output_config`. Vertex AI refuses the beta by its name.
    Config,
    /// Not at all: a tool stands in.
    Tool,
}

/// Which of the strongest efforts a model takes. All that take one take `low`, `medium` and `high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strongest {
    xhigh: bool,
    max: bool,
}

/// The version of a Claude nobody has named yet.
const NEWEST: (u32, u32) = (u32::MAX, 0);

// === impl Traits ===

impl Traits {
    pub(super) fn of(target: &Target<'_>) -> Self {
        // What is no Claude speaks the protocol as it was when others began to copy it.
        let claude = version(target.model);
        let version = claude.unwrap_or((3, 0));
        let known = &target.abilities;
        let schema = match target.host {
            Host::Own if known.native_schema.unwrap_or(version >= (4, 5)) => Schema::Beta,
            Host::Vertex if known.native_schema == Some(true) => Schema::Config,
            // Of those that came since, some take schemas there and some do not.
            Host::Bedrock if known.native_schema.unwrap_or_else(|| ((4, 5)..(4, 7)).contains(&version)) => {
                Schema::Config
            }
            Host::Own | Host::Vertex | Host::Bedrock => Schema::Tool,
        };
        Self {
            sampling: known.sampling.unwrap_or(version < (4, 7)),
            one_sampling: takes_one_sampling(version),
            effort: known.adaptive_thinking.unwrap_or(version >= (4, 6)),
            efforts: Strongest::of(version, known),
            budget: known.legacy_thinking.unwrap_or(version < (4, 7)),
            thinks: known.reasoning.unwrap_or_else(|| claude.is_none_or(|version| version >= (3, 7))),
            claude: claude.is_some(),
            schema,
            forced_tools: known.forced_tool_use.unwrap_or(true),
            prefill: known.assistant_prefill.unwrap_or(true),
            system_turns: known.mid_conversation_system.unwrap_or(version >= (5, 0)),
            urls: target.host == Host::Own,
        }
    }
}

// === impl Strongest ===

impl Strongest {
    pub(crate) fn of(version: (u32, u32), known: &Abilities) -> Self {
        Self { xhigh: known.efforts.xhigh.unwrap_or(version >= (4, 7)), max: known.efforts.max.unwrap_or(true) }
    }

    /// OpenAI's effort in Claude's words: the same, or the next weaker one that the model takes.
    pub(crate) fn weakened(self, effort: &str) -> &str {
        match effort {
            "max" if !self.max => self.weakened("xhigh"),
            "xhigh" if !self.xhigh => "high",
            "minimal" => "low",
            _ => effort,
        }
    }
}

/// Whether the model is a Claude, and can be made to call a tool while it does not think.
pub(crate) fn can_be_forced(target: &Target<'_>) -> bool {
    let traits = Traits::of(target);
    traits.claude && traits.forced_tools && target.abilities.thinking_always_on != Some(true)
}

/// Since Opus 4.1, a Claude refuses `temperature` and `top_p` in one request.
pub(crate) fn takes_one_sampling(version: (u32, u32)) -> bool {
    version >= (4, 1)
}

/// Whether Claude is told to think.
pub(crate) fn is_thinking(thinking: Option<&Value>) -> bool {
    thinking.is_some_and(|thinking| thinking["type"] == "enabled" || thinking["type"] == "adaptive")
}

/// Whether a Claude that thinks refuses this measure of chance. A temperature above Anthropic's scale is made its end.
pub(crate) fn excludes_thinking(key: &str, value: &Value) -> bool {
    const LEAST_TOP_P: f64 = 0.95;
    match key {
        "temperature" => value.as_f64().is_some_and(|temperature| temperature < 1.0),
        "top_p" => value.as_f64().is_some_and(|top_p| top_p < LEAST_TOP_P),
        "top_k" => !value.is_null(),
        _ => false,
    }
}

/// A request's parameters, with what says how much to think in front: it decides what the others may be.
pub(crate) fn thinking_first(body: &Body) -> impl Iterator<Item = &str> {
    let tells = |key: &&str| matches!(*key, "thinking" | "reasoning_effort");
    body.keys().filter(tells).chain(body.keys().filter(move |key| !tells(key)))
}

/// Of `temperature` and `top_p`, for a model that takes one of them: whether `key` is the one to leave out. The
/// temperature is the one that is meant, unless it says nothing.
pub(crate) fn is_one_too_many(
    key: &str,
    body: &Body,
    target: &Target<'_>,
    dropped: &mut Vec<String>,
) -> Result<bool, BadRequest> {
    let (Some(temperature), Some(top_p)) = (body.value("temperature"), body.value("top_p")) else { return Ok(false) };
    let heat_says_nothing = is_neutral("temperature", &temperature);
    if target.unsupported == Unsupported::Pass || key != (if heat_says_nothing { "temperature" } else { "top_p" }) {
        return Ok(false);
    }
    if heat_says_nothing || is_neutral("top_p", &top_p) {
        return Ok(true);
    }
    if target.unsupported == Unsupported::Reject {
        let model = target.model;
        let message = format!(
            "model {model:?} takes \"temperature\" or \"top_p\" and not both (leave one out, or set request.unsupported: \
             Drop)"
        );
        return Err(BadRequest::at(key, message));
    }
    dropped.push(key.to_owned());
    Ok(true)
}

/// `claude-3-5-sonnet-20240620` is 3.5, `claude-opus-4-6` is 4.6, `claude-sonnet-4-20250514` is 4.0.
pub(crate) fn version(model: &str) -> Option<(u32, u32)> {
    let (_, rest) = model.split_once("claude-")?;
    let mut numbers = rest.split(['-', '.', '@']).map_while(short_number_or_word).flatten();
    match (numbers.next(), numbers.next()) {
        (Some(major), minor) => Some((major, minor.unwrap_or(0))),
        (None, _) => Some(NEWEST),
    }
}

/// A number of one or two digits, or a word (`Some(None)`). A date or anything else ends the name.
fn short_number_or_word(part: &str) -> Option<Option<u32>> {
    match part.parse::<u32>() {
        Ok(number) if part.len() <= 2 => Some(Some(number)),
        Ok(_) => None,
        Err(_) => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;

    #[test]
    fn a_name_tells_its_version() {
        let rows = [
            ("claude-3-5-sonnet-20240620", Some((3, 5))),
            ("claude-3-opus-20240229", Some((3, 0))),
            ("claude-2.1", Some((2, 1))),
            ("claude-sonnet-4-20250514", Some((4, 0))),
            ("anthropic/claude-sonnet-4.5", Some((4, 5))),
            ("claude-sonnet-4-5@20250929", Some((4, 5))),
            ("anthropic.claude-haiku-4-5-20251001-v1:0", Some((4, 5))),
            ("claude-opus-4-6", Some((4, 6))),
            ("claude-opus-5", Some((5, 0))),
            ("claude-mythos-preview", Some(NEWEST)),
            ("llama-3", None),
        ];
        for (model, want) in rows {
            assert_eq!(version(model), want, "{model}");
        }
        let traits = |model| Traits::of(&Target::new(Dialect::Anthropic, model));
        assert!(traits("llama-3").sampling);
        assert!(!traits("claude-opus-5").sampling);
    }
}
