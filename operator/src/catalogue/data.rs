//! The built-in rows. `data/build.py` writes what is read here, and says what each key means.

use std::{
    collections::{BTreeMap, HashMap},
    io::Read,
    sync::LazyLock,
};

use flate2::read::GzDecoder;
use serde::Deserialize;
use spillway_crds::ProviderType;
use spillway_wire::{Abilities, Look, Pieces};

use super::{
    Entry, Mode,
    price::{Cards, Pricing, Rates, Token},
};

static DATA: &[u8] = include_bytes!("../../data/catalogue.json.gz");

type Models = HashMap<String, HashMap<String, Entry>>;

/// By the provider's type, then by the model's name there.
static MODELS: LazyLock<Models> = LazyLock::new(|| {
    let mut text = Vec::new();
    let read = GzDecoder::new(DATA).read_to_end(&mut text);
    read.map_err(|error| error.to_string())
        .and_then(|_| parse(&text).map_err(|error| error.to_string()))
        .expect("the built-in catalogue reads, as its test shows")
});

/// A thousandth of a pico-dollar per token, which is what a nano-dollar per million tokens is.
const PER_PICO: u64 = 1_000;

/// Letters of `y`. Efforts are digits, and a `!` before one says no.
const ABILITIES: [(char, &str); 18] = [
    ('s', "sampling"),
    ('r', "reasoning"),
    ('a', "adaptive_thinking"),
    ('l', "legacy_thinking"),
    ('t', "thinking_always_on"),
    ('o', "output_config"),
    ('c', "tool_choice"),
    ('f', "forced_tool_use"),
    ('p', "parallel_tool_config"),
    ('k', "strict_tools"),
    ('j', "native_schema"),
    ('y', "system_messages"),
    ('m', "mid_conversation_system"),
    ('q', "assistant_prefill"),
    ('h', "prompt_caching"),
    ('d', "pdf_input"),
    ('u', "audio_input"),
    ('w', "responses_only"),
];
const EFFORTS: [(char, &str); 7] = [
    ('0', "effort_none"),
    ('1', "effort_minimal"),
    ('2', "effort_low"),
    ('3', "effort_medium"),
    ('4', "effort_high"),
    ('5', "effort_xhigh"),
    ('6', "effort_max"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Compact<'a> {
    #[serde(default, borrow)]
    m: Option<&'a str>,
    #[serde(default)]
    w: Option<u64>,
    #[serde(default)]
    o: Option<u64>,
    #[serde(default)]
    v: Option<u64>,
    #[serde(default)]
    f: &'a str,
    #[serde(default)]
    y: &'a str,
    #[serde(default)]
    p: Vec<Option<u64>>,
    #[serde(default)]
    a: BTreeMap<u64, Vec<Option<u64>>>,
    #[serde(default, rename = "F")]
    flex: Option<CompactTier>,
    #[serde(default, rename = "P")]
    priority: Option<CompactTier>,
    #[serde(default, rename = "B")]
    batch: Option<CompactTier>,
    #[serde(default)]
    g: Option<u32>,
    #[serde(default, borrow)]
    d: Option<&'a str>,
    #[serde(default)]
    u: Vec<Option<u64>>,
    #[serde(default, borrow)]
    i: BTreeMap<&'a str, u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompactTier {
    #[serde(default)]
    p: Vec<Option<u64>>,
    #[serde(default)]
    a: BTreeMap<u64, Vec<Option<u64>>>,
}

/// The row of exactly this name.
pub(super) fn built_in(provider: ProviderType, model: &str) -> Option<&'static Entry> {
    MODELS.get(provider.as_str())?.get(model)
}

/// Every row.
pub(super) fn names() -> impl Iterator<Item = (ProviderType, &'static str)> {
    MODELS.iter().flat_map(|(kind, models)| {
        let kind = ProviderType::read(kind);
        kind.into_iter().flat_map(move |kind| models.keys().map(move |name| (kind, name.as_str())))
    })
}

/// One row in the form of the built-in file, for whoever compares prices with those of others.
pub fn from_compact(text: &str) -> serde_json::Result<Entry> {
    serde_json::from_str::<Compact<'_>>(text).map(entry)
}

fn parse(text: &[u8]) -> serde_json::Result<Models> {
    let rows: HashMap<String, HashMap<String, Compact<'_>>> = serde_json::from_slice(text)?;
    let models = |rows: HashMap<String, Compact<'_>>| rows.into_iter().map(|(name, row)| (name, entry(row))).collect();
    Ok(rows.into_iter().map(|(kind, rows)| (kind, models(rows))).collect())
}

