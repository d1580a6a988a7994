//! An answer that comes piece by piece.
//!
//! Framing is shared ([`crate::framing`]); what an event means depends on the pair of API and dialect, one small state machine
//! each. All of them keep one promise: a stream that ends before the provider said it was complete is a [`Fault`], and
//! nothing that reads as an end is ever made up for it.

mod onward;
mod seen;

use bytes::Bytes;
use memchr::memmem;
use serde_json::{Value, json};

use onward::Onward;
pub(crate) use seen::Seen;

use crate::anthropic::preface::Preface;
use crate::anthropic::stream::{Native, ToChat};
use crate::bedrock::stream::FromConverse;
use crate::cohere::stream::FromCohere;
use crate::framing::Framing;
use crate::gemini::stream::FromGemini;
use crate::messages::stream::ToMessages;
use crate::ollama::stream::FromOllama;
use crate::openai::stream::PassThrough;
use crate::repeats::Repeats;
use crate::responses::stream::Responses;
use crate::sse::Event;
use crate::{Api, Body, Class, Dialect, Fault, Stamp, Usage, body, fault};

/// What is kept of bytes that are no event stream, to say what came instead.
const MAX_STRAY_BYTES: usize = 4 << 10;

/// What a whole answer holds in some dialect, and an error in none.
const ANSWERS: [&[u8]; 4] = [b"\"choices\"", b"\"candidates\"", b"\"content\"", b"\"output\""];

/// A smaller event need not be looked at before it is read: whatever it holds takes little memory.
const LARGE_EVENT_BYTES: usize = 1 << 20;

/// What makes an event large is an image or a long text, which is one value and takes little beyond its bytes.
const MAX_EVENT_MEMORY: u64 = 64 << 20;

/// Bytes for the application: one event, or a few that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub bytes: Bytes,
    /// Carries answer text or a tool call: from the first such frame on, nothing can be retried.
    pub content: bool,
}

/// Turns the provider's byte stream into the application's.
#[derive(Debug)]
pub struct StreamDecoder {
    framing: Framing,
    events: Events,
    /// What translates into OpenAI's chunks goes on from there, where callers read something else.
    onward: Option<Onward>,
    dialect: Dialect,
    /// The first bytes of lines that belong to no event.
    stray: Vec<u8>,
    any_data: bool,
    repeats: Repeats,
    /// How many pieces of content came.
    pieces: u64,
}

#[derive(Debug)]
enum Events {
    OpenAi(PassThrough),
    Native(Native),
    ToChat(Box<ToChat>),
    ToMessages(Box<ToMessages>),
    Responses(Box<Responses>),
    Gemini(Box<FromGemini>),
    Cohere(Box<FromCohere>),
    Converse(Box<FromConverse>),
    Ollama(Box<FromOllama>),
}

// === impl StreamDecoder ===

impl StreamDecoder {
    /// `shown_model` is the model's name as the application asked for it; empty keeps the provider's. `wants_usage`: the
    /// application asked for the usage chunk.
    #[must_use]
    pub fn new(api: Api, dialect: Dialect, shown_model: &str, wants_usage: bool) -> Self {
        let onward = Onward::to(api, dialect, shown_model);
        let wants_usage = wants_usage || onward.as_ref().is_some_and(Onward::reads_usage);
        let events = match (api, dialect) {
            (Api::Messages, Dialect::Anthropic | Dialect::BedrockInvoke) => Events::Native(Native::new(shown_model)),
            (Api::Messages, Dialect::OpenAi) => Events::ToMessages(Box::new(ToMessages::new(shown_model))),
            (Api::Responses, Dialect::OpenAi) => Events::Responses(Box::new(Responses::new(shown_model))),
            (_, Dialect::OpenAi) => Events::OpenAi(PassThrough::new(shown_model, wants_usage)),
            (_, Dialect::Anthropic | Dialect::BedrockInvoke) => {
                Events::ToChat(Box::new(ToChat::new(shown_model, wants_usage)))
            }
            (_, Dialect::Gemini) => Events::Gemini(Box::new(FromGemini::new(shown_model, wants_usage))),
            (_, Dialect::Cohere) => Events::Cohere(Box::new(FromCohere::new(shown_model, wants_usage))),
            (_, Dialect::Bedrock) => Events::Converse(Box::new(FromConverse::new(shown_model, wants_usage))),
            (_, Dialect::Ollama) => Events::Ollama(Box::new(FromOllama::new(shown_model, wants_usage))),
        };
        Self {
            framing: Framing::of(api, dialect),
            events,
            onward,
            dialect,
            stray: Vec::new(),
            any_data: false,
            repeats: Repeats::default(),
            pieces: 0,
        }
    }

