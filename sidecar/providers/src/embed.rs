//! Embeddings at those who do not speak OpenAI's API (at Bedrock: [`crate::bedrock::embed`]): requests and answers differ
//! in name more than in kind.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::openai::answer::parse;
use crate::openai::request::unsupported;
use crate::path::segment;
use crate::vertex::google_path;
use crate::{Answer, Api, BadRequest, Body, Dialect, Fault, Host, Outgoing, Target, Unsupported, Usage, fault};

/// Translates a request. Only text can be embedded: tokens are words of one model's own.
pub(crate) fn encode(body: &Body, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    let texts = texts(body.value("input").unwrap_or_default())?;
    let dimensions = body.value("dimensions");
    let dropped = dropped(body, target)?;
    let (path, out) = match (target.dialect, target.host) {
        (Dialect::Gemini, Host::Own) => gemini(target.model, texts, dimensions.as_ref(), task(body).as_ref()),
        (Dialect::Gemini, Host::Vertex) => vertex(target.model, texts, dimensions.as_ref(), task(body).as_ref()),
        (Dialect::Ollama, _) => ollama(target.model, texts, dimensions),
        _ => cohere(target.model, texts, dimensions, body),
    };
    Ok(Outgoing { path: path.into(), headers: [].as_slice().into(), body: out.to_string().into(), dropped })
}

fn cohere(model: &str, texts: Vec<String>, dimensions: Option<Value>, body: &Body) -> (String, Value) {
    let purpose = body.value("input_type").unwrap_or_else(|| "search_document".into());
    let mut out = json!({"model": model, "texts": texts, "input_type": purpose});
    if let Some(dimensions) = dimensions {
        out["output_dimension"] = dimensions;
    }
    ("/embed".to_owned(), out)
}

fn ollama(model: &str, texts: Vec<String>, dimensions: Option<Value>) -> (String, Value) {
    let mut out = json!({"model": model, "input": texts});
    if let Some(dimensions) = dimensions {
        out["dimensions"] = dimensions;
    }
    ("/api/embed".to_owned(), out)
}

/// Vertex AI predicts vectors as it predicts anything; what a text is for goes with each.
fn vertex(model: &str, texts: Vec<String>, dimensions: Option<&Value>, task: Option<&Value>) -> (String, Value) {
    let instance = |text: String| {
        let mut instance = json!({"content": text});
        if let Some(task) = task {
            instance["task_type"] = task.clone();
        }
        instance
    };
    let instances: Vec<_> = texts.into_iter().map(instance).collect();
    let mut parameters = json!({});
    if let Some(dimensions) = dimensions {
        parameters["outputDimensionality"] = dimensions.clone();
    }
    (google_path(model, "predict"), json!({"instances": instances, "parameters": parameters}))
}

/// What the texts are for, in Google's words, or in those that several others have.
fn task(body: &Body) -> Option<Value> {
    const TASKS: [(&str, &str); 4] = [
        ("search_query", "RETRIEVAL_QUERY"),
        ("search_document", "RETRIEVAL_DOCUMENT"),
        ("classification", "CLASSIFICATION"),
        ("clustering", "CLUSTERING"),
    ];
    let purpose = body.value("task_type").or_else(|| body.value("input_type"))?;
    let known = TASKS.iter().find(|(theirs, _)| purpose == *theirs);
    Some(known.map_or(purpose, |(_, task)| (*task).into()))
}

fn gemini(model: &str, texts: Vec<String>, dimensions: Option<&Value>, task: Option<&Value>) -> (String, Value) {
    let name = model.strip_prefix("models/").unwrap_or(model);
    let request = |text: String| {
        let mut request = json!({"model": format!("models/{name}"), "content": {"parts": [{"text": text}]}});
        if let Some(dimensions) = dimensions {
            request["outputDimensionality"] = dimensions.clone();
        }
        if let Some(task) = task {
            request["taskType"] = task.clone();
        }
        request
    };
    let requests: Vec<_> = texts.into_iter().map(request).collect();
    (format!("/models/{}:batchEmbedContents", segment(name)), json!({"requests": requests}))
}

