//! Anthropic callers of Anthropic backends: everything passes but the model's name.

use bytes::Bytes;
use serde_json::Value;

use super::{HEADERS, PATH};
use crate::openai::answer::parse;
use crate::{Answer, Body, Dialect, Fault, Outgoing, Target, Usage, fault};

pub(crate) fn encode(body: &Body, target: &Target<'_>) -> Outgoing {
    let mut out = body.clone();
    out.set("model", &target.model.into());
    Outgoing { path: PATH.into(), headers: HEADERS.into(), body: out.to_bytes(), dropped: Vec::new() }
}

pub(crate) fn decode(shown_model: &str, bytes: Bytes) -> Result<Answer, Fault> {
    let mut body = message(bytes)?;
    let usage = body.value("usage").and_then(|usage| Usage::read(Dialect::Anthropic, &usage));
    if !shown_model.is_empty() {
        body.set("model", &shown_model.into());
    }
    Ok(Answer { body: body.to_bytes(), usage })
}

/// A message, or the fault that came instead of one.
pub(super) fn message(bytes: Bytes) -> Result<Body, Fault> {
    let body = parse(bytes.clone())?;
    if body.array_len("content").is_some() && body.get_bytes("type") != Some(b"\"error\"") {
        return Ok(body);
    }
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let inside = fault::inside(Dialect::Anthropic, &value);
    Err(inside.unwrap_or_else(|| Fault::garbage("answer has no \"content\"", &bytes)))
}
