//! An answer that comes piece by piece. Until its first content it can still be abandoned for another backend's; from
//! then on it is forwarded as it comes, and a stream that breaks ends with an error event and never with `[DONE]`.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use spillway_providers::{Class as P, Fault, StreamDecoder, render};
use tokio::time::Sleep;

use super::{
    attempt::{Attempt, Cut, Failure, Outcome, local},
    settle::Settle,
};
use crate::{
    clock,
    error::{class_of, of_class},
    telemetry::OpenStream,
    upstream::UpstreamBody,
};

/// A stream whose first content is here, or that is over without any.
pub(super) struct Started {
    ready: VecDeque<Bytes>,
    body: UpstreamBody,
    decoder: StreamDecoder,
    ended: bool,
    bounds: Bounds,
}

/// How long a stream may take.
#[derive(Clone, Copy)]
struct Bounds {
    /// Between two reads.
    idle: Duration,
    /// Between two pieces of content.
    content: Duration,
    until: Instant,
}

/// Comments and empty events before the first content; nobody sends so many.
const MAX_HEAD_BYTES: usize = 1 << 20;

/// Providers end the connection's stream right after the last event; who does not gets his connection closed.
const END_PATIENCE: Duration = Duration::from_millis(500);

/// Reads up to the first content.
pub(super) async fn start(
    attempt: &Attempt<'_>,
    mut body: UpstreamBody,
    settle: &mut Settle,
) -> Result<Started, Outcome> {
    let (call, backend) = (attempt.call, attempt.backend);
    let mut decoder = StreamDecoder::new(call.api, backend.provider.dialect, &call.model, call.need.wants_stream_usage)
        .created(clock::since_epoch().as_secs());
    let (mut frames, mut ready, mut bytes) = (Vec::with_capacity(4), VecDeque::with_capacity(4), 0);
    let first_content = attempt.until().min(attempt.sent + call.route.first_token_timeout);
    let failed = |fault| Outcome::Failed(Failure::new(fault));
    let (mut content, mut ended) = (false, false);
    while !content && !ended {
        let until = first_content.min(clock::now() + backend.provider.idle);
        match tokio::time::timeout_at(until.into(), body.frame()).await {
            Err(_) => return Err(attempt.cut(&Cut::Idle)),
            Ok(Some(Err(error))) => return Err(attempt.cut(&Cut::Broken(error))),
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                decoder.push(data, &mut frames).map_err(failed)?;
            }
            Ok(None) => {
                decoder.end(&mut frames).map_err(failed)?;
                ended = true;
            }
        }
        for frame in frames.drain(..) {
            content |= frame.content;
            bytes += frame.bytes.len();
            ready.push_back(frame.bytes);
        }
        content |= decoder.done();
        if bytes > MAX_HEAD_BYTES && !content {
            return Err(attempt.cut(&Cut::TooLarge(MAX_HEAD_BYTES as u64)));
        }
    }
    settle.first_content(clock::now());
    let bounds = Bounds { idle: backend.provider.idle, content: call.route.idle_timeout, until: attempt.total };
    Ok(Started { ready, body, decoder, ended, bounds })
}

/// The rest of the stream, as the application reads it.
pub(crate) struct StreamReply {
    ready: VecDeque<Bytes>,
    /// None: it is over, one way or the other. Dropped early, it aborts the call at the provider.
    body: Option<UpstreamBody>,
    decoder: StreamDecoder,
    frames: Vec<spillway_providers::Frame>,
    bounds: Bounds,
    /// Since when nothing is to be read, and since when nothing read is content. Time an application takes to read what
    /// it got counts for neither.
    waiting: Option<Instant>,
    contentless: Option<Instant>,
    /// Set to the earliest moment that a bound can be passed, and looked at again then: cheaper than a reset per event.
    timer: Pin<Box<Sleep>>,
    settle: Option<Settle>,
    _open: OpenStream,
}

// === impl StreamReply ===

