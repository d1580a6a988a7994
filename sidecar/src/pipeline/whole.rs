//! An answer that comes whole.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use spillway_providers::{Answer as Decoded, Class, Fault, Stamp, decode_at, rewrites, usage_in, weight};

use super::{
    attempt::{Attempt, Measured, Outcome},
    count,
    failure::{Cut, Failure, local},
    pieces::Pieces,
    resolve::Call,
    settle::Waste,
};
use crate::{
    clock,
    error::ProxyError,
    runtime::{Hold, LARGE},
    upstream::UpstreamBody,
};

const MEMORY: &str = "memory for answers";

/// More than any provider's longest answer; a body beyond it is not an answer.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

impl Attempt<'_> {
    /// Reads it; `id` is for one that its provider gives no name.
    pub(super) async fn whole(
        &self,
        body: UpstreamBody,
        id: String,
        measured: &mut Measured,
    ) -> Result<Bytes, Outcome> {
        let mut held = self.runtime.memory.hold();
        let limit = held.limit();
        let announced = body.size_hint().lower();
        // Where a stream was asked for this is an error's text, or nothing that is of use: it has no longer than a stream's
        // first content.
        let until = self.until().min(clock::after(self.sent, self.first_token()));
        let mut begun = false;
        let take = |piece: &[u8], total| {
            // Some keep a connection open with blanks while they think.
            begun |= !piece.trim_ascii().is_empty();
            self.progress.note(Waste { usage: None, output_bytes: if begun { total } else { 0 } }, begun);
            held.grow_to(total)
        };
        let bytes = match self.read(body, MAX_ANSWER_BYTES, until, take).await {
            Ok(bytes) => bytes,
            Err(Cut::Memory) => {
                measured.output_bytes = self.progress.waste().output_bytes.max(announced);
                return Err(Outcome::Refused(ProxyError::Overloaded { what: MEMORY, limit }));
            }
            Err(cut) => return Err(self.cut(&cut)),
        };
        let (length, came) = (bytes.len() as u64, bytes.clone());
        match self.decoded(bytes, id, held).await.map_err(|error| {
            measured.output_bytes = length;
            Outcome::Refused(error)
        })? {
            // Here a stream was asked for and something whole came: if it is no error, it is no stream either.
            Ok(answer) if self.call.need.stream => {
                let message =
                    "answered with one JSON document where an event stream was asked for (its endpoint does not \
                               stream: ask it with \"stream\": false)"
                        .to_owned();
                let wasted = Some(Waste::whole(answer.usage, length));
                let failure = Failure::new(local(Class::InternalServerError, message));
                Err(Outcome::Failed(Box::new(Failure { wasted, ..*failure })))
            }
            Ok(answer) => {
                measured.usage = answer.usage;
                measured.output_bytes = length;
                Ok(answer.body)
            }
            // Whoever says what an answer used bills it, whatever became of it.
            Err(fault) => {
                let wasted = usage_in(self.backend.speech.dialect, came).map(|used| Waste::whole(Some(used), length));
                Err(Outcome::Failed(Box::new(Failure { wasted, ..*Failure::new(fault) })))
            }
        }
    }

    /// The answer as the application reads it; a long one is worked on aside.
    async fn decoded(&self, bytes: Bytes, id: String, held: Hold) -> Result<Result<Decoded, Fault>, ProxyError> {
        let Call { api, model, body, .. } = self.call;
        let (api, dialect, created) = (*api, self.backend.speech.dialect, clock::since_epoch().as_secs());
        let (provider, guess) = (Arc::clone(&self.backend.provider), count::guess(&self.call.sizes));
        let cleaned = move |answer: Decoded| Decoded { body: provider.cleaned(answer.body), ..answer };
        if bytes.len() as u64 <= LARGE {
            let decoded = decode_at(api, dialect, model, Stamp { created, id: &id }, bytes);
            return Ok(decoded.map(|answer| cleaned(answer.repeating(api, body).fitting(api, dialect, body, guess))));
        }
        let (model, body) = (model.clone(), body.clone());
        let work = move || {
            let mut held = held;
            // A small text can hold millions of values.
            if rewrites(api, dialect) && !held.grow_to(weight(&bytes)) {
                return Err(ProxyError::Overloaded { what: MEMORY, limit: held.limit() });
            }
            let decoded = decode_at(api, dialect, &model, Stamp { created, id: &id }, bytes);
            Ok(decoded.map(|answer| cleaned(answer.repeating(api, &body).fitting(api, dialect, &body, guess))))
        };
        self.runtime.aside.run(self.until(), work).await?
    }

    /// Reads a body to its end, until then at most and within the provider's idle time. `take` gets each piece and what
    /// it adds up to, and says whether there is room for it.
    pub(super) async fn read(
        &self,
        mut body: UpstreamBody,
        limit: u64,
        until: Instant,
        mut take: impl FnMut(&[u8], u64) -> bool,
    ) -> Result<Bytes, Cut> {
        let mut pieces = Pieces::expecting(body.size_hint().exact().filter(|size| *size <= limit));
        loop {
            let until = until.min(clock::after(clock::now(), self.backend.provider.idle));
            let frame = match tokio::time::timeout_at(until.into(), body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(Cut::Broken(error)),
                Ok(None) => return Ok(pieces.join()),
                Err(_) => return Err(Cut::Idle),
            };
            let Ok(data) = frame.into_data() else { continue };
            let total = (pieces.len() + data.len()) as u64;
            if total > limit {
                return Err(Cut::TooLarge(limit));
            }
            if !take(&data, total) {
                return Err(Cut::Memory);
            }
            pieces.push(data);
        }
    }
}
