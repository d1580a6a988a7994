use super::*;
use crate::{Abilities, Api, Dialect, Efforts, read};

fn sent(abilities: Abilities, host: Host, more: &Value) -> Result<(Value, Vec<String>), BadRequest> {
    sent_or(Unsupported::Drop, abilities, host, more)
}

fn sent_or(
    unsupported: Unsupported,
    abilities: Abilities,
    host: Host,
    more: &Value,
) -> Result<(Value, Vec<String>), BadRequest> {
    let mut request = json!({"model": "chat", "messages": [{"role": "user", "content": "hi"}]});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let body = Body::parse(request.to_string().into()).unwrap();
    let need = read(Api::ChatCompletions, &body).unwrap();
    let target = Target { abilities, host, unsupported, ..Target::new(Dialect::Anthropic, "claude-next") };
    let out = encode(&body, &need, &target)?;
    Ok((serde_json::from_slice(&out.body).unwrap(), out.dropped))
}

#[test]
fn what_is_known_of_a_model_goes_before_its_name() {
    let none = Abilities::default();
    let tool = json!([{"type": "function", "function": {"name": "f"}}]);
    let schema = json!({"type": "json_schema", "json_schema": {"schema": {"type": "object"}}});
    let strict = json!({"type": "json_schema", "schema": {"type": "object", "additionalProperties": false}});
    let weak = Efforts { max: Some(false), xhigh: Some(false), ..Efforts::default() };
    let sonnet = Efforts { max: Some(false), ..Efforts::default() };
    let rows = [
        (Abilities { sampling: Some(true), ..none }, json!({"top_k": 5}), "top_k", json!(5)),
        (Abilities { sampling: Some(false), ..none }, json!({"top_k": 5}), "top_k", json!(null)),
        (
            Abilities { forced_tool_use: Some(false), ..none },
            json!({"tools": tool, "tool_choice": "required", "parallel_tool_calls": false}),
            "tool_choice",
            json!({"type": "auto", "disable_parallel_tool_use": true}),
        ),
        (
            Abilities { adaptive_thinking: Some(false), ..none },
            json!({"reasoning_effort": "high", "max_tokens": 9000}),
            "thinking",
            json!({"type": "enabled", "budget_tokens": 4096}),
        ),
        (
            Abilities { adaptive_thinking: Some(true), efforts: weak, ..none },
            json!({"reasoning_effort": "max"}),
            "output_config",
            json!({"effort": "high"}),
        ),
        (
            Abilities { efforts: sonnet, ..none },
            json!({"reasoning_effort": "max"}),
            "output_config",
            json!({"effort": "xhigh"}),
        ),
        (
            Abilities { native_schema: Some(false), forced_tool_use: Some(false), ..none },
            json!({"response_format": schema}),
            "tool_choice",
            json!(null),
        ),
    ];
    for (abilities, more, key, want) in rows {
        let (got, _) = sent(abilities, Host::Own, &more).unwrap();
        assert_eq!(got[key], want, "{more} {got}");
    }
    let native = Abilities { native_schema: Some(true), ..none };
    let (got, _) = sent(native, Host::Vertex, &json!({"response_format": schema, "output_config": 7})).unwrap();
    assert_eq!(got["output_config"], json!({"format": strict}), "{got}");
}

#[test]
fn who_wants_to_know_hears_that_a_model_does_not_go_on_from_an_answer_begun() {
    let begun = json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "{"}]});
    let knows = |prefill| Abilities { assistant_prefill: prefill, ..Abilities::default() };
    for (route, prefill) in
        [(Unsupported::Reject, None), (Unsupported::Drop, Some(false)), (Unsupported::Pass, Some(false))]
    {
        let (got, _) = sent_or(route, knows(prefill), Host::Own, &begun).unwrap();
        assert_eq!(got["messages"][1]["role"], "assistant", "{route:?} {prefill:?}");
    }
    let refused = sent_or(Unsupported::Reject, knows(Some(false)), Host::Own, &begun).unwrap_err();
    assert!(refused.message.contains("does not go on from one"), "{refused}");
}

