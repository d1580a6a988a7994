//! The OpenAI family as a table: a row for each provider whose API is OpenAI's with habits of its own.
//!
//! A habit is a column, never a branch on a provider's name, so that the next provider is a row and nothing else. What no
//! row says is as OpenAI has it; a provider nobody knows is [`Row::GENERIC`] and gets what was asked for.

mod rows;

use rows::ROWS;

use crate::format;

/// How the key travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `authorization: Bearer KEY`
    Bearer,
    /// `api-key: KEY`
    ApiKey,
}

/// What a provider of the family does differently.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// `ModelProvider.spec.type`.
    pub kind: &'static str,
    /// Where it is, when that is one public place. None: the user says where.
    pub base_url: Option<&'static str>,
    pub auth: Auth,
    /// Parameters it refuses or ignores.
    pub(crate) drops: &'static [&'static str],
    /// Those that its models refuse which think.
    pub(crate) reasoning_drops: &'static [&'static str],
    /// Parameters it knows by another name.
    pub(crate) renames: &'static [(&'static str, &'static str)],
    /// The most it takes as a temperature.
    pub(crate) hottest: Option<f64>,
    /// `tool_choice` of a model that has to call something.
    pub(crate) required: &'static str,
    pub(crate) thinking: Thinking,
    /// Hands words of a request (`chat_template_kwargs`) to the template that the model's prompt is written by.
    pub(crate) template_words: bool,
    /// How it is told to send a stream's usage.
    pub(crate) usage: StreamUsage,
    /// Takes text as one string only.
    pub(crate) flat_text: bool,
    pub(crate) files: Files,
    pub(crate) names: Names,
    /// Takes `cache_control`, or ignores it.
    pub(crate) cache_marks: bool,
    /// Takes `strict` in a tool's declaration.
    pub(crate) strict_tools: bool,
    /// Takes an assistant's turn that says nothing.
    pub(crate) empty_turns: bool,
    pub(crate) thoughts: Thoughts,
    pub(crate) members: Members,
    /// Takes no id of a call but one of nine letters and digits, as its own are.
    pub(crate) short_ids: bool,
    /// Fetches an image that is given by its URL.
    pub(crate) fetches: bool,
    /// Keywords of JSON schemas that it refuses in a tool's parameters.
    pub(crate) schema_drops: &'static [&'static str],
    /// The tool that stands for `web_search_options`.
    pub(crate) search_tool: Option<&'static str>,
    pub(crate) path: Path,
    pub(crate) completions: Completions,
    /// Has the Responses API itself, and takes all of it but these. None: chats only.
    pub(crate) responses: Option<&'static [&'static str]>,
    pub schemas: Schemas,
    /// Of the forms of answers that only some servers know, those that it takes.
    pub(crate) formats: &'static [&'static str],
}

/// Who takes a JSON schema for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schemas {
    /// Some models.
    ByModel,
    /// The server sees to it, whatever the model.
    Always,
    /// Nobody. A JSON object can be asked for, and the schema is told in words.
    Told,
}

/// Who of a provider's models goes on with a prompt, and where. The others only chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Completions {
    /// Words of which one is in the name of every model that does. None: all do.
    pub(crate) only: Option<&'static [&'static str]>,
    pub(crate) path: &'static str,
    /// Parameters that are refused there.
    pub(crate) drops: &'static [&'static str],
}

/// What becomes of `reasoning_effort` and of Anthropic's `thinking`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thinking {
    /// Both go as they are, unless [`Row::drops`] names them.
    Pass,
    /// `reasoning_effort` only: a budget becomes an effort.
    Effort,
    /// On or off: `{"type": "enabled"}`.
    Switch,
    /// A budget of tokens for Claude, an effort for everyone else.
    Budget,
}

/// How a provider is told to send a stream's usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamUsage {
    /// `stream_options.include_usage`.
    Options,
    /// It sends it unasked, and refuses to be asked.
    Always,
    /// `usage: {"include": true}` as well, streams or not: it then says what was read from a cache and what it cost.
    Include,
}

/// How a file in a message is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// `{"type": "file"}`, as OpenAI has it.
    Parts,
    /// `{"type": "document_url"}`, whether it is a data URL or one to fetch.
    ByUrl,
    /// Nobody reads files there.
    Nowhere,
}

/// Which messages may carry a `name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Any,
    /// Those of users.
    Users,
    /// Those that are answers of tools.
    Tools,
    /// All but answers of tools.
    NotTools,
}

