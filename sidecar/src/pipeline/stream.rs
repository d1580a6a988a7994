//! An answer that comes piece by piece. Until it is released to the application it can still be abandoned for another
//! backend's; from then on it is forwarded as it comes, and a stream that breaks ends with an error event and never with
//! `[DONE]`. It is released with its first content, or as late as the route holds it back.

mod hold;
mod reply;
mod source;

pub(crate) use reply::StreamReply;

use std::{collections::VecDeque, future::poll_fn, time::Instant};

use bytes::Bytes;
use spillway_providers::{Api, Class as P, Stamp, StreamDecoder};

use super::{
    attempt::{Attempt, Measured, Outcome},
    count,
    failure::{Failure, local},
    progress::Progress,
    settle::Waste,
    structure::Watch,
};
use crate::{clock, error::ProxyError, runtime::Hold, upstream::UpstreamBody};

use hold::Held;
use source::{Bounds, Source, Step};

/// A stream that is ready for the application: its first content is here and nothing is held back any more, or it is over.
pub(super) struct Started {
    ready: VecDeque<Bytes>,
    source: Source,
    /// The provider has nothing more to say, and said all.
    over: bool,
    released: Instant,
    /// What `ready` takes of the process's memory.
    memory: Hold,
    /// The answer has to have a form, which only its end can show.
    pub(super) watch: Option<Watch>,
    /// What it tells is kept.
    pub(super) is_kept: bool,
}

/// Comments and empty events before the first content; nobody sends so many.
const MAX_HEAD_BYTES: usize = 1 << 20;

/// A response repeats what it was asked as often before its first content.
const REPEATS: usize = 2;

impl Started {
    fn new(ready: VecDeque<Bytes>, source: Source, over: bool, memory: Hold) -> Self {
        Self { ready, source, over, released: clock::now(), memory, watch: None, is_kept: false }
    }

    /// What it used, if the whole of it is here. None: there is more to come.
    pub(super) fn complete(&self) -> Option<Measured> {
        (self.over || self.source.decoder.done()).then(|| self.measured())
    }

    fn measured(&self) -> Measured {
        Measured { usage: self.source.decoder.usage(), output_bytes: count::read_output(&self.source.decoder) }
    }

    /// What has been read, as the application would get it.
    pub(super) fn events(&self) -> impl Iterator<Item = &[u8]> {
        self.ready.iter().map(|event| &event[..])
    }

    /// Reads what is left, for nobody: how it ended, and what it came to.
    pub(super) async fn drain(mut self, progress: &Progress) -> (&'static str, Waste) {
        self.ready.clear();
        let mut frames = Vec::with_capacity(4);
        while self.complete().is_none() {
            let step = poll_fn(|cx| self.source.poll(cx, &mut frames)).await;
            progress.note(Waste::read(&self.source.decoder), true);
            match step {
                Step::Read => frames.clear(),
                Step::Complete => self.over = true,
                Step::Broken { .. } => return ("cut", progress.waste()),
            }
        }
        ("answered", progress.waste())
    }
}

async fn decoder(attempt: &Attempt<'_>, id: &str) -> Result<StreamDecoder, ProxyError> {
    let (call, speech) = (attempt.call, attempt.backend.speech);
    let decoder = StreamDecoder::new(call.api, speech.dialect, &call.model, call.need.wants_stream_usage)
        .stamped(Stamp { created: clock::since_epoch().as_secs(), id })
        .max_repeats(call.route.max_repeats);
    let decoder = if attempt.stands_in { decoder.standing_in() } else { decoder };
    match call.api {
        // It repeats parts of a request that may be large.
        Api::Responses => call.aside(move |call| decoder.repeating(&call.body)).await,
        _ => Ok(decoder),
    }
}

/// Reads up to where the stream is released; `id` is for an answer that its provider gives no name.
pub(super) async fn start(attempt: &Attempt<'_>, body: UpstreamBody, id: &str) -> Result<Started, Outcome> {
    let (call, backend) = (attempt.call, attempt.backend);
    let decoder = decoder(attempt, id).await.map_err(Outcome::Refused)?;
    let bounds = Bounds {
        idle: backend.provider.idle,
        first_content: attempt.until().min(attempt.sent + call.route.first_token_timeout),
        content: call.route.idle_timeout,
        until: attempt.total,
    };
    // No prompt has more tokens than bytes, and no bound on its tokens is below its bytes.
    let asked = usize::try_from(call.sizes.upper).unwrap_or(usize::MAX);
    let most =
        MAX_HEAD_BYTES.saturating_add(if call.api == Api::Responses { asked.saturating_mul(REPEATS) } else { 0 });
    let mut source = Source::new(&backend.provider, body, decoder, bounds, attempt.runtime.memory.hold());
    let mut held = Held::new(call.route.hold, call.deadline, attempt.runtime.memory.hold());
    let (mut frames, mut ready) = (Vec::with_capacity(4), VecDeque::with_capacity(4));
    let mut over = false;
    loop {
        let next = poll_fn(|cx| source.poll(cx, &mut frames));
        let step = match held.ends() {
            Some(end) => tokio::time::timeout_at(end.into(), next).await.unwrap_or(Step::Read),
            None => next.await,
        };
        for frame in frames.drain(..) {
            held.keep(&frame);
            ready.push_back(frame.bytes);
        }
        let read = Waste::read(&source.decoder);
        attempt.progress.note(read, held.any_content());
        match step {
            Step::Read => {}
            Step::Complete => over = true,
            Step::Broken { fault, silent } => {
                // What the provider has written it bills, whoever reads it; whether it ran, if it wrote nothing, nobody
                // knows unless it says so.
                let may_run = silent || fault.class == P::Connection;
                let wasted = (may_run || source.decoder.seen_output_bytes() > 0).then_some(read);
                return Err(Outcome::Failed(Box::new(Failure { silent, wasted, ..*Failure::new(fault) })));
            }
        }
        if over || source.decoder.done() || held.is_released(source.decoder.seen_output_bytes()) {
            return Ok(Started::new(ready, source, over, held.memory));
        }
        if !held.any_content() && held.bytes() > most {
            let message = format!("the answer is larger than {most} bytes and has no content");
            return Err(Outcome::Failed(Failure::new(local(P::InternalServerError, message))));
        }
    }
}
