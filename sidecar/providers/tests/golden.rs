//! Translations as pairs of files: what comes in, and what goes out to each dialect or each API.
//!
//! `golden/<api>/<case>.json` becomes `<case>.<dialect>.json`, `golden/answers/<dialect>/<case>.json` becomes
//! `<case>.<api>.json`, and `golden/streams/<dialect>/<case>.sse` (`.ndjson` of Ollama; Bedrock's are made binary first)
//! becomes `<case>.<api>.sse`. `UPDATE=1` rewrites what goes out; the diff is then for the reviewer.

mod cases;
mod frames;

use std::fs;
use std::path::Path;

use bytes::Bytes;
use cases::{DIALECTS, cases, text};
use serde_json::{Value, json};
use spillway_providers::{
    Api, Body, Dialect, Fault, Host, StreamDecoder, Target, Unsupported, decode, encode, read, row,
};

const APIS: [(Api, &str); 5] = [
    (Api::ChatCompletions, "chat"),
    (Api::Completions, "completions"),
    (Api::Embeddings, "embeddings"),
    (Api::Messages, "messages"),
    (Api::Responses, "responses"),
];

/// Others' doors, at which requests differ and answers do not.
const DOORS: [(Dialect, Host, &str, &str); 2] = [
    (Dialect::Anthropic, Host::Vertex, "vertex_claude", "claude-sonnet-4-5@20250929"),
    (Dialect::Gemini, Host::Vertex, "vertex_gemini", "gemini-2.5-flash"),
];

/// APIs whose answers every dialect can give.
const CHATS: [(Api, &str); 4] = [
    (Api::ChatCompletions, "chat"),
    (Api::Messages, "messages"),
    (Api::Completions, "completions"),
    (Api::Responses, "responses"),
];

#[test]
fn requests_go_out_as_recorded() {
    for (api, folder) in APIS {
        for case in cases(folder, "json") {
            let input: Value = serde_json::from_str(&text(&case)).expect("a case is JSON");
            let own = DIALECTS.map(|(dialect, name, model)| (dialect, Target::new(dialect, model).host, name, model));
            for (dialect, host, name, model) in own.into_iter().chain(DOORS) {
                let model = input["models"][name].as_str().unwrap_or(model);
                let out = request(api, &input, (dialect, host), model);
                check(&case.with_extension(format!("{name}.json")), &pretty(&out));
            }
        }
    }
}

fn request(api: Api, input: &Value, (dialect, host): (Dialect, Host), model: &str) -> Value {
    let unsupported = match input["unsupported"].as_str() {
        Some("Reject") => Unsupported::Reject,
        Some("Pass") => Unsupported::Pass,
        _ => Unsupported::Drop,
    };
    let body = Body::parse(Bytes::from(input["request"].to_string())).expect("a case is a request");
    let need = read(api, &body).expect("a case is a request");
    let kind = if dialect == Dialect::Cohere { "Cohere" } else { "OpenAICompatible" };
    let (row, max_output_tokens) = (row(kind), Some(64_000));
    let target = Target { host, row, max_output_tokens, unsupported, ..Target::new(dialect, model) };
    match encode(api, &body, &need, &target) {
        Ok(out) => {
            let body: Value = serde_json::from_slice(&out.body).expect("what goes out is JSON");
            json!({"path": out.path, "headers": out.headers, "dropped": out.dropped, "body": body})
        }
        Err(refusal) => json!({"refused": refusal.message, "param": refusal.param}),
    }
}

#[test]
fn answers_come_back_as_recorded() {
    for (dialect, folder, _) in DIALECTS {
        for case in cases(&format!("answers/{folder}"), "json") {
            for (api, name) in CHATS {
                let out = match decode(api, dialect, "chat", text(&case).into()) {
                    Ok(answer) => {
                        let body: Value = serde_json::from_slice(&answer.body).expect("an answer is JSON");
                        json!({"usage": format!("{:?}", answer.usage), "body": body})
                    }
                    Err(fault) => said(&fault),
                };
                check(&case.with_extension(format!("{name}.json")), &pretty(&out));
            }
        }
    }
}

#[test]
fn streams_come_back_as_recorded_however_they_are_cut() {
    for (dialect, folder, _) in DIALECTS {
        let extension = if dialect == Dialect::Ollama { "ndjson" } else { "sse" };
        for case in cases(&format!("streams/{folder}"), extension) {
            for (api, name) in CHATS {
                let whole = stream(api, dialect, &case, usize::MAX);
                check(&case.with_extension(format!("{name}.sse")), &whole);
                for size in [1, 2, 3, 7, 64] {
                    assert_eq!(stream(api, dialect, &case, size), whole, "{} in chunks of {size}", case.display());
                }
            }
        }
    }
}

/// What the application got, a mark before each frame with content, and how it ended.
fn stream(api: Api, dialect: Dialect, case: &Path, size: usize) -> String {
    let mut decoder = StreamDecoder::new(api, dialect, "chat", true);
    let mut frames = Vec::new();
    let text = text(case);
    let bytes = if matches!(dialect, Dialect::Bedrock | Dialect::BedrockInvoke) {
        frames::of(&text)
    } else {
        text.into_bytes()
    };
    let mut pieces = bytes.chunks(size.min(bytes.len()));
    let pushed = pieces.try_for_each(|piece| decoder.push(Bytes::copy_from_slice(piece), &mut frames));
    let ended = pushed.and_then(|()| decoder.end(&mut frames));
    let mut out = String::new();
    for frame in frames {
        out.push_str(if frame.content { "# content\n" } else { "" });
        out.push_str(std::str::from_utf8(&frame.bytes).expect("frames are text"));
    }
    let end = match ended {
        Ok(()) => json!({"done": decoder.done(), "usage": format!("{:?}", decoder.usage())}),
        Err(fault) => said(&fault),
    };
    format!("{out}# {} bytes of output, {end}\n", decoder.seen_output_bytes())
}

fn said(fault: &Fault) -> Value {
    json!({"fault": format!("{:?}", fault.class), "code": fault.code, "message": fault.message})
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn check(path: &Path, got: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, got).expect("golden files can be written");
        return;
    }
    assert_eq!(got, text(path), "{} (UPDATE=1 rewrites it)", path.display());
}
