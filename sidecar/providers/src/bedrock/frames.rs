//! Amazon's event-stream framing: binary messages, each with its length in front, headers, a payload and two checksums.
//!
//! A message becomes an event like those of [`crate::sse`], so that whoever reads events need not know how they were framed:
//! an answer of Converse's as `{"<its type>": payload}`, a piece of a Claude's own stream as the event it is. An exception
//! ends the stream with what it says.

use aws_smithy_eventstream::frame::read_message_from;
use bytes::{Buf, Bytes, BytesMut};
use serde_json::{Value, json};

use crate::anthropic::stream::named;
use crate::sse::{Event, MAX_EVENT_BYTES, too_large};
use crate::{Class, Dialect, Fault, fault};

/// Two lengths and their checksum.
const PRELUDE_BYTES: usize = 12;

/// A message of nothing: the prelude, and the checksum of it all.
const LEAST_BYTES: usize = 16;

/// Cuts a byte stream into messages.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    pending: BytesMut,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing was read yet.
    #[default]
    Fresh,
    Framed,
    /// The first bytes are of no message: somebody else has answered. They are handed on as they are, for the one who has to
    /// say so.
    Stray,
}

/// Headers of a message that say what it is.
#[derive(Debug, Default)]
struct Headers {
    /// `event`, `exception` or `error`.
    kind: String,
    /// The event's or the exception's own type, or the error's code.
    name: String,
    /// An error's words. An exception's are in its payload.
    message: String,
}

// === impl Frames ===

impl Frames {
    /// Takes bytes, hands out the events they complete. Those in front of a fault are handed out with it.
    pub(crate) fn push(&mut self, chunk: &Bytes, out: &mut Vec<Event>) -> Result<(), Fault> {
        if self.state == State::Stray {
            out.push(Event { raw: chunk.clone(), data: None });
            return Ok(());
        }
        self.pending.extend_from_slice(chunk);
        while let Some(length) = self.next()? {
            if self.pending.len() < length {
                break;
            }
            let frame = self.pending.split_to(length).freeze();
            out.push(read(frame)?);
        }
        if self.state == State::Stray {
            out.extend(self.finish());
        }
        Ok(())
    }

    /// The length of the next message, once its prelude is here.
    fn next(&mut self) -> Result<Option<usize>, Fault> {
        let Some((mut lengths, mut rest)) = self.pending.split_at_checked(PRELUDE_BYTES - 4) else { return Ok(None) };
        let Some(checksum) = rest.try_get_u32().ok() else { return Ok(None) };
        if crc32fast::hash(lengths) != checksum {
            if self.state == State::Fresh {
                self.state = State::Stray;
                return Ok(None);
            }
            return Err(corrupt("the checksum of a message's head is wrong"));
        }
        self.state = State::Framed;
        match usize::try_from(lengths.get_u32()) {
            Ok(length) if length < LEAST_BYTES => Err(corrupt("a message is shorter than its own head")),
            Ok(length) if length <= MAX_EVENT_BYTES => Ok(Some(length)),
            _ => Err(too_large(MAX_EVENT_BYTES)),
        }
    }

    /// Bytes of a message whose end has not come yet.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The stream is over. What is left is of no message, or is a message cut short, which is nothing.
    pub(crate) fn finish(&mut self) -> Option<Event> {
        let rest = std::mem::take(&mut self.pending).freeze();
        (self.state != State::Framed && !rest.is_empty()).then_some(Event { raw: rest, data: None })
    }
}

fn corrupt(what: &str) -> Fault {
    Fault::own(Class::Connection, format!("stream garbled: {what}"))
}

/// Reads a whole message.
fn read(frame: Bytes) -> Result<Event, Fault> {
    let message = read_message_from(frame.clone()).map_err(|error| corrupt(&error.to_string()))?;
    let mut headers = Headers::default();
    for header in message.headers() {
        let Ok(value) = header.value().as_string() else { continue };
        let field = match header.name().as_str() {
            ":message-type" => &mut headers.kind,
            ":event-type" | ":exception-type" | ":error-code" => &mut headers.name,
            ":error-message" => &mut headers.message,
            _ => continue,
        };
        value.as_str().clone_into(field);
    }
    let Headers { kind, name, message: words } = headers;
    let payload = serde_json::from_slice::<Value>(message.payload()).unwrap_or_default();
    match (kind.as_str(), name.as_str()) {
        ("exception" | "error", _) => Err(exception(&name, &words, &payload)),
        (_, "chunk") => Ok(chunk(frame, &payload)),
        _ => {
            let data = json!({name: payload}).to_string().into();
            Ok(Event { raw: frame, data: Some(data) })
        }
    }
}

/// A failure in the middle of a stream.
fn exception(name: &str, words: &str, payload: &Value) -> Fault {
    let said = payload["message"].as_str().unwrap_or(words);
    let error = json!({"error": {"type": name, "message": said}});
    let fault = fault::inside(Dialect::Bedrock, &error);
    fault.unwrap_or_else(|| Fault::own(Class::InternalServerError, format!("exception {name:?}")))
}

