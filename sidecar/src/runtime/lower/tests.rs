use serde_json::{Value, json};

use super::*;

fn snapshot() -> Value {
    json!({
        "revision": "r1",
        "providers": {"ai/openai": {
            "kind": "OpenAI", "dialect": "OpenAi", "base_url": "https://api.openai.com/v1", "auth": "Bearer",
            "credential": "ai/openai", "headers": {"set": {"openai-organization": "org-1"}, "remove": ["user-agent"]},
            "timeouts": {"connect_ms": 5000, "first_byte_ms": 30000, "idle_ms": 60000, "total_ms": 600_000},
        }},
        "routes": {"shop/chat": route(&["chat", "gpt-4o*"]), "shop/mini": route(&["gpt-4o-mini", "gpt-*"])},
        "egress": {"allowed_private_ranges": ["10.0.0.0/8"]},
    })
}

fn route(models: &[&str]) -> Value {
    json!({
        "namespace": "shop", "name": "chat", "models": models,
        "backends": [{"name": "mini", "provider": "ai/openai", "role": "Primary", "model": {
            "name": "gpt-4o-mini", "context_window_tokens": 128_000, "tokenizer": "O200kBase", "tools": true,
            "parallel_tools": true, "vision": true, "json_schema": true, "price": {"input_nanos": 9, "output_nanos": 8},
        }}],
        "context_window": {"on_exceeded": "Reject", "reserve_output_tokens": 1024,
            "truncate": {"keep_system": true, "keep_last": 4}},
        "fallbacks": [{"on": ["Timeout"], "to": ["mini"]}],
        "retries": {"attempts": 1, "on": ["ConnectionError"], "backoff_base_ms": 250, "backoff_max_ms": 8000,
            "honour_retry_after_ms": 120_000},
        "request": {"unsupported": "Drop", "max_body_bytes": 1000, "timeout_ms": 120_000},
        "streaming": {"first_token_timeout_ms": 10000, "idle_timeout_ms": 30000},
    })
}

fn run(snapshot: Value, before: Option<&Generation>) -> Result<Generation, Nack> {
    let (dialer, keys, usage) = (Dialer::new(), Keys::default(), UsageTable::default());
    let environment = Arc::default();
    let rights = Rights::new("boot");
    let parts =
        Parts { dialer: &dialer, keys: &keys, usage: &usage, environment: &environment, rights: &rights, before };
    lower(serde_json::from_value(snapshot).unwrap(), &parts)
}

fn changed(path: &str, value: Value) -> Value {
    let mut changed = snapshot();
    *changed.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")) = value;
    changed
}

#[test]
fn exact_names_come_before_globs_and_longer_globs_before_shorter_ones() {
    let generation = run(snapshot(), None).unwrap();
    let rows = [
        ("chat", Some("shop/chat")),
        ("gpt-4o", Some("shop/chat")),
        ("gpt-4o-mini", Some("shop/mini")),
        ("gpt-5", Some("shop/mini")),
        ("claude", None),
    ];
    for (model, want) in rows {
        assert_eq!(generation.route(model).map(|route| route.name.as_str()), want, "{model}");
    }
    assert_eq!(generation.known(), ["chat", "gpt-4o-mini", "gpt-4o*", "gpt-*"]);
}

#[test]
fn what_cannot_be_run_is_refused_by_name() {
    let chat = "/routes/shop~1chat";
    let openai = "/providers/ai~1openai";
    let rows = [
        (format!("{openai}/base_url"), json!("gopher://a"), "provider ai/openai: \"gopher://a\" must begin with"),
        (format!("{openai}/headers/set"), json!({"a b": "c"}), "provider ai/openai: header \"a b\""),
        (format!("{openai}/headers/set"), json!({"x": "a\nb"}), "provider ai/openai: header x"),
        (format!("{openai}/headers/set"), json!({"host": "b"}), "header \"host\" is written by the sidecar itself"),
        (format!("{chat}/backends/0/provider"), json!("ai/nobody"), "backend mini: provider ai/nobody is not in"),
        (format!("{chat}/fallbacks/0/to"), json!(["big"]), "route shop/chat: a fallback names backend big"),
        ("/egress/allowed_private_ranges".into(), json!(["10/8"]), "egress.allowed_private_ranges: \"10/8\""),
    ];
    for (path, value, want) in rows {
        let nack = run(changed(&path, value), None).unwrap_err();
        assert!(nack.contains(want), "{path}: {nack}");
    }
}

