//! What is known of a model, over all first choices of its route.

use std::{borrow::Cow, collections::BTreeSet};

use serde_json::{Map, Value};
use spillway_policy::NanoUsd;
use spillway_wire as wire;

/// What a million tokens of a kind cost.
type Rate = fn(&wire::Rates) -> u64;

/// Whether something of it is so.
type Is<T> = fn(&T) -> bool;

/// Kinds of token that every model has.
const KINDS: [(&str, Rate); 4] = [
    ("input_per_million", |rates| rates.input_nanos),
    ("output_per_million", |rates| rates.output_nanos),
    ("cache_read_per_million", wire::Rates::cache_read),
    ("cache_write_per_million", wire::Rates::cache_write),
];

/// Kinds that are told where somebody's price for them is not that of other input or output.
const SPECIAL: [(&str, Rate, Is<wire::Rates>); 6] = [
    ("cache_write_1h_per_million", wire::Rates::cache_write_1h, |rates| rates.cache_write_1h_nanos.is_some()),
    ("reasoning_per_million", wire::Rates::reasoning, |rates| rates.reasoning_nanos.is_some()),
    ("audio_input_per_million", wire::Rates::audio_input, |rates| rates.audio_input_nanos.is_some()),
    ("audio_output_per_million", wire::Rates::audio_output, |rates| rates.audio_output_nanos.is_some()),
    ("image_input_per_million", wire::Rates::image_input, |rates| rates.image_input_nanos.is_some()),
    ("image_output_per_million", wire::Rates::image_output, |rates| rates.image_output_nanos.is_some()),
];

/// The value of `spillway`. What nobody knows is left out. `learnt`: windows that have proved smaller, by backend.
pub(super) fn of(route: &wire::Route, providers: &wire::Map<wire::Provider>, learnt: &[(usize, u64)]) -> Value {
    let primaries = route.backends.iter().enumerate().filter(|(_, backend)| backend.role == wire::Role::Primary);
    let primaries: Vec<(&wire::Backend, Cow<'_, wire::Model>)> = primaries
        .map(|(index, backend)| (backend, proved(&backend.model, learnt.iter().find(|(learnt, _)| *learnt == index))))
        .collect();
    let models: Vec<&wire::Model> = primaries.iter().map(|(_, model)| &**model).collect();
    let mut facts = Map::new();
    promises(&mut facts, &models);
    let backends: Vec<Value> = primaries.iter().map(|(given, model)| backend(given, model, providers)).collect();
    facts.insert("backends".to_owned(), backends.into());
    facts.into()
}

/// A model as it has proved to be.
fn proved<'a>(model: &'a wire::Model, learnt: Option<&(usize, u64)>) -> Cow<'a, wire::Model> {
    match learnt {
        None => Cow::Borrowed(model),
        Some((_, window)) => Cow::Owned(wire::Model { context_window_tokens: Some(*window), ..model.clone() }),
    }
}

fn backend(given: &wire::Backend, model: &wire::Model, providers: &wire::Map<wire::Provider>) -> Value {
    let wire::Backend { name, provider, .. } = given;
    let mut facts = Map::new();
    facts.insert("name".to_owned(), name.as_str().into());
    facts.insert("provider".to_owned(), provider.as_str().into());
    if let Some(provider) = providers.get(provider) {
        facts.insert("type".to_owned(), provider.kind.as_str().into());
    }
    facts.insert("model".to_owned(), model.name.as_str().into());
    promises(&mut facts, &[model]);
    facts.into()
}

