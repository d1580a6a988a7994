//! What a tool's declaration says in Anthropic's words alone.

use serde_json::Value;

use crate::{BadRequest, Dialect, Target, bedrock};

/// Takes over what a declaration says beyond its name and its schema. `strict` is known to others as well; the rest is left
/// out and told, refused or passed, as the route says.
pub(super) fn beside(
    tool: &Value,
    function: &mut Value,
    at: &str,
    target: &Target<'_>,
    dropped: &mut Vec<String>,
) -> Result<(), BadRequest> {
    let strict = match target.dialect {
        Dialect::OpenAi => target.row.strict_tools,
        Dialect::Bedrock => bedrock::takes_strict(target),
        _ => false,
    };
    for (key, value) in tool.as_object().into_iter().flatten() {
        match key.as_str() {
            "type" | "name" | "description" | "input_schema" | "cache_control" => {}
            "strict" if strict => function[key] = value.clone(),
            _ if matches!(value, Value::Null | Value::Bool(false)) => {}
            _ => {
                let left = target.refuse(&format!("{at}.{key}"), value.clone(), dropped)?;
                left.into_iter().for_each(|value| function[key] = value);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Api, Body, Outgoing, Unsupported, encode, read};

    fn sent(target: &Target<'_>, more: &Value) -> Result<Outgoing, BadRequest> {
        let mut request = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let body = Body::parse(request.to_string().into()).unwrap();
        encode(Api::Messages, &body, &read(Api::Messages, &body).unwrap(), target)
    }

    #[test]
    fn what_a_tool_says_beyond_its_schema_is_passed_or_told() {
        let tool = |more: Value| {
            let mut tool = json!({"name": "f", "input_schema": {"type": "object", "properties": {}}});
            tool.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"tools": [tool]})
        };
        let strict = tool(json!({"strict": true}));
        let (openai, converse) = ("/tools/0/function/strict", "/toolConfig/tools/0/toolSpec/strict");
        let rows = [
            (Dialect::OpenAi, "gpt-5", openai, &[][..]),
            (Dialect::Bedrock, "eu.anthropic.claude-sonnet-4-5-v1:0", converse, &[]),
            (Dialect::Bedrock, "amazon.nova-pro-v1:0", converse, &["tools[0].strict"]),
            (Dialect::Gemini, "gemini-2.5-pro", openai, &["tools[0].strict"]),
        ];
        for (dialect, model, place, dropped) in rows {
            let target = Target::new(dialect, model);
            let out = sent(&target, &strict).unwrap();
            let body: Value = serde_json::from_slice(&out.body).unwrap();
            assert_eq!(
                (body.pointer(place).is_some(), &*out.dropped),
                (dropped.is_empty(), &owned(dropped)[..]),
                "{model}"
            );
            let rejects = Target { unsupported: Unsupported::Reject, ..target };
            let refused = sent(&rejects, &strict).err().and_then(|bad| bad.param);
            assert_eq!(refused.as_deref(), dropped.first().copied(), "{model}");
        }
        let target = Target::new(Dialect::OpenAi, "gpt-5");
        let more = tool(json!({"type": "custom", "input_examples": [{}], "defer_loading": true, "strict": false}));
        let dropped = owned(&["tools[0].input_examples", "tools[0].defer_loading"]);
        assert_eq!(sent(&target, &more).unwrap().dropped, dropped);
        let quiet = tool(json!({"defer_loading": false, "input_examples": null}));
        assert_eq!(sent(&target, &quiet).unwrap().dropped, owned(&[]));
    }

    fn owned(keys: &[&str]) -> Vec<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }
}
