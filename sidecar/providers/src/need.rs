//! What a request asks for, read once and used by every decision.

use crate::{Api, BadRequest, Body};

/// What a request needs of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need {
    pub model: String,
    pub stream: bool,
    /// The application asked for the usage chunk of a stream.
    pub wants_stream_usage: bool,
    /// The answer's bound as the application wrote it.
    pub max_output_tokens: Option<u64>,
    /// `n`: how many answers.
    pub choices: u32,
    pub tools: bool,
    pub parallel_tools: bool,
    pub images: bool,
    pub json_schema: bool,
    /// How many messages (or prompts, or inputs).
    pub messages: usize,
}

/// Reads what the request needs.
pub fn read(_api: Api, body: &Body) -> Result<Need, BadRequest> {
    let model = body.get("model").and_then(|raw| serde_json::from_str(raw).ok());
    let model = model.ok_or_else(|| BadRequest::at("model", "\"model\" must be a string"))?;
    Ok(Need { model, choices: 1, ..Need::default() })
}
