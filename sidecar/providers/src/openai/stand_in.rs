//! What stands in for a JSON schema where a provider of the family, or one of its models, takes none.
//!
//! A model that can call tools is given one that takes the answer as its arguments, and has to call it; the application
//! sees plain content and no call. A provider that knows JSON and no schemas is told the schema in words. Neither makes a
//! model keep to it: that is what checking answers is for.

use memchr::memmem;
use serde_json::{Value, json};

use super::chunk::Choice;
use super::table::Schemas;
use crate::anthropic::JSON_TOOL;
use crate::{Body, Target};

/// Takes the place of a schema in a request.
pub(crate) fn request(out: &mut Body, target: &Target<'_>) {
    let Some(mut format) = out.value("response_format").filter(|format| format["type"] == "json_schema") else {
        return;
    };
    let schema = format.pointer_mut("/json_schema/schema").map(Value::take).unwrap_or_default();
    if target.row.schemas == Schemas::Told {
        tell(out, &schema);
    } else if target.schema_by_tool && !target.row.drops.contains(&"tools") {
        let name = format.pointer("/json_schema/description").and_then(Value::as_str);
        force(out, schema, name);
    }
}

fn tell(out: &mut Body, schema: &Value) {
    let text = format!("Answer with one JSON object that fits this JSON schema, and with nothing else:\n{schema}");
    if out.array_len("messages").is_some() {
        out.insert("messages", 0, &[json!({"role": "system", "content": text})]);
    }
    out.set("response_format", &json!({"type": "json_object"}));
}

fn force(out: &mut Body, schema: Value, description: Option<&str>) {
    let description = description.unwrap_or("Gives the answer. Call it once, with the whole answer as its arguments.");
    let tool = json!({"type": "function", "function":
        {"name": JSON_TOOL, "description": description, "parameters": schema}});
    let alone = out.array_len("tools").unwrap_or(0) == 0;
    // A choice among the application's own tools leaves the model the last word.
    let choice = if alone { json!({"type": "function", "function": {"name": JSON_TOOL}}) } else { "required".into() };
    if alone || out.value("tool_choice").is_none() {
        out.set("tool_choice", &choice);
    }
    out.insert("tools", usize::MAX, &[tool]);
    out.remove("response_format");
}

/// Makes the tool's arguments the content of a whole answer.
pub(crate) fn answer(body: &mut Body) {
    if body.get_bytes("choices").and_then(|json| memmem::find(json, JSON_TOOL.as_bytes())).is_none() {
        return;
    }
    let Some(mut choices) = body.value("choices") else { return };
    for choice in choices.as_array_mut().into_iter().flatten() {
        let Some(Value::Array(calls)) = choice.pointer_mut("/message/tool_calls").map(Value::take) else { continue };
        let (ours, others): (Vec<_>, Vec<_>) =
            calls.into_iter().partition(|call| call["function"]["name"] == JSON_TOOL);
        let text = ours.first().map(|ours| ours["function"]["arguments"].clone());
        settle(choice, "message", text, others, !ours.is_empty());
    }
    body.set("choices", &choices);
}

/// Puts in the text, and puts back the calls of other tools. `answered`: there are no other ones.
pub(super) fn settle(choice: &mut Value, part: &str, text: Option<Value>, others: Vec<Value>, answered: bool) {
    let none = others.is_empty();
    if let Some(message) = choice.get_mut(part).and_then(Value::as_object_mut) {
        if let Some(text) = text {
            message.insert("content".to_owned(), text);
        }
        if none {
            message.shift_remove("tool_calls");
        } else {
            message.insert("tool_calls".to_owned(), others.into());
        }
    }
    if let Some(reason) = choice.get_mut("finish_reason").filter(|reason| answered && none && **reason == "tool_calls")
    {
        *reason = "stop".into();
    }
}

/// The same for a stream, choice by choice.
#[derive(Debug, Default)]
pub(super) struct StandIn {
    /// Choice and call of those that are the answer, and choices that call other tools as well.
    ours: Vec<(u64, u64)>,
    others: Vec<u64>,
}

// === impl StandIn ===

impl StandIn {
    /// Makes content of the calls that are the answer.
    pub(super) fn take(&mut self, choice: &mut Choice<'_>) {
        let index = choice.index;
        for call in &mut choice.calls {
            let at = (index, call.index.unwrap_or(0));
            let known = self.ours.contains(&at);
            if known || call.name.as_deref() == Some(JSON_TOOL) {
                call.stands_in = true;
                choice.stood_in.get_or_insert_default().push_str(&call.arguments);
                if !known {
                    self.ours.push(at);
                }
            } else if !self.others.contains(&index) {
                self.others.push(index);
            }
        }
        let called = self.ours.iter().any(|(choice, _)| *choice == index);
        choice.is_answered = called && !self.others.contains(&index);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Api, Dialect, Outgoing, StreamDecoder, decode, encode, read, row};

