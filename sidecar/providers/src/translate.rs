//! The way in and the way out: which pair of API and dialect goes where.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;

use crate::openai::family::{Family, is_neutral};
use crate::openai::request::unsupported;
use crate::openai::table::Path;
use crate::{
    Abilities, Api, BadRequest, Body, Dialect, Fault, Host, Need, Row, Speech, Usage, anthropic, bedrock, choice,
    cohere, completions, embed, format, function, gemini, messages, ollama, openai, pass, responses, words,
};

/// U+FEFF, the mark of a text's byte order.
const MARK: &[u8] = b"\xef\xbb\xbf";

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
    pub host: Host,
    /// The provider's habits, where it speaks OpenAI's API.
    pub row: &'static Row,
    /// The provider's name of the model.
    pub model: &'a str,
    /// Which version of its API Azure OpenAI is asked for. None: the one that has no version in its URLs.
    pub api_version: Option<&'a str>,
    /// The model's limit, for dialects that demand a bound the application did not give.
    pub max_output_tokens: Option<u64>,
    /// The model takes no JSON schema for its answer; one that the provider takes as a tool's parameters stands for it.
    pub schema_by_tool: bool,
    /// What is known of what the model takes.
    pub abilities: Abilities,
    pub unsupported: Unsupported,
    /// The provider may keep answers, if it does so by itself.
    pub keeps: bool,
}

/// A request as the provider gets it.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Appended to the provider's base URL, which already ends in `/v1` or the like: `/chat/completions`.
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
    pub fn new(dialect: Dialect, model: &'a str) -> Self {
        Self {
            dialect,
            host: if matches!(dialect, Dialect::BedrockInvoke) { Host::Bedrock } else { Host::Own },
            row: &Row::GENERIC,
            model,
            api_version: None,
            max_output_tokens: None,
            schema_by_tool: false,
            abilities: Abilities::default(),
            unsupported: Unsupported::Drop,
            keeps: false,
        }
    }

    /// Whether completions are asked for as such. A chat answers for those that only chat.
    fn completes(&self) -> bool {
        match self.dialect {
            Dialect::OpenAi => self.host == Host::Own && self.row.completions.serves(self.model),
            Dialect::Ollama => true,
            Dialect::Anthropic | Dialect::Gemini | Dialect::Cohere | Dialect::Bedrock | Dialect::BedrockInvoke => false,
        }
    }

    /// Whether a request goes there in other words than its own, so that all of it has to be text.
    fn rewrites(&self, api: Api) -> bool {
        match api {
            Api::Completions => self.dialect != Dialect::OpenAi || !self.completes(),
            Api::Responses => !self.has_responses(),
            _ => rewrites(api, self.dialect),
        }
    }

    /// Whether a choice among some of the tools is understood: OpenAI's own models alone have it. What is passed is its own
    /// judge.
    fn allows_some_tools(&self) -> bool {
        let knows = self.family() != Family::Other || self.unsupported == Unsupported::Pass;
        self.dialect == Dialect::OpenAi && knows
    }

    /// Whether a chat's tool is not left out on its way.
    fn takes(&self, tool: &Value) -> bool {
        if self.unsupported == Unsupported::Pass || tool["function"].is_object() {
            return true;
        }
        match self.dialect {
            Dialect::OpenAi => true,
            Dialect::Anthropic | Dialect::BedrockInvoke => anthropic::is_own(tool),
            Dialect::Gemini | Dialect::Bedrock => tool.is_object() && tool["type"].is_null(),
            Dialect::Cohere | Dialect::Ollama => false,
        }
    }

    /// Whether responses are asked for as such.
    fn has_responses(&self) -> bool {
        Speech { dialect: self.dialect, host: self.host, row: self.row }.has_responses(self.api_version)
    }

    /// What becomes of a parameter that cannot be said here: refused, dropped, or given back to be passed. One that says
    /// what would be done without it is left out in silence.
    pub(crate) fn refuse(
        &self,
        key: &str,
        value: Value,
        dropped: &mut Vec<String>,
    ) -> Result<Option<Value>, BadRequest> {
        if is_neutral(key, &value) {
            return Ok(None);
        }
        match self.unsupported {
            Unsupported::Drop => dropped.push(key.to_owned()),
            Unsupported::Reject => return Err(unsupported(key, self.model)),
            Unsupported::Pass => return Ok(Some(value)),
        }
        Ok(None)
    }

    pub(crate) fn family(&self) -> Family {
        match self.row.path {
            Path::Plain => Family::of(self.model),
            Path::Deployment => Family::of_deployment(self.model),
        }
    }
}

