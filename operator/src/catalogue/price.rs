//! Prices as lists give them, with gaps; and what they come to once each gap is filled from where it inherits.

use std::collections::BTreeSet;

use spillway_crds::ProviderType;
use spillway_wire as wire;

/// Kinds of token that have a price of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    Input,
    Output,
    CacheRead,
    CacheWrite,
    CacheWrite1h,
    Reasoning,
    AudioInput,
    AudioOutput,
    ImageInput,
    ImageOutput,
}

/// Nano-dollars per million tokens, by kind. None: not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates([Option<u64>; Token::ALL.len()]);

/// Prices of one tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cards {
    pub rates: Rates,
    /// Of prompts longer than so many tokens, in that order.
    pub above: Vec<(u64, Rates)>,
}

/// Prices of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pricing {
    pub standard: Cards,
    pub flex: Option<Box<Cards>>,
    pub priority: Option<Box<Cards>>,
    /// For people to compare: no sidecar sees what a batch comes to.
    pub batch: Option<Box<Cards>>,
    /// What an answer costs for which the request chose where it is made, in thousandths of what others cost.
    pub regional_permille: Option<u32>,
}

// === impl Token ===

impl Token {
    /// All of them, in the order of [`Rates`] and of the built-in rows.
    pub const ALL: [Self; 10] = [
        Self::Input,
        Self::Output,
        Self::CacheRead,
        Self::CacheWrite,
        Self::CacheWrite1h,
        Self::Reasoning,
        Self::AudioInput,
        Self::AudioOutput,
        Self::ImageInput,
        Self::ImageOutput,
    ];

    /// The field its price is written in.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Input => "inputPerMillion",
            Self::Output => "outputPerMillion",
            Self::CacheRead => "cacheReadPerMillion",
            Self::CacheWrite => "cacheWritePerMillion",
            Self::CacheWrite1h => "cacheWrite1hPerMillion",
            Self::Reasoning => "reasoningPerMillion",
            Self::AudioInput => "audioInputPerMillion",
            Self::AudioOutput => "audioOutputPerMillion",
            Self::ImageInput => "imageInputPerMillion",
            Self::ImageOutput => "imageOutputPerMillion",
        }
    }
}

// === impl Rates ===

impl Rates {
    #[must_use]
    pub fn get(&self, token: Token) -> Option<u64> {
        self.0[token as usize]
    }

    pub fn set(&mut self, token: Token, nanos: Option<u64>) {
        self.0[token as usize] = nanos;
    }

    /// Each that is given, with its kind.
    pub fn given(&self) -> impl Iterator<Item = (Token, u64)> + '_ {
        Token::ALL.into_iter().zip(self.0).filter_map(|(token, nanos)| Some((token, nanos?)))
    }

    /// These where they are given, else those.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own = own.or(other);
        }
        self
    }

    /// As sidecars are told. None without a price for input and output.
    fn wire(&self) -> Option<wire::Rates> {
        Some(wire::Rates {
            input_nanos: self.get(Token::Input)?,
            output_nanos: self.get(Token::Output)?,
            cache_read_nanos: self.get(Token::CacheRead),
            cache_write_nanos: self.get(Token::CacheWrite),
            cache_write_1h_nanos: self.get(Token::CacheWrite1h),
            reasoning_nanos: self.get(Token::Reasoning),
            audio_input_nanos: self.get(Token::AudioInput),
            audio_output_nanos: self.get(Token::AudioOutput),
            image_input_nanos: self.get(Token::ImageInput),
            image_output_nanos: self.get(Token::ImageOutput),
        })
    }
}

// === impl Cards ===

impl Cards {
    fn step(&self, above: u64) -> Rates {
        self.above.iter().find(|(bound, _)| *bound == above).map_or_else(Rates::default, |(_, rates)| *rates)
    }
}

// === impl Pricing ===

