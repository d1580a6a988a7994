//! A request that goes on as a chat's, in which what is left out or refused is told in the words of whoever wrote it.

use crate::{Api, BadRequest, Body, Need, Outgoing, Target, encode};

/// What has become a chat's request goes on from there. `dropped`: what was left out on the way.
pub(crate) fn by_chat(
    (api, given): (Api, &Body),
    chat: &Body,
    dropped: Vec<String>,
    need: &Need,
    target: &Target<'_>,
) -> Result<Outgoing, BadRequest> {
    let mut outgoing = encode(Api::ChatCompletions, chat, need, target).map_err(|bad| reworded(api, given, bad))?;
    let left = std::mem::take(&mut outgoing.dropped).into_iter();
    let left = left.map(|name| own(api, given, &name).map_or(name, str::to_owned));
    for name in left.chain(dropped) {
        if !outgoing.dropped.contains(&name) {
            outgoing.dropped.push(name);
        }
    }
    Ok(outgoing)
}

fn reworded(api: Api, given: &Body, bad: BadRequest) -> BadRequest {
    let name = bad.param.clone().unwrap_or_default();
    let Some(own) = own(api, given, &name) else { return bad };
    let message = bad.message.replace(&format!("\"{name}\""), &format!("\"{own}\""));
    BadRequest::at(own, message)
}

/// What a member of a chat's request was made of. None: it has the same name, or nobody wrote it.
fn own(api: Api, given: &Body, name: &str) -> Option<&'static str> {
    let has = |key: &str| given.get_bytes(key).is_some_and(|raw| raw != b"null");
    Some(match (api, name) {
        (Api::Messages, "stop") => "stop_sequences",
        (Api::Messages, "user") => "metadata",
        (Api::Messages, "parallel_tool_calls") => "tool_choice",
        (Api::Messages, "max_completion_tokens") => "max_tokens",
        (Api::Messages, "reasoning_effort" | "chat_template_kwargs") if has("thinking") => "thinking",
        (Api::Messages, "reasoning_effort") => "output_config",
        (Api::Messages, "response_format") if has("output_format") => "output_format",
        (Api::Messages, "response_format") => "output_config",
        (Api::Responses, "max_tokens" | "max_completion_tokens") => "max_output_tokens",
        (Api::Responses, "reasoning_effort") => "reasoning",
        (Api::Responses, "response_format" | "verbosity") => "text",
        (Api::Responses, "logprobs") => "include",
        (Api::Completions, "top_logprobs") => "logprobs",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Dialect, Unsupported, read, row};

    #[test]
    fn what_is_left_out_or_refused_has_the_name_that_the_application_gave_it() {
        let tool = json!([{"name": "f", "input_schema": {"type": "object"}}]);
        let function = json!([{"type": "function", "name": "f", "parameters": {}}]);
        let perplexity = (Dialect::OpenAi, "Perplexity", "sonar");
        let nim = (Dialect::OpenAi, "NvidiaNim", "m");
        let llama = (Dialect::Bedrock, "Bedrock", "meta.llama3-3-70b-instruct-v1:0");
        let one_call = json!({"type": "auto", "disable_parallel_tool_use": true});
        let rows = [
            (Api::Messages, perplexity, json!({"stop_sequences": ["x"]}), "stop_sequences"),
            (Api::Messages, perplexity, json!({"metadata": {"user_id": "u"}}), "metadata"),
            (Api::Messages, nim, json!({"thinking": {"type": "enabled", "budget_tokens": 2000}}), "thinking"),
            (Api::Messages, nim, json!({"output_config": {"effort": "low"}}), "output_config"),
            (Api::Messages, llama, json!({"tools": tool, "tool_choice": one_call}), "tool_choice"),
            (Api::Responses, perplexity, json!({"user": "u"}), "user"),
            (Api::Responses, nim, json!({"reasoning": {"effort": "low"}}), "reasoning"),
            (Api::Responses, nim, json!({"text": {"verbosity": "low"}}), "text"),
            (Api::Responses, nim, json!({"include": ["message.output_text.logprobs"]}), "include"),
            (Api::Responses, llama, json!({"tools": function, "parallel_tool_calls": false}), "parallel_tool_calls"),
            (
                Api::Completions,
                (Dialect::Anthropic, "Anthropic", "claude-sonnet-4-5"),
                json!({"logprobs": 2}),
                "logprobs",
            ),
        ];
        for (api, (dialect, kind, model), more, want) in rows {
            let mut request = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
                "input": "hi", "prompt": "hi"});
            let strangers: &[&str] = match api {
                Api::Messages => &["input", "prompt"],
                Api::Responses => &["max_tokens", "messages", "prompt"],
                _ => &["messages", "input"],
            };
            let fields = request.as_object_mut().unwrap();
            fields.retain(|key, _| !strangers.contains(&key.as_str()));
            fields.extend(more.as_object().unwrap().clone());
            let body = Body::parse(request.to_string().into()).unwrap();
            let need = read(api, &body).unwrap();
            let target = Target { row: row(kind), ..Target::new(dialect, model) };
            let mut told = encode(api, &body, &need, &target).unwrap().dropped;
            told.dedup();
            assert_eq!(told, [want], "{kind} {more}");
            let target = Target { unsupported: Unsupported::Reject, ..target };
            let refused = encode(api, &body, &need, &target).unwrap_err();
            assert_eq!(refused.param.as_deref(), Some(want), "{kind} {more}");
            assert!(refused.message.contains(&format!("\"{want}\"")), "{}", refused.message);
        }
    }

    #[test]
    fn a_name_that_is_the_same_stays() {
        let schema = json!({"type": "json_schema", "schema": {"type": "object"}});
        let given = Body::parse(json!({"output_format": schema}).to_string().into()).unwrap();
        assert_eq!(own(Api::Messages, &given, "response_format"), Some("output_format"));
        assert_eq!(own(Api::Messages, &Body::default(), "response_format"), Some("output_config"));
        assert_eq!(own(Api::Responses, &Body::default(), "response_format"), Some("text"));
        assert_eq!(own(Api::ChatCompletions, &Body::default(), "stop"), None);
    }
}
