//! The form an answer is asked to have, and asking once more for one that has it not.

mod object;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{Api, BadRequest, Body};
pub(crate) use object::reworded;

/// The form an answer is asked to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Some JSON object.
    Object,
    /// What fits this JSON schema, written out.
    Schema(String),
}

/// Forms that only some servers know. To those they go as they are.
pub(crate) const OF_SERVERS: &[&str] = &["grammar", "regex", "structural_tag"];

/// Stands for an answer without text where an API takes no empty turn.
const NOTHING: &str = "(no text)";

/// The form the answer to a request is to have. None: any.
#[must_use]
pub fn asked(api: Api, body: &Body) -> Option<Format> {
    match api {
        Api::ChatCompletions => {
            let mut format = body.value("response_format")?;
            let schema = format.pointer_mut("/json_schema/schema").map(Value::take);
            form(&format, schema)
        }
        Api::Messages => {
            let config = || body.value("output_config")?.get_mut("format").map(Value::take);
            let mut format = config().or_else(|| body.value("output_format"))?;
            let schema = format.get_mut("schema").map(Value::take);
            form(&format, schema)
        }
        Api::Responses => {
            let mut format = body.value("text")?.get_mut("format").map(Value::take)?;
            let schema = format.get_mut("schema").map(Value::take);
            form(&format, schema)
        }
        Api::Completions | Api::Embeddings | Api::CountTokens | Api::Tokenize | Api::Pass(_) => None,
    }
}

/// Refuses a form that no answer can be held to, and that would be left out in silence on the way to many a provider.
pub(crate) fn check(api: Api, body: &Body) -> Result<(), BadRequest> {
    let inner = |key| body.value(key)?.get_mut("format").map(Value::take);
    match api {
        Api::ChatCompletions => {
            let format = body.value("response_format").filter(|format| !is_of_servers(format));
            well_formed("response_format", "json_schema.schema", format)
        }
        Api::Responses => well_formed("text.format", "schema", inner("text")),
        Api::Messages => {
            well_formed("output_config.format", "schema", inner("output_config"))?;
            well_formed("output_format", "schema", body.value("output_format"))
        }
        Api::Completions | Api::Embeddings | Api::CountTokens | Api::Tokenize | Api::Pass(_) => Ok(()),
    }
}

/// Whether it is one that only some servers know.
pub(crate) fn is_of_servers(format: &Value) -> bool {
    format["type"].as_str().is_some_and(|kind| OF_SERVERS.contains(&kind))
}

fn well_formed(at: &str, path: &str, format: Option<Value>) -> Result<(), BadRequest> {
    let Some(format) = format.filter(|format| !format.is_null()) else { return Ok(()) };
    if !format.is_object() {
        return Err(BadRequest::at(at, format!("{at:?} must be an object with a \"type\"")));
    }
    let schema = path.split('.').try_fold(&format, |value, key| value.get(key));
    match format["type"].as_str() {
        Some("text" | "json_object") => Ok(()),
        Some("json_schema") if schema.is_some_and(Value::is_object) => Ok(()),
        Some("json_schema") => {
            let at = format!("{at}.{path}");
            let message = format!("{at:?} must be an object: the JSON schema that the answer is to fit");
            Err(BadRequest::at(at, message))
        }
        _ => {
            let at = format!("{at}.type");
            let message = format!("{at:?} must be \"text\", \"json_object\" or \"json_schema\"");
            Err(BadRequest::at(at, message))
        }
    }
}

fn form(format: &Value, schema: Option<Value>) -> Option<Format> {
    match format["type"].as_str()? {
        "json_object" => Some(Format::Object),
        "json_schema" => schema.filter(|schema| !schema.is_null()).map(|schema| Format::Schema(schema.to_string())),
        _ => None,
    }
}

