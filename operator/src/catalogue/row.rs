//! A model as people write and read it: JSON with the names and units of the resources. What `spillway models -o json` prints is
//! what an override takes.

mod field;
mod pieces;
mod read;
mod show;

use jiff::civil::Date;
use spillway_wire::{Abilities, Pieces};

use super::{Cards, Entry, Mode, Pricing, Rates};

pub(crate) use pieces::{NO_AMOUNT, PIECES, for_one, of_one, size};
pub use show::show;

/// What somebody says of a model. Everything may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    mode: Option<Mode>,
    context_window: Option<u64>,
    max_output_tokens: Option<u64>,
    vector_size: Option<u64>,
    tools: Option<bool>,
    parallel_tools: Option<bool>,
    vision: Option<bool>,
    json_schema: Option<bool>,
    abilities: Abilities,
    deprecated_on: Option<Date>,
    pricing: Option<Box<Prices>>,
    pieces: Option<Box<Pieces>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Prices {
    standard: TierPrices,
    flex: Option<TierPrices>,
    priority: Option<TierPrices>,
    batch: Option<TierPrices>,
    /// What an answer costs for which the request chose where it is made, in thousandths of what others cost.
    regional_permille: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct TierPrices {
    rates: Rates,
    /// Those of long prompts replace what was known of them, all together.
    above: Option<Vec<(u64, Rates)>>,
}

/// The fields of a model that are numbers or yes and no, beside those that need a look of their own.
const FIELDS: &str = "mode, contextWindow, maxOutputTokens, vectorSize, tools, parallelTools, vision, jsonSchema, \
                      abilities, deprecationDate, pricing";

// === impl Row ===

impl Row {
    /// This where it says something, else what was known.
    #[must_use]
    pub fn over(&self, known: Entry) -> Entry {
        let Self {
            mode,
            context_window,
            max_output_tokens,
            vector_size,
            tools,
            parallel_tools,
            vision,
            json_schema,
            abilities,
            deprecated_on,
            pricing,
            pieces,
        } = self;
        let mut merged = known.abilities;
        for (name, own) in abilities.iter() {
            if let (Some(own), Some(ability)) = (own, merged.get_mut(name)) {
                *ability = Some(own);
            }
        }
        let known_pricing = known.pricing;
        Entry {
            mode: mode.unwrap_or(known.mode),
            context_window: context_window.or(known.context_window),
            max_output_tokens: max_output_tokens.or(known.max_output_tokens),
            vector_size: vector_size.or(known.vector_size),
            tools: tools.unwrap_or(known.tools),
            parallel_tools: parallel_tools.unwrap_or(known.parallel_tools),
            vision: vision.unwrap_or(known.vision),
            json_schema: json_schema.unwrap_or(known.json_schema),
            abilities: merged,
            deprecated_on: deprecated_on.or(known.deprecated_on),
            pricing: match pricing {
                Some(own) => Some(Box::new(own.over(known_pricing.map(|known| *known).unwrap_or_default()))),
                None => known_pricing,
            },
            pieces: match pieces {
                Some(own) => Some(Box::new(pieces::over(own, known.pieces.as_deref()))),
                None => known.pieces,
            },
        }
    }
}

impl Prices {
    fn over(&self, known: Pricing) -> Pricing {
        let tier = |own: &Option<TierPrices>, known: Option<Box<Cards>>| match own {
            Some(own) => Some(Box::new(own.over(known.map(|known| *known).unwrap_or_default()))),
            None => known,
        };
        Pricing {
            standard: self.standard.over(known.standard),
            flex: tier(&self.flex, known.flex),
            priority: tier(&self.priority, known.priority),
            batch: tier(&self.batch, known.batch),
            regional_permille: self.regional_permille.or(known.regional_permille),
        }
    }
}

impl TierPrices {
    fn over(&self, known: Cards) -> Cards {
        Cards { rates: self.rates.or(&known.rates), above: self.above.clone().unwrap_or(known.above) }
    }
}

/// `mid_conversation_system` as it is written in JSON.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let mut letters = word.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name.push_str(letters.as_str());
        name
    })
}
