//! How long a prompt is, by the word of the provider that would be billing for it.
//!
//! What is counted is what would be sent: the request is translated as for an answer, and as much of it as the counting door
//! takes is sent there. Doors differ in where they are and in what they take; a backend without one is counted for here.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{Api, BadRequest, Body, Dialect, Host, Need, Outgoing, Target, bedrock, encode, vertex};

/// A question for a provider.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Its path begins where the server does, and not at the provider's prefix.
    pub at_root: bool,
    pub outgoing: Outgoing,
    door: Door,
}

/// What a provider said.
#[derive(Clone, Debug)]
pub enum Told {
    Tokens(u64),
    /// That was half of the way.
    Next(Box<Asking>),
}

/// Where is counted, and in which words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Anthropic,
    Gemini,
    Bedrock,
    Responses,
    Vllm,
    /// llama.cpp writes a conversation out first, and counts text.
    Template,
    Text,
}

/// What Anthropic's counting takes of a message's request; anything else is an error there.
const ANTHROPIC: &[&str] = &["model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"];
const VERTEX_GEMINI: &[&str] = &["contents", "systemInstruction", "tools"];
const CONVERSE: &[&str] = &["messages", "system", "toolConfig"];
const RESPONSES: &[&str] = &[
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "previous_response_id",
    "conversation",
    "truncation",
];
const TEMPLATE: &[&str] = &["model", "messages", "tools", "tool_choice", "chat_template_kwargs"];

/// The question of how long a prompt is. None: this backend has no door for it, or needs none.
pub fn ask(api: Api, body: &Body, need: &Need, target: &Target<'_>) -> Option<Result<Asking, BadRequest>> {
    let door = Door::of(api, target)?;
    // Whoever counts a message for somebody is asked what the message would be.
    let api = if api == Api::CountTokens { Api::Messages } else { api };
    let whole = Need { stream: false, ..need.clone() };
    Some(encode(api, body, &whole, target).and_then(|outgoing| door.ask(outgoing, target)))
}

/// Reads what came back. None: it is no count.
#[must_use]
pub fn told(asked: &Asking, bytes: Bytes) -> Option<Told> {
    let body = Body::parse_answer(bytes).ok()?;
    let number = |key: &str| body.value(key)?.as_u64().map(Told::Tokens);
    match asked.door {
        Door::Anthropic | Door::Responses => number("input_tokens"),
        // Nothing at all has no tokens, which Google leaves out.
        Door::Gemini => number("totalTokens"),
        Door::Bedrock => number("inputTokens"),
        Door::Vllm => number("count"),
        Door::Text => body.array_len("tokens").map(|tokens| Told::Tokens(tokens as u64)),
        Door::Template => {
            let prompt = body.value("prompt").filter(Value::is_string)?;
            let text = json!({"content": prompt, "add_special": true, "parse_special": true});
            Some(Told::Next(Box::new(Asking::at_root(Door::Text, "/tokenize", text.to_string()))))
        }
    }
}

// === impl Door ===

impl Door {
    fn of(api: Api, target: &Target<'_>) -> Option<Self> {
        let is_chat = matches!(api, Api::ChatCompletions | Api::Messages | Api::Responses | Api::CountTokens);
        match (target.dialect, target.row.kind) {
            _ if !is_chat => None,
            (Dialect::Anthropic, _) => Some(Self::Anthropic),
            (Dialect::Gemini, _) => Some(Self::Gemini),
            (Dialect::Bedrock | Dialect::BedrockInvoke, _) => Some(Self::Bedrock),
            (Dialect::OpenAi, "OpenAI") if api == Api::Responses => Some(Self::Responses),
            (Dialect::OpenAi, "VLLM") => Some(Self::Vllm),
            (Dialect::OpenAi, "LlamaCpp") => Some(Self::Template),
            (Dialect::OpenAi | Dialect::Cohere | Dialect::Ollama, _) => None,
        }
    }

    fn ask(self, outgoing: Outgoing, target: &Target<'_>) -> Result<Asking, BadRequest> {
        let Outgoing { path, headers, body, dropped } = outgoing;
        let mut sent = Body::parse(body.clone())?;
        let at = |path: Cow<'static, str>, body: Bytes| Asking {
            at_root: false,
            outgoing: Outgoing { path, headers, body, dropped },
            door: self,
        };
        Ok(match (self, target.host) {
            (Self::Anthropic, host) => {
                only(&mut sent, ANTHROPIC);
                if host == Host::Vertex {
                    sent.set("model", &vertex::name(target.model).into());
                    return Ok(at(vertex::COUNT_PATH.into(), sent.to_bytes()));
                }
                at(format!("{path}/count_tokens").into(), sent.to_bytes())
            }
            (Self::Gemini, host) => {
                let path = path.replace(":generateContent", ":countTokens").into();
                if host == Host::Vertex {
                    only(&mut sent, VERTEX_GEMINI);
                    return Ok(at(path, sent.to_bytes()));
                }
                let model = path_model(&path);
                sent.set("model", &model.into());
                at(path, wrapped("generateContentRequest", &sent.to_bytes()))
            }
            (Self::Bedrock, host) => {
                let input = if host == Host::Bedrock {
                    json!({"invokeModel": {"body": STANDARD.encode(&body)}}).to_string().into()
                } else {
                    only(&mut sent, CONVERSE);
                    wrapped("converse", &sent.to_bytes())
                };
                at(bedrock::path(target.model, "count-tokens").into(), wrapped("input", &input))
            }
            (Self::Responses, _) => {
                only(&mut sent, RESPONSES);
                at(format!("{path}/input_tokens").into(), sent.to_bytes())
            }
            (Self::Vllm | Self::Template | Self::Text, _) => {
                only(&mut sent, TEMPLATE);
                let path = if self == Self::Vllm { "/tokenize" } else { "/apply-template" };
                Asking { at_root: true, ..at(path.into(), sent.to_bytes()) }
            }
        })
    }
}

