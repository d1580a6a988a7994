//! What counts as the same: bodies of equal meaning become equal values.

use serde_json::{Map, Value, json};

/// A place where two values differ: a JSON pointer, ours, theirs.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    pub(crate) at: String,
    pub(crate) ours: Value,
    pub(crate) theirs: Value,
}

impl Difference {
    pub(crate) fn new(at: impl Into<String>, ours: impl Into<Value>, theirs: impl Into<Value>) -> Self {
        Self { at: at.into(), ours: ours.into(), theirs: theirs.into() }
    }
}

/// A request's body, by the provider's own idea of equal.
pub(crate) fn request(provider: &str, body: &Value) -> Value {
    let body = without_null(body);
    if ["gemini", "vertex_ai"].iter().any(|family| provider.starts_with(family)) {
        return camel(&body, false);
    }
    let anthropic =
        ["anthropic", "vertex_anthropic", "bedrock_invoke"].iter().any(|family| provider.starts_with(family));
    if provider.starts_with("bedrock") && !anthropic {
        return schema_text(body);
    }
    let mut body = one_text(body);
    if body["stream"] == false {
        body.as_object_mut().map(|body| body.shift_remove("stream"));
    }
    if anthropic {
        if let [block] = body["system"].as_array().map(Vec::as_slice).unwrap_or_default()
            && is_text(block)
        {
            body["system"] = block["text"].clone();
        }
        for tool in body.get_mut("tools").and_then(Value::as_array_mut).into_iter().flatten() {
            if tool["type"] == "custom" {
                tool.as_object_mut().map(|tool| tool.shift_remove("type"));
            }
        }
        return body;
    }
    if provider == "huggingface" {
        body.as_object_mut().map(|body| body.shift_remove("max_retries"));
    }
    if provider.starts_with("ollama") {
        for message in body.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten() {
            if message["images"] == json!([]) {
                message.as_object_mut().map(|message| message.shift_remove("images"));
            }
        }
    }
    arguments(body)
}

/// A schema that travels as text compares as JSON.
fn schema_text(mut body: Value) -> Value {
    let schema = body.pointer_mut("/outputConfig/textFormat/structure/jsonSchema/schema");
    if let Some((schema, parsed)) = schema.and_then(|schema| {
        let parsed = serde_json::from_str(schema.as_str()?).ok()?;
        Some((schema, parsed))
    }) {
        *schema = parsed;
    }
    body
}

fn is_text(part: &Value) -> bool {
    part["type"] == "text" && part.as_object().is_some_and(|part| part.len() == 2 && part.contains_key("text"))
}

pub(crate) fn without_null(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_null(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_null).collect(),
        other => other.clone(),
    }
}

/// A list of one text is that text.
fn one_text(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Map<_, _> = fields.into_iter().map(|(key, value)| (key, one_text(value))).collect();
            let text = match fields.get("content").and_then(Value::as_array).map(Vec::as_slice) {
                Some([part]) if is_text(part) => Some(part["text"].clone()),
                _ => None,
            };
            if let Some(text) = text {
                fields.insert("content".into(), text);
            }
            Value::Object(fields)
        }
        Value::Array(items) => items.into_iter().map(one_text).collect(),
        other => other,
    }
}

/// Arguments of calls compare as JSON, not as text.
pub(crate) fn arguments(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| {
                match value.as_str().filter(|_| key == "arguments").map(serde_json::from_str::<Value>) {
                    Some(Ok(parsed)) => (key, json!({"$json": arguments(parsed)})),
                    _ => (key, arguments(value)),
                }
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(arguments).collect(),
        other => other,
    }
}

/// Google reads both spellings of a field's name; what is inside an application's own values keeps its own.
fn camel(value: &Value, opaque: bool) -> Value {
    const OPAQUE: [&str; 7] =
        ["args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "labels"];
    match value {
        Value::Object(fields) if opaque => {
            fields.iter().map(|(key, value)| (key.clone(), camel(value, true))).collect()
        }
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| {
                let key = camel_name(key);
                let opaque = OPAQUE.contains(&key.as_str());
                (key, camel(value, opaque))
            })
            .collect(),
        Value::Array(items) => items.iter().map(|item| camel(item, opaque)).collect(),
        other => other.clone(),
    }
}

fn camel_name(name: &str) -> String {
    let mut parts = name.split('_');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        out.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    out
}

/// Where `ours` and `theirs` differ.
pub(crate) fn differences(ours: &Value, theirs: &Value) -> Vec<Difference> {
    let mut out = Vec::new();
    compare(ours, theirs, "", &mut out);
    out
}

fn compare(ours: &Value, theirs: &Value, at: &str, out: &mut Vec<Difference>) {
    const ABSENT: &str = "<absent>";
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        (Value::Object(a), Value::Object(b)) => {
            for (key, ours) in a {
                match b.get(key) {
                    Some(theirs) => compare(ours, theirs, &format!("{at}/{key}"), out),
                    None => out.push(Difference::new(format!("{at}/{key}"), ours.clone(), ABSENT)),
                }
            }
            for (key, theirs) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                out.push(Difference::new(format!("{at}/{key}"), ABSENT, theirs.clone()));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (ours, theirs)) in a.iter().zip(b).enumerate() {
                compare(ours, theirs, &format!("{at}/{index}"), out);
            }
        }
        (a, b) if a == b => {}
        (a, b) => out.push(Difference::new(at, a.clone(), b.clone())),
    }
}
