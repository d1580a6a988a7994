//! Where what translates into OpenAI's chunks goes on from there.

use crate::messages::stream::ToMessages;
use crate::openai::reading;
use crate::responses::translate::ToResponses;
use crate::{Api, Dialect, Fault, Frame, completions};

/// From OpenAI's chunks on.
#[derive(Debug)]
pub(super) enum Onward {
    Messages(Box<ToMessages>),
    Responses(Box<ToResponses>),
    /// Chunks of a completion, where a chat answers for one.
    Text,
}

// === impl Onward ===

impl Onward {
    /// What callers of an API read instead of chunks, where nothing shorter leads there.
    pub(super) fn to(api: Api, dialect: Dialect, shown_model: &str) -> Option<Self> {
        match (api, dialect) {
            (Api::Messages, Dialect::OpenAi | Dialect::Anthropic | Dialect::BedrockInvoke)
            | (Api::Responses, Dialect::OpenAi) => None,
            (Api::Messages, _) => Some(Self::Messages(Box::new(ToMessages::new(shown_model)))),
            (Api::Responses, _) => Some(Self::Responses(Box::new(ToResponses::new(shown_model)))),
            (Api::Completions, _) => Some(Self::Text),
            (Api::ChatCompletions | Api::Embeddings | Api::CountTokens | Api::Tokenize | Api::Pass(_), _) => None,
        }
    }

    /// Whether it needs the usage, whoever asked for it.
    pub(super) const fn reads_usage(&self) -> bool {
        matches!(self, Self::Messages(_) | Self::Responses(_))
    }

    pub(super) fn chunks(&mut self, chunks: Vec<Frame>, out: &mut Vec<Frame>) -> Result<(), Fault> {
        match self {
            Self::Messages(messages) => reading::events(chunks).try_for_each(|event| messages.event(event, out)),
            Self::Responses(responses) => reading::events(chunks).try_for_each(|event| responses.event(event, out)),
            Self::Text => {
                completions::stream::from_chat(chunks, out);
                Ok(())
            }
        }
    }
}
