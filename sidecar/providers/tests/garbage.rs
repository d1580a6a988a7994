//! Nothing anybody sends panics: any JSON made of the words the translations know, cut and mixed at random.

mod frames;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use spillway_providers::tokens::{self, Encoding};
use spillway_providers::{Api, Body, Dialect, Need, StreamDecoder, Target, Unsupported};
use spillway_providers::{decode, encode, fault, read, row};

const APIS: [Api; 5] = [Api::ChatCompletions, Api::Completions, Api::Embeddings, Api::Messages, Api::Responses];
/// Field names of both protocols; as values they are types, roles and reasons as well.
const WORDS: &[&str] = &[
    "messages",
    "role",
    "user",
    "assistant",
    "system",
    "developer",
    "tool",
    "function",
    "content",
    "type",
    "text",
    "image_url",
    "url",
    "image",
    "source",
    "base64",
    "media_type",
    "data",
    "file",
    "file_data",
    "document",
    "tool_calls",
    "tool_call_id",
    "arguments",
    "name",
    "id",
    "index",
    "tools",
    "input_schema",
    "parameters",
    "tool_choice",
    "auto",
    "any",
    "required",
    "json_schema",
    "response_format",
    "schema",
    "output_config",
    "format",
    "effort",
    "output_format",
    "thinking",
    "enabled",
    "budget_tokens",
    "reasoning_effort",
    "high",
    "stop",
    "stop_sequences",
    "temperature",
    "choices",
    "delta",
    "finish_reason",
    "usage",
    "prompt_tokens",
    "input_tokens",
    "output_tokens",
    "message",
    "message_start",
    "content_block_start",
    "content_block",
    "content_block_delta",
    "text_delta",
    "partial_json",
    "input_json_delta",
    "content_block_stop",
    "message_delta",
    "stop_reason",
    "end_turn",
    "message_stop",
    "tool_use",
    "tool_result",
    "tool_use_id",
    "input",
    "thinking_blocks",
    "function_call",
    "functions",
    "refusal",
    "reasoning",
    "error",
    "code",
    "model",
    "object",
    "metadata",
    "user_id",
    "stream_options",
    "include_usage",
    "web_search_options",
    "user_location",
    "properties",
    "$ref",
    "#/$defs/a",
    "$defs",
    "a",
    "enum",
    "minimum",
    "{}",
    "{\"a\":1}",
    "data:image/png;base64,AA==",
    "[DONE]",
    "cache_control",
    "annotations",
    "json_tool_call",
    "signature",
    "prompt",
    "x_groq",
    "n_ctx",
    "candidates",
    "parts",
    "finishReason",
    "STOP",
    "SAFETY",
    "functionCall",
    "args",
    "thought",
    "thoughtSignature",
    "inlineData",
    "mimeType",
    "promptFeedback",
    "blockReason",
    "usageMetadata",
    "promptTokenCount",
    "responseId",
    "detail",
    "output",
    "toolUse",
    "toolUseId",
    "reasoningContent",
    "reasoningText",
    "stopReason",
    "contentBlockIndex",
    "start",
    "bytes",
    "inputTokens",
    "message",
    "call_id",
    "summary",
    "encrypted_content",
    "function_call_output",
    "input_text",
    "input_image",
    "output_text",
    "allowed_tools",
    "response",
    "response.completed",
    "response.output_text.delta",
    "response.output_item.added",
    "output_index",
    "item",
    "status",
    "failed",
    "include",
    "store",
    "web_search",
    "extra_content",
];

