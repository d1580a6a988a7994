//! APIs whose requests and answers are passed on as they are, apart from the model's name.
//!
//! Nothing is translated here, so only providers that have the API serve it: OpenAI's family, and for some of them others
//! that took it over word by word. One row of [`table`] says all there is to say of one of them: where it is, where it names
//! its model, what comes back, and what is billed.

mod meter;
mod pieces;
mod table;

use std::borrow::Cow;

use crate::openai::answer::parse;
use crate::openai::table::{Path, Row};
use crate::path::segment;
use crate::{Answer, BadRequest, Body, Dialect, Fault, Host, Outgoing, Speech, Target, fault};
use bytes::Bytes;

pub use meter::Meter;
pub use pieces::{Pieces, QUALITIES};
use table::PASSES;

/// One of these APIs.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Pass {
    /// The word for it in logs and metrics.
    pub operation: &'static str,
    pub method: &'static str,
    /// Where applications find it. `{id}` is one segment of any text.
    pub path: &'static str,
    /// The same behind a provider's base URL.
    upstream: &'static str,
    pub model: ModelIn,
    pub comes: Comes,
    pub bill: Bill,
    /// Who has it.
    dialects: &'static [Dialect],
}

/// Where a request names its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModelIn {
    /// In the field `model` of a JSON object.
    Json,
    /// In the part `model` of a form.
    Form,
    /// Nowhere: it is about something that a provider keeps, and whose it is has to be said in another way.
    Nowhere(Kept),
}

/// What a provider keeps for an account. It knows accounts and no applications: whoever may ask for one of these may see,
/// change and delete all that the account has of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kept {
    Files,
    Batches,
    /// Answers of the Responses API, and what goes on from them.
    Responses,
    /// Chat completions that were asked for with `store`.
    ChatCompletions,
    /// Fine-tuned models, which can be deleted.
    Models,
}

/// What comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comes {
    /// What it says it is. JSON is read whole before it is passed on, everything else as it comes: sound, subtitles, events.
    Labelled,
    /// What somebody has put there. It is not looked at, whatever it says it is.
    Bytes,
}

/// What a request costs. Tokens that are no text have prices of their own: without one, that of text would be a wrong number,
/// and a wrong number is worse than none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bill {
    Nothing,
    /// The tokens its answer says it read.
    Tokens,
    /// The images it answers with, or their tokens.
    Images,
    /// The characters that are read out, or the tokens of their sound.
    Speech,
    /// The seconds that are listened to, or their tokens.
    Sound,
    /// The searches its answer says it made, or the tokens it read.
    Searches,
    /// What is answered later, and billed then.
    Later,
}

/// What a method and a path lead to.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    Pass(&'static Pass),
    /// The path is right, the method is not; these are: `GET, POST`.
    Methods(String),
    Nothing,
}

// === impl Pass ===

impl Pass {
    /// What whoever goes on from an answer asks for as well: that it was kept.
    pub const STORED_RESPONSE: &'static Self = &table::RESPONSE;

    /// Every path there is, for a message.
    #[must_use]
    pub fn paths() -> String {
        let mut paths: Vec<&str> = PASSES.iter().map(|pass| pass.path).collect();
        paths.dedup();
        paths.join(", ")
    }

    /// Looks a path up.
    #[must_use]
    pub fn find(method: &str, path: &str) -> Found {
        let mut methods = Vec::new();
        for pass in PASSES.iter().filter(|pass| fits(pass.path, path)) {
            if pass.method == method {
                return Found::Pass(pass);
            }
            methods.push(pass.method);
        }
        if methods.is_empty() { Found::Nothing } else { Found::Methods(methods.join(", ")) }
    }

    /// What it is about, if that is something the provider keeps.
    #[must_use]
    pub const fn kept(&self) -> Option<Kept> {
        match self.model {
            ModelIn::Nowhere(kept) => Some(kept),
            ModelIn::Json | ModelIn::Form => None,
        }
    }

