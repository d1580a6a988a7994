//! Requests in OpenAI's words to a backend that speaks them.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::table::Path;
use super::{fit, stand_in};
use crate::path::segment;
use crate::{Api, BadRequest, Body, Host, Need, Outgoing, Target, vertex};

/// Rewrites what a policy owns and what the provider's row says, and passes the rest on.
pub(crate) fn encode(api: Api, body: &Body, need: &Need, target: &Target<'_>) -> Result<Outgoing, BadRequest> {
    let mut out = body.clone();
    match target.host {
        Host::Own | Host::Bedrock => out.set("model", &target.model.into()),
        Host::Vertex => out.set("model", &vertex::name_in_body(target.model).into()),
    }
    fit::usage(&mut out, need, target.row);
    let mut dropped = Vec::new();
    if api == Api::ChatCompletions {
        let family = target.family();
        stand_in::request(&mut out, target);
        fit::parameters(&mut out, family, target, &mut dropped)?;
        fit::files(&mut out, target)?;
        fit::messages(&mut out, family, target.row);
        fit::tools(&mut out, target.row);
    } else if api == Api::Completions {
        fit::leave_out(&mut out, target.row.completions.drops.iter().copied(), target, &mut dropped)?;
    }
    Ok(Outgoing { path: path(api, need, target), headers: Cow::Borrowed(&[]), body: out.to_bytes(), dropped })
}