pub(crate) fn texts(input: Value) -> Result<Vec<String>, BadRequest> {
    let refused = || BadRequest::at("input", "\"input\" must be a text or a list of texts for this model, not tokens");
    match input {
        Value::String(text) => Ok(vec![text]),
        Value::Array(items) => items
            .into_iter()
            .map(|item| if let Value::String(text) = item { Ok(text) } else { Err(refused()) })
            .collect(),
        _ => Err(refused()),
    }
}

/// An answer in base64 is one the API cannot give, and is written here ([`Answer::fitting`]).
pub(crate) fn dropped(body: &Body, target: &Target<'_>) -> Result<Vec<String>, BadRequest> {
    let has = |key: &&str| body.value(key).is_some_and(|value| value != "float" && !is_base64(key, &value));
    let purpose = (target.dialect == Dialect::Ollama).then_some("input_type");
    let keys = ["encoding_format", "user"].into_iter().chain(purpose);
    let left: Vec<_> = keys.filter(has).map(str::to_owned).collect();
    match left.first().filter(|_| target.unsupported == Unsupported::Reject) {
        Some(key) => Err(unsupported(key, target.model)),
        None => Ok(left),
    }
}

fn is_base64(key: &str, value: &Value) -> bool {
    key == "encoding_format" && value == "base64"
}

impl Answer {
    /// Writes a translated answer's vectors as they were asked for. `guess` stands for the prompt's tokens where nobody has
    /// counted them: clients take a number for granted. Every other answer stays as it is.
    #[must_use]
    pub fn fitting(mut self, api: Api, dialect: Dialect, request: &Body, guess: u64) -> Self {
        let format = request.value("encoding_format").unwrap_or_default();
        let packs = dialect != Dialect::OpenAi && is_base64("encoding_format", &format);
        if api != Api::Embeddings || (!packs && self.usage.is_some()) {
            return self;
        }
        let Ok(mut body) = Body::parse_answer(self.body.clone()) else { return self };
        if self.usage.is_none() {
            body.set("usage", &json!({"prompt_tokens": guess, "total_tokens": guess}));
        }
        if let Some(Value::Array(mut data)) = body.value("data").filter(|_| packs) {
            for item in &mut data {
                if let Some(text) = packed(&item["embedding"]) {
                    item["embedding"] = text.into();
                }
            }
            body.set("data", &data.into());
        }
        self.body = body.to_bytes();
        self
    }
}

/// A vector as OpenAI packs it: numbers of four bytes, the lowest first, in base64.
fn packed(vector: &Value) -> Option<String> {
    let numbers = vector.as_array()?.iter().map(|number| number.as_f64().map(|number| number as f32));
    let bytes: Vec<u8> = numbers.collect::<Option<Vec<_>>>()?.into_iter().flat_map(f32::to_le_bytes).collect();
    Some(STANDARD.encode(bytes))
}

/// Translates an answer.
pub(crate) fn decode(dialect: Dialect, shown_model: &str, bytes: Bytes) -> Result<Answer, Fault> {
    let answer: Value = serde_json::from_slice(&parse(bytes.clone())?.to_bytes()).unwrap_or_default();
    let embeddings = &answer["embeddings"];
    let lists = [embeddings, &embeddings["float"], &answer["predictions"]];
    let vectors: Vec<&Value> = match lists.iter().find_map(|list| list.as_array()) {
        Some(vectors) if !vectors.is_empty() => vectors.iter().map(numbers).collect(),
        // Titan embeds one text at a time.
        _ if answer["embedding"].is_array() => vec![&answer["embedding"]],
        _ => {
            let inside = fault::inside(dialect, &answer);
            return Err(inside.unwrap_or_else(|| Fault::garbage("answer has no \"embeddings\"", &bytes)));
        }
    };
    let input = tokens(&answer);
    let usage = input.map(|input| Usage { input, ..Usage::default() });
    let data = vectors.into_iter().enumerate();
    let data: Vec<_> =
        data.map(|(at, vector)| json!({"object": "embedding", "index": at, "embedding": vector})).collect();
    let mut out = json!({"object": "list", "model": shown_model, "data": data});
    if let Some(tokens) = input {
        out["usage"] = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    }
    Ok(Answer { body: out.to_string().into(), usage })
}

/// The vector, wherever it is in what stands for it.
fn numbers(vector: &Value) -> &Value {
    vector.get("values").or_else(|| vector.pointer("/embeddings/values")).unwrap_or(vector)
}

