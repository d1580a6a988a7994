//! What is known of a model, over all first choices of its route.

use serde_json::{Map, Value, json};
use spillway_policy::NanoUsd;
use spillway_wire as wire;

/// The value of `spillway`. What nobody knows is left out.
pub(super) fn of(route: &wire::Route, providers: &wire::Map<wire::Provider>) -> Value {
    let primaries = || route.backends.iter().filter(|backend| backend.role == wire::Role::Primary);
    let models: Vec<&wire::Model> = primaries().map(|backend| &backend.model).collect();
    let mut facts = Map::new();
    bounds(&mut facts, &models);
    if let Some(pricing) = highest(&models) {
        facts.insert("pricing".to_owned(), pricing);
    }
    facts.insert("abilities".to_owned(), abilities(&models));
    let backends: Vec<Value> = primaries().map(|backend| self::backend(backend, providers)).collect();
    facts.insert("backends".to_owned(), backends.into());
    facts.into()
}

fn backend(given: &wire::Backend, providers: &wire::Map<wire::Provider>) -> Value {
    let wire::Backend { name, provider, model, .. } = given;
    let mut facts = Map::new();
    facts.insert("name".to_owned(), name.as_str().into());
    facts.insert("provider".to_owned(), provider.as_str().into());
    if let Some(provider) = providers.get(provider) {
        facts.insert("type".to_owned(), provider.kind.as_str().into());
    }
    facts.insert("model".to_owned(), model.name.as_str().into());
    bounds(&mut facts, &[model]);
    if let Some(pricing) = highest(&[model]) {
        facts.insert("pricing".to_owned(), pricing);
    }
    facts.into()
}

/// Any of them may answer, so it is the smallest that can be relied on.
fn bounds(facts: &mut Map<String, Value>, models: &[&wire::Model]) {
    let smallest = |of: fn(&wire::Model) -> Option<u64>| models.iter().filter_map(|model| of(model)).min();
    let rows = [
        ("context_window", smallest(|model| model.context_window_tokens)),
        ("max_output_tokens", smallest(|model| model.max_output_tokens)),
    ];
    for (name, bound) in rows {
        if let Some(bound) = bound {
            facts.insert(name.to_owned(), bound.into());
        }
    }
}

/// The most that a million tokens cost. None where somebody's price is unknown.
fn highest(models: &[&wire::Model]) -> Option<Value> {
    let prices = models.iter().map(|model| model.price.as_ref()).collect::<Option<Vec<_>>>()?;
    if prices.is_empty() {
        return None;
    }
    let most = |of: fn(&wire::Price) -> u64| {
        prices.iter().map(|price| of(price)).max().map(|nanos| NanoUsd(nanos).to_string())
    };
    Some(json!({
        "input_per_million": most(|price| price.rates.input_nanos),
        "output_per_million": most(|price| price.rates.output_nanos),
        "cache_read_per_million": most(|price| price.rates.cache_read()),
        "cache_write_per_million": most(|price| price.rates.cache_write()),
    }))
}

/// What all of them can do.
fn abilities(models: &[&wire::Model]) -> Value {
    let all = |of: fn(&wire::Model) -> bool| !models.is_empty() && models.iter().all(|model| of(model));
    json!({
        "tools": all(|model| model.tools),
        "parallel_tools": all(|model| model.parallel_tools),
        "vision": all(|model| model.vision),
        "json_schema": all(|model| model.json_schema),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(name: &str, role: &str, window: Value, price: Value, vision: bool) -> Value {
        json!({"name": name, "provider": "ai/openai", "role": role, "model": {
            "name": format!("{name}-1"), "context_window_tokens": window, "max_output_tokens": 4_096, "price": price,
            "tokenizer": "O200kBase", "tools": true, "parallel_tools": true, "vision": vision, "json_schema": true,
        }})
    }

    fn facts(backends: Value) -> Value {
        let route = json!({
            "namespace": "shop", "name": "chat", "models": ["chat"], "backends": backends,
            "context_window": {"on_exceeded": "Reject", "reserve_output_tokens": 1,
                "truncate": {"keep_system": true, "keep_last": 1}},
            "retries": {"attempts": 0, "on": [], "backoff_base_ms": 1, "backoff_max_ms": 2, "honour_retry_after_ms": 5},
            "request": {"unsupported": "Drop", "max_body_bytes": 1, "timeout_ms": 1},
            "streaming": {"first_token_timeout_ms": 1, "idle_timeout_ms": 1},
        });
        of(&serde_json::from_value(route).unwrap(), &wire::Map::new())
    }

    #[test]
    fn a_model_promises_what_holds_whichever_first_choice_answers() {
        let (low, high) = (
            json!({"input_nanos": 150_000_000, "output_nanos": 600_000_000}),
            json!({"input_nanos": 1,
            "output_nanos": 5_000_000_000u64, "cache_read_nanos": 75_000_000}),
        );
        let facts = facts(json!([
            backend("mini", "Primary", json!(128_000), low, true),
            backend("maxi", "Primary", json!(64_000), high, false),
            backend("spare", "Fallback", json!(8), Value::Null, false),
        ]));
        let want = json!({"input_per_million": "0.15", "output_per_million": "5", "cache_read_per_million": "0.15",
            "cache_write_per_million": "0.15"});
        assert_eq!((&facts["context_window"], &facts["pricing"]), (&json!(64_000), &want));
        assert_eq!((&facts["abilities"]["tools"], &facts["abilities"]["vision"]), (&json!(true), &json!(false)));
        let names: Vec<_> = facts["backends"].as_array().unwrap().iter().map(|backend| &backend["name"]).collect();
        assert_eq!(names, ["mini", "maxi"], "others are reached by rules only");
        assert_eq!(facts["backends"][0]["context_window"], 128_000);
    }

    #[test]
    fn what_nobody_knows_is_left_out_and_never_free() {
        let price = json!({"input_nanos": 1, "output_nanos": 1});
        let facts = facts(json!([
            backend("mini", "Primary", Value::Null, price, true),
            backend("maxi", "Primary", Value::Null, Value::Null, true),
        ]));
        assert!(facts.get("context_window").is_none() && facts.get("pricing").is_none(), "{facts}");
        assert!(facts["backends"][0]["pricing"].is_object() && facts["backends"][1].get("pricing").is_none());
    }
}
