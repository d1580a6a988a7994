//! Embeddings at Gemini and Cohere (and at Bedrock: [`crate::bedrock::embed`]), whose requests and answers differ in name more than in kind.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::openai::answer::parse;
use crate::openai::request::unsupported;
use crate::path::segment;
use crate::{Answer, BadRequest, Body, Dialect, Fault, Outgoing, Target, Unsupported, Usage, fault};

/// Translates a request. Only text can be embedded: tokens are words of one model's own.
pub(crate) fn encode(body: &Body, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    let texts = texts(body.value("input").unwrap_or_default())?;
    let dimensions = body.value("dimensions");
    let dropped = dropped(body, target)?;
    let (path, out) = if target.dialect == Dialect::Gemini {
        gemini(target.model, texts, dimensions.as_ref())
    } else {
        let purpose = body.value("input_type").unwrap_or_else(|| "search_document".into());
        let mut out = json!({"model": target.model, "texts": texts, "input_type": purpose});
        if let Some(dimensions) = dimensions {
            out["output_dimension"] = dimensions;
        }
        ("/embed".to_owned(), out)
    };
    Ok(Outgoing { path: path.into(), headers: [].as_slice().into(), body: out.to_string().into(), dropped })
}

fn gemini(model: &str, texts: Vec<String>, dimensions: Option<&Value>) -> (String, Value) {
    let name = model.strip_prefix("models/").unwrap_or(model);
    let request = |text: String| {
        let mut request = json!({"model": format!("models/{name}"), "content": {"parts": [{"text": text}]}});
        if let Some(dimensions) = dimensions {
            request["outputDimensionality"] = dimensions.clone();
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

/// An answer in base64 is one the API cannot give; clients that ask for it read plain numbers as well.
pub(crate) fn dropped(body: &Body, target: &Target<'_>) -> Result<Vec<String>, BadRequest> {
    let has = |key: &&str| body.value(key).is_some_and(|value| value != "float");
    let left: Vec<_> = ["encoding_format", "user"].into_iter().filter(has).map(str::to_owned).collect();
    match left.first().filter(|_| target.unsupported == Unsupported::Reject) {
        Some(key) => Err(unsupported(key, target.model)),
        None => Ok(left),
    }
}

/// Translates an answer.
pub(crate) fn decode(dialect: Dialect, shown_model: &str, bytes: Bytes) -> Result<Answer, Fault> {
    let answer: Value = serde_json::from_slice(&parse(bytes.clone())?.to_bytes()).unwrap_or_default();
    let embeddings = &answer["embeddings"];
    let vectors: Vec<&Value> = match embeddings.as_array().or_else(|| embeddings["float"].as_array()) {
        Some(vectors) if !vectors.is_empty() => {
            vectors.iter().map(|vector| vector.get("values").unwrap_or(vector)).collect()
        }
        // Titan embeds one text at a time.
        _ if answer["embedding"].is_array() => vec![&answer["embedding"]],
        _ => {
            let inside = fault::inside(dialect, &answer);
            return Err(inside.unwrap_or_else(|| Fault::garbage("answer has no \"embeddings\"", &bytes)));
        }
    };
    let counts = ["/meta/billed_units/input_tokens", "/inputTextTokenCount"];
    let input = counts.iter().find_map(|counts| answer.pointer(counts)?.as_u64());
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

#[cfg(test)]
mod tests {
    use super::*;

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
