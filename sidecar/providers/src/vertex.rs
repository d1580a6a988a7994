//! Vertex AI: models of many makers behind one door.
//!
//! Each is spoken to as its maker does, at a path that names it. So what is decided here, by the model's name, is which
//! dialect that is and where it is spoken; the dialects do the rest.

use crate::openai::table::{Row, row};
use crate::path::segment;
use crate::{Api, Dialect, Host, Speech};

/// What Claude's requests carry instead of the header `anthropic-version`.
pub(crate) const ANTHROPIC_VERSION: &str = "vertex-2023-10-16";

/// Makers whose models take OpenAI's requests at a path of their own. Everyone else's are behind one door for all.
const AT_OWN_PATH: [(&str, &str); 2] = [("mistralai", "Mistral"), ("ai21", "AI21")];

/// Where Claude's tokens are counted.
pub(crate) const COUNT_PATH: &str = "/publishers/anthropic/models/count-tokens:rawPredict";

/// How a model is spoken to.
pub(crate) fn speech(model: &str) -> Speech {
    let (publisher, _) = split(model);
    let dialect = match publisher {
        "google" | "endpoints" => Dialect::Gemini,
        "anthropic" => Dialect::Anthropic,
        _ => Dialect::OpenAi,
    };
    let own = AT_OWN_PATH.iter().find(|(name, _)| *name == publisher);
    Speech { dialect, host: Host::Vertex, row: own.map_or(&Row::GENERIC, |(_, kind)| row(kind)) }
}

/// Who made a model, and its name there: `claude-sonnet-4-5` or `publishers/anthropic/models/claude-sonnet-4-5`. A tuned
/// model is an endpoint: `endpoints/1234`.
fn split(model: &str) -> (&str, &str) {
    let full = model.strip_prefix("publishers/").unwrap_or(model);
    let Some((publisher, name)) = full.split_once('/') else { return (maker(model), model) };
    match publisher {
        // As at Gemini's own door.
        "models" => (maker(name), name),
        _ => (publisher, name.strip_prefix("models/").unwrap_or(name)),
    }
}

/// Whose model it is, by a name that does not say so.
fn maker(name: &str) -> &'static str {
    const MAKERS: [(&str, &str); 7] = [
        ("claude", "anthropic"),
        ("mistral", "mistralai"),
        ("codestral", "mistralai"),
        ("ministral", "mistralai"),
        ("jamba", "ai21"),
        ("llama", "meta"),
        ("gpt-oss", "openai"),
    ];
    MAKERS.iter().find(|(start, _)| name.starts_with(start)).map_or("google", |(_, maker)| maker)
}

/// What its maker calls it.
pub(crate) fn name(model: &str) -> &str {
    split(model).1
}

/// What the model is called in a body that names it.
pub(crate) fn name_in_body(model: &str) -> String {
    let (publisher, name) = split(model);
    if AT_OWN_PATH.iter().any(|(own, _)| *own == publisher) { name.to_owned() } else { format!("{publisher}/{name}") }
}

/// `/publishers/google/models/gemini-2.5-flash:generateContent`
pub(crate) fn google_path(model: &str, method: &str) -> String {
    match split(model) {
        ("endpoints", id) => format!("/endpoints/{}:{method}", segment(id)),
        (_, name) => format!("/publishers/google/models/{}:{method}", segment(name)),
    }
}

/// Where a maker's own requests go, streamed or not.
pub(crate) fn raw_path(model: &str, stream: bool) -> String {
    let (publisher, name) = split(model);
    let method = if stream { "streamRawPredict?alt=sse" } else { "rawPredict" };
    format!("/publishers/{}/models/{}:{method}", segment(publisher), segment(name))
}

/// Where OpenAI's requests go.
pub(crate) fn openai_path(api: Api, model: &str, stream: bool) -> String {
    let (publisher, _) = split(model);
    if AT_OWN_PATH.iter().any(|(own, _)| *own == publisher) {
        return raw_path(model, stream);
    }
    let path = if api == Api::Embeddings { "embeddings" } else { "chat/completions" };
    format!("/endpoints/openapi/{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_what_is_spoken_and_where() {
        let google = |name: &str| (Dialect::Gemini, format!("/publishers/google/models/{name}:generateContent"));
        let claude = |name: &str| (Dialect::Anthropic, format!("/publishers/anthropic/models/{name}:rawPredict"));
        let open = || (Dialect::OpenAi, "/endpoints/openapi/chat/completions".to_owned());
        let mistral = |name: &str| (Dialect::OpenAi, format!("/publishers/mistralai/models/{name}:rawPredict"));
        let rows = [
            ("gemini-2.5-flash", google("gemini-2.5-flash")),
            ("google/gemini-2.5-flash", google("gemini-2.5-flash")),
            ("publishers/google/models/gemini-2.5-flash", google("gemini-2.5-flash")),
            ("models/gemini-2.5-flash", google("gemini-2.5-flash")),
            ("text-embedding-005", google("text-embedding-005")),
            ("endpoints/1234", (Dialect::Gemini, "/endpoints/1234:generateContent".to_owned())),
            ("claude-sonnet-4-5@20250929", claude("claude-sonnet-4-5@20250929")),
            ("anthropic/claude-opus-5", claude("claude-opus-5")),
            ("mistral-large-2411", mistral("mistral-large-2411")),
            ("mistralai/codestral-2501@001", mistral("codestral-2501@001")),
            ("meta/llama-4-maverick-17b-128e-instruct-maas", open()),
            ("deepseek-ai/deepseek-v3.1-maas", open()),
            ("gpt-oss-120b-maas", open()),
            ("../../x", (Dialect::OpenAi, "/endpoints/openapi/chat/completions".to_owned())),
        ];
        for (model, want) in rows {
            let Speech { dialect, .. } = speech(model);
            let path = match dialect {
                Dialect::Gemini => google_path(model, "generateContent"),
                Dialect::Anthropic => raw_path(model, false),
                _ => openai_path(Api::ChatCompletions, model, false),
            };
            assert_eq!((dialect, path), want, "{model}");
        }
        assert_eq!(name_in_body("llama-4-scout"), "meta/llama-4-scout");
        assert_eq!(name_in_body("mistralai/mistral-large-2411"), "mistral-large-2411");
        assert_eq!(speech("mistral-large-2411").row.kind, "Mistral");
    }
}
