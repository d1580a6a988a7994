//! Calls of tools, each with a name of its own.
//!
//! Servers that copy OpenAI's API leave out a call's `id` now and then, or send an empty one, and some number no call of a
//! stream. Whoever translates an answer, and every SDK that sends the tool's result back, goes by both. What is missing is
//! made up where the call begins, and a number that is used again is replaced; an answer that lacks nothing keeps its bytes.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;

use super::chunk::{Call, Choice, MAX_CALLS};

/// Names the calls of a stream, event by event.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// What no other answer is called.
    answer: String,
    begun: Vec<Begun>,
}

/// A call that has begun.
#[derive(Debug)]
struct Begun {
    choice: u64,
    /// Its number as the server has it.
    given: u64,
    /// Its number as the application has it: no other call of its choice has the same.
    index: u64,
    /// Of the server's id, which is as long as it likes.
    id: Option<u64>,
}

/// A whole answer whose calls all have names.
pub(crate) fn named(bytes: Bytes, answer: &str) -> Bytes {
    if !calls_tools(&bytes) {
        return bytes;
    }
    let Ok(mut body) = serde_json::from_slice::<Value>(&bytes) else { return bytes };
    let mut count = 0;
    let mut changed = false;
    for choice in body.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
        let calls = choice.pointer_mut("/message/tool_calls").and_then(Value::as_array_mut);
        for call in calls.into_iter().flatten().filter(|call| call.is_object()) {
            if call["id"].as_str().is_none_or(str::is_empty) {
                call["id"] = name(answer, count).into();
                changed = true;
            }
            count += 1;
        }
    }
    if changed { body.to_string().into() } else { bytes }
}

/// Whether tools may be called in there. False is certain.
fn calls_tools(json: &[u8]) -> bool {
    memmem::find(json, b"\"tool_calls\"").is_some()
}

fn name(answer: &str, count: usize) -> String {
    format!("call_{answer}_{count}")
}

// === impl Calls ===

impl Calls {
    pub(super) fn stamp(&mut self, answer: &str) {
        answer.clone_into(&mut self.answer);
    }

    /// Names the calls of a choice.
    pub(super) fn name(&mut self, choice: &mut Choice<'_>) {
        let of = choice.index;
        for call in &mut choice.calls {
            let (index, id) = self.piece(of, call);
            call.is_named = id.is_some() || call.index != Some(index);
            call.index = Some(index);
            call.id = id.map(Cow::from).or(call.id.take());
        }
    }