impl StreamReply {
    pub(super) fn new(started: Started, mut settle: Settle) -> Self {
        let Started { ready, body, decoder, ended, bounds } = started;
        settle.seen(decoder.seen_output_bytes());
        let open = settle.runtime().telemetry.metrics.open_stream();
        let first = clock::now() + bounds.idle.min(bounds.content);
        let mut reply = Self {
            ready,
            body: Some(body),
            decoder,
            frames: Vec::with_capacity(4),
            bounds,
            waiting: None,
            contentless: None,
            timer: Box::pin(tokio::time::sleep_until(first.min(bounds.until).into())),
            settle: Some(settle),
            _open: open,
        };
        if ended {
            reply.finish();
        }
        reply
    }

    /// Takes what the provider sent.
    fn take(&mut self, data: Bytes) {
        self.waiting = None;
        let pushed = self.decoder.push(data, &mut self.frames);
        self.forward();
        if let Err(fault) = pushed {
            self.cut(&fault);
        }
    }

    fn forward(&mut self) {
        for frame in self.frames.drain(..) {
            if frame.content {
                self.contentless = None;
            }
            self.ready.push_back(frame.bytes);
        }
        if let Some(settle) = &mut self.settle {
            settle.seen(self.decoder.seen_output_bytes());
        }
    }

    /// The provider has closed the stream.
    fn close(&mut self) {
        let ended = self.decoder.end(&mut self.frames);
        self.forward();
        match ended {
            Ok(()) => self.finish(),
            Err(fault) => self.cut(&fault),
        }
    }

    fn finish(&mut self) {
        self.body = None;
        if let Some(mut settle) = self.settle.take() {
            settle.used(self.decoder.usage());
            settle.seen(self.decoder.seen_output_bytes());
            settle.answered(200);
        }
    }

    /// It broke: the application is told, in the stream, and nothing follows.
    fn cut(&mut self, fault: &Fault) {
        self.body = None;
        let Some(mut settle) = self.settle.take() else { return };
        let mut fault = fault.clone();
        if let Some(backend) = settle.backend() {
            backend.provider.scrub(&mut fault);
        }
        let class = class_of(fault.class);
        let (status, kind, code) = of_class(class);
        let code = fault.code.as_deref().unwrap_or(code);
        let name = settle.backend().map_or("", |backend| backend.name.as_str());
        let message = format!("backend {name:?} failed with {class} in the middle of its answer: {}", fault.message);
        self.ready.push_back(render::error_event(settle.api(), status.as_u16(), kind, code, &message, None));
        settle.used(self.decoder.usage());
        settle.seen(self.decoder.seen_output_bytes());
        settle.cut(code, class);
    }

    /// Nothing is to be read now. Arms the timer; Ready: a bound has been passed.
    fn poll_bounds(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waiting.is_none() || self.contentless.is_none() {
            let now = clock::now();
            self.waiting.get_or_insert(now);
            self.contentless.get_or_insert(now);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let due = self.due();
            if due <= clock::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due.into());
        }
        Poll::Pending
    }

    fn due(&self) -> Instant {
        let Bounds { idle, content, until } = self.bounds;
        let waiting = self.waiting.map_or(until, |since| since + idle);
        let contentless = self.contentless.map_or(until, |since| since + content);
        until.min(waiting).min(contentless)
    }

    /// A bound was passed: which one?
    fn expire(&mut self) {
        if self.decoder.done() {
            return self.finish();
        }
        let Bounds { idle, content, until } = self.bounds;
        let passed = |since: Option<Instant>, bound| since.is_some_and(|since| clock::now() >= since + bound);
        let message = if clock::now() >= until {
            "the attempt took longer than the provider's total timeout".to_owned()
        } else if passed(self.waiting, idle) {
            format!("nothing came for {idle:?}")
        } else {
            format!("no content came for {content:?}")
        };
        self.cut(&local(P::Timeout, message));
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
            let Some(body) = &mut this.body else { return Poll::Ready(None) };
            match Pin::new(body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        this.take(data);
                    }
                    if this.decoder.done() {
                        this.bounds.idle = END_PATIENCE;
                    }
                }
                // The answer was complete before its connection broke.
                Poll::Ready(Some(Err(_))) if this.decoder.done() => this.finish(),
                Poll::Ready(Some(Err(error))) => {
                    let message = format!("the connection broke: {error}");
                    this.cut(&local(P::Connection, message));
                }
                Poll::Ready(None) => this.close(),
                Poll::Pending => match this.poll_bounds(cx) {
                    Poll::Ready(()) => this.expire(),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none() && self.ready.is_empty()
    }
}
