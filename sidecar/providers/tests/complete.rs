//! What is given to an application as an answer is complete: half of one is a fault, whatever its status said.

use bytes::Bytes;
use serde_json::{Value, json};
use spillway_providers::{Api, Class, Dialect, Fault, Said, Stamp, StreamDecoder, decode, decode_at};

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
    let rows = [
        (&TRANSLATED[..], Dialect::OpenAi, openai(Value::Null), openai("stop".into())),
        (&CHATS, Dialect::Anthropic, claude(Value::Null), claude("end_turn".into())),
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

/// What an application reads of an answer: its text, and why it ended.
fn said(api: Api, dialect: Dialect, whole: &Value, streamed: &str) -> [(String, String); 2] {
    let answer = decode(api, dialect, "chat", whole.to_string().into()).expect("it is an answer");
    let (text, ended) = stream(api, dialect, streamed);
    assert_eq!(ended, None, "{api:?} {text}");
    let frames = text.split_inclusive("\n\n").map(str::as_bytes);
    [Said::read(api, &answer.body), Said::read_stream(api, frames)].map(|said| (said.text, said.finish_reason))
}

#[test]
fn what_gemini_does_not_show_reads_the_same_plain_and_streamed() {
    let usage = json!({"promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 4});
    let stopped = |reason: &str| json!({"candidates": [{"finishReason": reason, "index": 0}], "usageMetadata": usage});
    let with = |reason: &str, parts: Value| json!({"candidates": [{"content": {"parts": parts}, "finishReason": reason, "index": 0}], "usageMetadata": usage});
    let refused = |reason: &str| json!({"promptFeedback": {"blockReason": reason}, "usageMetadata": usage});
    let reasons = ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"];
    let mut rows: Vec<(Value, &str)> = Vec::new();
    for reason in reasons {
        rows.push((stopped(reason), ""));
        rows.push((with(reason, json!([{"text": "half of"}])), ""));
        rows.push((with(reason, json!([{"functionCall": {"name": "f", "args": {}}}])), ""));
        rows.push((refused(reason), ""));
    }
    rows.push((with("LANGUAGE", json!([{"text": "kept"}])), "kept"));
    rows.push((with("OTHER", json!([{"text": "kept"}])), "kept"));
    for (answer, want) in &rows {
        for (api, word) in CHATS.into_iter().zip(["content_filter", "refusal", "content_filter"]) {
            let [plain, streamed] = said(api, Dialect::Gemini, answer, &events(std::slice::from_ref(answer)));
            assert_eq!(plain, ((*want).to_owned(), word.to_owned()), "{api:?} {answer}");
            assert_eq!(streamed, plain, "{api:?} {answer}");
        }
    }
}

#[test]
fn a_paused_turn_can_be_told_from_one_that_is_over() {
    let message = |reason: &str| json!({"id": "msg_1", "type": "message", "content": [{"type": "text", "text": "hm"}], "stop_reason": reason});
    let pieces = |reason: &str| {
        events(&[
            json!({"type": "message_start", "message": {"id": "msg_1"}}),
            json!({"type": "message_delta", "delta": {"stop_reason": reason}}),
            json!({"type": "message_stop"}),
        ])
    };
    for (reason, want) in [("pause_turn", true), ("end_turn", false)] {
        let answer = decode(Api::ChatCompletions, Dialect::Anthropic, "", message(reason).to_string().into()).unwrap();
        let (streamed, _) = stream(Api::ChatCompletions, Dialect::Anthropic, &pieces(reason));
        for text in [String::from_utf8_lossy(&answer.body).into_owned(), streamed] {
            assert!(text.contains("\"finish_reason\":\"stop\""), "{text}");
            assert_eq!(text.contains("\"native_finish_reason\":\"pause_turn\""), want, "{text}");
        }
    }
}

#[test]
fn the_other_kind_of_answer_is_named_and_not_repeated() {
    let whole = json!({"choices": [{"index": 0, "message": {"content": "secret"}, "finish_reason": "stop"}]});
    let streamed = events(&[json!({"choices": [{"index": 0, "delta": {"content": "secret"}}]})]);
    for api in CHATS {
        let fault = decode(api, Dialect::OpenAi, "chat", streamed.clone().into()).unwrap_err();
        assert!(fault.message.contains("event stream") && !fault.message.contains("secret"), "{fault}");
        let fault = stream(api, Dialect::OpenAi, &whole.to_string()).1.unwrap();
        assert!(fault.message.contains("JSON document") && !fault.message.contains("secret"), "{fault}");
    }
    let refused = json!({"error": {"message": "slow down", "code": 429}});
    let fault = stream(Api::ChatCompletions, Dialect::OpenAi, &refused.to_string()).1.unwrap();
    assert_eq!((fault.class, fault.message.as_str()), (Class::RateLimited, "slow down"));
}

#[test]
fn an_event_may_hold_an_image_and_not_millions_of_values() {
    let chunk = |content: Value| {
        events(&[json!({"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": "stop"}]})])
    };
    let image = chunk("A".repeat(4 << 20).into());
    let (text, fault) = stream(Api::ChatCompletions, Dialect::OpenAi, &format!("{image}data: [DONE]\n\n"));
    assert_eq!((text.len() > 4 << 20, fault), (true, None));
    let many = chunk(vec![json!({}); 400_000].into());
    assert_eq!(stream(Api::ChatCompletions, Dialect::OpenAi, &many).1, None, "nobody works on it");
    let (_, fault) = stream(Api::Messages, Dialect::OpenAi, &many);
    assert!(
        fault.as_ref().is_some_and(|fault| fault.message.contains("more than 67108864 bytes to work on")),
        "{fault:?}"
    );
    let endless = format!("data: {}", "A".repeat(17 << 20));
    let (_, fault) = stream(Api::ChatCompletions, Dialect::OpenAi, &endless);
    assert!(fault.as_ref().is_some_and(|fault| fault.message.contains("exceeds 16777216 bytes")), "{fault:?}");
}

#[test]
fn an_answer_without_a_name_gets_one_that_no_other_has() {
    let bedrock = json!({"output": {"message": {"content": [{"text": "hi"}]}}, "stopReason": "end_turn"});
    let gemini =
        json!({"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}, "finishReason": "STOP"}]});
    let ollama = json!({"message": {"content": "hi"}, "done": true});
    let cohere = json!({"message": {"content": []}, "finish_reason": "COMPLETE"});
    let rows =
        [(Dialect::Bedrock, bedrock), (Dialect::Gemini, gemini), (Dialect::Ollama, ollama), (Dialect::Cohere, cohere)];
    for (dialect, answer) in rows {
        let names = ["one", "two"].map(|id| {
            let stamp = Stamp { created: 5, id };
            let answer = decode_at(Api::ChatCompletions, dialect, "", stamp, answer.to_string().into()).unwrap();
            let answer: Value = serde_json::from_slice(&answer.body).unwrap();
            let call = answer.pointer("/choices/0/message/tool_calls/0/id").cloned();
            assert!(call.is_none_or(|call| call.as_str().is_some_and(|call| call.contains(id))), "{answer}");
            answer["id"].as_str().unwrap().to_owned()
        });
        assert_eq!(names, ["chatcmpl-one", "chatcmpl-two"], "{dialect:?}");
    }
}
