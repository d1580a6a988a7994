//! The way in and the way out: which pair of API and dialect goes where.

use std::borrow::Cow;

use bytes::Bytes;

use crate::openai::family::Family;
use crate::openai::table::Path;
use crate::{
    Api, BadRequest, Body, Dialect, Fault, Need, Row, Usage, anthropic, bedrock, cohere, embed, gemini, messages,
    openai,
};

/// What happens to a parameter the dialect cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// Leave it out and say so in [`Outgoing::dropped`].
    Drop,
    /// Refuse the request by name.
    Reject,
    /// Send it as it is and let the provider decide.
    Pass,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub dialect: Dialect,
    /// The provider's habits, where it speaks OpenAI's API.
    pub row: &'static Row,
    /// The provider's name of the model.
    pub model: &'a str,
    /// Which version of its API Azure OpenAI is asked for. None: the one that has no version in its URLs.
    pub api_version: Option<&'a str>,
    /// The model's limit, for dialects that demand a bound the application did not give.
    pub max_output_tokens: Option<u64>,
    pub unsupported: Unsupported,
}

/// A request as the provider gets it.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Appended to the provider's base URL, which already ends in `/v1`: `/chat/completions`.
    pub path: Cow<'static, str>,
    /// Headers of the dialect, without credentials.
    pub headers: Cow<'static, [(&'static str, &'static str)]>,
    pub body: Bytes,
    /// Parameters that were left out because the dialect has no word for them.
    pub dropped: Vec<String>,
}

// === impl Target ===

impl<'a> Target<'a> {
    /// A model at a provider without habits, whose limits nobody knows.
    #[must_use]
    pub const fn new(dialect: Dialect, model: &'a str) -> Self {
        Self {
            dialect,
            row: &Row::GENERIC,
            model,
            api_version: None,
            max_output_tokens: None,
            unsupported: Unsupported::Drop,
        }
    }

    pub(crate) fn family(&self) -> Family {
        match self.row.path {
            Path::Plain => Family::of(self.model),
            Path::Deployment => Family::of_deployment(self.model),
        }
    }
}

/// A whole answer as the application gets it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub body: Bytes,
    pub usage: Option<Usage>,
}

/// Writes the request for the target.
pub fn encode(api: Api, body: &Body, need: &Need, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    match (api, target.dialect) {
        (Api::ChatCompletions | Api::Completions | Api::Embeddings, Dialect::OpenAi) => {
            openai::request::encode(api, body, need, target)
        }
        (Api::ChatCompletions, Dialect::Anthropic) => anthropic::request::encode(body, need, target),
        (Api::ChatCompletions, Dialect::Gemini) => gemini::request::encode(body, need, target),
        (Api::ChatCompletions, Dialect::Cohere) => cohere::request::encode(body, need, target),
        (Api::ChatCompletions, Dialect::Bedrock) => bedrock::request::encode(body, need, target),
        (Api::Messages, Dialect::OpenAi | Dialect::Gemini | Dialect::Cohere | Dialect::Bedrock) => {
            let (chat, dropped) = messages::request::to_chat(body, need, target)?;
            let mut outgoing = encode(Api::ChatCompletions, &chat, need, target)?;
            outgoing.dropped.extend(dropped);
            Ok(outgoing)
        }
        (Api::Messages, Dialect::Anthropic) => Ok(anthropic::passthrough::encode(body, target)),
        (Api::Embeddings, Dialect::Gemini | Dialect::Cohere) => embed::encode(body, target),
        (Api::Embeddings, Dialect::Bedrock) => bedrock::embed::encode(body, target),
        (Api::Completions | Api::Embeddings, Dialect::Anthropic)
        | (Api::Completions, Dialect::Gemini | Dialect::Cohere | Dialect::Bedrock) => {
            let what = if api == Api::Embeddings { "embeddings" } else { "completions" };
            let model = target.model;
            Err(BadRequest::at(
                "model",
                format!("{what} need a backend that speaks OpenAI's API, {model:?} is at one that does not"),
            ))
        }
    }
}

/// Reads a whole answer (status 200). An error inside, HTML or truncated JSON is a [`Fault`]. `shown_model` is the model's
/// name as the application asked for it; empty keeps the provider's.
pub fn decode(api: Api, dialect: Dialect, shown_model: &str, body: Bytes) -> Result<Answer, Fault> {
    decode_at(api, dialect, shown_model, 0, body)
}

/// [`decode`] with the time, in seconds since 1970, that a translated answer carries as `created`.
pub fn decode_at(api: Api, dialect: Dialect, shown_model: &str, created: u64, body: Bytes) -> Result<Answer, Fault> {
    match (api, dialect) {
        (Api::ChatCompletions | Api::Completions | Api::Embeddings, Dialect::OpenAi) => {
            openai::answer::decode(api, shown_model, body)
        }
        (Api::ChatCompletions | Api::Completions | Api::Embeddings, Dialect::Anthropic) => {
            anthropic::response::decode(shown_model, created, body)
        }
        (Api::Embeddings, Dialect::Gemini | Dialect::Cohere | Dialect::Bedrock) => {
            embed::decode(dialect, shown_model, body)
        }
        (Api::ChatCompletions | Api::Completions, Dialect::Gemini) => {
            gemini::response::decode(shown_model, created, body)
        }
        (Api::ChatCompletions | Api::Completions, Dialect::Cohere) => {
            cohere::response::decode(shown_model, created, body)
        }
        (Api::Messages, Dialect::Cohere) => {
            let chat = cohere::response::decode(shown_model, created, body)?;
            messages::response::decode(shown_model, chat.body)
        }
        (Api::ChatCompletions | Api::Completions, Dialect::Bedrock) => {
            bedrock::response::decode(shown_model, created, body)
        }
        (Api::Messages, Dialect::Bedrock) => {
            let chat = bedrock::response::decode(shown_model, created, body)?;
            messages::response::decode(shown_model, chat.body)
        }
        (Api::Messages, Dialect::OpenAi) => messages::response::decode(shown_model, body),
        (Api::Messages, Dialect::Gemini) => {
            let chat = gemini::response::decode(shown_model, created, body)?;
            messages::response::decode(shown_model, chat.body)
        }
        (Api::Messages, Dialect::Anthropic) => anthropic::passthrough::decode(shown_model, body),
    }
}
