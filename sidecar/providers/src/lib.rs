//! Provider dialects: requests out, responses and streams in, errors classified, tokens counted.
//!
//! Pure: bytes in, bytes out. No socket, no clock, no task, no log line. Nothing here panics on input, and nothing grows
//! with what a provider sends beyond the bounds that are written beside each buffer.
//!
//! An application calls one of the [`Api`]s, an upstream speaks one of the [`Dialect`]s. Where both agree, bytes pass through
//! and only the few fields a policy owns are rewritten; otherwise the request, the answer and every stream event are
//! translated, and what one side cannot say to the other is refused by name.

mod abilities;
mod anthropic;
mod bedrock;
mod body;
mod choice;
mod citations;
mod cohere;
mod completions;
pub mod counting;
mod embed;
pub mod fault;
mod format;
mod framing;
mod function;
mod gemini;
mod item;
mod messages;
mod need;
mod ollama;
mod openai;
pub mod pass;
mod path;
pub mod priced;
pub mod prompt;
mod quoted;
mod refs;
pub mod render;
mod repeats;
mod responses;
mod said;
mod speech;
mod sse;
mod stream;
pub mod tokens;
mod translate;
mod usage;
mod vertex;
mod words;

pub use abilities::{Abilities, Efforts};
pub use body::{Body, loose, respelt, weight};
pub use fault::{Class, Fault};
pub use format::{Format, ask_again, asked, with_text};
pub use need::{Beside, Need, Surcharges, read, surcharges};
pub use openai::table::{Auth, Row, Schemas, row, rows};
pub use pass::{Pass, Pieces};
pub use said::{Listener, Said};
pub use speech::{Host, Speech};
pub use stream::{Frame, StreamDecoder};
pub use translate::{Answer, Outgoing, Stamp, Target, Unsupported, decode, decode_at, encode, rewrites};
pub use usage::{Billed, Tier, Usage, usage_in};

/// What the application called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// OpenAI `/v1/chat/completions`.
    ChatCompletions,
    /// OpenAI `/v1/completions`.
    Completions,
    /// OpenAI `/v1/embeddings`.
    Embeddings,
    /// Anthropic `/v1/messages`.
    Messages,
    /// OpenAI `/v1/responses`.
    Responses,
    /// Anthropic `/v1/messages/count_tokens`.
    CountTokens,
    /// Our own `/v1/tokenize`.
    Tokenize,
    /// What is passed on as it is to a provider that has it.
    Pass(&'static Pass),
}

/// What the upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    OpenAi,
    Anthropic,
    Gemini,
    Cohere,
    /// Converse, and what Bedrock has of embeddings.
    Bedrock,
    /// A Claude at Bedrock's older API: Anthropic's words, in Amazon's frames.
    BedrockInvoke,
    Ollama,
}

// === impl Dialect ===

impl Dialect {
    pub const ALL: [Self; 7] =
        [Self::OpenAi, Self::Anthropic, Self::Gemini, Self::Cohere, Self::Bedrock, Self::BedrockInvoke, Self::Ollama];

    /// The limit of an answer that its API has to be told where neither the request nor the model has one. None: it does
    /// without.
    #[must_use]
    pub const fn unasked_limit(self) -> Option<u64> {
        match self {
            Self::Anthropic | Self::BedrockInvoke => Some(anthropic::request::DEFAULT_MAX_TOKENS),
            Self::OpenAi | Self::Gemini | Self::Cohere | Self::Bedrock | Self::Ollama => None,
        }
    }
}

// === impl Api ===

impl Api {
    /// A model reads a prompt and is billed by the token: what it used can be estimated where nobody says.
    #[must_use]
    pub const fn has_prompt(self) -> bool {
        match self {
            Self::ChatCompletions | Self::Completions | Self::Embeddings | Self::Messages | Self::Responses => true,
            Self::CountTokens | Self::Tokenize | Self::Pass(_) => false,
        }
    }

    /// Somebody has to pay for it.
    #[must_use]
    pub fn is_billed(self) -> bool {
        self.has_prompt() || matches!(self, Self::Pass(pass) if pass.bill != pass::Bill::Nothing)
    }

    /// A route's defaults belong into it: they are parameters of a conversation, and elsewhere a field that is unknown is an
    /// error.
    #[must_use]
    pub const fn takes_defaults(self) -> bool {
        match self {
            Self::ChatCompletions | Self::Completions | Self::Messages | Self::Responses => true,
            Self::Embeddings | Self::CountTokens | Self::Tokenize | Self::Pass(_) => false,
        }
    }

    /// What a route sets belongs into it.
    #[must_use]
    pub fn takes_rules(self) -> bool {
        match self {
            Self::ChatCompletions | Self::Completions | Self::Embeddings | Self::Messages | Self::Responses => true,
            Self::Pass(pass) => pass.kept().is_none(),
            // What is about the answer is refused where there is none.
            Self::CountTokens | Self::Tokenize => false,
        }
    }
}

/// Why a request cannot be served as it was written: a 400, worded for the person who sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadRequest {
    /// The field at fault, as OpenAI's `param`: `messages[2].content`.
    pub param: Option<String>,
    pub message: String,
}

impl BadRequest {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { param: None, message: message.into() }
    }

    pub(crate) fn at(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), message: message.into() }
    }
}