fn any_value() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(WORDS);
    let leaf = prop_oneof![
        4 => word.clone().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => prop::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// An object that looks like a conversation often enough to be taken for one.
fn any_request() -> impl Strategy<Value = Value> {
    let turn = (prop::sample::select(vec!["user", "assistant", "system", "tool"]), any_value(), any_value());
    let turn = turn.prop_map(|(role, content, more)| {
        let mut turn = json!({"role": role, "tool_call_id": "c", "content": content});
        if let (Some(turn), Value::Object(more)) = (turn.as_object_mut(), more) {
            turn.extend(more);
        }
        turn
    });
    let fields = prop::collection::vec((prop::sample::select(WORDS), any_value()), 0..6);
    (prop::collection::vec(turn, 0..4), fields).prop_map(|(turns, fields)| {
        let mut body: Value = fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        body["input"] = turns.clone().into();
        body["messages"] = turns.into();
        body
    })
}

fn stream(bytes: &[u8], cut: usize) {
    for (api, dialect) in APIS.into_iter().flat_map(|api| Dialect::ALL.map(|dialect| (api, dialect))) {
        let mut decoder = StreamDecoder::new(api, dialect, "shown", true);
        let mut out = Vec::new();
        let pushed = bytes.chunks(cut).try_for_each(|piece| decoder.push(Bytes::copy_from_slice(piece), &mut out));
        let _ = pushed.and_then(|()| decoder.end(&mut out));
        for frame in out {
            assert!(std::str::from_utf8(&frame.bytes).is_ok() || std::str::from_utf8(bytes).is_err());
        }
    }
}

proptest! {
    #[test]
    fn any_request_is_translated_or_refused(value in any_request(), pass in any::<bool>()) {
        let body = Body::parse(Bytes::from(value.to_string())).unwrap();
        for (api, dialect) in APIS.into_iter().flat_map(|api| Dialect::ALL.map(|dialect| (api, dialect))) {
            // A policy may set fields after the request was read: what is written must stand on its own.
            let need = read(api, &body).unwrap_or(Need { stream: true, ..Need::default() });
            for model in ["gpt-4o", "o3", "gpt-5", "claude-3-haiku", "claude-opus-5"] {
                let unsupported = if pass { Unsupported::Pass } else { Unsupported::Drop };
                let row = row(if pass { "OpenAI" } else { "OpenAICompatible" });
                let target = Target { unsupported, row, ..Target::new(dialect, model) };
                if let Ok(out) = encode(api, &body, &need, &target) {
                    let sent: Value = serde_json::from_slice(&out.body).unwrap();
                    match dialect {
                        Dialect::Gemini => prop_assert!(out.path.contains(&["/", model, ":"].concat())),
                        Dialect::Bedrock | Dialect::BedrockInvoke => prop_assert!(out.path.starts_with(&["/model/", model, "/"].concat())),
                        Dialect::OpenAi | Dialect::Anthropic | Dialect::Cohere | Dialect::Ollama => {
                            prop_assert_eq!(&sent["model"], model);
                        }
                    }
                }
            }
            let _ = tokens::bounds(api, &body);
            let _ = tokens::count(api, &body, Encoding::Estimate);
        }
    }

    #[test]
    fn any_answer_is_read_or_a_fault(value in any_value(), cut in 0usize..200) {
        let bytes = Bytes::from(value.to_string());
        let cut = bytes.slice(..cut.min(bytes.len()));
        for (api, dialect) in APIS.into_iter().flat_map(|api| Dialect::ALL.map(|dialect| (api, dialect))) {
            for bytes in [&bytes, &cut] {
                if let Ok(answer) = decode(api, dialect, "shown", bytes.clone()) {
                    prop_assert!(serde_json::from_slice::<Value>(&answer.body).is_ok());
                }
                let _ = fault::classify(dialect, 400, "", bytes);
            }
        }
    }

    #[test]
    fn any_events_are_read_or_a_fault(values in prop::collection::vec(any_value(), 0..6), cut in 1usize..50) {
        let text: String = values.iter().map(|value| format!("data: {value}\n\n")).collect();
        stream(text.as_bytes(), cut);
        let names = ["contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "chunk"];
        let named = values.iter().zip(names.iter().cycle().skip(cut));
        let text: String = named.map(|(value, name)| format!("event: {name}\ndata: {value}\n\n")).collect();
        stream(&frames::of(&text), cut);
    }

    #[test]
    fn any_bytes_are_read_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 1usize..50) {
        stream(&bytes, cut);
        for (api, dialect) in APIS.into_iter().flat_map(|api| Dialect::ALL.map(|dialect| (api, dialect))) {
            let _ = decode(api, dialect, "shown", Bytes::from(bytes.clone()));
        }
    }
}
