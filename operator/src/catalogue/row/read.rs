//! JSON as a row. An error names the field, the value, and what would do.

use serde_json::Value;
use spillway_wire::Pieces;

use super::{
    FIELDS, Prices, Row, TierPrices, camel,
    field::{Read, brief, dollars, given},
    pieces,
};
use crate::catalogue::{Mode, Rates, Token};

/// More tokens than any model takes.
const MOST_TOKENS: u64 = 1_000_000_000;
/// More thresholds than any price list has.
const MOST_TIERS: usize = 16;

impl Row {
    /// Reads what is said of one model.
    pub fn read(value: &Value) -> Read<Self> {
        let mut row = Self::default();
        for (name, value) in given("", value)? {
            match name.as_str() {
                "mode" => row.mode = Some(mode(value)?),
                "contextWindow" => row.context_window = Some(tokens(name, value)?),
                "maxOutputTokens" => row.max_output_tokens = Some(tokens(name, value)?),
                "vectorSize" => row.vector_size = Some(tokens(name, value)?),
                "tools" => row.tools = Some(answer(name, value)?),
                "parallelTools" => row.parallel_tools = Some(answer(name, value)?),
                "vision" => row.vision = Some(answer(name, value)?),
                "jsonSchema" => row.json_schema = Some(answer(name, value)?),
                "abilities" => row.abilities = abilities(value)?,
                "deprecationDate" => row.deprecated_on = Some(day(name, value)?),
                "pricing" => (row.pricing, row.pieces) = prices(value)?,
                // What `spillway models --compare -o json` adds.
                "cost" => {}
                _ => return Err(format!("{name}: there is no such field (there are {FIELDS})")),
            }
        }
        Ok(row)
    }
}

fn mode(value: &Value) -> Read<Mode> {
    let read = value.as_str().and_then(Mode::read);
    read.ok_or_else(|| format!("mode: {} is none of {}", brief(value), Mode::names()))
}

fn tokens(at: &str, value: &Value) -> Read<u64> {
    let number = value.as_u64().filter(|number| (1..=MOST_TOKENS).contains(number));
    number.ok_or_else(|| format!("{at}: {value} is no whole number from 1 to {MOST_TOKENS}", value = brief(value)))
}

fn answer(at: &str, value: &Value) -> Read<bool> {
    value.as_bool().ok_or_else(|| format!("{at}: {value} is neither true nor false", value = brief(value)))
}

fn day(at: &str, value: &Value) -> Read<jiff::civil::Date> {
    let day = value.as_str().and_then(|text| text.parse().ok());
    day.ok_or_else(|| format!("{at}: {value} is no date such as \"2027-03-31\"", value = brief(value)))
}

fn abilities(value: &Value) -> Read<spillway_wire::Abilities> {
    let mut known = spillway_wire::Abilities::default();
    for (name, value) in given("abilities", value)? {
        let at = format!("abilities.{name}");
        let own = known.iter().map(|(own, _)| own).find(|own| camel(own) == *name);
        let Some(ability) = own.and_then(|own| known.get_mut(own)) else {
            let all: Vec<String> = spillway_wire::Abilities::NAMES.iter().map(|name| camel(name)).collect();
            return Err(format!("{at}: there is no such ability (there are {})", all.join(", ")));
        };
        *ability = Some(answer(&at, value)?);
    }
    Ok(known)
}

/// Those of tokens, and those of pieces.
type Both = (Option<Box<Prices>>, Option<Box<Pieces>>);

fn prices(value: &Value) -> Read<Both> {
    let pieces = pieces::read(value)?;
    let mut prices = Prices { standard: tier("pricing", value, true)?, ..Prices::default() };
    for (name, value) in given("pricing", value)? {
        let at = format!("pricing.{name}");
        match name.as_str() {
            "flex" => prices.flex = Some(tier(&at, value, false)?),
            "priority" => prices.priority = Some(tier(&at, value, false)?),
            "batch" => prices.batch = Some(tier(&at, value, false)?),
            "regionalPermille" => prices.regional_permille = Some(permille(&at, value)?),
            // Read above.
            _ => {}
        }
    }
    let prices = (prices != Prices::default()).then(|| Box::new(prices));
    Ok((prices, pieces.map(Box::new)))
}

fn tier(at: &str, value: &Value, outermost: bool) -> Read<TierPrices> {
    let mut prices = TierPrices::default();
    for (name, value) in given(at, value)? {
        match name.as_str() {
            "tiers" => prices.above = Some(tiers(&format!("{at}.tiers"), value)?),
            "flex" | "priority" | "batch" | "regionalPermille" if outermost => {}
            _ if outermost && pieces::is_one(name) => {}
            _ => rate(at, name, value, &mut prices.rates)?,
        }
    }
    Ok(prices)
}

fn permille(at: &str, value: &Value) -> Read<u32> {
    let number =
        value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| (1..=100_000).contains(number));
    number.ok_or_else(|| format!("{at}: {value} is no whole number from 1 to 100000", value = brief(value)))
}

fn tiers(at: &str, value: &Value) -> Read<Vec<(u64, Rates)>> {
    let Value::Array(given_tiers) = value else {
        return Err(format!("{at}: {value} is no list", value = brief(value)));
    };
    if given_tiers.len() > MOST_TIERS {
        return Err(format!("{at}: has {} entries, at most {MOST_TIERS} are read", given_tiers.len()));
    }
    let mut tiers: Vec<(u64, Rates)> = Vec::new();
    for (index, tier) in given_tiers.iter().enumerate() {
        let at = format!("{at}[{index}]");
        let (mut above, mut rates) = (None, Rates::default());
        for (name, value) in given(&at, tier)? {
            match name.as_str() {
                "aboveTokens" => above = Some(tokens(&format!("{at}.{name}"), value)?),
                _ => rate(&at, name, value, &mut rates)?,
            }
        }
        let above =
            above.ok_or_else(|| format!("{at}.aboveTokens: is missing: say above which length of the prompt"))?;
        if tiers.iter().any(|(bound, _)| *bound == above) {
            return Err(format!("{at}.aboveTokens: {above} is given twice"));
        }
        tiers.push((above, rates));
    }
    tiers.sort_unstable_by_key(|(bound, _)| *bound);
    Ok(tiers)
}

fn rate(at: &str, name: &str, value: &Value, rates: &mut Rates) -> Read<()> {
    let Some(token) = Token::ALL.into_iter().find(|token| token.field() == name) else {
        let all = Token::ALL.map(Token::field).join(", ");
        return Err(format!("{at}.{name}: there is no such price (there are {all}, tiers; {})", pieces::names()));
    };
    rates.set(token, Some(dollars(&format!("{at}.{name}"), value)?));
    Ok(())
}
