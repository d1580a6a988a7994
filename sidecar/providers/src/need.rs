//! What a request asks for, read once and used by every decision.

mod beside;
mod held;
mod surcharges;

use serde_json::Value;

use crate::responses::state;
use crate::{Api, BadRequest, Body, Pass, Pieces, format};
pub use beside::Beside;
use held::{Images, has_calls};
pub use surcharges::{Surcharges, surcharges};

/// Longer than any model's name; a bound on what reaches logs and metrics.
const MAX_MODEL_BYTES: usize = 256;

/// OpenAI's own bound on `n`.
const MAX_CHOICES: u64 = 128;

/// What a request needs of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need {
    pub model: String,
    pub stream: bool,
    /// The application asked for the usage chunk of a stream.
    pub wants_stream_usage: bool,
    /// The answer's bound as the application wrote it.
    pub max_output_tokens: Option<u64>,
    /// How much of the answer may be thought, where the application says so: its bound has to be larger.
    pub thought: u64,
    /// How many answers are billed: `n`, or `best_of` how many, for each of the prompts.
    pub choices: u32,
    /// It declares some, or its conversation has calls of some or what they found.
    pub tools: bool,
    /// Asked for in so many words; a model without them is no reason to refuse a request that left it open.
    pub parallel_tools: bool,
    pub images: bool,
    /// Some of them are where their URLs say: somebody has to fetch them.
    pub image_urls: bool,
    pub json_schema: bool,
    /// A tool that the provider itself has to run: a search, an interpreter. Of several, the first.
    pub hosted_tool: Option<String>,
    /// How many messages (or prompts, or inputs).
    pub messages: usize,
    /// What is billed by the piece, as far as the request says how much it asks for.
    pub pieces: Option<Pieces>,
    /// Why only a provider that keeps answers can serve it, if that is so.
    pub kept: Option<BadRequest>,
}

/// Reads what the request needs. Refuses what no backend could serve.
pub fn read(api: Api, body: &Body) -> Result<Need, BadRequest> {
    if let Api::Pass(pass) = api {
        return passed(pass, body);
    }
    let mut kept = if api == Api::Responses { state::refuse(body).err() } else { None };
    format::check(api, body)?;
    let model = left_out(api, model(body), "model", body, &mut kept)?;
    let messages = left_out(api, messages(api, body), "input", body, &mut kept)?;
    let images = Images::of(api, body);
    let declares = body.array_len("tools").unwrap_or(0) + body.array_len("functions").unwrap_or(0) > 0;
    Ok(Need {
        model,
        stream: !matches!(api, Api::Embeddings | Api::CountTokens) && flag(body, "stream")?.unwrap_or(false),
        wants_stream_usage: is_anthropic(api) || api == Api::Responses || wants_stream_usage(body)?,
        max_output_tokens: max_output_tokens(api, body)?,
        thought: thought(body),
        choices: choices(api, body)?.saturating_mul(prompts(api, body)),
        tools: declares || has_calls(api, body),
        parallel_tools: declares && parallel_tools(api, body)?,
        images: images > Images::None,
        image_urls: images == Images::ByUrl,
        json_schema: wants_schema(body),
        hosted_tool: if api == Api::Responses { state::hosted_tool(body) } else { None },
        messages,
        pieces: None,
        kept,
    })
}

/// A response may leave out what the provider has kept: the model is its template's, the input is all that was said before.
fn left_out<T: Default>(
    api: Api,
    read: Result<T, BadRequest>,
    key: &str,
    body: &Body,
    kept: &mut Option<BadRequest>,
) -> Result<T, BadRequest> {
    match read {
        Err(missing) if api == Api::Responses && matches!(body.get_bytes(key), None | Some(b"null")) => {
            kept.get_or_insert(missing);
            Ok(T::default())
        }
        read => read,
    }
}

/// Of what is passed on, the provider judges everything but the model. `n` is read because it multiplies the bill.
fn passed(pass: &Pass, body: &Body) -> Result<Need, BadRequest> {
    let model = if pass.kept().is_some() { String::new() } else { model(body)? };
    let choices = body.get("n").and_then(|raw| raw.trim_matches('"').parse().ok()).unwrap_or(1);
    Ok(Need { model, choices, messages: 1, pieces: Pieces::asked(pass.bill, body), ..Need::default() })
}

const fn is_anthropic(api: Api) -> bool {
    matches!(api, Api::Messages | Api::CountTokens)
}

