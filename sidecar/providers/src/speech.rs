//! How one model at a provider is spoken to, and at whose door.

use crate::{Dialect, Row, Target, bedrock, gemini, vertex};

/// Whose door a dialect is spoken at: others serve models too, at paths of their own and with less in the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Host {
    /// The one whose dialect it is.
    #[default]
    Own,
    /// Vertex AI, whose base URL ends in `/projects/PROJECT/locations/LOCATION`.
    Vertex,
    /// Bedrock's older API, which passes on what a model's maker understands.
    Bedrock,
}

/// How one model at a provider is spoken to. At most providers all models are spoken to alike.
#[derive(Clone, Copy, Debug)]
pub struct Speech {
    pub dialect: Dialect,
    pub host: Host,
    /// The habits of the provider, or of the model's maker.
    pub row: &'static Row,
}

// === impl Speech ===

impl Speech {
    /// A provider with one dialect.
    #[must_use]
    pub const fn of(dialect: Dialect, row: &'static Row) -> Self {
        Self { dialect, host: Host::Own, row }
    }

    /// Whether requests in the words of the Responses API go there as they are; a chat answers for those that only chat.
    /// `api_version`: which version of its API Azure OpenAI is asked for.
    #[must_use]
    pub fn has_responses(&self, api_version: Option<&str>) -> bool {
        self.dialect == Dialect::OpenAi && self.host == Host::Own && self.row.has_responses(api_version)
    }

    /// Whether images that are given by their URLs are fetched there.
    #[must_use]
    pub fn fetches_images(&self, model: &str) -> bool {
        match self.dialect {
            Dialect::OpenAi => self.row.fetches,
            Dialect::Anthropic => self.host == Host::Own,
            Dialect::Gemini => gemini::fetches(&Target { host: self.host, ..Target::new(self.dialect, model) }),
            Dialect::Cohere => true,
            Dialect::Bedrock | Dialect::BedrockInvoke | Dialect::Ollama => false,
        }
    }

    /// A model at Vertex AI, where each speaks as its maker does.
    #[must_use]
    pub fn at_vertex(model: &str) -> Self {
        vertex::speech(model)
    }

    /// A model at Bedrock: by Converse, or with `invoke/` in front of its id in Anthropic's own words.
    #[must_use]
    pub fn at_bedrock(model: &str) -> Self {
        bedrock::speech(model)
    }
}
