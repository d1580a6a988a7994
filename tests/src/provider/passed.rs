//! Answers of APIs that a sidecar passes on as they are.

use std::time::Duration;

use serde_json::json;

use super::{
    Seen,
    script::{Script, Step, answer},
    send,
};

/// How many pieces a spoken answer has, and what is between two of them.
pub const PIECES: usize = 5;
pub const PIECE_BYTES: usize = 8_192;
const PAUSE: Duration = Duration::from_millis(100);

/// None: there is no such path.
pub(super) fn script(seen: &Seen) -> Option<Script> {
    let path = seen.path.split('?').next().unwrap_or_default();
    let body = match path {
        "/v1/audio/speech" => return Some(spoken(seen.body["input"] == "break off")),
        "/v1/audio/transcriptions" => json!({"text": "hello", "usage": {"type": "duration", "seconds": 1}}),
        "/v1/files" => json!({"id": "file-1", "object": "file", "bytes": seen.raw.len()}),
        "/v1/files/file-1" => json!({"id": "file-1", "object": "file", "deleted": seen.method == "DELETE"}),
        _ => return None,
    };
    Some(answer(200, &[("content-type", "application/json".into())], body.to_string().as_bytes()))
}

fn spoken(breaks_off: bool) -> Script {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut steps = vec![send(head)];
    let pieces = if breaks_off { 1 } else { PIECES };
    for number in 0..pieces {
        let sound = char::from(b'a' + u8::try_from(number).unwrap_or(0)).to_string().repeat(PIECE_BYTES);
        steps.push(send(format!("{PIECE_BYTES:x}\r\n{sound}\r\n")));
        steps.push(Step::Wait(PAUSE));
    }
    if !breaks_off {
        steps.push(send("0\r\n\r\n"));
    }
    Script { steps, close: breaks_off, ..Script::default() }
}
