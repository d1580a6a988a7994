//! An answer that is passed on as it comes: sound, subtitles, files, events of an API that is not translated. Nothing of it is
//! kept. One that breaks off takes the application's connection along: bytes that are not text have no other way to say
//! that more was to come.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use spillway_policy::Class;
use spillway_providers::pass::{Bill, Meter};
use tokio::time::Sleep;

use super::{
    attempt::{Attempt, Outcome},
    failure::Cut,
    settle::{Settle, Waste},
};
use crate::{clock, error::of_class, upstream::UpstreamBody};

/// What describes an answer, apart from what every answer has.
const DESCRIBES: [HeaderName; 2] = [header::CONTENT_TYPE, header::CONTENT_DISPOSITION];

/// An answer that has begun.
pub(super) struct Through {
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    flow: Flow,
}

/// Its bytes. What came first is here: until then another backend could have answered.
struct Flow {
    first: Option<Bytes>,
    body: UpstreamBody,
    meter: Meter,
    idle: Duration,
    until: Instant,
}

/// The same, on its way. Dropped before its end, the application has gone.
pub(crate) struct ThroughReply {
    flow: Flow,
    /// Since when nothing is to be read.
    waiting: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    /// None: it is over.
    settle: Option<Settle>,
}

/// An answer that cannot be completed.
#[derive(Debug, thiserror::Error)]
#[error("the provider's answer broke off")]
pub(crate) struct BrokenOff;

/// Waits for the first bytes.
pub(super) async fn start(attempt: &Attempt<'_>, head: &HeaderMap, mut body: UpstreamBody) -> Result<Through, Outcome> {
    let idle = attempt.backend.provider.idle;
    let first = loop {
        let until = attempt.until().min(clock::after(clock::now(), idle));
        match tokio::time::timeout_at(until.into(), body.frame()).await {
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if !data.is_empty() => break Some(data),
                _ => {}
            },
            Ok(Some(Err(error))) => return Err(attempt.cut(&Cut::Broken(error))),
            Ok(None) => break None,
            Err(_) => return Err(attempt.cut(&Cut::Idle)),
        }
    };
    attempt.progress.note(Waste::prompt(), true);
    let text = head.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bill = attempt.call.passing.as_ref().map_or(Bill::Nothing, |passing| passing.pass.bill);
    let mut meter = Meter::new(bill, text);
    first.iter().for_each(|bytes| meter.push(bytes));
    let headers = DESCRIBES.iter().filter_map(|name| Some((name.clone(), head.get(name)?.clone()))).collect();
    Ok(Through { headers, flow: Flow { first, body, meter, idle, until: attempt.total } })
}

// === impl ThroughReply ===

impl ThroughReply {
    pub(super) fn new(through: Through, settle: Settle) -> Self {
        let timer = Box::pin(tokio::time::sleep_until(through.flow.until.into()));
        Self { flow: through.flow, waiting: None, timer, settle: Some(settle) }
    }

    fn finish(&mut self) {
        if let Some(mut settle) = self.settle.take() {
            settle.used(self.flow.meter.usage());
            settle.answered(200);
        }
    }

    fn cut(&mut self, class: Class) -> BrokenOff {
        if let Some(mut settle) = self.settle.take() {
            let (_, _, code) = of_class(class);
            settle.used(self.flow.meter.usage());
            settle.cut(code, class);
        }
        BrokenOff
    }

    /// Nothing is to be read now. Ready: and nothing will be.
    fn poll_bounds(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Flow { idle, until, .. } = self.flow;
        if self.waiting.is_none() {
            let now = clock::now();
            self.waiting = Some(now);
            self.timer.as_mut().reset(until.min(clock::after(now, idle)).into());
        }
        self.timer.as_mut().poll(cx)
    }
}

impl Body for ThroughReply {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        if let Some(first) = this.flow.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if this.settle.is_none() {
            return Poll::Ready(None);
        }
        if clock::now() >= this.flow.until {
            return Poll::Ready(Some(Err(this.cut(Class::Timeout))));
        }
        loop {
            match Pin::new(&mut this.flow.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    this.waiting = None;
                    let Ok(data) = frame.into_data() else { continue };
                    this.flow.meter.push(&data);
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Some(Err(this.cut(Class::Connection)))),
                Poll::Ready(None) => {
                    this.finish();
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    ready!(this.poll_bounds(cx));
                    return Poll::Ready(Some(Err(this.cut(Class::Timeout))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.flow.first.is_none() && self.settle.is_none()
    }

    /// With the length that the provider announced, an answer that breaks off is seen to be short.
    fn size_hint(&self) -> SizeHint {
        let first = self.flow.first.as_ref().map_or(0, |bytes| bytes.len() as u64);
        self.flow.body.size_hint().exact().map_or_else(SizeHint::default, |rest| SizeHint::with_exact(first + rest))
    }
}

impl Drop for ThroughReply {
    fn drop(&mut self) {
        // All of it has been written where its length was known: nobody asks for what follows the last byte.
        if self.flow.first.is_none() && self.flow.body.is_end_stream() {
            self.finish();
        } else if let Some(settle) = &mut self.settle {
            settle.left(&Waste::whole(self.flow.meter.usage(), 0));
        }
    }
}