/// What an answer is given where its provider gives it none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamp<'a> {
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// A name that no other answer has.
    pub id: &'a str,
}

// === impl Stamp ===

impl Stamp<'_> {
    /// Nameless in tests alone.
    pub(crate) fn id(&self) -> &str {
        if self.id.is_empty() { "unknown" } else { self.id }
    }
}

/// A whole answer as the application gets it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub body: Bytes,
    pub usage: Option<Usage>,
}

/// Whether what is said is written anew on its way, which takes memory for each of its values.
#[must_use]
pub const fn rewrites(api: Api, dialect: Dialect) -> bool {
    match api {
        Api::ChatCompletions | Api::Completions | Api::Embeddings => !matches!(dialect, Dialect::OpenAi),
        Api::Messages | Api::CountTokens | Api::Tokenize => {
            !matches!(dialect, Dialect::Anthropic | Dialect::BedrockInvoke)
        }
        Api::Responses => true,
        Api::Pass(_) => false,
    }
}

/// Writes the request for the target.
pub fn encode(api: Api, body: &Body, need: &Need, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    if api == Api::ChatCompletions
        && let Some((chat, dropped)) = choice::settled(body, target.allows_some_tools(), |tool| target.takes(tool))
    {
        return words::by_chat((api, body), &chat, dropped, need, target);
    }
    written(api, body, need, target)
}

/// The same, with the choice of tools settled.
fn written(api: Api, body: &Body, need: &Need, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    let reworded = (api == Api::ChatCompletions).then(|| format::reworded(body, target)).flatten();
    let body = reworded.as_ref().unwrap_or(body);
    let called = if rewrites(api, target.dialect) { function::all_calls(body) } else { None };
    let body = called.as_ref().unwrap_or(body);
    if let Some(bad) = target.rewrites(api).then(|| body.half_pair()).flatten() {
        return Err(bad);
    }
    match (api, target.dialect) {
        (Api::Completions, _) if !target.completes() => {
            let (chat, dropped) = completions::request::to_chat(body, target)?;
            words::by_chat((api, body), &chat, dropped, need, target)
        }
        (Api::ChatCompletions | Api::Completions | Api::Embeddings, Dialect::OpenAi) => {
            openai::request::encode(api, body, need, target)
        }
        (Api::ChatCompletions | Api::Completions, Dialect::Ollama) => ollama::request::encode(api, body, need, target),
        (Api::ChatCompletions | Api::Completions, Dialect::Anthropic | Dialect::BedrockInvoke) => {
            anthropic::request::encode(body, need, target)
        }
        (Api::ChatCompletions | Api::Completions, Dialect::Gemini) => gemini::request::encode(body, need, target),
        (Api::ChatCompletions | Api::Completions, Dialect::Cohere) => cohere::request::encode(body, need, target),
        (Api::ChatCompletions | Api::Completions, Dialect::Bedrock) => bedrock::request::encode(body, need, target),
        (Api::Responses, _) if target.has_responses() => responses::native::encode(body, target),
        (Api::Responses, _) => {
            let (chat, dropped) = responses::request::to_chat(body, need, target)?;
            words::by_chat((api, body), &chat, dropped, need, target)
        }
        (Api::Messages, Dialect::Anthropic | Dialect::BedrockInvoke) => {
            anthropic::passthrough::encode(body, need, target)
        }
        (Api::Messages, _) => {
            let (chat, dropped) = messages::request::to_chat(body, need, target)?;
            words::by_chat((api, body), &chat, dropped, need, target)
        }
        (Api::Embeddings, Dialect::Anthropic) => {
            let message =
                format!("embeddings need a backend that has them, {:?} is at one that does not", target.model);
            Err(BadRequest::at("model", message))
        }
        (Api::CountTokens, Dialect::Anthropic) => anthropic::passthrough::encode_count(body, need, target),
        (Api::CountTokens | Api::Tokenize, _) => {
            Err(BadRequest::new("tokens are counted by providers that speak Anthropic's API"))
        }
        (Api::Pass(pass), _) => pass::encode(pass, body, target),
        (Api::Embeddings, Dialect::Bedrock | Dialect::BedrockInvoke) => bedrock::embed::encode(body, target),
        (Api::Embeddings, _) => embed::encode(body, target),
    }
}

/// Reads a whole answer (status 200). An error inside, HTML or truncated JSON is a [`Fault`]. `shown_model` is the model's
/// name as the application asked for it; empty keeps the provider's.
pub fn decode(api: Api, dialect: Dialect, shown_model: &str, body: Bytes) -> Result<Answer, Fault> {
    decode_at(api, dialect, shown_model, Stamp::default(), body)
}

