//! What is given to an application as an answer is complete: half of one is a fault, whatever its status said.

use bytes::Bytes;
use serde_json::{Value, json};
use spillway_providers::{Api, Class, Dialect, Fault, StreamDecoder, decode};

const CHATS: [Api; 3] = [Api::ChatCompletions, Api::Messages, Api::Responses];
const TRANSLATED: [Api; 2] = [Api::Messages, Api::Responses];

fn fault(api: Api, dialect: Dialect, answer: &Value) -> Option<Fault> {
    decode(api, dialect, "chat", answer.to_string().into()).err()
}

fn stream(api: Api, dialect: Dialect, text: &str) -> (String, Option<Fault>) {
    let mut decoder = StreamDecoder::new(api, dialect, "chat", true);
    let mut frames = Vec::new();
    let pushed = decoder.push(Bytes::copy_from_slice(text.as_bytes()), &mut frames);
    let ended = pushed.and_then(|()| decoder.end(&mut frames));
    let text = frames.iter().map(|frame| String::from_utf8_lossy(&frame.bytes)).collect();
    (text, ended.err())
}

fn events(events: &[Value]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

#[test]
fn an_answer_that_does_not_say_why_it_ends_is_a_fault() {
    let claude =
        |reason: Value| json!({"type": "message", "content": [{"type": "text", "text": "hi"}], "stop_reason": reason});
    let gemini =
        |reason: Value| json!({"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": reason}]});
    let ollama = |done: Value| json!({"message": {"role": "assistant", "content": "hi"}, "done": done});
    let cohere =
        |reason: Value| json!({"message": {"content": [{"type": "text", "text": "hi"}]}, "finish_reason": reason});
    let bedrock = |reason: Value| json!({"output": {"message": {"content": [{"text": "hi"}]}}, "stopReason": reason});
    let openai = |reason: Value| json!({"choices": [{"message": {"content": "hi"}, "finish_reason": reason}]});
    let rows = [
        (&CHATS[..], Dialect::Anthropic, claude(Value::Null), claude("end_turn".into())),
        (&CHATS, Dialect::BedrockInvoke, claude(Value::Null), claude("pause_turn".into())),
        (&CHATS, Dialect::Gemini, gemini(Value::Null), gemini("STOP".into())),
        (&CHATS, Dialect::Ollama, ollama(false.into()), ollama(true.into())),
        (&CHATS, Dialect::Cohere, cohere(Value::Null), cohere("COMPLETE".into())),
        (&CHATS, Dialect::Bedrock, bedrock(Value::Null), bedrock("end_turn".into())),
        (&TRANSLATED, Dialect::OpenAi, openai(Value::Null), openai("stop".into())),
    ];
    for (apis, dialect, half, whole) in rows {
        for api in apis {
            let fault_of = |answer| fault(*api, dialect, answer).map(|fault| (fault.class, fault.message));
            let want = (Class::InternalServerError, "answer is not complete: no finish reason".to_owned());
            assert_eq!(fault_of(&half), Some(want), "{api:?} {dialect:?}");
            assert_eq!(fault_of(&whole), None, "{api:?} {dialect:?}");
        }
    }
}

