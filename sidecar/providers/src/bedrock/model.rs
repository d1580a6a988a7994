//! What a model takes: what the catalogue knows of it, and else what its id says.
//!
//! An id names its maker (`anthropic.claude-…`), with the regions it may run in in front (`eu.amazon.nova-…`). The ARN of an
//! application's inference profile names nobody: such a model is taken to know what most do.

use super::id;
use crate::anthropic::model::{Strongest, takes_one_sampling, version};
use crate::{Abilities, Target};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traits {
    /// `temperature`, `topP`.
    pub(super) sampling: bool,
    /// But not both at once.
    pub(super) one_sampling: bool,
    pub(super) top_k: TopK,
    pub(super) thinking: Thinking,
    /// Takes a choice of tools.
    pub(super) choice: bool,
    /// Can be made to call a tool.
    pub(super) forced: bool,
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
    /// Takes what a tool showed, and that it failed, in words of their own.
    pub(super) rich_results: bool,
    /// Says where in a document, or in what was found, it has something from.
    pub(super) cites: bool,
    /// Searches the web itself.
    pub(super) search: bool,
    /// Stops at sequences of white space alone.
    pub(super) blank_stops: bool,
    pub(super) audio: bool,
}

/// Whether the model is a Claude, and can be made to call a tool while it does not think.
pub(crate) fn can_be_forced(target: &Target<'_>) -> bool {
    let traits = Traits::of(target);
    let thinks = target.abilities.thinking_always_on == Some(true);
    version(id(target.model)).is_some() && traits.forced && traits.choice && !thinks
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
        efforts: Strongest,
    },
    /// Nova's `reasoningConfig`.
    Nova,
    /// OpenAI's own word.
    Plain,
}

/// What a model of no known maker takes.
const UNKNOWN: Traits = Traits {
    sampling: true,
    one_sampling: false,
    top_k: TopK::Nowhere,
    thinking: Thinking::Never,
    choice: true,
    forced: true,
    parallel: false,
    schema: false,
    strict: false,
    cache: false,
    signed: false,
    rich_results: false,
    cites: false,
    search: false,
    blank_stops: true,
    audio: true,
};

// === impl Traits ===

impl Traits {
    pub(super) fn of(target: &Target<'_>) -> Self {
        let (known, named) = (&target.abilities, Self::of_id(id(target.model), &target.abilities));
        Self {
            sampling: known.sampling.unwrap_or(named.sampling),
            choice: known.tool_choice.unwrap_or(named.choice),
            forced: known.forced_tool_use.unwrap_or(named.forced),
            parallel: known.parallel_tool_config.unwrap_or(named.parallel),
            schema: known.native_schema.unwrap_or(named.schema),
            strict: known.strict_tools.unwrap_or(named.strict),
            // That a model caches by itself does not mean that it takes marks.
            cache: named.cache && known.prompt_caching != Some(false),
            ..named
        }
    }

    fn of_id(id: &str, known: &Abilities) -> Self {
        let is = |maker: &str| id.contains(maker);
        if let Some(version) = version(id) {
            return Self::of_claude(version, known);
        }
        if is("amazon.nova") {
            let second = is("nova-2");
            let thinking = if known.reasoning.unwrap_or(second) { Thinking::Nova } else { Thinking::Never };
            return Self {
                top_k: TopK::Nova,
                thinking,
                cache: true,
                signed: second,
                rich_results: true,
                search: true,
                ..UNKNOWN
            };
        }
        if is("openai.gpt-oss") {
            return Self { thinking: Thinking::Plain, ..UNKNOWN };
        }
        // They call tools, and cannot be told to.
        let unasked = ["meta.llama", "cohere.", "ai21."].into_iter().any(is);
        Self { choice: !unasked, ..UNKNOWN }
    }

