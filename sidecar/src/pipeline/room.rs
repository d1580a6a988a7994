//! How much of a backend's window there is for an answer, and a request whose own limit is lowered to it.

use std::borrow::Cow;

use serde_json::json;
use spillway_policy::fallback::{Counted, Set};
use spillway_providers::{Api, Body, Need};

use super::resolve::Call;

/// The fields in which requests limit their answers.
const LIMITS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// An estimate of a prompt may be short of what the provider counts by this part of it.
const DOUBT: u64 = 8;

// === impl Call ===

impl Call {
    /// A backend's window, as far as it is known by now.
    pub(super) fn window(&self, backend: usize) -> Option<u64> {
        self.question(Set::default(), Set::default(), 0).window(backend)
    }

    /// What a prompt for this backend may have.
    pub(super) fn room(&self, backend: usize) -> u64 {
        let window = self.window(backend).unwrap_or(u64::MAX);
        window.saturating_sub(self.demand().output.of(window))
    }

    /// The prompt as this backend counts: by its own word, or as it was counted here and corrected if that is an estimate.
    /// None: nobody had to know.
    pub(super) fn counted(&self, backend: usize) -> Option<Counted> {
        if let Some((_, tokens)) = self.told.iter().find(|(told, _)| *told == backend) {
            return Some(Counted { tokens: *tokens, exact: true });
        }
        let candidate = &self.route.candidates[backend];
        let counted = self.sizes.longest.as_ref().unwrap_or(&self.sizes.counted);
        let counted = counted.get(candidate.tokenizer).copied().flatten()?;
        Some(Counted { tokens: candidate.corrected(counted), ..counted })
    }

    /// What is left of a backend's window for the answer, if less is left than it could have. None: nothing stands in its way.
    pub(super) fn answer_room(&self, backend: usize) -> Option<u64> {
        if !self.api.has_prompt() || self.api == Api::Embeddings {
            return None;
        }
        let window = self.window(backend)?;
        let candidate = &self.route.candidates[backend];
        let prompt = match self.counted(backend) {
            Some(Counted { tokens, exact: true }) => tokens,
            Some(Counted { tokens, exact: false }) => {
                tokens.saturating_add(tokens / DOUBT).min(self.sizes.upper_for(candidate).unwrap_or(u64::MAX))
            }
            // It fits by far: no text has a token for every byte.
            None => self.sizes.lower.max(self.sizes.upper / 2),
        };
        let room = window.saturating_sub(prompt).max(self.demand().output.of(window)).max(1);
        let wanted = match self.need.max_output_tokens {
            Some(asked) if self.lowers_limit => asked,
            // It fits as it is.
            Some(_) => return None,
            // What some providers have to be told then.
            None => candidate.max_output.or(self.unasked_limit(backend))?,
        };
        (wanted > room).then_some(room)
    }

    /// The limit that a backend's API has to be told in any case. None: it does without.
    pub(super) fn unasked_limit(&self, backend: usize) -> Option<u64> {
        self.route.backends[backend].speech.dialect.unasked_limit()
    }

    /// The limit that a request gets in place of its own.
    pub(super) fn lowered_limit(&self, backend: usize) -> Option<u64> {
        let room = || self.answer_room(backend);
        match self.need.max_output_tokens {
            Some(_) => room(),
            None => self.rights.cap_of(backend).map(|cap| cap.min(room().unwrap_or(cap))),
        }
    }

    /// The request as this backend gets it, as far as its limit is concerned.
    pub(super) fn limited(&self, backend: usize) -> (Cow<'_, Body>, Cow<'_, Need>) {
        let Some(limit) = self.lowered_limit(backend) else {
            return (Cow::Borrowed(&self.body), Cow::Borrowed(&self.need));
        };
        let mut body = self.body.clone();
        let given = |key: &&str| self.body.get(key).is_some_and(|raw| raw != "null");
        // Where it set none, every dialect understands the old one.
        let own = if self.api == Api::Responses { "max_output_tokens" } else { "max_tokens" };
        let none = !LIMITS.iter().any(&given);
        for key in LIMITS.into_iter().filter(&given).chain(none.then_some(own)) {
            body.set(key, &json!(limit));
        }
        (Cow::Owned(body), Cow::Owned(Need { max_output_tokens: Some(limit), ..self.need.clone() }))
    }
}