    /// What translated chunks carry as their `created` and, where the provider names none, as their `id`.
    #[must_use]
    pub fn stamped(mut self, stamp: Stamp<'_>) -> Self {
        match &mut self.events {
            Events::ToChat(events) => events.stamp(stamp),
            Events::Gemini(events) => events.stamp(stamp),
            Events::Cohere(events) => events.stamp(stamp),
            Events::Converse(events) => events.stamp(stamp),
            Events::Ollama(events) => events.stamp(stamp),
            Events::Responses(events) => events.translation().stamp(stamp),
            Events::ToMessages(events) => events.stamp(stamp),
            Events::OpenAi(events) => events.stamp(stamp),
            Events::Native(_) => {}
        }
        self
    }

    /// The request, of which a translated response repeats what its callers look for there.
    #[must_use]
    pub fn repeating(mut self, request: &Body) -> Self {
        match (&mut self.events, &mut self.onward) {
            (Events::Responses(events), _) => events.translation().repeat(request),
            (_, Some(Onward::Responses(responses))) => responses.repeat(request),
            _ => {}
        }
        self
    }

    /// A tool stands in for the form of the answer: what is said before it is called is kept back, and is nothing then.
    #[must_use]
    pub fn standing_in(mut self) -> Self {
        match &mut self.events {
            Events::ToChat(events) => events.preface = Preface::Kept(String::new()),
            Events::Converse(events) => events.preface = Preface::Kept(String::new()),
            _ => {}
        }
        self
    }

    /// Ends the stream with a fault when the same piece of content comes so many times in a row; ten times as many for
    /// pieces without a letter or of one or two characters. 0: never.
    #[must_use]
    pub fn max_repeats(mut self, limit: u32) -> Self {
        self.repeats = Repeats::at_most(limit);
        self
    }