/// What becomes of an earlier turn's thoughts. Strict servers refuse words they do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thoughts {
    Kept,
    /// `reasoning_content` only; signed blocks are Anthropic's.
    Plain,
    /// The same by another name: `reasoning`.
    Renamed,
    Left,
}

/// Which members a message may have. Applications send an answer back as they got it, with all that only answers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Members {
    Any,
    /// Those that a request has a use for.
    Asked,
    /// These alone: what else there is, is refused.
    Only(&'static [&'static str]),
}

/// Where a chat goes, behind the base URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// `/chat/completions`
    Plain,
    /// `/openai/deployments/MODEL/chat/completions?api-version=VERSION`, when there is a version to name.
    Deployment,
}

/// The first version of Azure OpenAI's API that has responses. Versions are dates.
const FIRST_WITH_RESPONSES: &str = "2025-03-01";

/// The row for a `ModelProvider.spec.type`; [`Row::GENERIC`] for one that is not in the table.
#[must_use]
pub fn row(kind: &str) -> &'static Row {
    ROWS.iter().find(|row| row.kind == kind).unwrap_or(&Row::GENERIC)
}

/// Every row.
#[must_use]
pub fn rows() -> &'static [Row] {
    ROWS
}

// === impl Row ===

impl Row {
    /// A server nobody knows.
    pub const GENERIC: Self = Self::at("OpenAICompatible", None);

    const fn at(kind: &'static str, base_url: Option<&'static str>) -> Self {
        Self {
            kind,
            base_url,
            auth: Auth::Bearer,
            drops: &[],
            reasoning_drops: &[],
            renames: &[],
            hottest: None,
            required: "required",
            thinking: Thinking::Pass,
            template_words: false,
            usage: StreamUsage::Options,
            flat_text: false,
            files: Files::Parts,
            names: Names::Any,
            cache_marks: true,
            strict_tools: true,
            empty_turns: true,
            thoughts: Thoughts::Kept,
            members: Members::Any,
            short_ids: false,
            fetches: true,
            schema_drops: &[],
            search_tool: None,
            path: Path::Plain,
            completions: Completions::ALL,
            responses: None,
            schemas: Schemas::ByModel,
            formats: format::OF_SERVERS,
        }
    }

    /// Whether there are responses at this version of its API. None: the one that has no version.
    pub(crate) fn has_responses(&self, api_version: Option<&str>) -> bool {
        let dated = if self.path == Path::Deployment { api_version } else { None };
        self.responses.is_some() && dated.is_none_or(|version| version >= FIRST_WITH_RESPONSES)
    }

    /// Whether every message may go as it came, but for what every provider wants straightened.
    pub(crate) fn keeps_messages(&self) -> bool {
        !self.flat_text
            && self.names == Names::Any
            && self.cache_marks
            && self.empty_turns
            && self.thoughts == Thoughts::Kept
            && self.members == Members::Any
            && !self.short_ids
    }
}

// === impl Completions ===

impl Completions {
    pub(crate) const ALL: Self = Self { only: None, path: "/completions", drops: &[] };
    /// Nobody.
    pub(crate) const NONE: Self = Self { only: Some(&[]), ..Self::ALL };

    pub(crate) fn serves(&self, model: &str) -> bool {
        self.only.is_none_or(|words| words.iter().any(|word| model.contains(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_row_and_an_unknown_one_the_generic() {
        for (index, one) in ROWS.iter().enumerate() {
            assert!(ROWS[..index].iter().all(|other| other.kind != one.kind), "{} is there twice", one.kind);
            assert_eq!(row(one.kind).kind, one.kind);
        }
        assert!(ROWS.len() >= 30);
        assert_eq!(row("Nobody").kind, "OpenAICompatible");
    }

    #[test]
    fn responses_go_where_there_are_any() {
        let rows = [
            ("OpenAI", None, true),
            ("AzureOpenAI", None, true),
            ("AzureOpenAI", Some("2024-10-21"), false),
            ("AzureOpenAI", Some("2025-03-01-preview"), true),
            ("AzureOpenAI", Some("preview"), true),
            ("Mistral", None, false),
            ("OpenAICompatible", None, false),
        ];
        for (kind, version, want) in rows {
            assert_eq!(row(kind).has_responses(version), want, "{kind} {version:?}");
        }
    }

    #[test]
    fn what_is_public_is_reached_by_https() {
        for row in ROWS {
            let public = row.base_url.is_none_or(|url| url.starts_with("https://") && !url.ends_with('/'));
            assert!(public, "{}", row.kind);
        }
    }
}
