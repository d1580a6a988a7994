use super::*;
use crate::{Abilities, Api, Dialect, read};

fn sent(unsupported: Unsupported, abilities: Abilities, more: &Value) -> Result<(Value, Vec<String>), BadRequest> {
    let mut request = json!({"model": "chat", "messages": [{"role": "user", "content": "hi"}]});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let body = Body::parse(request.to_string().into()).unwrap();
    let need = read(Api::ChatCompletions, &body).unwrap();
    let target = Target { abilities, unsupported, ..Target::new(Dialect::Bedrock, "anthropic.claude-sonnet-5-5") };
    let out = encode(&body, &need, &target)?;
    Ok((serde_json::from_slice(&out.body).unwrap(), out.dropped))
}

#[test]
fn nobody_is_made_to_call_a_tool_who_cannot_be() {
    let never = Abilities { forced_tool_use: Some(false), ..Abilities::default() };
    let single = Abilities { parallel_tool_config: Some(true), ..never };
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let required = json!({"tools": tools, "tool_choice": "required"});
    let auto = json!({"tools": tools, "tool_choice": "auto"});
    let one = json!({"tools": tools, "tool_choice": "required", "parallel_tool_calls": false});
    let schema = json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}});
    let (any, let_be) = (json!({"any": {}}), json!({"auto": {}}));
    let rows = [
        (Unsupported::Drop, Abilities::default(), &required, any.clone(), 0),
        (Unsupported::Drop, never, &required, json!(null), 1),
        (Unsupported::Pass, never, &required, any, 0),
        (Unsupported::Drop, never, &auto, let_be, 0),
        (Unsupported::Drop, never, &schema, json!(null), 0),
        (Unsupported::Drop, single, &one, json!(null), 1),
    ];
    for (unsupported, known, more, choice, dropped) in rows {
        let (got, left_out) = sent(unsupported, known, more).unwrap();
        assert_eq!((&got["toolConfig"]["toolChoice"], left_out.len()), (&choice, dropped), "{more} {got}");
    }
    let (got, _) = sent(Unsupported::Drop, single, &one).unwrap();
    let said = &got["additionalModelRequestFields"]["tool_choice"];
    assert_eq!(said, &json!({"type": "auto", "disable_parallel_tool_use": true}));
    assert!(sent(Unsupported::Reject, never, &required).unwrap_err().message.contains("tool_choice"));
    assert!(sent(Unsupported::Reject, never, &schema).is_ok(), "the tool is ours, and an aid");
}

#[test]
fn a_schema_goes_as_one_to_models_known_to_take_it() {
    let schema = json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}});
    for (known, native) in [(Some(true), true), (Some(false), false), (None, false)] {
        let abilities = Abilities { native_schema: known, ..Abilities::default() };
        let (got, _) = sent(Unsupported::Drop, abilities, &schema).unwrap();
        assert_eq!((got["outputConfig"].is_object(), got["toolConfig"].is_object()), (native, !native), "{got}");
    }
    let map =
        json!({"type": "object", "properties": {"a": {"type": "object", "additionalProperties": {"type": "integer"}}}});
    let map = json!({"response_format": {"type": "json_schema", "json_schema": {"schema": map}}});
    let abilities = Abilities { native_schema: Some(true), ..Abilities::default() };
    let (got, _) = sent(Unsupported::Drop, abilities, &map).unwrap();
    assert!(got["outputConfig"].is_null() && got["toolConfig"].is_object(), "a map stays one: {got}");
}

#[test]
fn a_claude_gets_one_of_two_measures_of_chance() {
    let knows = Abilities { sampling: Some(true), ..Abilities::default() };
    let both = json!({"temperature": 0.2, "top_p": 0.9});
    let (got, dropped) = sent(Unsupported::Drop, knows, &both).unwrap();
    assert_eq!((&got["inferenceConfig"], dropped), (&json!({"temperature": 0.2}), vec!["top_p".to_owned()]));
    let (got, _) = sent(Unsupported::Pass, knows, &both).unwrap();
    assert_eq!(got["inferenceConfig"], json!({"temperature": 0.2, "topP": 0.9}));
    assert!(sent(Unsupported::Reject, knows, &both).unwrap_err().message.contains("top_p"));
}