/// Where each API lives.
fn path(api: Api, need: &Need, target: &Target<'_>) -> Cow<'static, str> {
    if target.host == Host::Vertex {
        return vertex::openai_path(api, target.model, need.stream).into();
    }
    let path = match api {
        Api::ChatCompletions | Api::Messages | Api::Responses | Api::CountTokens | Api::Tokenize => "/chat/completions",
        Api::Completions => target.row.completions.path,
        Api::Embeddings => "/embeddings",
        Api::Pass(pass) => return pass.place(None, None, target).into(),
    };
    match (target.row.path, target.api_version) {
        (Path::Deployment, Some(version)) => {
            let (deployment, version) = (segment(target.model), segment(version));
            Cow::Owned(format!("/openai/deployments/{deployment}{path}?api-version={version}"))
        }
        (Path::Plain | Path::Deployment, _) => Cow::Borrowed(path),
    }
}

/// Without the usage of a stream nobody could say what it cost; the application sees it only if it asked.
pub(crate) fn with_usage(options: Option<Value>) -> Value {
    let mut options = options.filter(Value::is_object).unwrap_or_else(|| json!({}));
    options["include_usage"] = Value::Bool(true);
    options
}

pub(crate) fn unsupported(key: &str, model: &str) -> BadRequest {
    let message = format!("model {model:?} does not take \"{key}\" (leave it out, or set request.unsupported: Drop)");
    BadRequest::at(key, message)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::openai::table::Members;
    use crate::{Dialect, Unsupported, read, row};

    fn sent(
        kind: &str,
        model: &str,
        unsupported: Unsupported,
        body: Value,
    ) -> Result<(Value, Vec<String>), BadRequest> {
        let body = Body::parse(Bytes::from(body.to_string())).unwrap();
        let need = read(Api::ChatCompletions, &body).unwrap();
        let target = Target { row: row(kind), unsupported, ..Target::new(Dialect::OpenAi, model) };
        let out = encode(Api::ChatCompletions, &body, &need, &target)?;
        Ok((serde_json::from_slice(&out.body).unwrap(), out.dropped))
    }

    fn chat(more: Value) -> Value {
        let mut body = json!({"model": "chat", "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    #[test]
    fn only_what_a_policy_owns_is_rewritten() {
        let raw = r#"{ "messages":[{"role":"user","content":"\u0068i"}],  "model":"chat","x_new": {"a": 1.50}}"#;
        let body = Body::parse(Bytes::from_static(raw.as_bytes())).unwrap();
        let need = read(Api::ChatCompletions, &body).unwrap();
        let target = Target::new(Dialect::OpenAi, "gpt-4o");
        let out = encode(Api::ChatCompletions, &body, &need, &target).unwrap();
        let want = r#"{"messages":[{"role":"user","content":"\u0068i"}],"model":"gpt-4o","x_new":{"a": 1.50}}"#;
        assert_eq!(out.body, want);
        assert_eq!(out.path, "/chat/completions");
    }

    #[test]
    fn numbers_go_on_as_they_were_written_whatever_else_is_changed() {
        let numbers = r#"{"a":1.0,"b":1e5,"c":12345678901234567890123,"d":[ -0.0, 1E-7 ]}"#;
        let raw = format!(
            r#"{{"messages":[{{"role":"user","content":"hi","x":{numbers}}},
                {{"role":"assistant","content":""}},
                {{"role":"assistant","content":"b","reasoning_content":"hm","x":{numbers}}},
                {{"role":"developer","name":"n","cache_control":{{}},"x": {numbers}}}],
            "tools":[{{"type":"function","function":{{"name":"f","strict":true,"parameters":{numbers}}}}}],
            "web_search_options":{{}},"model":"chat"}}"#
        );
        let body = Body::parse(raw.into()).unwrap();
        let need = read(Api::ChatCompletions, &body).unwrap();
        for row in crate::openai::table::rows() {
            let (kind, tools) = (row.kind, usize::from(!row.drops.contains(&"tools")));
            let target = Target { row, unsupported: Unsupported::Drop, ..Target::new(Dialect::OpenAi, "m") };
            let sent =
                String::from_utf8(encode(Api::ChatCompletions, &body, &need, &target).unwrap().body.into()).unwrap();
            let turns = if matches!(row.members, Members::Only(_)) { 0 } else { 3 };
            assert_eq!(sent.matches(numbers).count(), turns + tools, "{kind}: {sent}");
        }
    }

    #[test]
    fn usage_is_always_asked_for_in_streams() {
        let (sent, _) =
            sent("OpenAI", "m", Unsupported::Drop, chat(json!({"stream": true, "stream_options": {"x": 1}}))).unwrap();
        assert_eq!(sent["stream_options"], json!({"x": 1, "include_usage": true}));
    }

    #[test]
    fn reasoning_models_get_what_they_take() {
        let body = chat(json!({"max_tokens": 9, "temperature": 0.2, "top_p": 1, "stop": "x", "seed": 4}));
        let rows = [
            ("gpt-4o", json!({"max_tokens": 9, "temperature": 0.2, "top_p": 1, "stop": "x", "seed": 4}), vec![]),
            ("o3-mini", json!({"max_completion_tokens": 9, "top_p": 1, "stop": "x", "seed": 4}), vec!["temperature"]),
            ("gpt-5", json!({"max_completion_tokens": 9, "top_p": 1, "seed": 4}), vec!["temperature", "stop"]),
        ];
        for (model, want, want_dropped) in rows {
            let (got, dropped) = sent("OpenAI", model, Unsupported::Drop, body.clone()).unwrap();
            let mut want = chat(want);
            want["model"] = model.into();
            assert_eq!((got, dropped), (want, want_dropped.iter().map(ToString::to_string).collect()), "{model}");
        }
        let error = sent("OpenAI", "gpt-5", Unsupported::Reject, body.clone()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("temperature"));
        assert_eq!(sent("OpenAI", "gpt-5", Unsupported::Pass, body).unwrap().0["temperature"], 0.2);
    }

    #[test]
    fn a_form_that_only_some_servers_know_goes_to_those_and_else_where_the_route_says() {
        let grammar = json!({"type": "grammar", "grammar": "root ::= \"a\""});
        let regex = json!({"type": "regex", "pattern": "a+"});
        let rows = [
            ("Fireworks", &grammar, true),
            ("Fireworks", &regex, false),
            ("Together", &regex, true),
            ("Together", &grammar, false),
            ("OpenAI", &regex, false),
            ("AzureOpenAI", &regex, false),
            ("OpenRouter", &grammar, true),
            ("VLLM", &grammar, true),
            ("OpenAICompatible", &regex, true),
        ];
        for (kind, format, taken) in rows {
            let ask = |unsupported| sent(kind, "m", unsupported, chat(json!({"response_format": format})));
            let (got, dropped) = ask(Unsupported::Drop).unwrap();
            assert_eq!(got.get("response_format"), taken.then_some(format), "{kind} {format}");
            assert_eq!(dropped.is_empty(), taken, "{kind} {format}: {dropped:?}");
            assert_eq!(ask(Unsupported::Pass).unwrap().0["response_format"], *format, "{kind}");
            let refused = ask(Unsupported::Reject).map_err(|error| error.param.unwrap());
            assert_eq!(refused.err(), (!taken).then(|| "response_format".to_owned()), "{kind} {format}");
        }
    }

    #[test]
    fn habits_that_some_backends_refuse_are_straightened() {
        let body = json!({"model": "m", "messages": [
            {"role": "developer", "content": "be kind"},
            {"role": "user", "content": [{"type": "image_url", "image_url": "https://a/b.png"}]}]});
        let (got, _) = sent("OpenAI", "llama", Unsupported::Drop, body.clone()).unwrap();
        assert_eq!(got["messages"][0]["role"], "system");
        assert_eq!(got["messages"][1]["content"][0]["image_url"], json!({"url": "https://a/b.png"}));
        assert_eq!(sent("OpenAI", "o1", Unsupported::Drop, body).unwrap().0["messages"][0]["role"], "developer");
    }

    #[test]
    fn an_answer_sent_back_has_nothing_that_only_answers_have_where_that_is_refused() {
        let cited = json!([{"type": "url_citation", "url_citation": {"url": "https://a"}}]);
        let call = |more: Value| {
            let mut call = json!({"id": "abcdefgh1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
            call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!([call])
        };
        let signed = call(json!({"extra_content": {"google": {"thought_signature": "s"}}}));
        let rows = [
            (json!({"content": "b", "refusal": null}), json!({"content": "b"})),
            (json!({"content": "b", "refusal": null, "annotations": cited}), json!({"content": "b"})),
            (
                json!({"content": "b", "refusal": null, "annotations": [], "audio": null, "function_call": null,
                    "tool_calls": null}),
                json!({"content": "b"}),
            ),
            (json!({"content": null, "refusal": "no"}), json!({"content": "no"})),
            (json!({"content": null, "audio": {"id": "a", "transcript": "hm"}}), json!({"content": "hm"})),
            (
                json!({"content": null, "refusal": null, "tool_calls": signed}),
                json!({"content": null, "tool_calls": call(json!({}))}),
            ),
        ];
        for (back, want) in rows {
            let turn = |fields: &Value| {
                let mut turn = json!({"role": "assistant"});
                turn.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
                turn
            };
            let body = chat(json!({"messages": [{"role": "user", "content": "a"}, turn(&back)]}));
            for kind in ["Mistral", "Groq", "Cohere", "Cerebras", "Together", "Databricks"] {
                let (got, _) = sent(kind, "m", Unsupported::Reject, body.clone()).unwrap();
                assert_eq!(got["messages"][1], turn(&want), "{kind}");
            }
            for kind in ["OpenAI", "AzureOpenAI", "OpenRouter", "OpenAICompatible"] {
                let (got, _) = sent(kind, "gpt-4o", Unsupported::Drop, body.clone()).unwrap();
                assert_eq!(got["messages"][1], turn(&back), "{kind}");
            }
        }
    }

    #[test]
    fn cohere_gets_no_member_of_a_message_or_a_tool_that_it_does_not_know() {
        let turn = json!({"role": "assistant", "content": "b", "reasoning_content": "hm", "x_new": 1});
        let tool = |more: Value| {
            let mut function = json!({"name": "f", "parameters": {"type": "object"}});
            function.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!([{"type": "function", "function": function}])
        };
        let user = json!({"role": "user", "name": "ann", "content": "a"});
        let body = chat(json!({"messages": [user, turn], "tools": tool(json!({"strict": true}))}));
        let (got, _) = sent("Cohere", "m", Unsupported::Drop, body).unwrap();
        let messages = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]);
        assert_eq!((&got["messages"], &got["tools"]), (&messages, &tool(json!({}))));
    }

    #[test]
    fn earlier_thoughts_go_only_to_those_who_take_them_back() {
        let rows = [
            ("Groq", None, None),
            ("OpenAI", Some("hm"), None),
            ("Mistral", None, None),
            ("Cerebras", None, Some("hm")),
            ("DeepSeek", Some("hm"), None),
            ("VLLM", Some("hm"), None),
            ("OpenRouter", Some("hm"), None),
        ];
        for (kind, content, renamed) in rows {
            let body = json!({"model": "m", "messages": [{"role": "user", "content": "a"},
                {"role": "assistant", "content": "b", "reasoning_content": "hm"}, {"role": "user", "content": "c"}]});
            let (got, _) = sent(kind, "m", Unsupported::Drop, body).unwrap();
            let turn = &got["messages"][1];
            assert_eq!((turn["reasoning_content"].as_str(), turn["reasoning"].as_str()), (content, renamed), "{kind}");
        }
    }
}
