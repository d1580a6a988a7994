//! A fault and a request as the bytes, pauses and endings that make it up.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

use super::{
    ANSWER, Dialect, Fault, Seen, anthropic, bedrock, json as document, openai, passed, responses, send, words,
};

/// What is done to one request.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
    /// The connection ends with a reset.
    pub(super) reset: bool,
    /// The connection ends in order.
    pub(super) close: bool,
}

#[derive(Debug)]
pub(super) enum Step {
    Send(Bytes),
    Wait(Duration),
    /// Until the caller leaves.
    Hang,
    /// Again and again until the caller leaves.
    Flood(Bytes),
}

/// What to do with a request under a fault.
pub(super) fn of(seen: &Seen, fault: &Fault) -> Script {
    let dialect = match seen.path.as_str() {
        path if path.starts_with("/model/") => return bedrock::script(seen, fault),
        "/v1/messages" => Dialect::Anthropic,
        "/v1/responses" => Dialect::Responses,
        "/v1/chat/completions" | "/v1/completions" | "/v1/embeddings" => Dialect::OpenAi,
        "/v1/models" => return json(200, &[], &openai::models()),
        path => {
            let unknown = || error(Dialect::OpenAi, 404, &[], "not_found", &format!("no path {path}"));
            return passed::script(seen).unwrap_or_else(unknown);
        }
    };
    let stream = seen.body["stream"] == true;
    before_any_answer(dialect, fault)
        .or_else(|| refused_prefill(dialect, seen, fault))
        .or_else(|| refused_length(dialect, seen, fault))
        .or_else(|| quoted(dialect, seen, fault))
        .unwrap_or_else(|| if stream { streamed(dialect, seen, fault) } else { plain(dialect, seen, fault) })
}

/// Faults that look the same whether a stream was asked for or not.
fn before_any_answer(dialect: Dialect, fault: &Fault) -> Option<Script> {
    Some(match fault {
        Fault::Status { code, retry_after } => {
            let wait = retry_after.map(|seconds| ("retry-after", seconds.to_string()));
            error(dialect, *code, wait.as_slice(), "scripted", &format!("the model asked for status {code}"))
        }
        Fault::Once { code, retry_after } => {
            let wait = retry_after.map(|seconds| ("retry-after", seconds.to_string()));
            error(dialect, *code, wait.as_slice(), "scripted", "the first call of this model fails")
        }
        Fault::Window => {
            let text = match dialect {
                Dialect::OpenAi | Dialect::Responses => {
                    "This model's maximum context length is 512 tokens. However, your messages resulted in 9012 tokens."
                }
                Dialect::Anthropic => "prompt is too long: 9012 tokens > 512 maximum",
            };
            error(dialect, 400, &[], "context_length_exceeded", text)
        }
        Fault::Filter => {
            let text = match dialect {
                Dialect::OpenAi | Dialect::Responses => {
                    "The response was filtered because the prompt triggered the content policy."
                }
                Dialect::Anthropic => "Output blocked by content filtering policy",
            };
            error(dialect, 400, &[], "content_filter", text)
        }
        Fault::Reset => Script { reset: true, ..Script::default() },
        Fault::Close => Script { close: true, ..Script::default() },
        Fault::Hang => Script { steps: vec![Step::Hang], ..Script::default() },
        Fault::Html => answer(200, &[("content-type", "text/html".into())], b"<html><body>Please log in</body></html>"),
        Fault::Redirect => answer(307, &[("location", "/v1/elsewhere".into())], b""),
        Fault::None
        | Fault::Fits { .. }
        | Fault::Quotes
        | Fault::Late(_)
        | Fault::Cut(_)
        | Fault::Stall(_)
        | Fault::Pause(..)
        | Fault::Garble(_)
        | Fault::EventError(_)
        | Fault::NoEnd
        | Fault::OpenEnd
        | Fault::NoPrefill
        | Fault::Huge
        | Fault::Gzip
        | Fault::Crumbs
        | Fault::Tools => return None,
    })
}

