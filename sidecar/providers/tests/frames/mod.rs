//! Streams as Amazon frames them, written as text for people to read.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};

/// `event: <type>` (or `exception: <type>`), `data: <payload>` and an empty line are a message; what begins otherwise is
/// bytes of no message.
pub(crate) fn of(text: &str) -> Vec<u8> {
    text.split_inclusive("\n\n").flat_map(message).collect()
}

fn message(block: &str) -> Vec<u8> {
    let read = || {
        let (kind, rest) = block.split_once(": ")?;
        let (name, rest) = rest.split_once('\n')?;
        let payload = rest.strip_prefix("data: ")?.trim_end_matches('\n');
        matches!(kind, "event" | "exception").then_some((kind, name, payload))
    };
    let Some((kind, name, payload)) = read() else { return block.as_bytes().to_vec() };
    let header = |name: String, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
    let message = Message::new(payload.to_owned())
        .add_header(header(format!(":{kind}-type"), name))
        .add_header(header(":content-type".into(), "application/json"))
        .add_header(header(":message-type".into(), kind));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).expect("a message of a test can be written");
    bytes
}