    /// The number of the call that a piece belongs to, and the name it should have had.
    fn piece(&mut self, choice: u64, call: &Call<'_>) -> (u64, Option<String>) {
        let tool = call.name.as_deref();
        let id = call.id.as_deref().map(hash);
        let of_choice = || self.begun.iter().filter(|begun| begun.choice == choice);
        let known = match call.index {
            Some(given) => of_choice().rfind(|begun| begun.given == given),
            None if tool.is_some() => None,
            None => of_choice().max_by_key(|begun| begun.index),
        };
        // Servers that give every call the same number begin each with its tool and a new id.
        let begins = tool.is_some_and(|tool| !tool.is_empty()) && id.is_some();
        let known = known.filter(|known| !begins || known.id.is_none() || known.id == id);
        if let Some(known) = known {
            return (known.index, None);
        }
        let next = of_choice().map(|begun| begun.index).max().map_or(0, |last| last.saturating_add(1));
        let index = call.index.filter(|given| of_choice().all(|begun| begun.index != *given)).unwrap_or(next);
        if self.begun.len() == MAX_CALLS {
            // What comes beyond is taken as it is.
            return (call.index.unwrap_or(index), None);
        }
        self.begun.push(Begun { choice, given: call.index.unwrap_or(index), index, id });
        (index, id.is_none().then(|| name(&self.answer, self.begun.len() - 1)))
    }
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Api, Body, Dialect, Need, Stamp, StreamDecoder, Target, decode_at, encode, read};

    const STAMP: Stamp<'static> = Stamp { created: 7, id: "r-1" };

    /// A whole answer that calls two tools, with these ids.
    fn whole(api: Api, ids: [Value; 2]) -> String {
        let call = |id| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}});
        let message = json!({"role": "assistant", "content": null, "tool_calls": ids.map(call)});
        let body = json!({"id": "1", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]});
        let answer = decode_at(api, Dialect::OpenAi, "m", STAMP, body.to_string().into()).unwrap();
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    fn stream(api: Api, pieces: &[Value]) -> String {
        let chunk = |delta: &Value, reason: Value| json!({"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
        let mut events: Vec<_> = pieces.iter().map(|call| chunk(&json!({"tool_calls": [call]}), Value::Null)).collect();
        events.push(chunk(&json!({}), "tool_calls".into()));
        let text: String =
            events.iter().map(|event| format!("data: {event}\n\n")).chain(["data: [DONE]\n\n".into()]).collect();
        let mut decoder = StreamDecoder::new(api, Dialect::OpenAi, "m", false).stamped(STAMP);
        let mut out = Vec::new();
        decoder.push(text.into(), &mut out).unwrap();
        out.iter().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned()).collect()
    }

    #[test]
    fn a_call_without_a_name_gets_one_in_every_api() {
        let piece = |id: Value, index: Value, name: Option<&str>| {
            let mut function = json!({"arguments": "{}"});
            if let Some(name) = name {
                function["name"] = name.into();
            }
            json!({"index": index, "id": id, "function": function})
        };
        for api in [Api::ChatCompletions, Api::Messages, Api::Responses] {
            for missing in [Value::Null, json!("")] {
                let text = whole(api, [missing.clone(), missing.clone()]);
                assert!(text.contains("\"call_r-1_0\"") && text.contains("\"call_r-1_1\""), "{text}");
                let pieces = [
                    piece(missing.clone(), json!(0), Some("f")),
                    piece(missing.clone(), json!(0), None),
                    piece(missing.clone(), json!(1), Some("g")),
                ];
                let numbered = stream(api, &pieces);
                let pieces = [
                    piece(missing.clone(), json!(null), Some("f")),
                    piece(missing.clone(), json!(null), None),
                    piece(missing.clone(), json!(null), Some("g")),
                ];
                assert_eq!(numbered, stream(api, &pieces).replace(r#""index":null"#, ""), "{api:?}");
                assert!(numbered.contains("\"call_r-1_0\"") && numbered.contains("\"call_r-1_1\""), "{numbered}");
                assert!(!numbered.contains("call_r-1_2"), "a piece of a call is no call: {numbered}");
            }
        }
    }

    #[test]
    fn calls_that_share_a_number_stay_apart_in_every_api() {
        let piece = |index: u64, id: Option<&str>, name: Option<&str>, arguments: &str| json!({"index": index, "id": id, "function": {"name": name, "arguments": arguments}});
        let (first, second) = (piece(0, Some("a"), Some("f"), "{\"x\":"), piece(0, None, None, "1}"));
        let again = piece(0, Some("a"), Some("f"), "1}");
        for api in [Api::ChatCompletions, Api::Messages, Api::Responses] {
            let rows = [
                [
                    first.clone(),
                    second.clone(),
                    piece(0, Some("b"), Some("g"), "{}"),
                    piece(1, Some("c"), Some("h"), "{}"),
                ],
                [
                    first.clone(),
                    again.clone(),
                    piece(0, Some("b"), Some("g"), "{}"),
                    piece(0, Some("c"), Some("h"), "{}"),
                ],
            ];
            let numbered = [
                first.clone(),
                second.clone(),
                piece(1, Some("b"), Some("g"), "{}"),
                piece(2, Some("c"), Some("h"), "{}"),
            ];
            let want = stream(api, &numbered);
            for row in rows {
                let got = stream(api, &row);
                assert!(api == Api::ChatCompletions || got == want, "{got}\n{want}");
                assert!(api != Api::ChatCompletions || got.contains("\"index\":2"), "{got}");
            }
        }
    }

    #[test]
    fn a_name_that_is_there_stays_and_so_do_the_bytes() {
        let raw = r#"{"choices": [ {"message": {"tool_calls": [{"id": "c1"}]}, "finish_reason": "tool_calls"} ]}"#;
        assert_eq!(named(raw.into(), "r"), raw);
        let raw = "data: {\"choices\": [ {\"delta\": {\"tool_calls\": [{\"index\": 0, \"id\": \"c1\", \"function\": {\"name\": \
                   \"f\"}}]}} ]}\n\n";
        let mut out = Vec::new();
        StreamDecoder::new(Api::ChatCompletions, Dialect::OpenAi, "", false).push(raw.into(), &mut out).unwrap();
        assert_eq!(out[0].bytes, raw);
        for odd in [
            r#"{"choices": {"tool_calls": 1}}"#,
            r#"{"choices": [{"message": {"tool_calls": [1, null]}}]}"#,
            r#""tool_calls""#,
            r#"[{"tool_calls": []}]"#,
        ] {
            assert_eq!(named(odd.into(), "r"), odd);
        }
    }

    #[test]
    fn a_result_that_names_such_a_call_goes_back_with_it() {
        let message: Value = serde_json::from_str(&whole(Api::Messages, [Value::Null, json!("")])).unwrap();
        let calls = message["content"].as_array().unwrap();
        let results =
            calls.iter().map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "x"}));
        let request = json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": calls},
            {"role": "user", "content": results.collect::<Vec<_>>()}]});
        let body = Body::parse(request.to_string().into()).unwrap();
        let need: Need = read(Api::Messages, &body).unwrap();
        let out = encode(Api::Messages, &body, &need, &Target::new(Dialect::OpenAi, "m")).unwrap();
        let sent: Value = serde_json::from_slice(&out.body).unwrap();
        let messages = sent["messages"].as_array().unwrap();
        for (number, result) in messages[2..].iter().enumerate() {
            assert_eq!(result["tool_call_id"], messages[1]["tool_calls"][number]["id"], "{sent}");
            assert_eq!(result["tool_call_id"], name("r-1", number));
        }
    }
}
