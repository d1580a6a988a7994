//! The way in and the way out: which pair of API and dialect goes where.

use bytes::Bytes;

use crate::{Api, BadRequest, Body, Dialect, Fault, Need, Usage};

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
    /// The provider's name of the model.
    pub model: &'a str,
    /// The model's limit, for dialects that demand a bound the application did not give.
    pub max_output_tokens: Option<u64>,
    pub unsupported: Unsupported,
}

/// A request as the provider gets it.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Appended to the provider's base URL, which already ends in `/v1`: `/chat/completions`.
    pub path: &'static str,
    /// Headers of the dialect, without credentials.
    pub headers: &'static [(&'static str, &'static str)],
    pub body: Bytes,
    /// Parameters that were left out because the dialect has no word for them.
    pub dropped: Vec<String>,
}

/// A whole answer as the application gets it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub body: Bytes,
    pub usage: Option<Usage>,
}

/// Writes the request for the target.
pub fn encode(api: Api, body: &Body, _need: &Need, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    let mut body = body.clone();
    body.set("model", &target.model.into());
    let path = match api {
        Api::ChatCompletions => "/chat/completions",
        Api::Completions => "/completions",
        Api::Embeddings => "/embeddings",
        Api::Messages => "/messages",
    };
    Ok(Outgoing { path, headers: &[], body: body.to_bytes(), dropped: Vec::new() })
}

/// Reads a whole answer (status 200). An error inside, HTML or truncated JSON is a [`Fault`].
pub fn decode(_api: Api, _dialect: Dialect, _shown_model: &str, body: Bytes) -> Result<Answer, Fault> {
    Ok(Answer { body, usage: None })
}