/// Makes a request the next turn of its conversation: `answer` was given, and `request` is what is said to it.
pub fn ask_again(api: Api, body: &mut Body, answer: &str, request: &str) {
    let key = match api {
        Api::ChatCompletions | Api::Messages => "messages",
        Api::Responses => "input",
        Api::Completions | Api::Embeddings | Api::CountTokens | Api::Tokenize | Api::Pass(_) => return,
    };
    match body.get_bytes(key).and_then(|raw| raw.first()) {
        Some(b'[') => {}
        Some(b'"') => body.set(key, &json!([{"role": "user", "content": body.value(key)}])),
        _ => return,
    }
    let answer = if answer.trim().is_empty() { NOTHING } else { answer };
    let turns = [json!({"role": "assistant", "content": answer}), json!({"role": "user", "content": request})];
    body.insert(key, usize::MAX, &turns);
}

/// A whole answer with another text in one of its choices.
#[must_use]
pub fn with_text(api: Api, answer: &Bytes, choice: usize, text: &str) -> Bytes {
    let Ok(mut value) = serde_json::from_slice::<Value>(answer) else { return answer.clone() };
    match api {
        Api::CountTokens | Api::Tokenize | Api::Pass(_) => {}
        Api::Messages => {
            let Some(blocks) = value.get_mut("content").and_then(Value::as_array_mut) else { return answer.clone() };
            replace(blocks, "text", &mut Some(text));
        }
        Api::Responses => {
            let mut text = Some(text);
            for item in value.get_mut("output").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(parts) = item.get_mut("content").and_then(Value::as_array_mut) {
                    replace(parts, "output_text", &mut text);
                }
            }
        }
        Api::ChatCompletions | Api::Completions | Api::Embeddings => {
            if let Some(content) = value.pointer_mut(&format!("/choices/{choice}/message/content")) {
                *content = text.into();
            }
        }
    }
    value.to_string().into()
}