fn model(body: &Body) -> Result<String, BadRequest> {
    match body.value("model") {
        Some(Value::String(model)) if model.is_empty() => Err(BadRequest::at("model", "\"model\" is empty")),
        Some(Value::String(model)) if model.len() > MAX_MODEL_BYTES => {
            Err(BadRequest::at("model", format!("\"model\" is longer than {MAX_MODEL_BYTES} bytes")))
        }
        Some(Value::String(model)) => Ok(model),
        Some(_) => Err(BadRequest::at("model", "\"model\" must be a string")),
        None if body.get_bytes("model").is_some_and(|raw| raw.starts_with(b"\"")) => {
            Err(BadRequest::at("model", "\"model\" holds an escape that is no character (half of a surrogate pair)"))
        }
        None => Err(BadRequest::at("model", "\"model\" is missing")),
    }
}

fn flag(body: &Body, key: &str) -> Result<Option<bool>, BadRequest> {
    match body.get_bytes(key) {
        None | Some(b"null") => Ok(None),
        Some(b"true") => Ok(Some(true)),
        Some(b"false") => Ok(Some(false)),
        Some(other) => Err(BadRequest::at(key, format!("\"{key}\" must be true or false, not {}", excerpt(other)))),
    }
}

/// A whole number, at least `least`. `1e400`, `-1`, `1.5` and what an i64 cannot hold are refused here, so that no sum
/// behind it can overflow.
fn whole(body: &Body, key: &str, least: u64) -> Result<Option<u64>, BadRequest> {
    let Some(raw) = body.get_bytes(key).filter(|raw| *raw != b"null") else { return Ok(None) };
    let number = serde_json::from_slice::<u64>(raw).ok();
    match number.filter(|number| (least..=i64::MAX.unsigned_abs()).contains(number)) {
        Some(number) => Ok(Some(number)),
        None => {
            let message = format!("\"{key}\" must be a whole number of at least {least}, not {}", excerpt(raw));
            Err(BadRequest::at(key, message))
        }
    }
}

/// Enough of a value to recognise it by.
pub(crate) fn excerpt(raw: &[u8]) -> String {
    String::from_utf8_lossy(&raw[..raw.len().min(32)]).into_owned()
}

fn wants_stream_usage(body: &Body) -> Result<bool, BadRequest> {
    match body.value("stream_options") {
        None => Ok(false),
        Some(Value::Object(options)) => Ok(options.get("include_usage") == Some(&Value::Bool(true))),
        Some(_) => Err(BadRequest::at("stream_options", "\"stream_options\" must be an object")),
    }
}

fn max_output_tokens(api: Api, body: &Body) -> Result<Option<u64>, BadRequest> {
    match api {
        Api::Embeddings | Api::CountTokens | Api::Tokenize | Api::Pass(_) => Ok(None),
        // A completion of no tokens is how the prompt's own log probabilities are asked for.
        Api::Completions => whole(body, "max_tokens", 0),
        Api::Messages => whole(body, "max_tokens", 1),
        Api::Responses => whole(body, "max_output_tokens", 1),
        Api::ChatCompletions => {
            let (old, new) = (whole(body, "max_tokens", 0)?, whole(body, "max_completion_tokens", 0)?);
            Ok(new.or(old))
        }
    }
}

/// In Anthropic's words, which chats may use as well.
fn thought(body: &Body) -> u64 {
    let thinking = body.value("thinking").filter(|thinking| thinking["type"] == "enabled");
    thinking.and_then(|thinking| thinking["budget_tokens"].as_u64()).unwrap_or(0)
}

fn choices(api: Api, body: &Body) -> Result<u32, BadRequest> {
    if is_anthropic(api) || matches!(api, Api::Embeddings | Api::Responses) {
        return Ok(1);
    }
    // Of so many answers the best are kept, and all are billed.
    let best_of = if api == Api::Completions { whole(body, "best_of", 0)? } else { None };
    match whole(body, "n", 1)?.unwrap_or(1).max(best_of.unwrap_or(1)) {
        count @ 1..=MAX_CHOICES => Ok(u32::try_from(count).unwrap_or(1)),
        count => {
            Err(BadRequest::at("n", format!("\"n\" (or \"best_of\") is {count}, at most {MAX_CHOICES} are served")))
        }
    }
}