    fn of_claude(version: (u32, u32), known: &Abilities) -> Self {
        // Of those that came since, some take schemas here and some do not; a tool stands in at all of them.
        let native = ((4, 5)..(4, 7)).contains(&version);
        let thinking = if !known.reasoning.unwrap_or(version >= (3, 7)) {
            Thinking::Never
        } else if known.adaptive_thinking.unwrap_or(version >= (4, 6)) {
            let budget = known.legacy_thinking.unwrap_or(version < (4, 7));
            Thinking::Effort { budget, efforts: Strongest::of(version, known) }
        } else {
            Thinking::Budget
        };
        let sampling = known.sampling.unwrap_or(version < (4, 7));
        Self {
            sampling,
            one_sampling: takes_one_sampling(version),
            top_k: if sampling { TopK::Plain } else { TopK::Nowhere },
            thinking,
            parallel: version >= (4, 5),
            schema: native,
            strict: native,
            cache: true,
            signed: true,
            rich_results: version >= (3, 0),
            cites: version >= (3, 7),
            blank_stops: false,
            audio: false,
            ..UNKNOWN
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, Efforts};

    fn traits(id: &str, abilities: Abilities) -> Traits {
        Traits::of(&Target { abilities, ..Target::new(Dialect::Bedrock, id) })
    }

    #[test]
    fn a_maker_is_known_by_the_id_whatever_region_is_in_front() {
        let efforts = |xhigh| Strongest::of((4, if xhigh { 7 } else { 6 }), &Abilities::default());
        let newest = Thinking::Effort { budget: false, efforts: efforts(true) };
        let both = Thinking::Effort { budget: true, efforts: efforts(false) };
        let profile = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-5";
        let nobodys = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3";
        let rows = [
            ("anthropic.claude-3-5-sonnet-20240620-v1:0", Thinking::Never, TopK::Plain, true),
            ("eu.anthropic.claude-3-7-sonnet-20250219-v1:0", Thinking::Budget, TopK::Plain, true),
            ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", Thinking::Budget, TopK::Plain, true),
            ("us.anthropic.claude-opus-4-6-v1", both, TopK::Plain, true),
            ("anthropic.claude-opus-5", newest, TopK::Nowhere, true),
            ("us-gov.amazon.nova-pro-v1:0", Thinking::Never, TopK::Nova, true),
            ("amazon.nova-2-lite-v1:0", Thinking::Nova, TopK::Nova, true),
            ("apac.meta.llama3-3-70b-instruct-v1:0", Thinking::Never, TopK::Nowhere, false),
            ("mistral.mistral-large-2407-v1:0", Thinking::Never, TopK::Nowhere, true),
            ("openai.gpt-oss-120b-1:0", Thinking::Plain, TopK::Nowhere, true),
            (profile, newest, TopK::Nowhere, true),
            (nobodys, Thinking::Never, TopK::Nowhere, true),
        ];
        for (id, thinking, top_k, choice) in rows {
            let traits = traits(id, Abilities::default());
            assert_eq!((traits.thinking, traits.top_k, traits.choice), (thinking, top_k, choice), "{id}");
        }
    }

    #[test]
    fn what_is_known_of_a_model_goes_before_its_id() {
        let none = Abilities::default();
        let yes = |id| traits(id, Abilities { native_schema: Some(true), strict_tools: Some(true), ..none });
        let no = |id| traits(id, Abilities { native_schema: Some(false), strict_tools: Some(false), ..none });
        for id in ["anthropic.claude-opus-4-8", "anthropic.claude-sonnet-4-5-20250929-v1:0", "qwen.qwen3-32b-v1:0"] {
            assert!(yes(id).schema && yes(id).strict, "{id}");
            assert!(!no(id).schema && !no(id).strict, "{id}");
        }
        let llama = "meta.llama4-scout-17b-instruct-v1:0";
        assert!(traits(llama, Abilities { tool_choice: Some(true), ..none }).choice);
        let claude = "anthropic.claude-sonnet-5-5";
        assert!(
            traits(claude, none).forced && !traits(claude, Abilities { forced_tool_use: Some(false), ..none }).forced
        );
        assert!(traits(claude, none).cache && !traits(claude, Abilities { prompt_caching: Some(false), ..none }).cache);
        let hot = traits(claude, Abilities { sampling: Some(true), ..none });
        assert_eq!((hot.sampling, hot.top_k), (true, TopK::Plain));
        let efforts = Efforts { max: Some(false), ..Efforts::default() };
        let thinking = |known| traits(claude, known).thinking;
        assert_eq!(thinking(Abilities { reasoning: Some(false), ..none }), Thinking::Never);
        assert_eq!(thinking(Abilities { adaptive_thinking: Some(false), ..none }), Thinking::Budget);
        let Thinking::Effort { efforts, .. } = thinking(Abilities { efforts, ..none }) else { panic!("it thinks") };
        assert_eq!(efforts.weakened("max"), "xhigh");
    }
}
