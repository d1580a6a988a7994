//! Embeddings at Bedrock: each maker's own body, by the older API.

use serde_json::{Value, json};

use super::{id, path};
use crate::embed::{dropped, texts};
use crate::{BadRequest, Body, Outgoing, Target};

/// Translates a request.
pub(crate) fn encode(body: &Body, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    let mut texts = texts(body.value("input").unwrap_or_default())?;
    let mut dropped = dropped(body, target)?;
    let dimensions = body.value("dimensions");
    let id = id(target.model);
    let out = if id.contains("cohere.embed") {
        let purpose = body.value("input_type").unwrap_or_else(|| "search_document".into());
        let mut out = json!({"texts": texts, "input_type": purpose});
        if body.value("encoding_format").is_some_and(|format| format == "float") {
            out["embedding_types"] = json!(["float"]);
        }
        set(&mut out, "output_dimension", dimensions);
        out
    } else if id.contains("amazon.titan-embed") {
        if body.value("input_type").is_some() {
            dropped.push("input_type".to_owned());
        }
        let (Some(text), true) = (texts.pop(), texts.is_empty()) else {
            let message = format!("model {id:?} embeds one text a request: send them one by one");
            return Err(BadRequest::at("input", message));
        };
        let mut out = json!({"inputText": text});
        set(&mut out, "dimensions", dimensions);
        out
    } else {
        let message =
            format!("model {id:?} is none whose embeddings are known at Bedrock: Cohere's and Amazon Titan's are");
        return Err(BadRequest::at("model", message));
    };
    let path = path(target.model, "invoke").into();
    Ok(Outgoing { path, headers: [].as_slice().into(), body: out.to_string().into(), dropped })
}

fn set(out: &mut Value, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        out[key] = value;
    }
}
