//! A stream of the OpenAI family for callers of this API: its own events, passed through, or a chat's chunks, translated.
//!
//! Which of the two it is the first event says: nobody else has to know what the backend was asked for.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;

use super::native;
use super::translate::ToResponses;
use crate::openai::answer::usage;
use crate::repeats::Piece;
use crate::sse::Event;
use crate::stream::{Seen, is_json};
use crate::{Body, Class, Dialect, Fault, Frame, fault};

#[derive(Debug)]
pub(crate) struct Responses {
    shown_model: String,
    /// None: no event has come that says which it is.
    is_native: Option<bool>,
    translation: ToResponses,
    /// Of a native stream.
    seen: Seen,
    sequence: u64,
}

// === impl Responses ===

impl Responses {
    pub(crate) fn new(shown_model: &str) -> Self {
        Self {
            shown_model: shown_model.to_owned(),
            is_native: None,
            translation: ToResponses::new(shown_model),
            seen: Seen::default(),
            sequence: 0,
        }
    }

    /// What a translation has to be told.
    pub(crate) const fn translation(&mut self) -> &mut ToResponses {
        &mut self.translation
    }

    pub(crate) const fn seen(&self) -> &Seen {
        if let Some(true) = self.is_native { &self.seen } else { &self.translation.reading.seen }
    }

    pub(crate) const fn seen_mut(&mut self) -> &mut Seen {
        if let Some(true) = self.is_native { &mut self.seen } else { &mut self.translation.reading.seen }
    }

    /// Its events are passed on.
    pub(crate) const fn passes(&self) -> bool {
        matches!(self.is_native, Some(true))
    }

    /// The number of the next event.
    pub(crate) const fn sequence(&self) -> u64 {
        if let Some(true) = self.is_native { self.sequence } else { self.translation.sequence() }
    }

    pub(crate) fn event(&mut self, event: Event, out: &mut Vec<Frame>) -> Result<(), Fault> {
        if self.is_native.is_none() {
            self.is_native =
                event.data.clone().and_then(|data| Body::parse_answer(data).ok()).and_then(|body| is_native(&body));
        }
        if self.is_native == Some(true) { self.native(event, out) } else { self.translation.event(event, out) }
    }

    /// An event goes on byte for byte, but for the model's name.
    fn native(&mut self, event: Event, out: &mut Vec<Frame>) -> Result<(), Fault> {
        let plain = |raw| Frame { bytes: raw, content: false };
        let Some(data) = event.data else {
            out.push(plain(event.raw));
            return Ok(());
        };
        let Ok(mut body) = Body::parse_answer(data.clone()) else {
            if is_json(&data) {
                out.push(plain(event.raw));
            } else if data.trim_ascii() != b"[DONE]" {
                self.seen.skipped += 1;
            }
            return Ok(());
        };
        let kind = body.value("type").unwrap_or_default();
        let kind = kind.as_str().unwrap_or_default();
        if kind == "error" || body.get_bytes("error").is_some_and(|error| error != b"null") {
            return Err(error(&body));
        }
        let content = self.read(kind, &body);
        let bytes = match self.response(kind, &mut body)? {
            true => named(kind, &body.to_bytes()),
            false => event.raw,
        };
        self.sequence += 1;
        out.push(Frame { bytes, content });
        Ok(())
    }

    /// Notes what a piece says. True: it is of the answer's content.
    fn read(&mut self, kind: &str, body: &Body) -> bool {
        if kind == "response.output_item.added" {
            let item = body.value("item").unwrap_or_default();
            // Calls, and the work of tools that the provider runs itself.
            return !matches!(item["type"].as_str(), Some("message" | "reasoning") | None);
        }
        let Some(Value::String(piece)) = body.value("delta").filter(|_| kind.ends_with(".delta")) else { return false };
        self.seen.output_bytes += piece.len() as u64;
        if !piece.is_empty() {
            let index = body.value("output_index").and_then(|index| index.as_u64()).unwrap_or(0);
            self.seen.piece = Some(Piece::of(index, &piece));
        }
        !piece.is_empty()
    }

    /// Reads the response that some events hold all of. True: its model has another name now.
    fn response(&mut self, kind: &str, event: &mut Body) -> Result<bool, Fault> {
        let Some(raw) = event.get_bytes("response") else { return Ok(false) };
        let Ok(mut response) = Body::parse_answer(Bytes::copy_from_slice(raw)) else { return Ok(false) };
        if let Some(fault) = native::failed(&response) {
            return Err(fault);
        }
        if matches!(kind, "response.completed" | "response.incomplete") {
            self.seen.bill(usage(&response));
            self.seen.finished = true;
            self.seen.done = true;
        }
        // A name that would end its line is left as it came.
        let is_name = kind.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_name || !native::rename(&mut response, &self.shown_model) {
            return Ok(false);
        }
        event.set_raw("response", response.to_bytes(), 0);
        Ok(true)
    }