#[test]
fn a_model_that_failed_has_not_answered() {
    let cohere = |reason: &str| json!({"message": {"content": [{"type": "text", "text": "hal"}]}, "finish_reason": reason, "error": "kaput"});
    let cohere_end = |reason: &str| {
        let delta = json!({"finish_reason": reason, "error": "kaput"});
        events(&[json!({"type": "message-start", "id": "1"}), json!({"type": "message-end", "delta": delta})])
    };
    let gemini = |reason: &str, parts: Value| json!({"candidates": [{"content": {"parts": parts}, "finishReason": reason, "finishMessage": "bad call"}]});
    let thought = || json!([{"text": "hm", "thought": true}]);
    let (failed, late) = (Class::InternalServerError, Class::Timeout);
    let rows = [
        (Dialect::Cohere, cohere("ERROR"), cohere_end("ERROR"), Some((failed, "kaput"))),
        (Dialect::Cohere, cohere("TIMEOUT"), cohere_end("TIMEOUT"), Some((late, "kaput"))),
        (Dialect::Cohere, cohere("ERROR_TOXIC"), cohere_end("ERROR_TOXIC"), None),
        (Dialect::Gemini, gemini("MALFORMED_FUNCTION_CALL", json!([])), String::new(), Some((failed, "bad call"))),
        (Dialect::Gemini, gemini("MALFORMED_RESPONSE", thought()), String::new(), Some((failed, "bad call"))),
        (Dialect::Gemini, gemini("MALFORMED_RESPONSE", json!([{"text": "hi"}])), String::new(), None),
    ];
    for (dialect, whole, streamed, want) in rows {
        let streamed = if streamed.is_empty() { events(std::slice::from_ref(&whole)) } else { streamed };
        for api in CHATS {
            for got in [fault(api, dialect, &whole), stream(api, dialect, &streamed).1] {
                assert_eq!(got.as_ref().map(|fault| fault.class), want.map(|(class, _)| class), "{api:?} {whole}");
                let words = want.map_or("", |(_, words)| words);
                assert!(got.is_none_or(|fault| fault.message.contains(words)), "{api:?} {whole}");
            }
        }
    }
}

#[test]
fn a_stream_that_ends_without_a_reason_is_cut() {
    let chat = |choices: Value| events(&[json!({"id": "1", "object": "chat.completion.chunk", "choices": choices})]);
    let openai = |reason: Value| {
        let delta = json!({"content": "hi"});
        chat(json!([{"index": 0, "delta": delta, "finish_reason": reason}])) + "data: [DONE]\n\n"
    };
    let claude = |reason: Value| {
        events(&[
            json!({"type": "message_start", "message": {"id": "1"}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "hi"}}),
            json!({"type": "message_delta", "delta": {"stop_reason": reason}}),
            json!({"type": "message_stop"}),
        ])
    };
    let cohere = |reason: Value| events(&[json!({"type": "message-end", "delta": {"finish_reason": reason}})]);
    let others = [Api::ChatCompletions, Api::Responses];
    let rows = [
        (&TRANSLATED[..], Dialect::OpenAi, openai(Value::Null), openai("stop".into())),
        (&others, Dialect::Anthropic, claude(Value::Null), claude("end_turn".into())),
        (&CHATS, Dialect::Cohere, cohere(Value::Null), cohere("COMPLETE".into())),
    ];
    for (apis, dialect, half, whole) in rows {
        for api in apis {
            let (text, cut) = stream(*api, dialect, &half);
            assert_eq!(cut.map(|fault| fault.class), Some(Class::Connection), "{api:?} {dialect:?}: {text}");
            for end in ["[DONE]", "message_stop", "response.completed"] {
                assert!(!text.contains(end), "{api:?} {dialect:?}: {text}");
            }
            assert_eq!(stream(*api, dialect, &whole).1, None, "{api:?} {dialect:?}");
        }
    }
}

#[test]
fn an_empty_stream_is_no_answer_and_choices_are_a_list() {
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 1});
    let done = "data: [DONE]\n\n";
    let null = events(&[json!({"choices": null})]);
    let counts = events(&[json!({"choices": null, "usage": usage})]);
    let whole = events(&[json!({"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]})]);
    let counted = events(&[json!({"choices": [], "usage": usage})]);
    let rows = [
        (done.to_owned(), Err(Class::InternalServerError)),
        (format!("{null}{counts}{done}"), Err(Class::InternalServerError)),
        (format!("{null}{whole}{null}{done}"), Ok(format!("{whole}{done}"))),
        (format!("{whole}{counts}{done}"), Ok(format!("{whole}{counted}{done}"))),
    ];
    for (given, want) in rows {
        let (text, fault) = stream(Api::ChatCompletions, Dialect::OpenAi, &given);
        assert_eq!(fault.map_or(Ok(text), |fault| Err(fault.class)), want, "{given}");
    }
}