/// How many prompts are answered apart. A list of tokens is one.
fn prompts(api: Api, body: &Body) -> u32 {
    let lists = |raw: &[u8]| {
        raw.trim_ascii_start()
            .strip_prefix(b"[")
            .is_some_and(|rest| !rest.trim_ascii_start().first().is_some_and(u8::is_ascii_digit))
    };
    let many = api == Api::Completions && body.get_bytes("prompt").is_some_and(lists);
    let count = body.array_len("prompt").filter(|_| many).unwrap_or(1);
    u32::try_from(count).unwrap_or(u32::MAX).max(1)
}

fn parallel_tools(api: Api, body: &Body) -> Result<bool, BadRequest> {
    if !is_anthropic(api) {
        return Ok(flag(body, "parallel_tool_calls")?.unwrap_or(false));
    }
    let choice = body.value("tool_choice").unwrap_or_default();
    Ok(choice.get("disable_parallel_tool_use") == Some(&Value::Bool(false)))
}

fn wants_schema(body: &Body) -> bool {
    let is_schema = |value: Option<&Value>| value.and_then(|format| format.get("type")) == Some(&"json_schema".into());
    ["response_format", "output_format"].iter().any(|key| is_schema(body.value(key).as_ref()))
        || ["output_config", "text"]
            .iter()
            .any(|key| body.value(key).is_some_and(|config| is_schema(config.get("format"))))
}

