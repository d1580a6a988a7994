//! A stream whose answer has to have a form, and which the application reads as it comes. Its last event is kept until the
//! whole of it has been judged.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use spillway_providers::{Api, Listener};
use spillway_schema::{Flaw, Form, Verdict};
use spillway_wire::SchemaCheck;

use super::{check, fence, is_bound, is_cut, told};
use crate::{clock, runtime::Hold};

/// Longer than any model's answer.
const MAX_TEXT_BYTES: u64 = 8 << 20;

/// For the check: much longer than one takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is known of one stream.
pub(crate) struct Watch {
    form: Arc<Form>,
    check: SchemaCheck,
    listener: Option<Listener>,
    api: Api,
    memory: Hold,
    /// The text is longer than what can be kept of it.
    lost: bool,
    /// Events from where the answer has said why it ends.
    kept: Vec<Bytes>,
    judging: Option<Judging>,
}

type Judging = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// What became of a stream.
pub(crate) struct Watched {
    /// The last events, for an application that may have them.
    pub(crate) kept: Vec<Bytes>,
    /// What is wrong with the answer. None: nothing.
    pub(crate) wrong: Option<String>,
    /// The application is to have it all the same.
    pub(crate) given: bool,
}

// === impl Watch ===

impl Watch {
    pub(in super::super) const fn new(api: Api, form: Arc<Form>, check: SchemaCheck, memory: Hold) -> Self {
        let listener = Some(Listener::new(api));
        Self { form, check, listener, api, memory, lost: false, kept: Vec::new(), judging: None }
    }

    /// Listens to events on their way.
    pub(crate) fn hear(&mut self, event: &[u8]) {
        let Some(listener) = &mut self.listener else { return };
        listener.hear(event);
        let bytes = listener.bytes();
        if bytes > MAX_TEXT_BYTES || !self.memory.grow_to(bytes) {
            self.lost = true;
            self.listener = None;
        }
    }

    /// Keeps an event back until the answer has been judged.
    pub(crate) fn keep(&mut self, event: Bytes) {
        self.kept.push(event);
    }

    /// Judges what was heard.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Watched> {
        let judging = self.judging.get_or_insert_with(|| {
            let listener = self.listener.take().unwrap_or_else(|| Listener::new(self.api));
            judge(Arc::clone(&self.form), listener, self.lost)
        });
        let wrong = ready!(judging.as_mut().poll(cx));
        let kept = std::mem::take(&mut self.kept);
        Poll::Ready(Watched { kept, wrong, given: self.check != SchemaCheck::Enforce })
    }
}

fn judge(form: Arc<Form>, listener: Listener, lost: bool) -> Judging {
    Box::pin(async move {
        if lost {
            return Some("the answer is too long to be checked".to_owned());
        }
        let bound: Vec<_> = listener.said().into_iter().filter(is_bound).collect();
        let texts = bound.iter().map(|said| said.text.clone()).collect();
        let verdicts = check(form, texts, clock::after(clock::now(), PATIENCE)).await;
        bound.iter().zip(verdicts).find_map(|(said, verdict)| {
            let flaws: Vec<Flaw> = match verdict {
                Verdict::Fits => return None,
                Verdict::Fenced(_) => vec![fence()],
                Verdict::Unfit(flaws) => flaws,
            };
            Some(told(&flaws, is_cut(said)))
        })
    })
}