#[test]
fn connections_are_kept_exactly_where_nothing_about_them_changes() {
    let before = run(snapshot(), None).unwrap();
    let kept = |after: &Generation| {
        Arc::ptr_eq(&after.providers["ai/openai"].upstream, &before.providers["ai/openai"].upstream)
    };
    let openai = "/providers/ai~1openai";
    let rows = [
        ("/routes/shop~1chat/models".to_owned(), json!(["other"]), true),
        (format!("{openai}/timeouts/idle_ms"), json!(1), true),
        (format!("{openai}/timeouts/connect_ms"), json!(1), false),
        (format!("{openai}/base_url"), json!("https://api.openai.com/v2"), false),
        ("/egress/allowed_private_ranges".into(), json!([]), false),
    ];
    for (path, value, want) in rows {
        assert_eq!(kept(&run(changed(&path, value), Some(&before)).unwrap()), want, "{path}");
    }
}

#[test]
fn what_was_learnt_of_a_backend_is_kept_until_it_is_another_one() {
    let before = run(snapshot(), None).unwrap();
    let chat = "/routes/shop~1chat";
    let rows = [
        (format!("{chat}/models"), json!(["other"]), true),
        ("/providers/ai~1openai/timeouts/connect_ms".into(), json!(1), true),
        ("/providers/ai~1openai/base_url".into(), json!("https://api.openai.com/v2"), false),
        (format!("{chat}/backends/0/model/name"), json!("gpt-5"), false),
    ];
    for (path, value, want) in rows {
        let after = run(changed(&path, value), Some(&before)).unwrap();
        let [old, new] = [&before, &after].map(|generation| &generation.routes[0].backends[0].state);
        assert_eq!(Arc::ptr_eq(old, new), want, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_no_rule_asks_for_any_more_keeps_nobody_out() {
    let generation = run(snapshot(), None).unwrap();
    let (route, now) = (&generation.routes[0], crate::clock::now());
    let rule = spillway_policy::breaker::Rule { failure_threshold: 1, ..crate::runtime::gate::ACCESS };
    let pass = route.backends[0].state.gate.admit(&rule, now).unwrap();
    pass.end(spillway_policy::breaker::Outcome::Failure);
    assert!(route.backends[0].state.gate.view().until.is_some());
    assert!(route.admit(0, now).is_ok() && route.rest(0, now).is_none());
}

#[test]
fn an_expression_is_compiled_again_only_where_it_changes() {
    let with = |when: &str, escalate: &str| {
        let mut config = snapshot();
        config["routes"]["shop/chat"]["backends"][0]["when"] = when.into();
        config["routes"]["shop/chat"]["strategy"] = json!({"Cascade": {"escalate_when": escalate}});
        config
    };
    let (when, escalate) = ("request.stream", "response.refusal");
    let before = run(with(when, escalate), None).unwrap();
    let rows = [
        (with(when, escalate), [true, true]),
        (with("!request.stream", escalate), [false, true]),
        (with(when, "!response.refusal"), [true, false]),
    ];
    for (config, want) in rows {
        let after = run(config.clone(), Some(&before)).unwrap();
        let [old, new] = [&before, &after].map(|generation| {
            let route = &generation.routes[0];
            [&route.backends[0].when, &route.escalate].map(|expression| Arc::as_ptr(expression.as_ref().unwrap()))
        });
        assert_eq!([old[0] == new[0], old[1] == new[1]], want, "{config}");
    }
}
