//! What an answer cost, in the last usage of its stream: when the headers went out nobody knew it yet.

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Beside the tokens, in dollars.
const KEY: &[u8] = b"\"cost_usd\"";

/// Where an event has its usage, if it has any: a chat's chunk, a message's last delta, a response's last event.
#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<Response<'a>>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// The events with `cost_usd`, a number as JSON has them, in their usage; every other byte stays as it was. None: they have
/// no usage, or one that says already what it cost.
#[must_use]
pub fn priced(events: &[u8], cost_usd: &str) -> Option<Bytes> {
    memmem::find(events, b"\"usage\"")?;
    let place = events.split_inclusive(|byte| *byte == b'\n').scan(0, |start, line| {
        let at = *start;
        *start += line.len();
        Some((at, line))
    });
    let place = place.filter_map(|(at, line)| Some(at + inside(line)?)).last()?;
    let (before, after) = events.split_at(place);
    let mut out = BytesMut::with_capacity(events.len() + KEY.len() + cost_usd.len() + 2);
    out.put_slice(before);
    out.put_slice(KEY);
    out.put_u8(b':');
    out.put_slice(cost_usd.as_bytes());
    if after.trim_ascii_start().first() != Some(&b'}') {
        out.put_u8(b',');
    }
    out.put_slice(after);
    Some(out.freeze())
}

/// How far into this line its usage begins.
fn inside(line: &[u8]) -> Option<usize> {
    let data = std::str::from_utf8(line.strip_prefix(b"data:")?).ok()?;
    let Read { usage, response } = serde_json::from_str(data).ok()?;
    let usage = usage.or_else(|| response?.usage)?.get();
    let is_open = usage.starts_with('{') && memmem::find(usage.as_bytes(), KEY).is_none();
    // It is a part of the line.
    is_open.then(|| usage.as_ptr().addr() - line.as_ptr().addr() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_is_in_the_usage_and_nothing_else_changes() {
        let rows = [
            (
                "data: {\"choices\":[], \"usage\": {\"prompt_tokens\":3}}\n\n",
                Some("data: {\"choices\":[], \"usage\": {\"cost_usd\":0.00006,\"prompt_tokens\":3}}\n\n"),
            ),
            (
                "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{ }}\n\nevent: message_stop\ndata: {}\n\n",
                Some(
                    "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"cost_usd\":0.00006 }}\n\n\
                     event: message_stop\ndata: {}\n\n",
                ),
            ),
            (
                "data:{\"response\":{\"output\":[{\"usage\":1}],\"usage\":{\"input_tokens\":1}}}\r\n\r\n",
                Some(
                    "data:{\"response\":{\"output\":[{\"usage\":1}],\"usage\":{\"cost_usd\":0.00006,\"input_tokens\":1}}}\r\n\r\n",
                ),
            ),
            ("data: {\"usage\":null}\n\n", None),
            ("data: {\"usage\":{\"cost_usd\":1}}\n\n", None),
            ("data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":{\"}}]}\n\n", None),
            ("data: {\"message\":{\"usage\":{\"input_tokens\":3}}}\n\n", None),
            ("data: [DONE]\n\n", None),
            ("data: \"usage\n\n", None),
        ];
        for (events, want) in rows {
            let got = priced(events.as_bytes(), "0.00006");
            assert_eq!(got.as_deref(), want.map(str::as_bytes), "{events}");
        }
    }
}