impl Pricing {
    /// Prices with every gap filled. A longer prompt costs what shorter ones do where nothing else is given; a tier costs what
    /// the standard one does.
    #[must_use]
    pub fn resolve(&self, provider: ProviderType) -> Option<wire::Price> {
        let mut cards = Vec::new();
        let tiers = [
            (wire::ServiceTier::Standard, Some(&self.standard)),
            (wire::ServiceTier::Flex, self.flex.as_deref()),
            (wire::ServiceTier::Priority, self.priority.as_deref()),
        ];
        for (tier, own) in tiers {
            let Some(own) = own else { continue };
            let mut rates = self.base(own);
            let bounds = own.above.iter().chain(&self.standard.above).map(|(bound, _)| *bound);
            let bounds: BTreeSet<u64> = bounds.filter(|bound| *bound > 0).collect();
            if tier != wire::ServiceTier::Standard {
                cards.push(wire::Card { tier, above_tokens: 0, rates: rates.wire()? });
            }
            for above_tokens in bounds {
                rates = own.step(above_tokens).or(&self.standard.step(above_tokens)).or(&rates);
                cards.push(wire::Card { tier, above_tokens, rates: rates.wire()? });
            }
        }
        // Perplexity says in each answer what it charges. Where it does not, it is billed by its list prices.
        let flat = provider == ProviderType::Perplexity;
        let batch = self.batch.as_deref().and_then(|own| self.base(own).wire());
        let (rates, regional_permille) = (self.standard.rates.wire()?, self.regional_permille);
        Some(wire::Price { rates, cards, flat, batch, regional_permille })
    }

    /// A tier's own prices over those it inherits. Not the one for reasoning: that is the tier's own, or that of its output.
    fn base(&self, own: &Cards) -> Rates {
        let mut inherited = self.standard.rates;
        inherited.set(Token::Reasoning, None);
        own.rates.or(&inherited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(given: &[(Token, u64)]) -> Rates {
        let mut rates = Rates::default();
        for (token, nanos) in given {
            rates.set(*token, Some(*nanos));
        }
        rates
    }

    #[test]
    fn what_a_tier_does_not_say_it_inherits() {
        use Token::{AudioInput, CacheRead, Input, Output, Reasoning};
        let pricing = Pricing {
            standard: Cards {
                rates: rates(&[(Input, 10), (Output, 20), (CacheRead, 1), (Reasoning, 30), (AudioInput, 40)]),
                above: vec![(200, rates(&[(Input, 100), (CacheRead, 2)]))],
            },
            flex: Some(Box::new(Cards { rates: rates(&[(Input, 5)]), above: vec![(300, rates(&[(Output, 7)]))] })),
            ..Pricing::default()
        };
        let price = pricing.resolve(ProviderType::OpenAI).unwrap();
        let got: Vec<_> = price.cards.iter().map(|card| (card.tier, card.above_tokens, card.rates)).collect();
        let card = |input_nanos, output_nanos, cache_read, reasoning_nanos| wire::Rates {
            cache_read_nanos: Some(cache_read),
            reasoning_nanos,
            audio_input_nanos: Some(40),
            ..wire::Rates::plain(input_nanos, output_nanos)
        };
        let want = vec![
            (wire::ServiceTier::Standard, 200, card(100, 20, 2, Some(30))),
            (wire::ServiceTier::Flex, 0, card(5, 20, 1, None)),
            (wire::ServiceTier::Flex, 200, card(100, 20, 2, None)),
            (wire::ServiceTier::Flex, 300, card(100, 7, 2, None)),
        ];
        assert_eq!(got, want);
        assert_eq!(price.rates, card(10, 20, 1, Some(30)));
        assert!(!price.flat && pricing.resolve(ProviderType::Perplexity).unwrap().flat);
    }

    #[test]
    fn half_a_price_is_none() {
        let pricing =
            Pricing { standard: Cards { rates: rates(&[(Token::Input, 1)]), above: Vec::new() }, ..Pricing::default() };
        assert_eq!(pricing.resolve(ProviderType::OpenAI), None);
    }
}