#[test]
fn a_claude_that_thinks_gets_nothing_that_thinking_excludes() {
    let knows =
        |adaptive| Abilities { sampling: Some(true), adaptive_thinking: Some(adaptive), ..Abilities::default() };
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let asked = json!({"temperature": 0.2, "top_k": 5, "tools": tools, "tool_choice": "required",
        "reasoning_effort": "low", "max_tokens": 9000});
    for adaptive in [true, false] {
        let (got, dropped) = sent(Unsupported::Drop, knows(adaptive), &asked).unwrap();
        assert!(got["additionalModelRequestFields"]["thinking"].is_object(), "{got}");
        assert!(got["inferenceConfig"]["temperature"].is_null() && got["toolConfig"]["toolChoice"].is_null(), "{got}");
        assert_eq!(dropped, ["temperature", "top_k", "tool_choice"]);
        let (got, _) = sent(Unsupported::Pass, knows(adaptive), &asked).unwrap();
        assert_eq!(got["inferenceConfig"]["temperature"], 0.2);
        assert!(sent(Unsupported::Reject, knows(adaptive), &asked).is_err());
    }
    let messages = json!([{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "r"}]);
    let more = json!({"messages": messages, "tools": tools, "reasoning_effort": "low", "max_tokens": 9000});
    let (got, dropped) = sent(Unsupported::Drop, knows(false), &more).unwrap();
    assert!(got["additionalModelRequestFields"].is_null() && dropped == ["reasoning_effort"], "{got}");
}

#[test]
fn nova_keeps_the_bound_it_is_given_and_tells_what_its_highest_effort_excludes() {
    let measures = json!({"temperature": 0.2, "top_p": 0.9});
    let effort = |more: Value| [json!({"reasoning_effort": "high"}), more];
    let budget = |more: Value| [json!({"thinking": {"type": "enabled", "budget_tokens": 12_000}}), more];
    let taken = json!({"maxTokens": 100, "temperature": 0.2, "topP": 0.9});
    let (drop, reject, pass) = (Unsupported::Drop, Unsupported::Reject, Unsupported::Pass);
    let rows = [
        (drop, effort(json!({"max_tokens": 100})), Ok(("medium", taken.clone(), 1))),
        (drop, budget(json!({"max_tokens": 100})), Ok(("medium", taken.clone(), 1))),
        (reject, budget(json!({"max_completion_tokens": 100})), Err("thinking")),
        (pass, effort(json!({"max_tokens": 100})), Ok(("high", taken, 0))),
        (drop, effort(json!({})), Ok(("high", json!({}), 2))),
        (drop, budget(json!({})), Ok(("high", json!({}), 2))),
        (reject, effort(json!({})), Err("temperature")),
    ];
    for (unsupported, asked, want) in rows {
        let mut request = json!({"model": "chat", "messages": [{"role": "user", "content": "hi"}]});
        for more in asked.iter().chain([&measures]) {
            request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        }
        let body = Body::parse(request.to_string().into()).unwrap();
        let need = read(Api::ChatCompletions, &body).unwrap();
        let target = Target { unsupported, ..Target::new(Dialect::Bedrock, "us.amazon.nova-2-lite-v1:0") };
        match (encode(&body, &need, &target), want) {
            (Ok(out), Ok((level, config, dropped))) => {
                let sent: Value = serde_json::from_slice(&out.body).unwrap();
                let thinks = &sent["additionalModelRequestFields"]["reasoningConfig"]["maxReasoningEffort"];
                let got = (thinks.as_str(), &sent["inferenceConfig"], out.dropped.len());
                assert_eq!(got, (Some(level), &config, dropped), "{unsupported:?} {asked:?}");
            }
            (got, want) => assert_eq!(got.unwrap_err().param.as_deref(), want.err(), "{unsupported:?} {asked:?}"),
        }
    }
}