    /// What stands for `{id}` in a path, as it is written there.
    #[must_use]
    pub fn id<'a>(&self, path: &'a str) -> Option<&'a str> {
        self.path.split('/').zip(path.split('/')).find(|(ours, _)| *ours == ID).map(|(_, theirs)| theirs)
    }

    #[must_use]
    pub fn is_served_by(&self, speech: &Speech) -> bool {
        self.is_at(speech.dialect, speech.host, speech.row)
    }

    /// Others that serve models of a maker do not have all else that it has.
    fn is_at(&self, dialect: Dialect, host: Host, row: &Row) -> bool {
        let has_api = row.responses.is_some() || !self.upstream.starts_with(RESPONSES);
        host == Host::Own && self.dialects.contains(&dialect) && has_api
    }

    /// Where it is behind the target's base URL. `id` is plain text, `query` is as the application wrote it.
    #[must_use]
    pub fn place(&self, id: Option<&str>, query: Option<&str>, target: &Target<'_>) -> String {
        let mut path = self.upstream.replace(ID, &segment(id.unwrap_or_default()));
        let mut query = query.map(Cow::Borrowed);
        if let (Path::Deployment, Some(version)) = (target.row.path, target.api_version) {
            let deployment = match self.model {
                ModelIn::Json | ModelIn::Form if !self.upstream.starts_with(RESPONSES) => {
                    format!("/deployments/{}", segment(target.model))
                }
                _ => String::new(),
            };
            path = format!("/openai{deployment}{path}");
            let more = query.map(|query| format!("&{query}")).unwrap_or_default();
            query = Some(Cow::Owned(format!("api-version={}{more}", segment(version))));
        }
        match query.filter(|query| !query.is_empty()) {
            Some(query) => format!("{path}?{query}"),
            None => path,
        }
    }
}

/// What stands in a path for a name that a provider gave.
const ID: &str = "{id}";
/// How the paths begin that only a provider with a Responses API has.
const RESPONSES: &str = "/responses";

fn fits(pattern: &str, path: &str) -> bool {
    let (mut ours, mut theirs) = (pattern.split('/'), path.split('/'));
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return true,
            (Some(ID), Some(id)) if !id.is_empty() => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

/// The request, if it is JSON: everything passes but the model's name.
pub(crate) fn encode(pass: &Pass, body: &Body, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    if !pass.is_at(target.dialect, target.host, target.row) {
        let message = format!("{:?} is at a provider that has no {}", target.model, pass.upstream);
        return Err(BadRequest::at("model", message));
    }
    let mut out = body.clone();
    if pass.model == ModelIn::Json {
        out.set("model", &target.model.into());
    }
    let path = Cow::Owned(pass.place(None, None, target));
    Ok(Outgoing { path, headers: Cow::Borrowed(&[]), body: out.to_bytes(), dropped: Vec::new() })
}

/// A whole answer: whatever JSON it is, unless it is an error.
pub(crate) fn decode(pass: &Pass, dialect: Dialect, shown_model: &str, bytes: Bytes) -> Result<Answer, Fault> {
    if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return match serde_json::from_slice::<serde::de::IgnoredAny>(&bytes) {
            Ok(_) => Ok(Answer { body: bytes, usage: None }),
            Err(error) => Err(Fault::garbage(&format!("answer is unreadable: {error}"), &bytes)),
        };
    }
    let mut body = parse(bytes.clone())?;
    // A response that failed is one that was asked for, not a failure to answer.
    let is_kept = body.get_bytes("object") == Some(b"\"response\"");
    if let Some(error) = body.value("error").filter(|_| !is_kept) {
        let error = fault::inside(dialect, &serde_json::json!({ "error": error }));
        return Err(error.unwrap_or_else(|| Fault::garbage("answer is an error", &bytes)));
    }
    let images = body.array_len("data").map(|count| count as u64);
    let usage = pieces::usage(pass.bill, &|name| body.value(name), images);
    if !shown_model.is_empty() && body.get_bytes("model").is_some() {
        body.set("model", &shown_model.into());
    }
    Ok(Answer { body: body.to_bytes(), usage })
}

#[cfg(test)]
mod tests;
