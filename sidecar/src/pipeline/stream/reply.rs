//! The rest of a stream, as the application reads it.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use spillway_providers::render::{self, Told};
use spillway_providers::{Fault, priced::priced};

use super::{
    super::{
        count, items,
        settle::{Settle, Waste},
        structure::{Watch, Watched},
    },
    Started,
    source::{Source, Step},
};
use crate::{
    error::{INVALID_OUTPUT, class_of, of_fault},
    runtime::{Hold, Runtime},
    telemetry::OpenStream,
};

/// A stream that has been released. Dropped before its end, the application has gone.
pub(crate) struct StreamReply {
    ready: VecDeque<Bytes>,
    /// Until what was held back has been read.
    memory: Option<Hold>,
    /// None: it is over, one way or the other.
    source: Option<Source>,
    frames: Vec<spillway_providers::Frame>,
    settle: Option<Settle>,
    watch: Option<Watch>,
    /// Nothing more is read until the watch has judged what there is.
    judging: bool,
    /// The provider has nothing more to say.
    over: bool,
    /// Who keeps what goes out, because it may be named again.
    keeper: Option<Arc<Runtime>>,
    _open: OpenStream,
}

// === impl StreamReply ===

impl StreamReply {
    pub(in super::super) fn new(started: Started, mut settle: Settle) -> Self {
        let Started { mut ready, source, over, released, memory, mut watch, is_kept } = started;
        if let Some(cost) = cost(&source, &mut settle)
            && let Some(last) = ready.iter_mut().rev().find_map(|event| Some((priced(event, &cost)?, event)))
        {
            *last.1 = last.0;
        }
        if let Some(watch) = &mut watch {
            ready.iter().for_each(|event| watch.hear(event));
        }
        settle.first_content(released);
        let runtime = settle.runtime();
        let open = runtime.telemetry.metrics.open_stream();
        let mut reply = Self {
            ready,
            memory: Some(memory),
            source: Some(source),
            frames: Vec::with_capacity(4),
            settle: Some(settle),
            watch,
            judging: false,
            over,
            keeper: is_kept.then_some(runtime),
            _open: open,
        };
        reply.note();
        if over {
            reply.finish();
        }
        reply
    }

    /// Hands on what was read, and remembers what it comes to.
    fn forward(&mut self) {
        let finished = self.source.as_ref().is_some_and(|source| source.decoder.finished() || source.decoder.done());
        let mut full = None;
        let cost = match (&self.source, &mut self.settle) {
            (Some(source), Some(settle)) => cost(source, settle),
            _ => None,
        };
        for mut frame in self.frames.drain(..) {
            if let Some(priced) = cost.as_ref().and_then(|cost| priced(&frame.bytes, cost)) {
                frame.bytes = priced;
            }
            let Some(watch) = &mut self.watch else {
                self.ready.push_back(frame.bytes);
                continue;
            };
            watch.hear(&frame.bytes);
            if !finished {
                self.ready.push_back(frame.bytes);
            } else if let Err(fault) = watch.keep(frame.bytes) {
                match watch.release() {
                    Some(kept) => self.ready.extend(kept),
                    None => full = Some(fault),
                }
                // Nobody judges it any more.
                self.watch = None;
                if full.is_some() {
                    break;
                }
            }
        }
        self.note();
        if let Some(fault) = full {
            self.cut(fault);
        }
    }

    /// The answer is complete, and has been looked at.
    fn judged(&mut self, watched: Watched) {
        (self.watch, self.judging) = (None, false);
        let Watched { kept, wrong, given } = watched;
        if let Some(settle) = &mut self.settle {
            settle.checked(if wrong.is_some() { "unfit" } else { "fits" });
        }
        if let Some(wrong) = wrong.filter(|_| !given) {
            return self.unfit(&wrong, kept.len());
        }
        self.ready.extend(kept);
        if self.over {
            self.finish();
        }
    }