/// [`decode`] with what a translated answer carries as its `created` and, where its provider names none, as its `id`.
pub fn decode_at(
    api: Api,
    dialect: Dialect,
    shown_model: &str,
    stamp: Stamp<'_>,
    body: Bytes,
) -> Result<Answer, Fault> {
    let created = stamp.created;
    // Some servers write a mark in front of what they send, which JSON has no place for.
    let body = if body.starts_with(MARK) { body.slice(MARK.len()..) } else { body };
    let body = if dialect == Dialect::OpenAi { openai::calls::named(body, stamp.id()) } else { body };
    let chat = |body| match dialect {
        Dialect::OpenAi => openai::answer::decode(api, shown_model, body),
        Dialect::Anthropic | Dialect::BedrockInvoke => anthropic::response::decode(shown_model, created, body),
        Dialect::Gemini => gemini::response::decode(shown_model, stamp, body),
        Dialect::Cohere => cohere::response::decode(shown_model, stamp, body),
        Dialect::Bedrock => bedrock::response::decode(shown_model, stamp, body),
        Dialect::Ollama => ollama::response::decode(shown_model, stamp, body),
    };
    match (api, dialect) {
        (
            Api::Embeddings,
            Dialect::Gemini | Dialect::Cohere | Dialect::Bedrock | Dialect::BedrockInvoke | Dialect::Ollama,
        ) => embed::decode(dialect, shown_model, body),
        (Api::ChatCompletions | Api::Embeddings, _) => chat(body),
        (Api::Completions, _) => completions::response::from_chat(chat(body)?),
        (Api::Responses, Dialect::OpenAi) => responses::response::decode_either(shown_model, stamp, body),
        (Api::Responses, _) => {
            let Answer { body, usage } = chat(body)?;
            Ok(Answer { usage, ..responses::response::decode(shown_model, stamp, body)? })
        }
        (Api::Messages, Dialect::OpenAi) => messages::response::decode(shown_model, stamp, body),
        (Api::Messages, Dialect::Anthropic | Dialect::BedrockInvoke) => {
            anthropic::passthrough::decode(shown_model, body)
        }
        (Api::Messages, _) => messages::response::decode(shown_model, stamp, chat(body)?.body),
        (Api::CountTokens | Api::Tokenize, _) => anthropic::passthrough::decode_count(body),
        (Api::Pass(pass), _) => pass::decode(pass, dialect, shown_model, body),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{read, row};

    #[test]
    fn whoever_fetches_no_images_is_passed_over_and_says_so_when_asked() {
        let own = |dialect, kind| Speech::of(dialect, row(kind));
        let vertex = Speech::at_vertex;
        let rows = [
            (own(Dialect::OpenAi, "OpenAI"), "gpt-4o", true),
            (own(Dialect::Anthropic, "Anthropic"), "claude-sonnet-4-5", true),
            (own(Dialect::Gemini, "Gemini"), "gemini-2.5-pro", true),
            (own(Dialect::Gemini, "Gemini"), "gemini-2.0-flash", false),
            (vertex("gemini-2.0-flash"), "gemini-2.0-flash", true),
            (own(Dialect::Cohere, "Cohere"), "command-a-vision", true),
            (vertex("claude-sonnet-4-5"), "claude-sonnet-4-5", false),
            (Speech::at_bedrock("amazon.nova-pro-v1:0"), "amazon.nova-pro-v1:0", false),
            (Speech::at_bedrock("invoke/anthropic.claude-opus-5"), "invoke/anthropic.claude-opus-5", false),
            (own(Dialect::Ollama, "Ollama"), "llava", false),
        ];
        let image = json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}});
        let request = json!({"model": "m", "messages": [{"role": "user", "content": [image]}]});
        let body = Body::parse(request.to_string().into()).unwrap();
        let need = read(Api::ChatCompletions, &body).unwrap();
        for (Speech { dialect, host, row }, model, fetches) in rows {
            assert_eq!(Speech { dialect, host, row }.fetches_images(model), fetches, "{model}");
            let target = Target { host, row, ..Target::new(dialect, model) };
            let sent = encode(Api::ChatCompletions, &body, &need, &target);
            assert_eq!(sent.is_ok(), fetches, "{model}");
            assert!(sent.err().is_none_or(|bad| bad.message.contains("data URL")), "{model}");
        }
        for kind in ["Ollama", "Moonshot"] {
            assert!(!own(Dialect::OpenAi, kind).fetches_images("m"), "{kind}");
        }
    }
}
