//! What a model's id says about the parameters it takes.
//!
//! An id names its maker (`anthropic.claude-…`), with the regions it may run in in front (`eu.amazon.nova-…`). The ARN of an
//! application's inference profile names nobody: such a model is taken to know what most do.

use crate::anthropic::model::version;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traits {
    /// `temperature`, `topP`.
    pub(super) sampling: bool,
    pub(super) top_k: TopK,
    pub(super) thinking: Thinking,
    /// Takes a choice of tools.
    pub(super) choice: bool,
    /// Can be told to call one tool at a time.
    pub(super) parallel: bool,
    /// Takes a JSON schema for its answer.
    pub(super) schema: bool,
    /// Takes `strict` tools, and any keyword at the top of a tool's schema.
    pub(super) strict: bool,
    /// Takes marks of what to keep in its cache.
    pub(super) cache: bool,
    /// Takes back what it thought, with its signature.
    pub(super) signed: bool,
    /// Searches the web itself.
    pub(super) search: bool,
    /// Stops at sequences of white space alone.
    pub(super) blank_stops: bool,
    pub(super) audio: bool,
}

/// Where `top_k` goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopK {
    Nowhere,
    /// `additionalModelRequestFields.top_k`
    Plain,
    /// `additionalModelRequestFields.inferenceConfig.topK`
    Nova,
}

/// How a model is told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinking {
    Never,
    /// Claude's `thinking` with a budget of tokens.
    Budget,
    /// Claude's `thinking` as much as an effort says. The older of these still take a budget.
    Effort {
        budget: bool,
    },
    /// Nova's `reasoningConfig`.
    Nova,
    /// OpenAI's own word.
    Plain,
}

/// What a model of no known maker takes.
const UNKNOWN: Traits = Traits {
    sampling: true,
    top_k: TopK::Nowhere,
    thinking: Thinking::Never,
    choice: true,
    parallel: false,
    schema: false,
    strict: false,
    cache: false,
    signed: false,
    search: false,
    blank_stops: true,
    audio: true,
};

// === impl Traits ===

impl Traits {
    pub(super) fn of(id: &str) -> Self {
        let is = |maker: &str| id.contains(maker);
        if let Some(version) = version(id) {
            return Self::of_claude(version);
        }
        if is("amazon.nova") {
            let second = is("nova-2");
            let thinking = if second { Thinking::Nova } else { Thinking::Never };
            return Self { top_k: TopK::Nova, thinking, cache: true, signed: second, search: true, ..UNKNOWN };
        }
        if is("openai.gpt-oss") {
            return Self { thinking: Thinking::Plain, ..UNKNOWN };
        }
        // They call tools, and cannot be told to.
        let unasked = ["meta.llama", "cohere.", "ai21."].into_iter().any(is);
        Self { choice: !unasked, ..UNKNOWN }
    }

    fn of_claude(version: (u32, u32)) -> Self {
        // Of those that came since, some take schemas here and some do not; a tool stands in at all of them.
        let native = ((4, 5)..(4, 7)).contains(&version);
        let thinking = match version {
            (4, 6..) | (5.., _) => Thinking::Effort { budget: version < (4, 7) },
            (3, 7..) | (4, _) => Thinking::Budget,
            _ => Thinking::Never,
        };
        let sampling = version < (4, 7);
        Self {
            sampling,
            top_k: if sampling { TopK::Plain } else { TopK::Nowhere },
            thinking,
            parallel: version >= (4, 5),
            schema: native,
            strict: native,
            cache: true,
            signed: true,
            blank_stops: false,
            audio: false,
            ..UNKNOWN
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_maker_is_known_by_the_id_whatever_region_is_in_front() {
        let rows = [
            ("anthropic.claude-3-5-sonnet-20240620-v1:0", Thinking::Never, TopK::Plain, true),
            ("eu.anthropic.claude-3-7-sonnet-20250219-v1:0", Thinking::Budget, TopK::Plain, true),
            ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", Thinking::Budget, TopK::Plain, true),
            ("us.anthropic.claude-opus-4-6-v1", Thinking::Effort { budget: true }, TopK::Plain, true),
            ("anthropic.claude-opus-5", Thinking::Effort { budget: false }, TopK::Nowhere, true),
            ("us-gov.amazon.nova-pro-v1:0", Thinking::Never, TopK::Nova, true),
            ("amazon.nova-2-lite-v1:0", Thinking::Nova, TopK::Nova, true),
            ("apac.meta.llama3-3-70b-instruct-v1:0", Thinking::Never, TopK::Nowhere, false),
            ("mistral.mistral-large-2407-v1:0", Thinking::Never, TopK::Nowhere, true),
            ("openai.gpt-oss-120b-1:0", Thinking::Plain, TopK::Nowhere, true),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-5",
                Thinking::Effort { budget: false },
                TopK::Nowhere,
                true,
            ),
            (
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3",
                Thinking::Never,
                TopK::Nowhere,
                true,
            ),
        ];
        for (id, thinking, top_k, choice) in rows {
            let traits = Traits::of(id);
            assert_eq!((traits.thinking, traits.top_k, traits.choice), (thinking, top_k, choice), "{id}");
        }
    }
}