/// What was counted: for all texts together, or text by text.
fn tokens(answer: &Value) -> Option<u64> {
    let whole = ["/meta/billed_units/input_tokens", "/prompt_eval_count", "/inputTextTokenCount"];
    if let Some(count) = whole.iter().find_map(|pointer| answer.pointer(pointer)?.as_u64()) {
        return Some(count);
    }
    let each = answer["predictions"].as_array()?.iter();
    each.map(|one| one.pointer("/embeddings/statistics/token_count")?.as_f64().map(|count| count as u64)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_as_they_were_asked_for_and_with_a_count() {
        let answer = |dialect, text: &str| decode(dialect, "m", text.to_owned().into()).unwrap();
        let request = |format: &str| Body::parse(json!({"input": "x", "encoding_format": format}).to_string().into());
        let (gemini, ollama) =
            (r#"{"embeddings":[{"values":[0.5,-1]}]}"#, r#"{"embeddings":[[0.5,-1]],"prompt_eval_count":3}"#);
        let rows = [
            (Dialect::Gemini, gemini, "base64", json!("AAAAPwAAgL8="), 7),
            (Dialect::Gemini, gemini, "float", json!([0.5, -1]), 7),
            (Dialect::Ollama, ollama, "base64", json!("AAAAPwAAgL8="), 3),
            (Dialect::Ollama, ollama, "float", json!([0.5, -1]), 3),
        ];
        for (dialect, text, format, want, tokens) in rows {
            let request = request(format).unwrap();
            assert_eq!(dropped(&request, &Target::new(dialect, "m")).unwrap(), Vec::<String>::new());
            let fit = answer(dialect, text).fitting(Api::Embeddings, dialect, &request, 7);
            let body: Value = serde_json::from_slice(&fit.body).unwrap();
            assert_eq!((&body["data"][0]["embedding"], &body["usage"]["prompt_tokens"]), (&want, &json!(tokens)));
            assert_eq!(fit.usage.is_some(), dialect == Dialect::Ollama, "a guess is no report");
        }
        let own = Answer { body: r#"{"data":[{"embedding":[1]}]}"#.into(), usage: Some(Usage::default()) };
        let kept = own.clone().fitting(Api::Embeddings, Dialect::OpenAi, &request("base64").unwrap(), 7);
        assert_eq!(kept.body, own.body);
    }

    #[test]
    fn vectors_are_found_in_every_shape() {
        let rows = [
            (Dialect::Gemini, json!({"embeddings": [{"values": [0.5]}, {"values": [1]}]}), None),
            (
                Dialect::Cohere,
                json!({"embeddings": {"float": [[0.5], [1]]}, "meta": {"billed_units": {"input_tokens": 4}}}),
                Some(4),
            ),
            (Dialect::Cohere, json!({"embeddings": [[0.5], [1]]}), None),
            (
                Dialect::Bedrock,
                json!({"embeddings": {"float": [[0.5], [1]]}, "response_type": "embeddings_by_type"}),
                None,
            ),
            (Dialect::Ollama, json!({"embeddings": [[0.5], [1]], "prompt_eval_count": 3}), Some(3)),
            (
                Dialect::Gemini,
                json!({"predictions": [
                    {"embeddings": {"values": [0.5], "statistics": {"token_count": 2.0, "truncated": false}}},
                    {"embeddings": {"values": [1], "statistics": {"token_count": 3}}},
                ]}),
                Some(5),
            ),
        ];
        for (dialect, value, tokens) in rows {
            let answer = decode(dialect, "m", value.to_string().into()).unwrap();
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(
                (&body["data"][0]["embedding"], &body["data"][1]["index"]),
                (&json!([0.5]), &json!(1)),
                "{value}"
            );
            assert_eq!(answer.usage.map(|usage| usage.input), tokens, "{value}");
        }
        let titan = decode(Dialect::Bedrock, "m", r#"{"embedding":[0.5,1],"inputTextTokenCount":3}"#.into()).unwrap();
        assert_eq!(titan.usage.map(|usage| usage.input), Some(3));
        let error = decode(Dialect::Gemini, "m", r#"{"error":{"code":429,"message":"slow"}}"#.into()).unwrap_err();
        assert_eq!(error.class, crate::Class::RateLimited);
    }
}