// === impl Asking ===

impl Asking {
    fn at_root(door: Door, path: &'static str, body: String) -> Self {
        let headers = Cow::Borrowed([].as_slice());
        let outgoing = Outgoing { path: path.into(), headers, body: body.into(), dropped: Vec::new() };
        Self { at_root: true, outgoing, door }
    }
}

/// `models/gemini-2.5-pro` of `/models/gemini-2.5-pro:countTokens`.
fn path_model(path: &str) -> &str {
    path.trim_start_matches('/').split(':').next().unwrap_or_default()
}

/// Leaves out everything else.
fn only(sent: &mut Body, keys: &[&str]) {
    let others: Vec<String> = sent.keys().filter(|key| !keys.contains(key)).map(str::to_owned).collect();
    others.iter().for_each(|key| sent.remove(key));
}

/// JSON as the one field of an object.
fn wrapped(key: &str, json: &[u8]) -> Bytes {
    [b"{\"", key.as_bytes(), b"\":", json, b"}"].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Speech, read, row};

    fn asking(dialect: Dialect, kind: &str, model: &str, api: Api, body: &Value) -> Option<Asking> {
        let speech = match kind {
            "VertexAI" => Speech::at_vertex(model),
            "Bedrock" => Speech::at_bedrock(model),
            _ => Speech::of(dialect, row(kind)),
        };
        let Speech { dialect, host, row } = speech;
        let target = Target { host, row, ..Target::new(dialect, model) };
        let body = Body::parse(body.to_string().into()).unwrap();
        ask(api, &body, &read(api, &body).unwrap(), &target).map(Result::unwrap)
    }

    fn chat() -> Value {
        json!({"model": "chat", "stream": true, "max_tokens": 9, "temperature": 0.5,
            "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]})
    }

    #[test]
    fn what_would_be_sent_is_counted_where_there_is_a_door_for_it() {
        use Dialect::{Anthropic, Bedrock, Gemini, OpenAi};
        let messages = json!([{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]);
        let [brief, hi] = ["be brief", "hi"].map(|text| json!([{"type": "text", "text": text}]));
        let said = json!([{"role": "user", "content": hi}]);
        let system = json!({"parts": [{"text": "be brief"}]});
        let rows = [
            (
                Anthropic,
                "Anthropic",
                "c",
                "/messages/count_tokens",
                json!({"model": "c", "system": brief, "messages": said}),
            ),
            (
                Anthropic,
                "VertexAI",
                "claude-sonnet-4-5",
                "/publishers/anthropic/models/count-tokens:rawPredict",
                json!({"model": "claude-sonnet-4-5", "system": brief, "messages": said}),
            ),
            (
                Gemini,
                "VertexAI",
                "gemini-2.5-pro",
                "/publishers/google/models/gemini-2.5-pro:countTokens",
                json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "systemInstruction": system}),
            ),
            (
                Bedrock,
                "Bedrock",
                "amazon.nova-pro-v1:0",
                "/model/amazon.nova-pro-v1%3A0/count-tokens",
                json!({"input": {"converse": {"messages": [{"role": "user", "content": [{"text": "hi"}]}],
                    "system": [{"text": "be brief"}]}}}),
            ),
            (OpenAi, "VLLM", "q", "/tokenize", json!({"model": "q", "messages": messages})),
            (OpenAi, "LlamaCpp", "q", "/apply-template", json!({"model": "q", "messages": messages})),
        ];
        for (dialect, kind, model, path, want) in rows {
            let asked = asking(dialect, kind, model, Api::ChatCompletions, &chat()).unwrap();
            let sent: Value = serde_json::from_slice(&asked.outgoing.body).unwrap();
            assert_eq!((asked.outgoing.path.as_ref(), &sent), (path, &want), "{kind} {model}");
            assert_eq!(asked.at_root, matches!(kind, "VLLM" | "LlamaCpp"), "{kind}");
        }
    }

    #[test]
    fn a_whole_request_is_wrapped_where_the_door_takes_one_and_nobody_else_is_asked() {
        use Dialect::{Bedrock, Cohere, Gemini, Ollama, OpenAi};
        let google = asking(Gemini, "Gemini", "gemini-2.5-pro", Api::ChatCompletions, &chat()).unwrap();
        let sent: Value = serde_json::from_slice(&google.outgoing.body).unwrap();
        assert_eq!(google.outgoing.path, "/models/gemini-2.5-pro:countTokens");
        assert_eq!(sent["generateContentRequest"]["model"], "models/gemini-2.5-pro", "{sent}");
        let claude = "invoke/anthropic.claude-sonnet-4-5-v1:0";
        let invoked = asking(Bedrock, "Bedrock", claude, Api::ChatCompletions, &chat()).unwrap();
        let sent: Value = serde_json::from_slice(&invoked.outgoing.body).unwrap();
        let inside = STANDARD.decode(sent["input"]["invokeModel"]["body"].as_str().unwrap()).unwrap();
        assert!(String::from_utf8(inside).unwrap().contains("bedrock-2023-05-31"), "{sent}");
        for (dialect, kind) in [(OpenAi, "OpenAI"), (OpenAi, "Groq"), (Cohere, "Cohere"), (Ollama, "Ollama")] {
            assert!(asking(dialect, kind, "m", Api::ChatCompletions, &chat()).is_none(), "{kind}");
        }
    }

    #[test]
    fn every_api_is_counted_for_and_a_count_of_messages_is_one_for_whoever_answers() {
        let count = json!({"model": "chat", "messages": [{"role": "user", "content": "hi"}]});
        let asked = asking(Dialect::OpenAi, "VLLM", "q", Api::CountTokens, &count).unwrap();
        assert_eq!(asked.outgoing.path, "/tokenize");
        let response = json!({"model": "chat", "input": "hi", "max_output_tokens": 9});
        let asked = asking(Dialect::OpenAi, "OpenAI", "gpt-5", Api::Responses, &response).unwrap();
        let sent: Value = serde_json::from_slice(&asked.outgoing.body).unwrap();
        assert_eq!(
            (asked.outgoing.path.as_ref(), sent),
            ("/responses/input_tokens", json!({"model": "gpt-5", "input": "hi"}))
        );
        assert!(asking(Dialect::Gemini, "Gemini", "g", Api::Responses, &response).is_some());
        let schema = json!({"format": {"type": "json_schema", "schema": {"type": "object"}}});
        let count = json!({"model": "chat", "messages": count["messages"], "output_config": schema});
        let asked = asking(Dialect::Anthropic, "Anthropic", "claude-opus-4-6", Api::CountTokens, &count).unwrap();
        let sent: Value = serde_json::from_slice(&asked.outgoing.body).unwrap();
        assert_eq!(sent["output_config"]["format"]["type"], "json_schema", "{sent}");
        let prompt = json!({"model": "chat", "prompt": "hi"});
        assert!(asking(Dialect::OpenAi, "VLLM", "q", Api::Completions, &prompt).is_none());
    }

    #[test]
    fn a_count_is_read_wherever_it_stands_and_anything_else_is_none() {
        let rows = [
            (Door::Anthropic, r#"{"input_tokens": 7}"#, Some(7)),
            (Door::Responses, r#"{"object": "response.input_tokens", "input_tokens": 7}"#, Some(7)),
            (Door::Gemini, r#"{"totalTokens": 7, "promptTokensDetails": []}"#, Some(7)),
            (Door::Bedrock, r#"{"inputTokens": 7}"#, Some(7)),
            (Door::Vllm, r#"{"count": 7, "max_model_len": 9, "tokens": [1]}"#, Some(7)),
            (Door::Text, r#"{"tokens": [5, 6, 7]}"#, Some(3)),
            (Door::Anthropic, r#"{"input_tokens": -1}"#, None),
            (Door::Gemini, r#"{"error": {"code": 404}}"#, None),
            (Door::Text, r#"{"tokens": 3}"#, None),
            (Door::Template, r#"{"prompt": 3}"#, None),
            (Door::Vllm, "<html>", None),
        ];
        for (door, text, want) in rows {
            let said = told(&Asking::at_root(door, "/", String::new()), Bytes::from_static(text.as_bytes()));
            let got = said.and_then(|told| if let Told::Tokens(tokens) = told { Some(tokens) } else { None });
            assert_eq!(got, want, "{door:?} {text}");
        }
        let template = Asking::at_root(Door::Template, "/", String::new());
        let Some(Told::Next(next)) = told(&template, Bytes::from_static(br#"{"prompt": "<s>hi"}"#)) else { panic!() };
        let sent: Value = serde_json::from_slice(&next.outgoing.body).unwrap();
        assert_eq!((next.outgoing.path.as_ref(), sent["content"].as_str()), ("/tokenize", Some("<s>hi")));
    }
}