/// The text of several blocks was read as one: the first of them gets the new one, the others go.
fn replace(blocks: &mut Vec<Value>, kind: &str, text: &mut Option<&str>) {
    blocks.retain_mut(|block| {
        if block["type"] != kind {
            return true;
        }
        let Some(text) = text.take() else { return false };
        block.as_object_mut().map(|block| block.insert("text".to_owned(), text.into()));
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(value: &Value) -> Body {
        Body::parse(value.to_string().into()).unwrap()
    }

    #[test]
    fn every_api_has_its_place_for_the_form_of_an_answer() {
        let schema = json!({"type": "object"});
        let want = Some(Format::Schema(schema.to_string()));
        let named = json!({"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": schema}});
        let plain = json!({"type": "json_schema", "schema": schema});
        let rows = [
            (Api::ChatCompletions, json!({"response_format": named}), want.clone()),
            (Api::ChatCompletions, json!({"response_format": {"type": "json_object"}}), Some(Format::Object)),
            (Api::ChatCompletions, json!({"response_format": {"type": "text"}}), None),
            (Api::ChatCompletions, json!({"response_format": {"type": "json_schema"}}), None),
            (Api::ChatCompletions, json!({"output_format": plain}), None),
            (Api::ChatCompletions, json!({}), None),
            (Api::Messages, json!({"output_format": plain}), want.clone()),
            (Api::Messages, json!({"output_config": {"effort": "low", "format": plain}}), want.clone()),
            (Api::Messages, json!({"output_config": {"effort": "low"}}), None),
            (Api::Messages, json!({"response_format": named}), None),
            (Api::Responses, json!({"text": {"format": {"type": "json_schema", "name": "x", "schema": schema}}}), want),
            (Api::Responses, json!({"text": {"format": {"type": "text"}}}), None),
            (Api::Completions, json!({"response_format": named}), None),
        ];
        for (api, given, want) in rows {
            assert_eq!(asked(api, &body(&given)), want, "{api:?} {given}");
        }
    }

    #[test]
    fn a_form_that_is_none_is_refused_by_name() {
        let (chat, messages, responses) = (Api::ChatCompletions, Api::Messages, Api::Responses);
        let in_chat = |format: Value| json!({"response_format": format});
        let in_response = |format: Value| json!({"text": {"format": format}});
        let schema = "response_format.json_schema.schema";
        let rows = [
            (chat, in_chat(json!({"type": "json_schema"})), Some(schema)),
            (chat, in_chat(json!({"type": "json_schema", "json_schema": {"name": "x", "schema": null}})), Some(schema)),
            (chat, in_chat(json!({"type": "json_schema", "json_schema": "x"})), Some(schema)),
            (chat, in_chat(json!({"type": "json_schema", "schema": {}})), Some(schema)),
            (chat, in_chat(json!({"type": "xml"})), Some("response_format.type")),
            (chat, in_chat(json!({})), Some("response_format.type")),
            (chat, in_chat(json!("json_object")), Some("response_format")),
            (chat, in_chat(json!({"type": "regex", "pattern": "a+"})), None),
            (chat, in_chat(json!({"type": "json_schema", "json_schema": {"schema": {}}})), None),
            (chat, in_chat(json!({"type": "json_object"})), None),
            (chat, in_chat(json!({"type": "text"})), None),
            (chat, in_chat(Value::Null), None),
            (responses, in_response(json!({"type": "json_schema", "name": "x"})), Some("text.format.schema")),
            (responses, in_response(json!({"type": "json"})), Some("text.format.type")),
            (responses, in_response(json!(["json_object"])), Some("text.format")),
            (responses, in_response(json!({"type": "json_schema", "schema": {}})), None),
            (responses, json!({"text": {"verbosity": "low"}}), None),
            (messages, json!({"output_format": {"type": "json_schema"}}), Some("output_format.schema")),
            (messages, json!({"output_config": {"effort": "low"}}), None),
            (Api::Completions, in_chat(json!("x")), None),
        ];
        for (api, given, want) in rows {
            let param = check(api, &body(&given)).map_err(|error| error.param.unwrap_or_default());
            assert_eq!(param, want.map_or(Ok(()), |param| Err(param.to_owned())), "{api:?} {given}");
        }
    }

    #[test]
    fn a_request_becomes_the_next_turn_of_its_conversation() {
        for (answer, said) in [("{\"a\"", "{\"a\""), (" ", NOTHING)] {
            let mut again = body(&json!({"messages": [{"role": "user", "content": "hi"}], "seed": 7}));
            ask_again(Api::ChatCompletions, &mut again, answer, "mend it");
            let want = json!({"messages": [{"role": "user", "content": "hi"},
                {"role": "assistant", "content": said}, {"role": "user", "content": "mend it"}], "seed": 7});
            assert_eq!(again.to_bytes(), want.to_string());
            let mut again = body(&json!({"input": "hi", "seed": 7}));
            ask_again(Api::Responses, &mut again, answer, "mend it");
            assert_eq!(again.to_bytes(), want.to_string().replace("messages", "input"));
        }
    }

    #[test]
    fn an_answer_gets_another_text_and_keeps_the_rest() {
        let chat =
            json!({"id": "x", "choices": [{"message": {"content": "a"}}, {"message": {"content": "b", "z": 1}}]});
        let got = with_text(Api::ChatCompletions, &chat.to_string().into(), 1, "c");
        assert_eq!(got, chat.to_string().replace("\"b\"", "\"c\""));
        let text = |text: &str| json!({"type": "text", "text": text});
        let message = json!({"content": [{"type": "thinking"}, text("a"), text("b"), {"type": "tool_use"}], "z": 1});
        let want = json!({"content": [{"type": "thinking"}, text("c"), {"type": "tool_use"}], "z": 1});
        assert_eq!(with_text(Api::Messages, &message.to_string().into(), 0, "c"), want.to_string());
        let part = |text: &str| json!({"type": "output_text", "text": text});
        let response = json!({"output": [{"type": "reasoning"}, {"content": [part("a"), part("b")]}], "z": 1});
        let want = json!({"output": [{"type": "reasoning"}, {"content": [part("c")]}], "z": 1});
        assert_eq!(with_text(Api::Responses, &response.to_string().into(), 0, "c"), want.to_string());
    }
}