fn refused_prefill(dialect: Dialect, seen: &Seen, fault: &Fault) -> Option<Script> {
    let last = seen.body["messages"].as_array().and_then(|messages| messages.last());
    let prefilled = *fault == Fault::NoPrefill && last.is_some_and(|message| message["role"] == "assistant");
    let text = "This model does not support assistant message prefill.";
    prefilled.then(|| error(dialect, 400, &[], "invalid_request_error", text))
}

/// Providers say what they refuse.
fn quoted(dialect: Dialect, seen: &Seen, fault: &Fault) -> Option<Script> {
    let content = &seen.body["messages"].as_array().filter(|_| *fault == Fault::Quotes)?.last()?["content"];
    let said = content.as_str().or_else(|| content[0]["text"].as_str())?;
    Some(error(dialect, 400, &[], "invalid_value", &format!("Invalid value: '{said}'. Supported values are: 'a'.")))
}

/// Words are tokens here.
fn refused_length(dialect: Dialect, seen: &Seen, fault: &Fault) -> Option<Script> {
    let Fault::Fits { window, in_answer } = *fault else { return None };
    let words = |key| seen.body[key].to_string().split_whitespace().count();
    let prompt: usize = ["messages", "system", "input", "instructions"].map(words).into_iter().sum();
    let limits = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
    let output = limits.iter().find_map(|key| seen.body[key].as_u64()).unwrap_or(0);
    let asked = prompt + usize::try_from(output).unwrap_or(usize::MAX);
    if asked <= window {
        return None;
    }
    let text = match dialect {
        Dialect::OpenAi | Dialect::Responses => {
            format!("This model's maximum context length is {window} tokens. However, you requested {asked} tokens.")
        }
        Dialect::Anthropic => format!("prompt is too long: {asked} tokens > {window} maximum"),
    };
    let body = error_body(dialect, 400, "context_length_exceeded", &text);
    if !in_answer {
        return Some(json(400, &[], &body));
    }
    if seen.body["stream"] != true {
        return Some(json(200, &[], &body));
    }
    let name = if dialect == Dialect::Anthropic { "event: error\n" } else { "" };
    Some(answer(200, &[("content-type", "text/event-stream".into())], format!("{name}data: {body}\n\n").as_bytes()))
}

fn plain(dialect: Dialect, seen: &Seen, fault: &Fault) -> Script {
    let tools = *fault == Fault::Tools;
    let body = match dialect {
        Dialect::OpenAi => openai::answer(&seen.path, &seen.model(), &text(seen), tools),
        Dialect::Anthropic => anthropic::answer(&seen.model(), &text(seen), call(seen, tools)),
        Dialect::Responses => responses::answer(&seen.model(), &text(seen), tools),
    };
    let whole = json(200, &[], &body);
    let half = |whole: Script| {
        let Some(Step::Send(bytes)) = whole.steps.into_iter().next() else { unreachable!("an answer is one write") };
        send(bytes.slice(..bytes.len() - body.len() / 2))
    };
    match fault {
        Fault::Late(pause) => {
            Script { steps: std::iter::once(Step::Wait(*pause)).chain(whole.steps).collect(), ..Script::default() }
        }
        Fault::Cut(_) => Script { steps: vec![half(whole)], reset: true, close: false },
        Fault::Stall(_) => Script { steps: vec![half(whole), Step::Hang], ..Script::default() },
        Fault::Garble(_) => answer(200, &[("content-type", "application/json".into())], br#"{"id":"x","choices":[{"#),
        Fault::EventError(_) => json(200, &[], &error_body(dialect, 500, "server_error", "an error inside a 200")),
        Fault::Huge => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"id\":\"";
            Script { steps: vec![send(head), Step::Flood(Bytes::from(vec![b'x'; 64 * 1024]))], ..Script::default() }
        }
        Fault::Gzip => {
            let headers = [("content-type", "application/json".into()), ("content-encoding", "gzip".into())];
            answer(200, &headers, &gzip(body.as_bytes()))
        }
        Fault::Crumbs => crumbs(whole),
        _ => whole,
    }
}

