use serde_json::json;

use super::*;
use crate::{Class, Usage, row};

fn found(method: &str, path: &str) -> String {
    match Pass::find(method, path) {
        Found::Pass(pass) => pass.operation.to_owned(),
        Found::Methods(methods) => methods,
        Found::Nothing => "nothing".to_owned(),
    }
}

#[test]
fn a_path_and_a_method_lead_to_one_row() {
    let rows = [
        ("POST", "/v1/moderations", "moderations"),
        ("GET", "/v1/moderations", "POST"),
        ("POST", "/v2/rerank", "rerank"),
        ("PUT", "/v1/files", "POST, GET"),
        ("GET", "/v1/files", "file_list"),
        ("GET", "/v1/files/f-1", "file"),
        ("DELETE", "/v1/files/f-1", "file_delete"),
        ("GET", "/v1/files/f-1/content", "file_content"),
        ("GET", "/v1/files/", "nothing"),
        ("GET", "/v1/files/a/b", "nothing"),
        ("GET", "/v1/files//content", "nothing"),
        ("POST", "/v1/batches/b/cancel", "batch_cancel"),
        ("GET", "/v1/batches/b/cancel", "POST"),
        ("POST", "/v1/fine_tuning/jobs", "nothing"),
    ];
    for (method, path, want) in rows {
        assert_eq!(found(method, path), want, "{method} {path}");
    }
}

#[test]
fn it_is_asked_where_the_provider_has_it() {
    let azure =
        Target { row: row("AzureOpenAI"), api_version: Some("2024-10-21"), ..Target::new(Dialect::OpenAi, "a b") };
    let plain = Target::new(Dialect::OpenAi, "m");
    let rows = [
        ("POST", "/v1/images/edits", None, plain, "/images/edits"),
        ("POST", "/v2/rerank", None, plain, "/rerank"),
        ("GET", "/v1/files", Some("limit=2&after=f"), plain, "/files?limit=2&after=f"),
        ("GET", "/v1/files/f-1/content", Some(""), plain, "/files/f-1/content"),
        ("GET", "/v1/files/..", None, plain, "/files/%2E%2E"),
        ("POST", "/v1/audio/speech", None, azure, "/openai/deployments/a%20b/audio/speech?api-version=2024-10-21"),
        ("GET", "/v1/batches/b", Some("x=1"), azure, "/openai/batches/b?api-version=2024-10-21&x=1"),
    ];
    for (method, path, query, target, want) in rows {
        let Found::Pass(pass) = Pass::find(method, path) else { panic!("{path}") };
        assert_eq!(pass.place(pass.id(path), query, &target), want, "{path}");
    }
}

#[test]
fn an_answer_passes_but_for_the_models_name_and_an_error_inside_it_is_found() {
    let rows = [
        (
            r#"{"model":"omni-1","results":[{"flagged":false}]}"#,
            Ok((r#"{"model":"shown","results":[{"flagged":false}]}"#, None)),
        ),
        (
            r#"{"results":[], "usage":{"total_tokens":7}}"#,
            Ok((r#"{"results":[], "usage":{"total_tokens":7}}"#, Some((7, 0)))),
        ),
        (
            r#"{"text":"hi","usage":{"type":"tokens","input_tokens":14,"output_tokens":45,"total_tokens":59}}"#,
            Ok((
                r#"{"text":"hi","usage":{"type":"tokens","input_tokens":14,"output_tokens":45,"total_tokens":59}}"#,
                Some((14, 45)),
            )),
        ),
        (
            r#"{"text":"hi","usage":{"type":"duration","seconds":3}}"#,
            Ok((r#"{"text":"hi","usage":{"type":"duration","seconds":3}}"#, None)),
        ),
        (r#"[{"index":0}]"#, Ok((r#"[{"index":0}]"#, None))),
        (r#"{"error":null,"data":[]}"#, Ok((r#"{"error":null,"data":[]}"#, None))),
        (r#"{"error":{"code":429,"message":"slow down"}}"#, Err(Class::RateLimited)),
        (r#"{"text":"h"#, Err(Class::InternalServerError)),
        ("[1,", Err(Class::InternalServerError)),
        ("<html>", Err(Class::InternalServerError)),
    ];
    let Found::Pass(pass) = Pass::find("POST", "/v1/moderations") else { panic!("there are moderations") };
    for (text, want) in rows {
        let answer = decode(pass, Dialect::OpenAi, "shown", Bytes::from_static(text.as_bytes()));
        let got = answer.map(|answer| (answer.body, answer.usage.map(|usage| (usage.input, usage.output))));
        let want = want.map(|(text, usage)| (Bytes::from(text), usage));
        assert_eq!(got.map_err(|fault| fault.class), want, "{text}");
    }
}

#[test]
fn the_usage_of_a_stream_is_read_as_it_goes_by() {
    let done =
        json!({"type": "transcript.text.done", "usage": {"type": "tokens", "input_tokens": 3, "output_tokens": 2}});
    let text = format!("data: {{\"type\":\"transcript.text.delta\"}}\n\nevent: x\ndata: {done}\n\ndata: [DONE]\n\n");
    for cut in 0..text.len() {
        let mut meter = Meter::new(Bill::Sound, "text/event-stream; charset=utf-8");
        meter.push(&Bytes::copy_from_slice(&text.as_bytes()[..cut]));
        meter.push(&Bytes::copy_from_slice(&text.as_bytes()[cut..]));
        assert_eq!(meter.usage(), Some(Usage { input: 3, audio_input: 3, output: 2, ..Usage::default() }), "{cut}");
    }
    let mut meter = Meter::new(Bill::Sound, "audio/mpeg");
    meter.push(&Bytes::from(text));
    assert_eq!(meter.usage(), None);
}
