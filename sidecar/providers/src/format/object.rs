//! An answer that is to be some JSON object, for those whose APIs know schemas only.
//!
//! A Claude is made to call a tool that takes anything, and its answer is what it calls it with: what it says around the call
//! is left out, unless a stream has told it already. Where it may not be forced, because it thinks, or has tools of the application's to choose among, it is
//! told in words. So is everybody else: models that are held to a tool's schema word by word could say nothing but `{}`.

use serde_json::{Value, json};

use crate::{Body, Dialect, Target, anthropic, bedrock};

/// What is said to models whose API has no word for it.
const OBJECT: &str = "Answer with one JSON object and nothing else: no explanation, no code fence.";

/// What the tool's parameters are.
const ANYTHING: &str = "The answer: one JSON object, with whatever names and values the conversation asks for.";

/// The same request with `json_object` in words that its target understands. None: it stays as it is.
pub(crate) fn reworded(body: &Body, target: &Target<'_>) -> Option<Body> {
    let can_be_forced = match target.dialect {
        Dialect::Anthropic | Dialect::BedrockInvoke => anthropic::can_be_forced(target),
        Dialect::Bedrock => bedrock::can_be_forced(target),
        Dialect::OpenAi | Dialect::Gemini | Dialect::Cohere | Dialect::Ollama => return None,
    };
    if body.value("response_format")?["type"] != "json_object" {
        return None;
    }
    if can_be_forced && !has_tools(body) && !thinks(body) {
        let schema = json!({"type": "object", "description": ANYTHING, "properties": {}, "additionalProperties": true});
        let mut asked = body.clone();
        let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}});
        asked.set("response_format", &format);
        return Some(asked);
    }
    told(body)
}

fn has_tools(body: &Body) -> bool {
    let any = |key| body.array_len(key).is_some_and(|count| count > 0);
    any("tools") || any("functions") || body.value("web_search_options").is_some()
}

fn thinks(body: &Body) -> bool {
    let effort = body.value("reasoning_effort").is_some_and(|effort| effort != "none");
    effort || body.value("thinking").is_some_and(|thinking| thinking["type"] != "disabled")
}