/// A piece of a model's own stream: base64 of the event it would have sent itself.
fn chunk(frame: Bytes, payload: &Value) -> Event {
    use base64::Engine;

    let bytes = payload["bytes"].as_str().and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    let Some(mut value) = bytes.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()) else {
        // Counted as one that nobody could read.
        return Event { raw: frame, data: Some(Bytes::from_static(b"?")) };
    };
    if let Some(event) = value.as_object_mut() {
        // Amazon's own counts, which say what the event before has said.
        event.shift_remove("amazon-bedrock-invocationMetrics");
    }
    let raw = named(value["type"].as_str().unwrap_or_default(), &value);
    Event { raw, data: Some(value.to_string().into()) }
}

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
    use proptest::prelude::*;

    use super::*;

    fn message(kind: &str, name: &str, payload: &str) -> Vec<u8> {
        let header =
            |name: &str, value: &str| Header::new(name.to_owned(), HeaderValue::String(value.to_owned().into()));
        let message = Message::new(payload.to_owned())
            .add_header(header(":message-type", kind))
            .add_header(header(&format!(":{kind}-type"), name));
        let mut bytes = Vec::new();
        write_message_to(&message, &mut bytes).unwrap();
        bytes
    }

    /// The data of the events, and how it ended.
    fn frames(pieces: &[&[u8]]) -> (Vec<Option<String>>, Result<(), Fault>) {
        let (mut frames, mut events) = (Frames::default(), Vec::new());
        let ended = pieces.iter().try_for_each(|piece| frames.push(&Bytes::copy_from_slice(piece), &mut events));
        events.extend(frames.finish());
        let text = |event: Event| event.data.map(|data| String::from_utf8(data.to_vec()).unwrap());
        (events.into_iter().map(text).collect(), ended)
    }

    #[test]
    fn a_message_is_an_event_called_after_its_type() {
        let delta = message("event", "contentBlockDelta", r#"{"delta":{"text":"é"}}"#);
        let chunk = message("event", "chunk", r#"{"bytes":"eyJ0eXBlIjoicGluZyJ9","p":"abc"}"#);
        let broken = message("event", "chunk", r#"{"bytes":"?"}"#);
        let (events, ended) = frames(&[&[delta, chunk, broken].concat()]);
        let want = [r#"{"contentBlockDelta":{"delta":{"text":"é"}}}"#, r#"{"type":"ping"}"#, "?"];
        assert_eq!(events, want.map(|data| Some(data.to_owned())));
        assert_eq!(ended, Ok(()));
    }

    #[test]
    fn an_exception_is_a_fault_of_its_own_class() {
        let rows = [
            ("throttlingException", Class::RateLimited),
            ("modelStreamErrorException", Class::InternalServerError),
            ("internalServerException", Class::InternalServerError),
            ("serviceUnavailableException", Class::ServiceUnavailable),
            ("modelTimeoutException", Class::Timeout),
            ("validationException", Class::BadRequest),
            ("accessDeniedException", Class::PermissionDenied),
            ("expiredTokenException", Class::Authentication),
            ("hologramException", Class::InternalServerError),
        ];
        for (name, class) in rows {
            let (events, ended) = frames(&[&message("exception", name, r#"{"message":"no"}"#)]);
            let fault = ended.unwrap_err();
            assert_eq!((fault.class, fault.code.as_deref(), fault.message.as_str()), (class, Some(name), "no"));
            assert!(events.is_empty());
        }
        let long =
            message("exception", "validationException", r#"{"message":"Input is too long for requested model."}"#);
        assert_eq!(frames(&[&long]).1.unwrap_err().class, Class::ContextWindowExceeded);
    }

    #[test]
    fn a_message_that_was_garbled_on_its_way_is_found_out() {
        let good = message("event", "messageStart", "{}");
        let (ended, fault) = (|bytes: &[u8]| frames(&[&good, bytes]).1, "stream garbled");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            let error = ended(&bad).unwrap_err();
            assert!(error.message.contains(fault), "byte {at}: {}", error.message);
        }
        let mut huge = vec![0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        huge.extend(crc32fast::hash(&huge).to_be_bytes());
        assert_eq!(ended(&huge), Err(too_large(MAX_EVENT_BYTES)));
        let mut tiny = vec![0, 0, 0, 3, 0, 0, 0, 0];
        tiny.extend(crc32fast::hash(&tiny).to_be_bytes());
        assert!(ended(&tiny).unwrap_err().message.contains("shorter than its own head"));
    }

    #[test]
    fn what_is_no_such_stream_is_handed_on_as_it_came() {
        let html = b"<html><body>Please log in</body></html>";
        for size in [1, 5, 64] {
            let (mut frames, mut events) = (Frames::default(), Vec::new());
            for piece in html.chunks(size) {
                frames.push(&Bytes::copy_from_slice(piece), &mut events).unwrap();
            }
            events.extend(frames.finish());
            assert!(events.iter().all(|event| event.data.is_none()));
            let raw: Vec<u8> = events.iter().flat_map(|event| event.raw.to_vec()).collect();
            assert_eq!(raw, html, "in pieces of {size}");
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(
            texts in prop::collection::vec("[a-z👋é\\\\\"]{0,12}", 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let bytes: Vec<u8> = texts
                .iter()
                .flat_map(|text| message("event", "contentBlockDelta", &json!({"delta": {"text": text}}).to_string()))
                .collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let one_by_one: Vec<&[u8]> = bytes.chunks(1).collect();
            let whole = frames(&[&bytes]);
            prop_assert_eq!(whole.0.len(), texts.len());
            prop_assert_eq!(&frames(&pieces), &whole);
            prop_assert_eq!(&frames(&one_by_one), &whole);
        }
    }
}