fn messages(api: Api, body: &Body) -> Result<usize, BadRequest> {
    let key = match api {
        Api::ChatCompletions | Api::Messages | Api::CountTokens | Api::Tokenize => "messages",
        Api::Completions => "prompt",
        Api::Embeddings | Api::Responses | Api::Pass(_) => "input",
    };
    let missing = || BadRequest::at(key, format!("\"{key}\" is missing"));
    match (api, body.array_len(key)) {
        (_, Some(0)) => Err(BadRequest::at(key, format!("\"{key}\" is empty"))),
        (_, Some(count)) => Ok(count),
        (Api::ChatCompletions | Api::Messages | Api::CountTokens | Api::Tokenize, None) => match body.get_bytes(key) {
            None | Some(b"null") => Err(missing()),
            Some(_) => Err(BadRequest::at(key, "\"messages\" must be an array")),
        },
        // Completions may leave the prompt out: the model then starts from nothing.
        (Api::Completions, None) => Ok(1),
        (Api::Responses, None) => match body.get_bytes(key) {
            None | Some(b"null") => Err(missing()),
            Some(raw) if raw.starts_with(b"\"") => Ok(1),
            Some(_) => Err(BadRequest::at(key, "\"input\" must be a text or a list of items")),
        },
        (Api::Embeddings | Api::Pass(_), None) => body.get_bytes(key).map(|_| 1).ok_or_else(missing),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn need(api: Api, body: &Value) -> Result<Need, BadRequest> {
        read(api, &Body::parse(Bytes::from(body.to_string())).unwrap())
    }

    #[test]
    fn a_plain_request_needs_little() {
        let body = json!({"model": "chat", "messages": [{"role": "user", "content": "hi"}]});
        let want = Need { model: "chat".into(), choices: 1, messages: 1, ..Need::default() };
        assert_eq!(need(Api::ChatCompletions, &body), Ok(want));
    }

    #[test]
    fn all_answers_that_are_written_count() {
        let rows = [
            (json!({"n": 2}), Ok(2)),
            (json!({"best_of": 20}), Ok(20)),
            (json!({"best_of": 0}), Ok(1)),
            (json!({"n": 2, "best_of": null}), Ok(2)),
            (json!({"n": 2, "best_of": 5}), Ok(5)),
            (json!({"prompt": ["a", "b"], "n": 2}), Ok(4)),
            (json!({"prompt": [[1, 2], [3]], "best_of": 3}), Ok(6)),
            (json!({"prompt": [1, 2, 3]}), Ok(1)),
            (json!({"best_of": 1_000}), Err("n")),
        ];
        for (more, want) in rows {
            let mut body = json!({"model": "m", "prompt": "hi"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let got = need(Api::Completions, &body).map(|need| need.choices);
            assert_eq!(got.map_err(|bad| bad.param.unwrap_or_default()), want.map_err(str::to_owned), "{more}");
        }
        let chat = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "best_of": 7});
        assert_eq!(need(Api::ChatCompletions, &chat).map(|need| need.choices), Ok(1));
    }

    #[test]
    fn what_is_asked_for_is_seen() {
        let body = json!({"model": "chat", "stream": true, "stream_options": {"include_usage": true}, "n": 3,
            "max_tokens": 5, "max_completion_tokens": 7, "tools": [{}], "parallel_tool_calls": true,
            "thinking": {"type": "enabled", "budget_tokens": 3},
            "response_format": {"type": "json_schema", "json_schema": {"schema": {}}},
            "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, {}]});
        let want = Need {
            model: "chat".into(),
            stream: true,
            wants_stream_usage: true,
            max_output_tokens: Some(7),
            thought: 3,
            choices: 3,
            tools: true,
            parallel_tools: true,
            images: true,
            image_urls: false,
            json_schema: true,
            hosted_tool: None,
            messages: 2,
            pieces: None,
            kept: None,
        };
        assert_eq!(need(Api::ChatCompletions, &body), Ok(want));
    }

    #[test]
    fn what_nobody_could_serve_is_refused_by_name() {
        let rows = [
            (json!({"messages": [{}]}), "model", "missing"),
            (json!({"model": 7, "messages": [{}]}), "model", "must be a string"),
            (json!({"model": "", "messages": [{}]}), "model", "empty"),
            (json!({"model": "m".repeat(257), "messages": [{}]}), "model", "longer than 256"),
            (json!({"model": "m"}), "messages", "missing"),
            (json!({"model": "m", "messages": []}), "messages", "empty"),
            (json!({"model": "m", "messages": "hi"}), "messages", "must be an array"),
            (json!({"model": "m", "messages": [{}], "stream": "yes"}), "stream", "not \"yes\""),
            (json!({"model": "m", "messages": [{}], "max_tokens": -1}), "max_tokens", "at least 0, not -1"),
            (json!({"model": "m", "messages": [{}], "max_tokens": 1.5}), "max_tokens", "not 1.5"),
            (json!({"model": "m", "messages": [{}], "max_tokens": u64::MAX}), "max_tokens", "not 18446744073709551615"),
            (json!({"model": "m", "messages": [{}], "n": 0}), "n", "at least 1, not 0"),
            (json!({"model": "m", "messages": [{}], "n": 129}), "n", "at most 128"),
            (json!({"model": "m", "messages": [{}], "stream_options": 1}), "stream_options", "an object"),
        ];
        for (body, param, want) in rows {
            let error = need(Api::ChatCompletions, &body).expect_err(param);
            assert_eq!(error.param.as_deref(), Some(param), "{body}");
            assert!(error.message.contains(want), "{body}: {}", error.message);
        }
    }

    #[test]
    fn a_response_may_leave_to_its_provider_what_that_has_kept() {
        let rows = [
            (json!({"model": "m", "input": "x"}), None),
            (json!({"model": "m", "previous_response_id": "r"}), Some("previous_response_id")),
            (json!({"prompt": {"id": "p"}, "input": "x"}), Some("prompt")),
            (json!({"input": "x"}), Some("model")),
            (json!({"model": "m"}), Some("input")),
        ];
        for (body, want) in rows {
            let need = need(Api::Responses, &body).unwrap();
            assert_eq!(need.kept.and_then(|why| why.param).as_deref(), want, "{body}");
        }
        for body in [json!({"model": 7, "input": "x"}), json!({"model": "m", "input": []})] {
            assert!(need(Api::Responses, &body).is_err(), "{body}");
        }
    }

    #[test]
    fn every_api_counts_what_it_sends() {
        let rows = [
            (Api::Completions, json!({"model": "m", "prompt": ["a", "b"], "max_tokens": 0}), 2),
            (Api::Completions, json!({"model": "m", "prompt": "a"}), 1),
            (Api::Embeddings, json!({"model": "m", "input": [1, 2, 3]}), 3),
            (Api::Embeddings, json!({"model": "m", "input": "a", "stream": true}), 1),
            (Api::Messages, json!({"model": "m", "messages": [{}], "max_tokens": 1}), 1),
            (Api::Responses, json!({"model": "m", "input": "a", "max_output_tokens": 1}), 1),
            (Api::Responses, json!({"model": "m", "input": [{}, {}]}), 2),
        ];
        for (api, body, want) in rows {
            let need = need(api, &body).unwrap();
            assert_eq!((need.messages, need.stream), (want, false), "{body}");
        }
    }
}