    /// The connection is closed. A response is complete when it says so; a chat whose `[DONE]` is missing is, too.
    pub(crate) fn end(&mut self, out: &mut Vec<Frame>) -> bool {
        if self.is_native == Some(true) { self.seen.done } else { self.translation.end(out) }
    }
}

/// None: it says neither.
fn is_native(body: &Body) -> Option<bool> {
    if body.get_bytes("choices").is_some() {
        return Some(false);
    }
    body.get("type").map(|kind| kind.starts_with("\"response.") || kind == "\"error\"")
}

fn error(body: &Body) -> Fault {
    let value: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let inside = fault::inside(Dialect::OpenAi, &value);
    inside.unwrap_or_else(|| Fault::own(Class::InternalServerError, "the provider sent an error without words"))
}

/// An event around a JSON text. A newline can only be white space between tokens; as a space it cannot end the event.
fn named(kind: &str, json: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(json.len() + kind.len() + 18);
    out.put_slice(b"event: ");
    out.put_slice(kind.as_bytes());
    out.put_slice(b"\ndata: ");
    out.extend(json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    out.put_slice(b"\n\n");
    out.freeze()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(events: &[Value]) -> (Responses, String, Vec<bool>, Result<bool, Fault>) {
        let mut stream = Responses::new("chat");
        let mut out = Vec::new();
        let mut pushed = Ok(());
        for event in events {
            let kind = event["type"].as_str().unwrap_or("x");
            let raw = Bytes::from(format!("event: {kind}\ndata:  {event}\n\n"));
            pushed = pushed.and_then(|()| stream.event(Event { raw, data: Some(event.to_string().into()) }, &mut out));
        }
        let ended = pushed.map(|()| stream.end(&mut out));
        let text = out.iter().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned()).collect();
        (stream, text, out.iter().map(|frame| frame.content).collect(), ended)
    }

    fn response(status: &str) -> Value {
        json!({"id": "resp_1", "model": "gpt-5", "status": status, "error": null,
            "usage": {"input_tokens": 3, "output_tokens": 2}})
    }

    #[test]
    fn events_of_the_api_go_on_as_they_came_but_for_the_model() {
        let delta = json!({"type": "response.output_text.delta", "output_index": 0, "delta": "Hé"});
        let (stream, text, content, ended) = run(&[
            json!({"type": "response.created", "response": response("in_progress")}),
            json!({"type": "response.output_item.added", "item": {"type": "message"}}),
            delta.clone(),
            json!({"type": "response.output_item.added", "item": {"type": "web_search_call"}}),
            json!({"type": "response.completed", "response": response("completed")}),
        ]);
        assert_eq!((ended.unwrap(), content), (true, vec![false, false, true, true, false]));
        assert!(text.contains(&format!("event: response.output_text.delta\ndata:  {delta}\n\n")), "{text}");
        assert!(!text.contains("gpt-5") && text.matches("\"model\":\"chat\"").count() == 2, "{text}");
        assert!(text.contains("event: response.completed\ndata: {"), "{text}");
        let usage = stream.seen().usage.unwrap();
        assert_eq!((usage.input, usage.output, stream.seen().output_bytes, stream.sequence()), (3, 2, 3, 5));
    }

    #[test]
    fn a_failure_inside_is_a_fault_and_an_end_too_early_is_no_end() {
        let created = json!({"type": "response.created", "response": response("in_progress")});
        let failed = json!({"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "slow"}});
        let rows = [
            (json!({"type": "response.failed", "response": failed}), Class::RateLimited),
            (json!({"type": "response.failed", "response": {"status": "failed"}}), Class::InternalServerError),
            (json!({"type": "error", "code": "server_error", "message": "oops"}), Class::InternalServerError),
            (json!({"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}), Class::BadRequest),
        ];
        for (event, class) in rows {
            let (.., ended) = run(&[created.clone(), event.clone()]);
            assert_eq!(ended.unwrap_err().class, class, "{event}");
            let (.., ended) = run(std::slice::from_ref(&event));
            assert_eq!(ended.unwrap_err().class, class, "first: {event}");
        }
        let (.., ended) = run(&[created]);
        assert!(!ended.unwrap());
    }
}
