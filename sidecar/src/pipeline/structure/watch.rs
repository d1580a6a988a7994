//! A stream whose answer has to have a form, and which the application reads as it comes. Its last event is kept until the
//! whole of it has been judged.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use spillway_providers::{Api, Class, Fault, Listener};
use spillway_schema::{Flaw, Form, Verdict};
use spillway_wire::SchemaCheck;

use super::{super::failure::local, check, fence, is_bound, is_cut, told};
use crate::{clock, runtime::Hold};

/// Longer than any model's answer.
const MAX_TEXT_BYTES: u64 = 8 << 20;

/// Of events behind the reason why an answer ends: the counts, at most.
const MAX_KEPT_BYTES: u64 = 1 << 20;

/// How often such events of a response repeat what came before: each part, item and the whole of it, thoughts sealed beside.
const REPEATS: u64 = 8;

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
    kept_bytes: u64,
    /// Of all events, and of the text in them.
    bytes: u64,
    text_bytes: u64,
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
        Self {
            form,
            check,
            listener,
            api,
            memory,
            lost: false,
            kept: Vec::new(),
            kept_bytes: 0,
            bytes: 0,
            text_bytes: 0,
            judging: None,
        }
    }

    /// Listens to events on their way.
    pub(crate) fn hear(&mut self, event: &[u8]) {
        self.bytes += event.len() as u64;
        let Some(listener) = &mut self.listener else { return };
        listener.hear(event);
        self.text_bytes = listener.bytes();
        if self.text_bytes > MAX_TEXT_BYTES || !self.memory.grow_to(self.text_bytes + self.kept_bytes) {
            self.lost = true;
            self.listener = None;
        }
    }

    /// Keeps an event that was heard back until the answer has been judged. A fault: there are too many of them.
    pub(crate) fn keep(&mut self, event: Bytes) -> Result<(), Fault> {
        let repeats = if self.api == Api::Responses { REPEATS } else { 0 };
        self.kept_bytes += event.len() as u64;
        self.kept.push(event);
        let limit = MAX_KEPT_BYTES + repeats * (self.bytes - self.kept_bytes);
        let message = if self.kept_bytes > limit {
            format!("more than {limit} bytes came after the reason why the answer ends")
        } else if !self.memory.grow_to(self.text_bytes + self.kept_bytes) {
            "no memory is left for what came after the reason why the answer ends".to_owned()
        } else {
            return Ok(());
        };
        Err(local(Class::InternalServerError, message))
    }

    /// What was kept, for an application that has it whether the answer fits or not.
    pub(crate) fn release(&mut self) -> Option<Vec<Bytes>> {
        self.is_given().then(|| std::mem::take(&mut self.kept))
    }

    fn is_given(&self) -> bool {
        self.check != SchemaCheck::Enforce
    }

    /// Judges what was heard.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Watched> {
        let judging = self.judging.get_or_insert_with(|| {
            let listener = self.listener.take().unwrap_or_else(|| Listener::new(self.api));
            judge(Arc::clone(&self.form), listener, self.lost)
        });
        let wrong = ready!(judging.as_mut().poll(cx));
        let kept = std::mem::take(&mut self.kept);
        Poll::Ready(Watched { kept, wrong, given: self.is_given() })
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