fn entry(row: Compact<'_>) -> Entry {
    let Compact { m, w, o, v, f, y, p, a, flex, priority, batch, g, d, u, i } = row;
    let tier = |tier: Option<CompactTier>| tier.map(|CompactTier { p, a }| Box::new(cards(&p, &a)));
    let pricing = (!p.is_empty()).then(|| Pricing {
        standard: cards(&p, &a),
        flex: tier(flex),
        priority: tier(priority),
        batch: tier(batch),
        regional_permille: g,
    });
    Entry {
        mode: m.and_then(Mode::read).unwrap_or_default(),
        context_window: w,
        max_output_tokens: o,
        vector_size: v,
        pricing: pricing.map(Box::new),
        pieces: pieces(&u, &i).map(Box::new),
        tools: f.contains('t'),
        parallel_tools: f.contains('p'),
        vision: f.contains('v'),
        json_schema: f.contains('j'),
        abilities: abilities(y),
        deprecated_on: d.and_then(|day| day.parse().ok()),
    }
}

fn cards(rates: &[Option<u64>], above: &BTreeMap<u64, Vec<Option<u64>>>) -> Cards {
    Cards {
        rates: self::rates(rates),
        above: above.iter().map(|(bound, given)| (*bound, self::rates(given))).collect(),
    }
}

fn rates(given: &[Option<u64>]) -> Rates {
    let mut rates = Rates::default();
    for (token, picos) in Token::ALL.into_iter().zip(given) {
        rates.set(token, picos.map(|picos| picos.saturating_mul(PER_PICO)));
    }
    rates
}

/// None: none has a price.
fn pieces(given: &[Option<u64>], looks: &BTreeMap<&str, u64>) -> Option<Pieces> {
    let price = |at: usize| given.get(at).copied().flatten().map(|picos| picos.saturating_mul(PER_PICO));
    let look = |(name, picos): (&&str, &u64)| {
        let (quality, size) = name.split_once('/')?;
        let (width, height) = size.split_once('x')?;
        let (width, height) = (width.parse().ok()?, height.parse().ok()?);
        Some(Look { quality: quality.to_owned(), width, height, image_nanos: picos.saturating_mul(PER_PICO) })
    };
    let pieces = Pieces {
        image_nanos: price(0),
        looks: looks.iter().filter_map(look).collect(),
        pixel_nanos: price(1),
        character_nanos: price(2),
        second_nanos: price(3),
        search_nanos: price(4),
    };
    (pieces != Pieces::default()).then_some(pieces)
}

fn abilities(letters: &str) -> Abilities {
    let mut known = Abilities::default();
    let mut yes = true;
    for letter in letters.chars() {
        if letter == '!' {
            yes = false;
            continue;
        }
        let answer = std::mem::replace(&mut yes, true) && !letter.is_ascii_uppercase();
        let letter = letter.to_ascii_lowercase();
        let name = ABILITIES.iter().chain(&EFFORTS).find(|(one, _)| *one == letter).map(|(_, name)| *name);
        if let Some(ability) = name.and_then(|name| known.get_mut(name)) {
            *ability = Some(answer);
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_say_yes_and_no() {
        let known = abilities("aSr0!16");
        let want = Abilities {
            adaptive_thinking: Some(true),
            sampling: Some(false),
            reasoning: Some(true),
            effort_none: Some(true),
            effort_minimal: Some(false),
            effort_max: Some(true),
            ..Abilities::default()
        };
        assert_eq!(known, want);
        let named = |(_, name): &(char, &str)| Abilities::default().get_mut(name).is_some();
        assert!(ABILITIES.iter().chain(&EFFORTS).all(named), "every letter is an ability");
        assert_eq!(ABILITIES.len() + EFFORTS.len(), Abilities::NAMES.len());
    }

    #[test]
    fn no_price_is_zero_for_want_of_knowledge() {
        let gives_away = |provider: &str| matches!(provider, "Ollama" | "ZAI");
        for (provider, models) in MODELS.iter().filter(|(provider, _)| !gives_away(provider)) {
            for (name, entry) in models {
                let Some(pricing) = &entry.pricing else { continue };
                let rate = |token| pricing.standard.rates.get(token);
                let (input, output) = (rate(Token::Input), rate(Token::Output));
                assert!(input.is_some() && output.is_some(), "{provider} {name}");
                if provider == "OpenAI" && entry.mode == Mode::Moderation {
                    continue;
                }
                assert_ne!((input, output), (Some(0), Some(0)), "{provider} {name}");
            }
        }
    }
}
