//! What chat templates put around what is said, in tokens.
//!
//! A server may have another template than the model's maker published, or none: only OpenAI's own is known to the token.

use super::Encoding;

/// One family's.
#[derive(Clone, Copy)]
pub(super) struct Template {
    /// Around each message, the name of who speaks not included.
    pub(super) message: u64,
    /// What opens the prompt, and what opens the answer.
    pub(super) prompt: u64,
    /// What opens a text that is no conversation.
    pub(super) text: u64,
    /// What it says of its own where there is a conversation. None: it is known that it says nothing.
    pub(super) own: Option<Own>,
}

/// A guess.
#[derive(Clone, Copy)]
pub(super) struct Own {
    pub(super) always: u64,
    /// Unless the application has instructions of its own.
    pub(super) alone: u64,
    /// Tools are shown as JSON, with so much around them. None: as OpenAI's models see them.
    pub(super) tools: Option<u64>,
}

/// OpenAI's own, and whoever's, where nobody knows.
const OPENAI: Template = Template { message: 3, prompt: 3, text: 0, own: None };

/// Harmony's system message (who the model is, what it knows until when, today's date, how hard to think, the channels to
/// answer on), and what is around the application's instructions.
const HARMONY: Template = Template { own: Some(Own { always: 69, alone: 0, tools: None }), ..OPENAI };

/// `<|im_start|>`…`\n`…`<|im_end|>\n`. Qwen 2.5 says who it is where nobody says anything else; Qwen 3 does not.
const QWEN: Template =
    Template { message: 4, prompt: 3, text: 0, own: Some(Own { always: 0, alone: 21, tools: Some(140) }) };

/// `<｜begin▁of▁sentence｜>`, and `<｜User｜>`…`<｜Assistant｜>`…`<｜end▁of▁sentence｜>` in place of who speaks.
const DEEPSEEK: Template =
    Template { message: 1, prompt: 2, text: 1, own: Some(Own { always: 0, alone: 0, tools: Some(120) }) };

/// `<s>`, and `[INST]`…`[/INST]`…`</s>` or `[SYSTEM_PROMPT]`…`[/SYSTEM_PROMPT]` in place of who speaks.
const TEKKEN: Template =
    Template { message: 1, prompt: 1, text: 1, own: Some(Own { always: 0, alone: 0, tools: Some(4) }) };

/// What is around the name and the arguments of a call that was made, where calls are shown as JSON.
pub(super) const CALL: u64 = 12;

// === impl Encoding ===

impl Encoding {
    pub(super) const fn template(self) -> Template {
        match self {
            Self::O200k | Self::Cl100k | Self::Estimate => OPENAI,
            Self::Harmony => HARMONY,
            Self::Qwen => QWEN,
            Self::DeepSeek => DEEPSEEK,
            Self::Tekken => TEKKEN,
        }
    }
}