fn streamed(dialect: Dialect, seen: &Seen, fault: &Fault) -> Script {
    let mut events = events(dialect, seen, *fault == Fault::Tools);
    let mut script = Script::default();
    let mut tail = vec![];
    match fault {
        Fault::Cut(count) => {
            events.truncate(*count);
            // A reset overtakes what was written before it; where tokens are counted, all of them are to arrive.
            script.close = Fault::tokens(&seen.model()).is_some();
            script.reset = !script.close;
        }
        Fault::Stall(count) => {
            events.truncate(*count);
            tail.push(Step::Hang);
        }
        Fault::Garble(count) => events.insert((*count).min(events.len()), "data: {\"choices\": nonsense\n\n".into()),
        Fault::EventError(count) => {
            events.truncate(*count);
            events.push(error_event(dialect));
        }
        Fault::NoEnd => {
            events.pop();
        }
        Fault::OpenEnd => {
            events.pop();
            tail.push(Step::Hang);
        }
        Fault::Huge => {
            events.truncate(2);
            tail.push(send("10000\r\ndata: "));
            tail.push(Step::Flood(Bytes::from(vec![b'x'; 64 * 1024])));
        }
        _ => {}
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    script.steps.push(send(head));
    if let Fault::Late(pause) = fault {
        script.steps.push(Step::Wait(*pause));
    }
    script.steps.extend(events.iter().map(|event| send(format!("{:x}\r\n{event}\r\n", event.len()))));
    if let Fault::Pause(events, pause) = fault {
        let at = (events + 1).min(script.steps.len());
        script.steps.insert(at, Step::Wait(*pause));
    }
    if tail.is_empty() && !script.reset && !script.close {
        script.steps.push(send("0\r\n\r\n"));
    }
    script.steps.append(&mut tail);
    if *fault == Fault::Crumbs { crumbs(script) } else { script }
}

fn events(dialect: Dialect, seen: &Seen, tools: bool) -> Vec<String> {
    let text = text(seen);
    match dialect {
        Dialect::OpenAi => openai::events(&seen.body, &text, tools),
        Dialect::Anthropic => anthropic::events(&seen.model(), &text, call(seen, tools)),
        Dialect::Responses => responses::events(&seen.model(), &text, tools),
    }
}

/// What a model answers.
fn text(seen: &Seen) -> String {
    let usual = || Fault::tokens(&seen.model()).map_or_else(|| ANSWER.to_owned(), words);
    document::text(seen).unwrap_or_else(usual)
}

/// The call of a tool that a model of Anthropic's makes instead.
fn call(seen: &Seen, tools: bool) -> Option<Value> {
    if tools { Some(anthropic::look_up()) } else { document::forced(seen, &text(seen)) }
}

/// Every byte is a write of its own. Loopback may still join some of them; the order of arrival is what counts.
fn crumbs(script: Script) -> Script {
    let bytes = script.steps.into_iter().flat_map(|step| match step {
        Step::Send(bytes) => bytes.chunks(1).map(|byte| send(byte.to_vec())).collect(),
        other => vec![other],
    });
    Script { steps: bytes.collect(), ..Script::default() }
}

fn error(dialect: Dialect, status: u16, headers: &[(&str, String)], code: &str, message: &str) -> Script {
    json(status, headers, &error_body(dialect, status, code, message))
}

fn error_body(dialect: Dialect, status: u16, code: &str, message: &str) -> String {
    match dialect {
        Dialect::OpenAi | Dialect::Responses => openai::error(code, message),
        Dialect::Anthropic => anthropic::error(status, message),
    }
}

fn error_event(dialect: Dialect) -> String {
    let name = if dialect == Dialect::Anthropic { "event: error\n" } else { "" };
    format!("{name}data: {}\n\n", error_body(dialect, 500, "server_error", "an error inside a stream"))
}

pub(super) fn json(status: u16, headers: &[(&str, String)], body: &str) -> Script {
    let mut all = vec![("content-type", "application/json".to_owned())];
    all.extend_from_slice(headers);
    answer(status, &all, body.as_bytes())
}

pub(super) fn answer(status: u16, headers: &[(&str, String)], body: &[u8]) -> Script {
    let mut bytes =
        format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\nx-request-id: req_scripted\r\n", body.len());
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    bytes.push_str("\r\n");
    Script { steps: vec![send([bytes.as_bytes(), body].concat())], ..Script::default() }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("writing to a Vec cannot fail")
}