/// What holds whichever of them answers.
fn promises(facts: &mut Map<String, Value>, models: &[&wire::Model]) {
    bounds(facts, models);
    if let Some(pricing) = highest(models) {
        facts.insert("pricing".to_owned(), pricing);
    }
    facts.insert("abilities".to_owned(), abilities(models));
    // Days in this form are in the order of their texts.
    if let Some(first) = models.iter().filter_map(|model| model.deprecated_on.as_deref()).min() {
        facts.insert("deprecated_on".to_owned(), first.into());
    }
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

/// The most that a million tokens cost: in the standard tier, and below that for longer prompts and other tiers, where
/// somebody's differ. None where somebody's price is unknown.
fn highest(models: &[&wire::Model]) -> Option<Value> {
    let prices = models.iter().map(|model| model.price.as_ref()).collect::<Option<Vec<_>>>()?;
    if prices.is_empty() {
        return None;
    }
    let card = |tier, above| card(&prices.iter().map(|price| rates(price, tier, above)).collect::<Vec<_>>());
    let cards = || prices.iter().filter(|price| !price.flat).flat_map(|price| &price.cards);
    let mut pricing = card(wire::ServiceTier::Standard, 0);
    let longer: BTreeSet<u64> =
        cards().filter(|card| card.tier == wire::ServiceTier::Standard).map(|card| card.above_tokens).collect();
    let longer = longer.into_iter().map(|above| {
        let mut card = card(wire::ServiceTier::Standard, above);
        card.insert("above_tokens".to_owned(), above.into());
        Value::Object(card)
    });
    let longer: Vec<Value> = longer.collect();
    if !longer.is_empty() {
        pricing.insert("longer_prompts".to_owned(), longer.into());
    }
    let mut tiers = Map::new();
    for (name, tier) in [("flex", wire::ServiceTier::Flex), ("priority", wire::ServiceTier::Priority)] {
        if cards().any(|card| card.tier == tier) {
            tiers.insert(name.to_owned(), card(tier, 0).into());
        }
    }
    if prices.iter().any(|price| price.batch.is_some()) {
        let batch = prices.iter().map(|price| price.batch.as_ref().unwrap_or(&price.rates));
        tiers.insert("batch".to_owned(), self::card(&batch.collect::<Vec<_>>()).into());
    }
    if !tiers.is_empty() {
        pricing.insert("tiers".to_owned(), tiers.into());
    }
    Some(pricing.into())
}

/// The rates that a bill would go by.
fn rates(price: &wire::Price, tier: wire::ServiceTier, above: u64) -> &wire::Rates {
    let of = |tier| price.cards.iter().filter(move |card| card.tier == tier && card.above_tokens <= above);
    let longest = |tier| of(tier).max_by_key(|card| card.above_tokens).map(|card| &card.rates);
    let found = longest(tier).or_else(|| longest(wire::ServiceTier::Standard)).filter(|_| !price.flat);
    found.unwrap_or(&price.rates)
}

fn card(rates: &[&wire::Rates]) -> Map<String, Value> {
    let most = |of: Rate| NanoUsd(rates.iter().map(|rates| of(rates)).max().unwrap_or(0)).to_string();
    let told = SPECIAL.iter().filter(|(_, _, given)| rates.iter().any(|rates| given(rates)));
    let kinds = KINDS.into_iter().chain(told.map(|(name, of, _)| (*name, *of)));
    kinds.map(|(name, of)| (name.to_owned(), most(of).into())).collect()
}

/// What all of them can do. What nobody has said of one of them is left out, but for four that are always known.
fn abilities(models: &[&wire::Model]) -> Value {
    let all = |of: fn(&wire::Model) -> bool| !models.is_empty() && models.iter().all(|model| of(model));
    let mut out = Map::new();
    let known: [(&str, Is<wire::Model>); 4] = [
        ("tools", |model| model.tools),
        ("parallel_tools", |model| model.parallel_tools),
        ("vision", |model| model.vision),
        ("json_schema", |model| model.json_schema),
    ];
    for (name, of) in known {
        out.insert(name.to_owned(), all(of).into());
    }
    let said: Vec<Vec<_>> = models.iter().map(|model| model.abilities.iter().collect()).collect();
    for (at, name) in wire::Abilities::NAMES.iter().enumerate() {
        let each = || said.iter().map(|said| said[at].1);
        let every = !said.is_empty() && each().all(|ability| ability == Some(true));
        if every || each().any(|ability| ability == Some(false)) {
            out.insert((*name).to_owned(), every.into());
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        of(&serde_json::from_value(route).unwrap(), &wire::Map::new(), &[])
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

    #[test]
    fn tiers_long_prompts_and_kinds_of_token_are_told_where_they_cost_something_else() {
        let plain = json!({"input_nanos": 2_000_000_000, "output_nanos": 8_000_000_000u64});
        let rich = json!({
            "input_nanos": 1_000_000_000, "output_nanos": 9_000_000_000u64, "reasoning_nanos": 20_000_000_000u64,
            "batch": {"input_nanos": 500_000_000, "output_nanos": 4_000_000_000u64},
            "cards": [
                {"tier": "Standard", "above_tokens": 200_000, "input_nanos": 4_000_000_000u64, "output_nanos": 9_000_000_000u64},
                {"tier": "Flex", "input_nanos": 500_000_000, "output_nanos": 4_500_000_000u64},
            ],
        });
        let facts = facts(json!([
            backend("plain", "Primary", Value::Null, plain, true),
            backend("rich", "Primary", Value::Null, rich, true),
        ]));
        let card = |input: &str, output: &str| {
            json!({"input_per_million": input, "output_per_million": output, "cache_read_per_million": input,
                "cache_write_per_million": input})
        };
        let mut want = card("2", "9");
        want["reasoning_per_million"] = json!("20");
        want["longer_prompts"] = json!([card("4", "9")]);
        want["longer_prompts"][0]["above_tokens"] = json!(200_000);
        // Where one of them has no such tier, it is billed as the standard one.
        want["tiers"] = json!({"flex": card("2", "8"), "batch": card("2", "8")});
        assert_eq!(facts["pricing"], want);
        assert_eq!(facts["backends"][1]["pricing"]["tiers"]["batch"], card("0.5", "4"));
        assert!(facts["backends"][0]["pricing"].get("tiers").is_none());
    }

    #[test]
    fn an_ability_is_what_all_are_known_to_have_and_the_first_day_counts() {
        let with = |name: &str, abilities: Value, day: &str| {
            let mut backend = backend(name, "Primary", Value::Null, Value::Null, true);
            backend["model"]["abilities"] = abilities;
            backend["model"]["deprecated_on"] = day.into();
            backend
        };
        let facts = facts(json!([
            with("one", json!({"reasoning": true, "pdf_input": true, "strict_tools": true}), "2027-02-01"),
            with("two", json!({"reasoning": true, "pdf_input": false}), "2026-12-24"),
        ]));
        let got = ["reasoning", "pdf_input", "strict_tools"].map(|name| facts["abilities"].get(name).cloned());
        assert_eq!(got, [Some(json!(true)), Some(json!(false)), None]);
        assert_eq!(facts["deprecated_on"], "2026-12-24");
        assert_eq!(facts["backends"][0]["abilities"]["strict_tools"], true);
    }
}
