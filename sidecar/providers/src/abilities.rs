//! What a model takes and what it refuses, as far as anybody has said.

/// What is known of a model beside its limits. None: nobody has said, and a dialect goes by the model's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// `temperature`, `top_p`, `top_k`.
    pub sampling: Option<bool>,
    /// It thinks before it answers, or can be told to.
    pub reasoning: Option<bool>,
    /// It thinks as much as it finds right, within an effort.
    pub adaptive_thinking: Option<bool>,
    /// It takes a budget of tokens for its thoughts.
    pub legacy_thinking: Option<bool>,
    /// It cannot be told not to think.
    pub thinking_always_on: Option<bool>,
    /// Anthropic's `output_config`, which carries the effort.
    pub output_config: Option<bool>,
    pub efforts: Efforts,
    /// A `tool_choice`.
    pub tool_choice: Option<bool>,
    /// A `tool_choice` that makes it call a tool.
    pub forced_tool_use: Option<bool>,
    /// Being told not to call several tools at once.
    pub parallel_tool_config: Option<bool>,
    /// `strict` tools.
    pub strict_tools: Option<bool>,
    /// A JSON schema for its answer, as a parameter of its own.
    pub native_schema: Option<bool>,
    /// The role `system`.
    pub system_messages: Option<bool>,
    /// The role `system` between other messages.
    pub mid_conversation_system: Option<bool>,
    /// A last message of the assistant's that it goes on from.
    pub assistant_prefill: Option<bool>,
    /// It keeps prompts in a cache.
    pub prompt_caching: Option<bool>,
    pub pdf_input: Option<bool>,
    pub audio_input: Option<bool>,
    /// It is served at `/responses` and not at `/chat/completions`.
    pub responses_only: Option<bool>,
}

/// Which efforts of thought it takes, by OpenAI's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Efforts {
    pub none: Option<bool>,
    pub minimal: Option<bool>,
    pub low: Option<bool>,
    pub medium: Option<bool>,
    pub high: Option<bool>,
    pub xhigh: Option<bool>,
    pub max: Option<bool>,
}

// === impl Efforts ===

impl Efforts {
    /// Whether the effort of this name is taken.
    #[must_use]
    pub fn takes(&self, name: &str) -> Option<bool> {
        match name {
            "none" => self.none,
            "minimal" => self.minimal,
            "low" => self.low,
            "medium" => self.medium,
            "high" => self.high,
            "xhigh" => self.xhigh,
            "max" => self.max,
            _ => None,
        }
    }
}
