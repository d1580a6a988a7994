//! A model as JSON.

use serde_json::{Map, Value, json};
use spillway_crds::Money;

use super::{camel, pieces};
use crate::catalogue::{Cards, Entry, Mode, Pricing, Rates};

/// All that is known of a model, and nothing that is not.
#[must_use]
pub fn show(entry: &Entry) -> Value {
    let Entry {
        mode,
        context_window,
        max_output_tokens,
        vector_size,
        pricing,
        pieces,
        tools,
        parallel_tools,
        vision,
        json_schema,
        abilities,
        deprecated_on,
    } = entry;
    let mut shown = Map::new();
    if *mode != Mode::default() {
        shown.insert("mode".into(), mode.as_str().into());
    }
    let numbers =
        [("contextWindow", context_window), ("maxOutputTokens", max_output_tokens), ("vectorSize", vector_size)];
    for (name, number) in numbers {
        if let Some(number) = number {
            shown.insert(name.into(), (*number).into());
        }
    }
    let answers =
        [("tools", tools), ("parallelTools", parallel_tools), ("vision", vision), ("jsonSchema", json_schema)];
    for (name, answer) in answers {
        shown.insert(name.into(), (*answer).into());
    }
    if let Some(day) = deprecated_on {
        shown.insert("deprecationDate".into(), day.to_string().into());
    }
    let mut prices = pieces.as_deref().map(pieces::show).unwrap_or_default();
    prices.extend(pricing.as_deref().map(self::pricing).unwrap_or_default());
    if !prices.is_empty() {
        shown.insert("pricing".into(), prices.into());
    }
    let known = abilities.iter().filter_map(|(name, answer)| Some((camel(name), answer?.into())));
    let known: Map<String, Value> = known.collect();
    if !known.is_empty() {
        shown.insert("abilities".into(), known.into());
    }
    shown.into()
}

fn pricing(pricing: &Pricing) -> Map<String, Value> {
    let mut prices = cards(&pricing.standard);
    let tiers = [("flex", &pricing.flex), ("priority", &pricing.priority), ("batch", &pricing.batch)];
    for (name, tier) in tiers {
        if let Some(tier) = tier {
            prices.insert(name.into(), cards(tier).into());
        }
    }
    if let Some(permille) = pricing.regional_permille {
        prices.insert("regionalPermille".into(), permille.into());
    }
    prices
}

fn cards(cards: &Cards) -> Map<String, Value> {
    let mut shown = rates(&cards.rates);
    let tier = |(bound, above): &(u64, Rates)| {
        let mut tier = Map::from_iter([("aboveTokens".to_owned(), json!(bound))]);
        tier.extend(rates(above));
        Value::from(tier)
    };
    let tiers: Vec<Value> = cards.above.iter().map(tier).collect();
    if !tiers.is_empty() {
        shown.insert("tiers".into(), tiers.into());
    }
    shown
}

fn rates(rates: &Rates) -> Map<String, Value> {
    rates.given().map(|(token, nanos)| (token.field().to_owned(), Money::from_nanos(nanos).0.into())).collect()
}
