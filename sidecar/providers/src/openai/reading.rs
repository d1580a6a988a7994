//! A chat's stream, event by event, for those who say it in words of another API.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::answer::usage;
use super::chunk::Choices;
use super::stream::refuse_error;
use crate::sse::Event;
use crate::stream::Seen;
use crate::{Body, Fault, Frame};

/// What has been read of one stream.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    choices: Choices,
    /// Why the answer ended, once it has.
    pub(crate) finish: Option<String>,
    pub(crate) seen: Seen,
}

/// What an event says.
#[derive(Debug)]
pub(crate) enum Said {
    /// Nothing that can be translated.
    Nothing,
    /// A chunk, of which [`Choice::first`] is to be told.
    Chunk(Body),
    /// There is no more.
    Done,
}

/// An answer in a chunk. What is in it stays JSON until it is asked for: every piece of every stream comes through here, and
/// most are one short text.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Choice<'a> {
    #[serde(borrow, default)]
    pub(crate) delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    logprobs: Raw<'a>,
}

/// What is new of an answer.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(crate) content: Raw<'a>,
    #[serde(borrow, default)]
    pub(crate) refusal: Raw<'a>,
    #[serde(borrow, default)]
    reasoning_content: Raw<'a>,
    #[serde(borrow, default)]
    reasoning: Raw<'a>,
    #[serde(borrow, default)]
    pub(crate) thinking_blocks: Raw<'a>,
    #[serde(borrow, default)]
    tool_calls: Raw<'a>,
    #[serde(borrow, default)]
    pub(crate) annotations: Raw<'a>,
    #[serde(borrow, default)]
    audio: Raw<'a>,
}

/// A piece of a call.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) index: Option<u64>,
    pub(crate) arguments: Cow<'a, str>,
    whole: Raw<'a>,
}

#[derive(Deserialize)]
struct Audio<'a> {
    #[serde(borrow, default)]
    transcript: Raw<'a>,
}

#[derive(Deserialize)]
struct Numbered<'a> {
    #[serde(borrow, default)]
    index: Raw<'a>,
    #[serde(borrow, default)]
    function: Raw<'a>,
}

#[derive(Default, Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    arguments: Raw<'a>,
}

/// A part as it came, of whatever shape.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Raw<'a>(#[serde(borrow)] Option<&'a RawValue>);

// === impl Reading ===

impl Reading {
    pub(crate) fn read(&mut self, event: Event) -> Result<Said, Fault> {
        let Some(data) = event.data else { return Ok(Said::Nothing) };
        if data.trim_ascii() == b"[DONE]" {
            return if self.finish.is_some() { Ok(Said::Done) } else { Err(Fault::endless()) };
        }
        let Ok(chunk) = Body::parse_answer(data) else {
            self.seen.skipped += 1;
            return Ok(Said::Nothing);
        };
        refuse_error(&chunk)?;
        self.seen.bill(usage(&chunk));
        if self.choices.note(chunk.get_bytes("choices"), &mut self.seen).is_none_or(|delta| delta.ends) {
            let choices = chunk.value("choices").unwrap_or_default();
            if let Some(reason) = choices.get(0).and_then(|choice| choice["finish_reason"].as_str()) {
                self.finish = Some(reason.to_owned());
            }
        }
        Ok(Said::Chunk(chunk))
    }
}

/// Whether it is a chunk in front of the answer, which has no name yet: Azure tells there what its filters say of the prompt.
pub(crate) fn is_preamble(chunk: &Body) -> bool {
    chunk.get_bytes("id").is_none_or(|id| id == b"\"\"") && chunk.array_len("choices") == Some(0)
}

/// The chunks that another translation has written.
pub(crate) fn events(chunks: Vec<Frame>) -> impl Iterator<Item = Event> {
    chunks.into_iter().map(|Frame { bytes, content: _ }| {
        let end = bytes.len().saturating_sub(2);
        let data = bytes.slice("data: ".len().min(end)..end);
        Event { raw: bytes, data: Some(data) }
    })
}

// === impl Choice ===

impl<'a> Choice<'a> {
    /// The first answer of a chunk: the APIs that it is translated for know one only.
    pub(crate) fn first(chunk: &'a Body) -> Option<Self> {
        serde_json::from_str::<Vec<Self>>(chunk.get("choices")?).ok()?.into_iter().next()
    }

    /// The probabilities of its content's tokens.
    pub(crate) fn logprobs(&self) -> Value {
        let mut logprobs: Value = self.logprobs.read().unwrap_or_default();
        logprobs.get_mut("content").map(Value::take).unwrap_or_default()
    }
}

// === impl Delta ===

impl<'a> Delta<'a> {
    /// What was thought, by either name.
    pub(crate) fn thought(&self) -> Cow<'a, str> {
        self.reasoning_content.text().or_else(|| self.reasoning.text()).unwrap_or_default()
    }

    /// The words of what is spoken.
    pub(crate) fn spoken(&self) -> Cow<'a, str> {
        self.audio.read::<Audio<'a>>().and_then(|audio| audio.transcript.text()).unwrap_or_default()
    }

    /// The calls that begin or go on.
    pub(crate) fn calls(&self) -> Vec<Call<'a>> {
        self.tool_calls.read::<Vec<Raw<'a>>>().unwrap_or_default().into_iter().filter_map(Call::read).collect()
    }
}

// === impl Call ===

impl<'a> Call<'a> {
    /// None: it is no object.
    fn read(whole: Raw<'a>) -> Option<Self> {
        let Numbered { index, function } = whole.read()?;
        let Function { arguments } = function.read().unwrap_or_default();
        Some(Self { index: index.read(), arguments: arguments.text().unwrap_or_default(), whole })
    }

    /// All that is said of it, which is worth reading where it begins.
    pub(crate) fn head(&self) -> Value {
        self.whole.read().unwrap_or_default()
    }
}

// === impl Raw ===

impl<'a> Raw<'a> {
    /// None: it is no text.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        let json = self.0?.get();
        match json.strip_prefix('"')?.strip_suffix('"')? {
            plain if !plain.contains('\\') => Some(plain.into()),
            _ => serde_json::from_str::<String>(json).ok().map(Cow::from),
        }
    }

    /// The elements of a list. What is none has none.
    pub(crate) fn list(self) -> Vec<Value> {
        self.read().unwrap_or_default()
    }

    fn read<T: Deserialize<'a>>(self) -> Option<T> {
        serde_json::from_str(self.0?.get()).ok()
    }
}