fn told(body: &Body) -> Option<Body> {
    let Some(Value::Array(mut messages)) = body.value("messages") else { return None };
    let is_system = |message: &Value| message["role"] == "system" || message["role"] == "developer";
    let place = messages.iter().take_while(|message| is_system(message)).count();
    messages.insert(place, json!({"role": "system", "content": OBJECT}));
    let mut told = body.clone();
    told.set("messages", &messages.into());
    told.remove("response_format");
    Some(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anthropic::JSON_TOOL;
    use crate::{Abilities, Api, StreamDecoder, decode, encode, read};

    const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

    fn body(more: &Value) -> Body {
        let mut asked = json!({"model": "m", "messages": [{"role": "system", "content": "a"},
            {"role": "user", "content": "b"}], "response_format": {"type": "json_object"}});
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Body::parse(asked.to_string().into()).unwrap()
    }

    fn sent(dialect: Dialect, model: &str, forced: Option<bool>, more: &Value) -> Value {
        let body = body(more);
        let need = read(Api::ChatCompletions, &body).unwrap();
        let abilities = Abilities { forced_tool_use: forced, ..Abilities::default() };
        let target = Target { abilities, ..Target::new(dialect, model) };
        serde_json::from_slice(&encode(Api::ChatCompletions, &body, &need, &target).unwrap().body).unwrap()
    }

    #[test]
    fn a_claude_that_may_be_forced_answers_by_a_tool_and_others_are_told() {
        let tool = json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]});
        let effort = json!({"reasoning_effort": "high", "max_tokens": 9000});
        let (none, thinking) = (json!({}), json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}));
        let rows = [
            (Dialect::Anthropic, "claude-opus-5", None, &none, true),
            (Dialect::Anthropic, "claude-3-5-haiku", None, &json!({"tools": [], "reasoning_effort": "none"}), true),
            (Dialect::Anthropic, "claude-opus-5", Some(false), &none, false),
            (Dialect::Anthropic, "claude-sonnet-4-5", None, &tool, false),
            (Dialect::Anthropic, "claude-sonnet-4-5", None, &effort, false),
            (Dialect::Anthropic, "claude-sonnet-4-5", None, &thinking, false),
            (Dialect::Anthropic, "minimax-m2", None, &none, false),
            (Dialect::BedrockInvoke, CLAUDE, None, &none, true),
            (Dialect::Bedrock, CLAUDE, None, &none, true),
            (Dialect::Bedrock, CLAUDE, Some(false), &none, false),
            (Dialect::Bedrock, CLAUDE, None, &tool, false),
            (Dialect::Bedrock, "amazon.nova-pro-v1:0", None, &none, false),
            (Dialect::Bedrock, "meta.llama3-1-8b-instruct-v1:0", None, &none, false),
        ];
        for (dialect, model, forced, more, by_tool) in rows {
            let sent = sent(dialect, model, forced, more);
            let places = ["/tool_choice/name", "/toolConfig/toolChoice/tool/name"];
            let choice = places.iter().find_map(|place| sent.pointer(place));
            assert_eq!(choice.is_some_and(|name| name == JSON_TOOL), by_tool, "{dialect:?} {model} {more}: {sent}");
            assert_eq!(
                sent["system"].to_string().contains("Answer with one JSON"),
                !by_tool,
                "{dialect:?} {model} {more}"
            );
        }
        for (dialect, model) in [(Dialect::OpenAi, "gpt-5"), (Dialect::Gemini, "gemini-3-pro"), (Dialect::Cohere, "c")]
        {
            assert!(reworded(&body(&none), &Target::new(dialect, model)).is_none(), "{dialect:?}");
        }
        let schema = json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}});
        assert!(reworded(&body(&schema), &Target::new(Dialect::Anthropic, "claude-opus-5")).is_none());
    }

    /// What a caller of a chat reads, of the answer and of the stream.
    fn said(dialect: Dialect, whole: &Value, events: &str) -> (Value, String, String) {
        let answer = decode(Api::ChatCompletions, dialect, "m", whole.to_string().into()).unwrap();
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        let (mut decoder, mut out) = (StreamDecoder::new(Api::ChatCompletions, dialect, "m", false), Vec::new());
        decoder.push(events.to_owned().into(), &mut out).unwrap();
        let said = crate::Said::read_stream(Api::ChatCompletions, out.iter().map(|frame| &frame.bytes[..]));
        let raw = out.iter().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned()).collect();
        (answer["choices"][0].clone(), said.text, raw)
    }

    #[test]
    fn what_the_tool_was_called_with_is_the_answers_text() {
        for (input, pieces) in
            [(json!({"a": 1}), vec!["", "{\"a\"", ":1}"]), (json!({}), vec![""]), (json!({}), vec![])]
        {
            let call = json!({"type": "tool_use", "id": "1", "name": JSON_TOOL, "input": input});
            let around = json!({"type": "text", "text": "Sure: "});
            let content = json!([around, call, around]);
            let whole = json!({"id": "x", "type": "message", "content": content, "stop_reason": "tool_use"});
            let call = json!({"toolUse": {"toolUseId": "1", "name": JSON_TOOL, "input": input}});
            let converse = json!({"output": {"message": {"content": [{"text": "Sure: "}, call, {"text": "!"}]}}, "stopReason": "tool_use"});
            let mut events = vec![
                json!({"type": "message_start", "message": {"id": "x"}}),
                json!({"type": "content_block_start", "index": 0, "content_block":
                    {"type": "tool_use", "id": "1", "name": JSON_TOOL, "input": {}}}),
            ];
            events.extend(pieces.iter().map(|piece| {
                json!({"type": "content_block_delta", "index": 0,
                    "delta": {"type": "input_json_delta", "partial_json": piece}})
            }));
            events.push(json!({"type": "content_block_stop", "index": 0}));
            events.push(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}));
            let events: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
            let (choice, text, raw) = said(Dialect::Anthropic, &whole, &events);
            let got = (&choice["message"]["content"], &choice["finish_reason"]);
            assert_eq!(got, (&input.to_string().into(), &json!("stop")));
            assert_eq!(text, input.to_string());
            let (choice, ..) = said(Dialect::Bedrock, &converse, "");
            assert_eq!(choice["message"]["content"], input.to_string());
            assert!(raw.contains("\"stop\"") && !raw.contains("tool_calls"), "{raw}");
        }
    }
}