    fn sent(kind: &str, more: &Value) -> Value {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "response_format":
            {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let body = Body::parse(Bytes::from(body.to_string())).unwrap();
        let target = Target { row: row(kind), schema_by_tool: true, ..Target::new(Dialect::OpenAi, "m") };
        let need = read(Api::ChatCompletions, &body).unwrap();
        let Outgoing { body, .. } = encode(Api::ChatCompletions, &body, &need, &target).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn a_model_without_schemas_has_to_call_a_tool_that_takes_the_answer() {
        let sent = |more| sent("OpenAI", &more);
        let plain = sent(json!({}));
        assert_eq!(
            (&plain["tools"][0]["function"]["parameters"], plain.get("response_format")),
            (&json!({"type": "object"}), None)
        );
        assert_eq!(plain["tool_choice"]["function"]["name"], JSON_TOOL);
        let own = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
        let with_tools = sent(json!({"tools": own}));
        assert_eq!(
            (with_tools["tools"].as_array().unwrap().len(), &with_tools["tool_choice"]),
            (2, &json!("required"))
        );
        assert_eq!(sent(json!({"tools": own, "tool_choice": "auto"}))["tool_choice"], "auto");
        let object = json!({"response_format": {"type": "json_object"}});
        assert_eq!(sent(object.clone())["response_format"], object["response_format"]);
    }

    #[test]
    fn a_provider_that_knows_json_and_no_schemas_is_told() {
        let told = sent("DeepSeek", &json!({}));
        assert_eq!((&told["response_format"], told.get("tools")), (&json!({"type": "json_object"}), None));
        let first = &told["messages"][0];
        assert!(first["role"] == "system" && first["content"].as_str().unwrap().ends_with("{\"type\":\"object\"}"));
    }

    #[test]
    fn an_application_sees_content_and_no_call() {
        let call =
            |name: &str| json!({"id": "1", "type": "function", "function": {"name": name, "arguments": "{\"a\":1}"}});
        let rows = [
            (vec![call(JSON_TOOL)], json!("{\"a\":1}"), 0, "stop"),
            (vec![call("f"), call(JSON_TOOL)], json!("{\"a\":1}"), 1, "tool_calls"),
            (vec![call("f")], Value::Null, 1, "tool_calls"),
        ];
        for (calls, content, left, reason) in rows {
            let message = json!({"role": "assistant", "content": null, "tool_calls": calls});
            let body = json!({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]});
            let answer = decode(Api::ChatCompletions, Dialect::OpenAi, "m", body.to_string().into()).unwrap();
            let choice = &serde_json::from_slice::<Value>(&answer.body).unwrap()["choices"][0];
            let got = choice["message"]["tool_calls"].as_array().map_or(0, Vec::len);
            assert_eq!(
                (&choice["message"]["content"], got, &choice["finish_reason"]),
                (&content, left, &json!(reason))
            );
            let answer = decode(Api::Messages, Dialect::OpenAi, "m", body.to_string().into()).unwrap();
            let message: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(message["content"].as_array().unwrap().len(), left + usize::from(!content.is_null()));
        }
    }

    #[test]
    fn a_stream_brings_content_and_no_call() {
        let chunk = |delta: Value, reason: Option<&str>| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
            format!("data: {}\n\n", json!({"id": "1", "model": "m", "choices": [choice]}))
        };
        let part = |name: Option<&str>, arguments: &str| {
            let mut call = json!({"index": 0, "function": {"arguments": arguments}});
            if let Some(name) = name {
                call["id"] = "1".into();
                call["function"]["name"] = name.into();
            }
            json!({"tool_calls": [call]})
        };
        let events = [
            chunk(json!({"role": "assistant", "content": null}), None),
            chunk(part(Some(JSON_TOOL), ""), None),
            chunk(part(None, "{\"a\""), None),
            chunk(part(None, ":1}"), None),
            chunk(json!({}), Some("tool_calls")),
            "data: [DONE]\n\n".to_owned(),
        ];
        for (api, end) in [(Api::ChatCompletions, "\"stop\""), (Api::Messages, "\"end_turn\"")] {
            let mut decoder = StreamDecoder::new(api, Dialect::OpenAi, "chat", true);
            let mut out = Vec::new();
            decoder.push(events.concat().into(), &mut out).unwrap();
            let text: String = out.iter().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned()).collect();
            assert!(!text.contains("tool") && text.contains(end), "{text}");
            let said = crate::Said::read_stream(api, out.iter().map(|frame| &frame.bytes[..]));
            assert_eq!((said.text.as_str(), said.tool_calls), ("{\"a\":1}", 0), "{text}");
        }
    }
}
