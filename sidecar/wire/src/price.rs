//! What a token costs, by its kind, by the length of the prompt and by the service tier.
//!
//! Amounts are nano-dollars per million tokens: $0.15 per million is 150_000_000. That is a thousandth of a pico-dollar per
//! token, finer than any price list.

use serde::{Deserialize, Serialize};

/// The prices of a model, with nothing left to inherit: whoever makes it has looked up what each tier falls back to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Of the standard tier, for prompts of any length.
    #[serde(flatten)]
    pub rates: Rates,
    /// What applies instead to longer prompts and to other tiers: the card of the tier with the largest bound that the prompt
    /// exceeds. A tier without cards is billed as the standard one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cards: Vec<Card>,
    /// The bill knows neither cached tokens nor long prompts nor tiers. What a request may cost at most is worked out with
    /// the cards all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flat: bool,
    /// Of requests that are sent as a batch. They are shown, and no bill knows them: no sidecar sees what a batch comes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Rates>,
    /// What an answer costs for which the request chose where it is made, in thousandths of what others cost. None: the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regional_permille: Option<u32>,
}

/// One price for each kind of token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    pub input_nanos: u64,
    pub output_nanos: u64,
    /// None: cached input costs what other input costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_nanos: Option<u64>,
    /// None: writing the cache costs what other input costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_nanos: Option<u64>,
    /// Of input that is kept for an hour. None: as what is kept for minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h_nanos: Option<u64>,
    /// None: as other output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_nanos: Option<u64>,
    /// None: as other input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_input_nanos: Option<u64>,
    /// None: as other output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_output_nanos: Option<u64>,
    /// None: as other input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_input_nanos: Option<u64>,
    /// None: as other output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_output_nanos: Option<u64>,
}

/// Prices of a tier, for prompts longer than so many tokens. The whole prompt is compared, and all of it and of the answer is
/// billed at these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    pub tier: ServiceTier,
    /// 0: prompts of any length.
    #[serde(default)]
    pub above_tokens: u64,
    #[serde(flatten)]
    pub rates: Rates,
}

/// How fast an answer was promised to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ServiceTier {
    #[default]
    Standard,
    Flex,
    Priority,
}

/// What each kind of token costs with nothing left open, in the type of whoever bills: `rates!(given => Rates)`. What is sent
/// knows no bills, and two programs make them.
#[macro_export]
macro_rules! rates {
    ($given:expr => $rates:ident) => {{
        let given: &$crate::Rates = $given;
        $rates {
            input: given.input_nanos,
            output: given.output_nanos,
            cache_read: given.cache_read(),
            cache_write: given.cache_write(),
            cache_write_1h: given.cache_write_1h(),
            reasoning: given.reasoning(),
            audio_input: given.audio_input(),
            audio_output: given.audio_output(),
            image_input: given.image_input(),
            image_output: given.image_output(),
        }
    }};
}

// === impl Price ===

impl Price {
    /// One price for input and one for output, whatever the prompt and the tier.
    #[must_use]
    pub const fn plain(input_nanos: u64, output_nanos: u64) -> Self {
        Self {
            rates: Rates::plain(input_nanos, output_nanos),
            cards: Vec::new(),
            flat: false,
            batch: None,
            regional_permille: None,
        }
    }
}

// === impl Rates ===

impl Rates {
    /// One price for input and one for output.
    #[must_use]
    pub const fn plain(input_nanos: u64, output_nanos: u64) -> Self {
        Self {
            input_nanos,
            output_nanos,
            cache_read_nanos: None,
            cache_write_nanos: None,
            cache_write_1h_nanos: None,
            reasoning_nanos: None,
            audio_input_nanos: None,
            audio_output_nanos: None,
            image_input_nanos: None,
            image_output_nanos: None,
        }
    }

    /// Of cached input.
    #[must_use]
    pub fn cache_read(&self) -> u64 {
        self.cache_read_nanos.unwrap_or(self.input_nanos)
    }

    /// Of input written to the cache.
    #[must_use]
    pub fn cache_write(&self) -> u64 {
        self.cache_write_nanos.unwrap_or(self.input_nanos)
    }

    /// Of input that is kept for an hour.
    #[must_use]
    pub fn cache_write_1h(&self) -> u64 {
        self.cache_write_1h_nanos.unwrap_or_else(|| self.cache_write())
    }

    /// Of thoughts.
    #[must_use]
    pub fn reasoning(&self) -> u64 {
        self.reasoning_nanos.unwrap_or(self.output_nanos)
    }

    /// Of sound in the prompt.
    #[must_use]
    pub fn audio_input(&self) -> u64 {
        self.audio_input_nanos.unwrap_or(self.input_nanos)
    }

    /// Of sound in the answer.
    #[must_use]
    pub fn audio_output(&self) -> u64 {
        self.audio_output_nanos.unwrap_or(self.output_nanos)
    }

    /// Of images in the prompt.
    #[must_use]
    pub fn image_input(&self) -> u64 {
        self.image_input_nanos.unwrap_or(self.input_nanos)
    }

    /// Of images in the answer.
    #[must_use]
    pub fn image_output(&self) -> u64 {
        self.image_output_nanos.unwrap_or(self.output_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_as_short_as_what_it_says() {
        let plain = Price::plain(9, 8);
        let text = r#"{"input_nanos":9,"output_nanos":8}"#;
        assert_eq!(serde_json::to_string(&plain).unwrap(), text);
        assert_eq!(serde_json::from_str::<Price>(text).unwrap(), plain);
        let rates = Rates { cache_read_nanos: Some(0), ..Rates::plain(1, 2) };
        let cards = vec![Card { tier: ServiceTier::Flex, above_tokens: 0, rates }];
        let price = Price { cards, regional_permille: Some(1_100), ..plain };
        let text = serde_json::to_string(&price).unwrap();
        assert_eq!(serde_json::from_str::<Price>(&text).unwrap(), price, "{text}");
    }
}