    /// What the application has read is not what it asked for: it is told, in the stream, and nothing follows.
    fn unfit(&mut self, wrong: &str, kept: usize) {
        let (Some(source), Some(mut settle)) = (self.source.take(), self.settle.take()) else { return };
        let name = settle.backend().map_or("", |backend| backend.name.as_str());
        let message = format!(
            "backend {name:?} gave an answer that is not what the request asked for: {wrong}; what was streamed is not to be used \
             (hint: with streaming.hold the ModelRoute holds an answer back until it has been checked, and corrected)"
        );
        // In place of the events that nobody gets.
        let sequence = source.decoder.sequence().saturating_sub(kept as u64);
        let told = Told { kind: "server_error", code: INVALID_OUTPUT, message: &message, ..Told::default() };
        let event = render::error_event(settle.api(), sequence, 502, told);
        self.ready.push_back(event);
        settle.used(source.decoder.usage());
        settle.unfit(INVALID_OUTPUT);
    }

    fn note(&mut self) {
        if let (Some(settle), Some(source)) = (&mut self.settle, &self.source) {
            settle.seen(count::read_output(&source.decoder));
            settle.skipped(source.decoder.skipped());
        }
    }

    fn finish(&mut self) {
        let Some(source) = self.source.take() else { return };
        if let Some(mut settle) = self.settle.take() {
            settle.used(source.decoder.usage());
            settle.answered(200);
        }
    }

    /// It broke: the application is told, in the stream, and nothing follows.
    fn cut(&mut self, mut fault: Fault) {
        let (Some(source), Some(mut settle)) = (self.source.take(), self.settle.take()) else { return };
        if let Some(backend) = settle.backend() {
            backend.provider.scrub(&mut fault);
        }
        let class = class_of(fault.class);
        let (status, kind, code) = of_fault(class, &fault);
        let code = fault.code.as_deref().unwrap_or(code);
        let name = settle.backend().map_or("", |backend| backend.name.as_str());
        let message = format!("backend {name:?} failed with {class} in the middle of its answer: {}", fault.message);
        let (api, sequence) = (settle.api(), source.decoder.sequence());
        let told = Told { kind, code, message: &message, param: None, inner: fault.inner() };
        self.ready.push_back(render::error_event(api, sequence, status.as_u16(), told));
        settle.used(source.decoder.usage());
        settle.cut(code, class);
    }
}

/// What it has cost, for the last usage that the application gets. None: there is more to come, or nobody knows.
fn cost(source: &Source, settle: &mut Settle) -> Option<String> {
    if !source.decoder.finished() && !source.decoder.done() {
        return None;
    }
    settle.used(source.decoder.usage());
    Some(settle.cost()?.to_string())
}

impl Drop for StreamReply {
    fn drop(&mut self) {
        if let (Some(settle), Some(source)) = (&mut self.settle, &self.source) {
            settle.left(&Waste::read(&source.decoder));
        }
    }
}

impl Body for StreamReply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        loop {
            if let Some(bytes) = this.ready.pop_front() {
                if let Some(keeper) = &this.keeper {
                    items::hear(&keeper.items, &bytes);
                }
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            this.memory = None;
            if let Some(watch) = this.watch.as_mut().filter(|_| this.judging) {
                let watched = ready!(watch.poll(cx));
                this.judged(watched);
                continue;
            }
            let Some(source) = &mut this.source else { return Poll::Ready(None) };
            let step = ready!(source.poll(cx, &mut this.frames));
            this.forward();
            match step {
                Step::Read => this.judging = this.source.as_ref().is_some_and(|source| source.decoder.done()),
                Step::Complete => {
                    (this.over, this.judging) = (true, true);
                    if this.watch.is_none() {
                        this.finish();
                    }
                }
                Step::Broken { fault, .. } => this.cut(fault),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_none() && self.ready.is_empty()
    }
}
