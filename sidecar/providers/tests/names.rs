//! Answers that come without a name, with a mark in front, or with words in an unusual place.

use serde_json::{Value, json};
use spillway_providers::{Api, Dialect, Stamp, StreamDecoder, decode_at};

const STAMP: Stamp<'static> = Stamp { created: 7, id: "r-1" };

fn stream(api: Api, chunks: &[Value]) -> String {
    let text: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    let mut decoder = StreamDecoder::new(api, Dialect::OpenAi, "chat", false).stamped(STAMP);
    let mut out = Vec::new();
    decoder.push((text + "data: [DONE]\n\n").into(), &mut out).expect("a stream");
    out.iter().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned()).collect()
}

fn whole(api: Api, answer: &str) -> Value {
    let answer = decode_at(api, Dialect::OpenAi, "chat", STAMP, answer.to_owned().into()).expect("an answer");
    serde_json::from_slice(&answer.body).expect("JSON")
}

fn chunk(id: &str, delta: &Value, reason: Option<&str>) -> Value {
    json!({"id": id, "object": "chat.completion.chunk", "created": 5, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
}

#[test]
fn an_answer_that_begins_without_a_name_has_one() {
    let filters =
        json!({"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [{}]});
    let answer =
        |id: &str| [filters.clone(), chunk(id, &json!({"content": "hi"}), None), chunk(id, &json!({}), Some("stop"))];
    let (named, nameless) = (stream(Api::Messages, &answer("c1")), stream(Api::Messages, &answer("")));
    assert!(named.contains("\"msg_c1\"") && nameless.contains("\"msg_r-1\""), "{named}{nameless}");
    let (named, nameless) = (stream(Api::Responses, &answer("c1")), stream(Api::Responses, &answer("")));
    assert!(named.contains("\"resp_c1\"") && named.contains("\"msg_c1_0\""), "{named}");
    assert!(nameless.contains("\"resp_r-1\"") && nameless.contains("\"msg_r-1_0\""), "{nameless}");
    let chat = stream(Api::ChatCompletions, &answer("c1"));
    assert!(chat.contains("\"id\":\"chatcmpl-r-1\"") && chat.contains("\"created\":7"), "{chat}");
    assert!(chat.contains("prompt_filter_results") && chat.contains("\"id\":\"c1\""), "{chat}");

    let answer = json!({"id": "", "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}).to_string();
    assert_eq!(whole(Api::Messages, &answer)["id"], "msg_r-1");
    assert_eq!(whole(Api::Responses, &answer)["id"], "resp_r-1");
}

#[test]
fn what_is_spoken_is_text_and_a_refusal_is_one() {
    let answer =
        |message: Value| json!({"id": "1", "choices": [{"message": message, "finish_reason": "stop"}]}).to_string();
    let spoken = answer(json!({"content": null, "audio": {"id": "a", "data": "AA==", "transcript": "hello"}}));
    assert_eq!(whole(Api::Messages, &spoken)["content"][0]["text"], "hello");
    assert_eq!(whole(Api::Responses, &spoken)["output"][0]["content"][0]["text"], "hello");
    let refused = whole(Api::Messages, &answer(json!({"content": null, "refusal": "no"})));
    assert_eq!((&refused["stop_reason"], &refused["content"][0]["text"]), (&json!("refusal"), &json!("no")));

    let piece =
        |key: &str, value: Value| [chunk("1", &json!({ key: value }), None), chunk("1", &json!({}), Some("stop"))];
    for api in [Api::Messages, Api::Responses] {
        let spoken = stream(api, &piece("audio", json!({"transcript": "hello"})));
        assert!(spoken.contains("\"hello\""), "{spoken}");
    }
    let refused = stream(Api::Messages, &piece("refusal", json!("no")));
    assert!(refused.contains("\"stop_reason\":\"refusal\""), "{refused}");
}

#[test]
fn a_mark_in_front_of_an_answer_is_no_part_of_it() {
    let answer = "\u{feff}{\"id\":\"1\",\"choices\":[{\"message\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}";
    for api in [Api::ChatCompletions, Api::Messages, Api::Responses] {
        assert!(whole(api, answer).to_string().contains("\"hi\""), "{api:?}");
    }
    let error = "\u{feff}{\"error\":{\"message\":\"slow\",\"code\":\"rate_limit_exceeded\"}}";
    let fault = spillway_providers::fault::classify(Dialect::OpenAi, 429, "", error.as_bytes());
    assert_eq!((fault.message.as_str(), fault.code.as_deref()), ("slow", Some("rate_limit_exceeded")));
}