#[test]
fn a_schema_that_refers_to_itself_or_has_maps_is_asked_for_by_a_tool_which_may() {
    let tree = json!({"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}});
    let abilities = Abilities { native_schema: Some(true), ..Abilities::default() };
    let format =
        |schema: &Value| json!({"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}});
    let (got, _) = sent(abilities, Host::Own, &format(&tree)).unwrap();
    assert_eq!(got["tools"][0]["input_schema"], tree);
    assert_eq!(got["tool_choice"], json!({"type": "tool", "name": JSON_TOOL}));
    assert!(got.get("output_config").is_none() && got.get("output_format").is_none(), "{got}");
    let map =
        json!({"type": "object", "properties": {"n": {"type": "object", "additionalProperties": {"type": "integer"}}}});
    let (got, _) = sent(abilities, Host::Own, &format(&map)).unwrap();
    assert_eq!((&got["tools"][0]["input_schema"], got.get("output_format")), (&map, None), "no map becomes empty");
    let (got, _) = sent(abilities, Host::Own, &format(&json!({"type": "object"}))).unwrap();
    assert!(got.get("tools").is_none(), "{got}");
}

#[test]
fn a_model_that_takes_one_of_two_measures_of_chance_gets_one() {
    let both = |temperature: f64, top_p: f64| json!({"temperature": temperature, "top_p": top_p});
    let knows = Abilities { sampling: Some(true), ..Abilities::default() };
    let rows = [
        (both(0.2, 0.9), json!(0.2), json!(null), vec!["top_p"]),
        (both(0.2, 1.0), json!(0.2), json!(null), vec![]),
        (both(1.0, 0.9), json!(null), json!(0.9), vec![]),
        (json!({"temperature": null, "top_p": 0.9}), json!(null), json!(0.9), vec![]),
        (json!({"top_p": 0.9}), json!(null), json!(0.9), vec![]),
        (json!({"temperature": 0.2}), json!(0.2), json!(null), vec![]),
    ];
    for host in [Host::Own, Host::Vertex, Host::Bedrock] {
        for (more, temperature, top_p, dropped) in &rows {
            let (got, left_out) = sent(knows, host, more).unwrap();
            assert_eq!((&got["temperature"], &got["top_p"]), (temperature, top_p), "{host:?} {more}");
            assert_eq!(left_out, *dropped, "{host:?} {more}");
        }
    }
    let (got, _) = sent_or(Unsupported::Pass, knows, Host::Own, &both(0.2, 0.9)).unwrap();
    assert_eq!((&got["temperature"], &got["top_p"]), (&json!(0.2), &json!(0.9)));
    let refused = sent_or(Unsupported::Reject, knows, Host::Own, &both(0.2, 0.9)).unwrap_err().message;
    assert!(refused.contains("temperature") && refused.contains("top_p"), "{refused}");
    assert!(sent_or(Unsupported::Reject, knows, Host::Own, &both(0.2, 1.0)).is_ok());
    for (model, one) in
        [("claude-opus-4-1", true), ("claude-haiku-4-5", true), ("claude-sonnet-4-0", false), ("m", false)]
    {
        assert_eq!(Traits::of(&Target::new(Dialect::Anthropic, model)).one_sampling, one, "{model}");
    }
}

#[test]
fn who_thinks_gets_nothing_that_thinking_excludes() {
    let tool = json!([{"type": "function", "function": {"name": "f"}}]);
    let asked = json!({"tools": tool, "tool_choice": "required", "temperature": 0.2, "top_k": 5, "top_p": 0.97,
        "reasoning_effort": "low", "max_tokens": 9000});
    let knows =
        |adaptive| Abilities { sampling: Some(true), adaptive_thinking: Some(adaptive), ..Abilities::default() };
    for (host, adaptive) in [(Host::Own, false), (Host::Own, true), (Host::Vertex, false), (Host::Bedrock, true)] {
        let (got, dropped) = sent(knows(adaptive), host, &asked).unwrap();
        assert!(got["thinking"].is_object() && got["tool_choice"].is_null(), "{got}");
        assert!(got["temperature"].is_null() && got["top_k"].is_null(), "{got}");
        for key in ["temperature", "top_k", "tool_choice"] {
            assert!(dropped.iter().any(|name| name == key), "{key} {dropped:?}");
        }
        let (got, dropped) = sent_or(Unsupported::Pass, knows(adaptive), host, &asked).unwrap();
        assert_eq!((&got["temperature"], &got["tool_choice"]["type"]), (&json!(0.2), &json!("any")));
        assert!(dropped.is_empty());
    }
    for (key, value) in [("temperature", json!(0.2)), ("top_k", json!(5)), ("tool_choice", json!("required"))] {
        let more = json!({"tools": tool, "reasoning_effort": "high", key: value});
        let refused = sent_or(Unsupported::Reject, knows(true), Host::Own, &more).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some(key));
    }
    let harmless = json!({"tools": tool, "reasoning_effort": "high", "temperature": 2, "tool_choice": "auto"});
    assert!(sent_or(Unsupported::Reject, knows(true), Host::Own, &harmless).is_ok());
}

#[test]
fn calls_that_came_back_without_their_thoughts_are_answered_without_thinking() {
    let tool = json!([{"type": "function", "function": {"name": "f"}}]);
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let thought = json!([{"type": "thinking", "thinking": "t", "signature": "S", "index": 0}]);
    let (user, result) =
        (json!({"role": "user", "content": "a"}), json!({"role": "tool", "tool_call_id": "c", "content": "r"}));
    let bare = json!({"role": "assistant", "tool_calls": [call]});
    let signed = json!({"role": "assistant", "tool_calls": [call], "thinking_blocks": thought});
    let knows = |adaptive| Abilities { adaptive_thinking: Some(adaptive), ..Abilities::default() };
    let rows = [
        (json!([user, bare, result]), false, false),
        (json!([user, signed, result]), false, true),
        (json!([user, signed, result, bare, result]), false, true),
        (json!([user, bare, result, bare, user]), false, true),
        (json!([user, bare, result]), true, true),
    ];
    for (messages, adaptive, thinks) in rows {
        let more = json!({"messages": messages, "tools": tool, "reasoning_effort": "low", "max_tokens": 9000});
        let (got, dropped) = sent(knows(adaptive), Host::Own, &more).unwrap();
        assert_eq!((got["thinking"].is_object(), dropped.is_empty()), (thinks, thinks), "{messages} {got}");
        assert!(!got.to_string().contains("\"index\""), "{got}");
    }
}
