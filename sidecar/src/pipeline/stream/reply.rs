//! The rest of a stream, as the application reads it.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use spillway_providers::{Fault, render};

use super::{
    super::settle::{Settle, Waste},
    Started,
    source::{Source, Step},
};
use crate::{
    error::{class_of, of_class},
    runtime::Hold,
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
    _open: OpenStream,
}

// === impl StreamReply ===

impl StreamReply {
    pub(in super::super) fn new(started: Started, mut settle: Settle) -> Self {
        let Started { ready, source, over, released, memory } = started;
        settle.first_content(released);
        let open = settle.runtime().telemetry.metrics.open_stream();
        let mut reply = Self {
            ready,
            memory: Some(memory),
            source: Some(source),
            frames: Vec::with_capacity(4),
            settle: Some(settle),
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
        self.ready.extend(self.frames.drain(..).map(|frame| frame.bytes));
        self.note();
    }

    fn note(&mut self) {
        if let (Some(settle), Some(source)) = (&mut self.settle, &self.source) {
            settle.seen(source.decoder.seen_output_bytes());
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
        let (status, kind, code) = of_class(class);
        let code = fault.code.as_deref().unwrap_or(code);
        let name = settle.backend().map_or("", |backend| backend.name.as_str());
        let message = format!("backend {name:?} failed with {class} in the middle of its answer: {}", fault.message);
        self.ready.push_back(render::error_event(settle.api(), status.as_u16(), kind, code, &message, None));
        settle.used(source.decoder.usage());
        settle.cut(code, class);
    }
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
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            this.memory = None;
            let Some(source) = &mut this.source else { return Poll::Ready(None) };
            let step = ready!(source.poll(cx, &mut this.frames));
            this.forward();
            match step {
                Step::Read => {}
                Step::Complete => this.finish(),
                Step::Broken { fault, .. } => this.cut(fault),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_none() && self.ready.is_empty()
    }
}
