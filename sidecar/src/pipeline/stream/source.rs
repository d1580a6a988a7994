//! What a provider streams, read within bounds of time.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::body::Body;
use spillway_providers::{Class as P, Fault, Frame, StreamDecoder};
use tokio::time::Sleep;

use super::super::failure::{chain, local};
use crate::{
    clock,
    runtime::{Hold, Provider},
    upstream::UpstreamBody,
};

/// How long a stream may take. Time an application takes to read what it got counts for `until` only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Between two reads.
    pub(super) idle: Duration,
    /// Until the first piece of content.
    pub(super) first_content: Instant,
    /// Between two pieces of content: a provider that only says that it is still there makes no progress, and neither
    /// does one that sends a byte a second.
    pub(super) content: Duration,
    pub(super) until: Instant,
}

/// A stream that is being read. Dropped, it aborts the call at the provider.
pub(super) struct Source {
    pub(super) decoder: StreamDecoder,
    provider: Arc<Provider>,
    body: UpstreamBody,
    bounds: Bounds,
    /// For an event that has not come to its end.
    memory: Hold,
    any_content: bool,
    /// Since when nothing is to be read.
    waiting: Option<Instant>,
    /// Since when nothing read is content.
    contentless: Option<Instant>,
    /// Set to the earliest moment that a bound can be passed, and looked at again then: cheaper than a reset per event.
    timer: Pin<Box<Sleep>>,
}

/// What became of a read. Frames that came before it have been handed out, whatever it is.
pub(super) enum Step {
    Read,
    /// The answer is complete, and the provider has nothing more to say.
    Complete,
    /// The answer is not complete and never will be.
    Broken {
        fault: Fault,
        /// It is not that something went wrong but that nothing came.
        silent: bool,
    },
}

/// What every request has for events on their way.
const FREE_BYTES: u64 = 64 << 10;

/// Providers end the connection's stream right after the last event; who does not gets his connection closed.
const END_PATIENCE: Duration = Duration::from_millis(500);

/// Between the reason why an answer ends and the last event there is the usage at most. A provider that leaves the last event
/// out and its connection open is not waited for.
const FINISH_PATIENCE: Duration = Duration::from_secs(3);

// === impl Source ===

impl Source {
    pub(super) fn new(
        provider: &Arc<Provider>,
        body: UpstreamBody,
        decoder: StreamDecoder,
        bounds: Bounds,
        memory: Hold,
    ) -> Self {
        let first = bounds.first_content.min(clock::now() + bounds.idle.min(bounds.content));
        Self {
            decoder,
            provider: Arc::clone(provider),
            body,
            bounds,
            memory,
            any_content: false,
            waiting: None,
            contentless: None,
            timer: Box::pin(tokio::time::sleep_until(first.into())),
        }
    }

    /// Reads what is there, into `out`. After anything but [`Step::Read`] it is not to be read again.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, out: &mut Vec<Frame>) -> Poll<Step> {
        // Also for a provider that always has something to say, to an application that always takes its time.
        if clock::now() >= self.bounds.until {
            return Poll::Ready(self.expire(out));
        }
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    return Poll::Ready(self.take(data, out));
                }
                // The answer was complete before its connection broke.
                Poll::Ready(Some(Err(_))) if self.decoder.finished() || self.decoder.done() => {
                    return Poll::Ready(self.end(out));
                }
                Poll::Ready(Some(Err(error))) => {
                    let fault = local(P::Connection, format!("the answer broke off: {}", chain(&error)));
                    return Poll::Ready(Step::Broken { fault, silent: false });
                }
                Poll::Ready(None) => return Poll::Ready(self.end(out)),
                Poll::Pending => {
                    ready!(self.poll_bounds(cx));
                    return Poll::Ready(self.expire(out));
                }
            }
        }
    }

    fn take(&mut self, data: Bytes, out: &mut Vec<Frame>) -> Step {
        self.waiting = None;
        let before = out.len();
        let was_finished = self.decoder.finished();
        let pushed = self.decoder.push(data, out);
        self.clean(out, before);
        if out.iter().skip(before).any(|frame| frame.content) {
            self.any_content = true;
            self.contentless = None;
        }
        if self.decoder.done() {
            self.bounds.idle = END_PATIENCE;
        } else if self.decoder.finished() && !was_finished {
            self.bounds.content = FINISH_PATIENCE;
            self.any_content = true;
            self.contentless = None;
        }
        self.aim();
        match pushed.and_then(|()| self.weigh()) {
            Ok(()) => Step::Read,
            Err(fault) => Step::Broken { fault, silent: false },
        }
    }

    /// Books the memory of an event that is large and not whole yet.
    fn weigh(&mut self) -> Result<(), Fault> {
        let pending = self.decoder.pending() as u64;
        if pending <= FREE_BYTES {
            self.memory.give_back();
        } else if !self.memory.grow_to(pending) {
            let message = format!(
                "no memory is left for an event of more than {pending} bytes (all that is held at once may have {})",
                self.memory.limit()
            );
            return Err(local(P::ServiceUnavailable, message));
        }
        Ok(())
    }

    /// Nothing more will come.
    fn end(&mut self, out: &mut Vec<Frame>) -> Step {
        let before = out.len();
        let ended = self.decoder.end(out);
        self.clean(out, before);
        match ended {
            Ok(()) => Step::Complete,
            Err(fault) => Step::Broken { fault, silent: false },
        }
    }

    /// Takes the keys out of what came since.
    fn clean(&self, out: &mut [Frame], before: usize) {
        for frame in out.iter_mut().skip(before) {
            frame.bytes = self.provider.cleaned(std::mem::take(&mut frame.bytes));
        }
    }

    /// Nothing is to be read now. Arms the timer; Ready: a bound has been passed.
    fn poll_bounds(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waiting.is_none() || self.contentless.is_none() {
            let now = clock::now();
            self.waiting.get_or_insert(now);
            self.contentless.get_or_insert(now);
            // What was read last may have left less time to wait than the timer knows of.
            self.aim();
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let due = self.due();
            if due <= clock::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due.into());
        }
    }

    /// Bounds that have become shorter.
    fn aim(&mut self) {
        let due = self.due();
        if due < self.timer.deadline().into_std() {
            self.timer.as_mut().reset(due.into());
        }
    }

    fn due(&self) -> Instant {
        let Bounds { idle, first_content, content, until } = self.bounds;
        let waiting = self.waiting.map_or(until, |since| since + idle);
        let contentless =
            if self.any_content { self.contentless.map_or(until, |since| since + content) } else { first_content };
        until.min(waiting).min(contentless)
    }

    /// A bound was passed: which one?
    fn expire(&mut self, out: &mut Vec<Frame>) -> Step {
        if self.decoder.done() || self.decoder.finished() {
            return self.end(out);
        }
        let Bounds { idle, content, until, .. } = self.bounds;
        let now = clock::now();
        let message = if now >= until {
            "the attempt took longer than the provider's total timeout".to_owned()
        } else if self.waiting.is_some_and(|since| now >= since + idle) {
            format!("nothing came for {idle:?}")
        } else if self.any_content {
            format!("no content came for {content:?}")
        } else {
            "no content came in time".to_owned()
        };
        Step::Broken { fault: local(P::Timeout, message), silent: true }
    }
}