    /// Takes bytes as they come. After an error nothing more is to be pushed.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Frame>) -> Result<(), Fault> {
        if self.done() {
            return Ok(());
        }
        let mut framed = Vec::new();
        let pushed = self.framing.push(chunk, &mut framed);
        for event in framed {
            self.event(event, out)?;
        }
        if self.done() { Ok(()) } else { pushed }
    }

    /// The provider closed the stream. A fault if it did so before the answer was complete.
    pub fn end(&mut self, out: &mut Vec<Frame>) -> Result<(), Fault> {
        if self.done() {
            return Ok(());
        }
        if let Some(rest) = self.framing.finish() {
            // An event without its empty line counts if it is whole; half of one never reaches the application.
            let whole = rest.data.as_ref().is_some_and(|data| is_whole(data));
            if whole || rest.data.is_none() {
                self.event(Event { raw: terminated(&rest.raw), data: rest.data }, out)?;
            }
        }
        if self.done() {
            return Ok(());
        }
        let finished = self.translated(out, |events, out| {
            Ok(match events {
                Events::OpenAi(events) => events.end(out),
                Events::Native(events) => events.end(out),
                Events::ToChat(events) => events.end(out),
                Events::ToMessages(events) => events.end(out),
                Events::Responses(events) => events.end(out),
                Events::Gemini(events) => events.end(out),
                Events::Cohere(events) => events.end(),
                Events::Converse(events) => events.end(out),
                Events::Ollama(events) => events.end(),
            })
        })?;
        if finished { Ok(()) } else { Err(self.cut()) }
    }

    fn event(&mut self, event: Event, out: &mut Vec<Frame>) -> Result<(), Fault> {
        if self.done() {
            return Ok(());
        }
        if let Some(data) = &event.data {
            self.any_data = true;
            if data.len() > LARGE_EVENT_BYTES && self.builds_trees() && body::weight(data) > MAX_EVENT_MEMORY {
                let message =
                    format!("an event of the stream would take more than {MAX_EVENT_MEMORY} bytes to work on");
                return Err(Fault::own(Class::InternalServerError, message));
            }
        } else if self.stray.len() < MAX_STRAY_BYTES {
            let room = MAX_STRAY_BYTES - self.stray.len();
            self.stray.extend_from_slice(&event.raw[..event.raw.len().min(room)]);
        }
        self.translated(out, |events, out| match events {
            Events::OpenAi(events) => events.event(event, out),
            Events::Native(events) => events.event(event, out),
            Events::ToChat(events) => events.event(event, out),
            Events::ToMessages(events) => events.event(event, out),
            Events::Responses(events) => events.event(event, out),
            Events::Gemini(events) => events.event(event, out),
            Events::Cohere(events) => events.event(event, out),
            Events::Converse(events) => events.event(event, out),
            Events::Ollama(events) => events.event(event, out),
        })?;
        let Some(piece) = self.seen_mut().piece.take() else { return Ok(()) };
        self.pieces += 1;
        self.repeats.add(piece)
    }

    /// Whether events are read as trees, and not passed on as they came.
    const fn builds_trees(&self) -> bool {
        match &self.events {
            Events::OpenAi(_) => false,
            Events::Responses(events) => !events.passes(),
            _ => true,
        }
    }

    /// Frames for the application, by way of OpenAI's chunks where nothing shorter leads to what it reads.
    fn translated<T>(
        &mut self,
        out: &mut Vec<Frame>,
        work: impl FnOnce(&mut Events, &mut Vec<Frame>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let Some(onward) = &mut self.onward else { return work(&mut self.events, out) };
        let mut chunks = Vec::new();
        let done = work(&mut self.events, &mut chunks)?;
        onward.chunks(chunks, out)?;
        Ok(done)
    }

    /// What to say of a stream that ended too early. One that held no event at all may have been an error as plain JSON.
    fn cut(&self) -> Fault {
        if self.any_data {
            return Fault::cut("the provider closed it before the answer was complete");
        }
        let stray = self.stray.trim_ascii();
        // llama.cpp's word for an event that is an error.
        let named = stray.strip_prefix(b"error:").map(<[u8]>::trim_ascii_start);
        let (is_error, stray) = (named.is_some(), named.unwrap_or(stray));
        if stray.is_empty() {
            return Fault::cut("the provider closed it without a word");
        }
        let inside = |value: Value| {
            let bare = || fault::inside(self.dialect, &json!({ "error": value }));
            fault::inside(self.dialect, &value).or_else(|| is_error.then(bare).flatten())
        };
        let error = serde_json::from_slice(stray).ok().and_then(inside);
        error.unwrap_or_else(|| match stray {
            // An answer, which is no error's text, and not for an error to repeat.
            [b'{' | b'[', ..] if ANSWERS.iter().any(|word| memmem::find(stray, word).is_some()) => {
                let message = "answered with one JSON document where an event stream was asked for (its endpoint does not \
                               stream: ask it with \"stream\": false)";
                Fault::own(Class::InternalServerError, message)
            }
            _ => Fault::garbage("answer is no event stream", stray),
        })
    }

    fn seen(&self) -> &Seen {
        match &self.events {
            Events::OpenAi(events) => &events.seen,
            Events::Native(events) => &events.seen,
            Events::ToChat(events) => &events.seen,
            Events::ToMessages(events) => &events.reading.seen,
            Events::Responses(events) => events.seen(),
            Events::Gemini(events) => &events.seen,
            Events::Cohere(events) => &events.seen,
            Events::Converse(events) => &events.seen,
            Events::Ollama(events) => &events.seen,
        }
    }

    fn seen_mut(&mut self) -> &mut Seen {
        match &mut self.events {
            Events::OpenAi(events) => &mut events.seen,
            Events::Native(events) => &mut events.seen,
            Events::ToChat(events) => &mut events.seen,
            Events::ToMessages(events) => &mut events.reading.seen,
            Events::Responses(events) => events.seen_mut(),
            Events::Gemini(events) => &mut events.seen,
            Events::Cohere(events) => &mut events.seen,
            Events::Converse(events) => &mut events.seen,
            Events::Ollama(events) => &mut events.seen,
        }
    }

    /// What the provider said it billed, as far as the stream has come.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.seen().usage
    }

    /// Bytes of answer text, reasoning and tool arguments seen: the measure when no usage comes.
    #[must_use]
    pub fn seen_output_bytes(&self) -> u64 {
        self.seen().output_bytes
    }

    /// Pieces of content seen. None has less than a token.
    #[must_use]
    pub const fn seen_pieces(&self) -> u64 {
        self.pieces
    }

    /// Bytes of an event whose end has not come yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.framing.pending()
    }

    /// The number of the next event, where events have one.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        match (&self.events, &self.onward) {
            (Events::Responses(events), _) => events.sequence(),
            (_, Some(Onward::Responses(responses))) => responses.sequence(),
            _ => 0,
        }
    }

    /// Events that were left out because they held no JSON.
    #[must_use]
    pub fn skipped(&self) -> u32 {
        self.seen().skipped
    }

    /// The provider has said why the answer ends. Nothing but its last event is missing, and [`Self::end`] will not fail.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.seen().finished
    }

    /// The answer is complete; what the provider still sends is ignored.
    #[must_use]
    pub fn done(&self) -> bool {
        self.seen().done
    }
}

pub(crate) fn is_json(data: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok()
}

fn is_whole(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]" || is_json(data)
}

fn terminated(raw: &[u8]) -> Bytes {
    let mut bytes = raw.trim_ascii_end().to_vec();
    bytes.extend_from_slice(b"\n\n");
    bytes.into()
}
