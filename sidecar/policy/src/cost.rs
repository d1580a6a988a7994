//! Price × usage → money. Integers only, rounded up once per answer, so that a bill is never too small by rounding.
//!
//! Three things decide what a token costs: its kind, how long the whole prompt is, and the service tier that answered. Length
//! and tier choose one card of rates for the whole answer; every token is then billed by its kind.

mod money;
mod pieces;
#[cfg(test)]
mod tests;

pub use money::NanoUsd;
pub use pieces::{Look, PiecePrices, Pieces};

/// Nano-dollars per million tokens, which is a thousandth of a pico-dollar per token. One for each kind of token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    /// Input that is kept for minutes.
    pub cache_write: u64,
    /// Input that is kept for an hour.
    pub cache_write_1h: u64,
    pub reasoning: u64,
    pub audio_input: u64,
    pub audio_output: u64,
    pub image_input: u64,
    pub image_output: u64,
}

/// How fast an answer was promised to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tier {
    #[default]
    Standard,
    Flex,
    Priority,
}

/// What a tier costs for prompts longer than so many tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    pub tier: Tier,
    /// 0: prompts of any length.
    pub above: u64,
    pub rates: Rates,
}

/// What a model costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Of the standard tier, for prompts of any length.
    pub rates: Rates,
    /// What applies instead. Of the cards of a tier, the one with the largest bound that the prompt exceeds; a tier that has
    /// none is billed as the standard one.
    pub cards: Vec<Card>,
    /// The bill knows neither cached tokens nor long prompts nor tiers.
    pub flat: bool,
    /// What an answer costs for which the request chose where it is made, in thousandths of what others cost.
    pub regional: Option<u32>,
}

/// Tokens a provider billed. `input` includes what was read from or written to a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    /// Part of `input`.
    pub cache_read: u64,
    /// Part of `input`, whatever it is kept for.
    pub cache_write: u64,
    /// Part of `cache_write`.
    pub cache_write_1h: u64,
    /// Part of `output`.
    pub reasoning: u64,
    /// Part of `input`.
    pub audio_input: u64,
    /// Part of `output`.
    pub audio_output: u64,
    /// Part of `input`.
    pub image_input: u64,
    /// Part of `output`.
    pub image_output: u64,
    /// The tier that answered.
    pub tier: Tier,
    /// It was made where the request said.
    pub regional: bool,
}

/// What a request may come to, before anybody has answered it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Most {
    pub input: u64,
    pub output: u64,
    /// The tier that is asked for.
    pub tier: Tier,
    /// It asks for its prompt to be kept in the provider's cache.
    pub cache_writes: bool,
    /// It has images in it.
    pub images: bool,
    /// It has sound in it, or asks for some.
    pub audio: bool,
    /// It says where the answer is to be made.
    pub regional: bool,
}

/// What an answer cost, in thousandths of a pico-dollar: no fraction is lost yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    pub prompt: u128,
    pub answer: u128,
}

// === impl Rates ===

impl Rates {
    /// Every kind of input costs the same, and every kind of output.
    #[must_use]
    pub const fn plain(input: u64, output: u64) -> Self {
        Self {
            input,
            output,
            cache_read: input,
            cache_write: input,
            cache_write_1h: input,
            reasoning: output,
            audio_input: input,
            audio_output: output,
            image_input: input,
            image_output: output,
        }
    }

    /// The same with every part of the prompt billed alike.
    const fn without_caches(self) -> Self {
        Self { cache_read: self.input, cache_write: self.input, cache_write_1h: self.input, ..self }
    }
}

// === impl Price ===

impl Price {
    /// One price for input and one for output.
    #[must_use]
    pub const fn plain(input: u64, output: u64) -> Self {
        Self { rates: Rates::plain(input, output), cards: Vec::new(), flat: false, regional: None }
    }

    /// Whatever is used of it costs nothing.
    #[must_use]
    pub fn is_free(&self) -> bool {
        let mut all = self.cards.iter().map(|card| &card.rates).chain([&self.rates]);
        all.all(|rates| *rates == Rates::default())
    }

    /// What the answer cost. Saturates: a provider that reports absurd numbers gives an absurd cost, not a small one.
    #[must_use]
    pub fn of(&self, usage: &Usage) -> NanoUsd {
        self.bill(usage).total()
    }

    /// The same, to the last fraction.
    #[must_use]
    pub fn bill(&self, usage: &Usage) -> Bill {
        let rates =
            if self.flat { self.rates.without_caches() } else { *self.rates_of(self.billed(usage.tier), usage.input) };
        // A provider whose cache figures exceed its input figure contradicts itself; both are billed as reported. Its other
        // details are believed as far as there is room for them.
        let fresh = usage.input.saturating_sub(usage.cache_read).saturating_sub(usage.cache_write);
        let audio = usage.audio_input.min(fresh);
        let image = usage.image_input.min(fresh - audio);
        let kept = usage.cache_write_1h.min(usage.cache_write);
        let spoken = usage.reasoning.saturating_add(usage.audio_output).saturating_add(usage.image_output);
        let bill = Bill {
            prompt: sum([
                (fresh - audio - image, rates.input),
                (usage.cache_read, rates.cache_read),
                (usage.cache_write - kept, rates.cache_write),
                (kept, rates.cache_write_1h),
                (audio, rates.audio_input),
                (image, rates.image_input),
            ]),
            answer: sum([
                (usage.output.saturating_sub(spoken), rates.output),
                (usage.reasoning, rates.reasoning),
                (usage.audio_output, rates.audio_output),
                (usage.image_output, rates.image_output),
            ]),
        };
        self.placed(bill, usage.regional)
    }

    /// The same for an answer made where the request said, or anywhere.
    fn placed(&self, bill: Bill, regional: bool) -> Bill {
        let Some(permille) = self.regional.filter(|_| regional) else { return bill };
        let times = |cost: u128| cost.saturating_mul(u128::from(permille)).div_ceil(1_000);
        Bill { prompt: times(bill.prompt), answer: times(bill.answer) }
    }

    /// The most that a request can cost: every token at the dearest of the rates that may apply to it.
    #[must_use]
    pub fn worst(&self, most: &Most) -> NanoUsd {
        let tier = self.billed(most.tier);
        let longer = self.cards.iter().filter(|card| card.tier == tier && card.above < most.input);
        let dearest = longer
            .map(|card| &card.rates)
            .chain([self.rates_of(tier, 0)])
            .map(|rates| sum([(most.input, rates.dearest_input(most)), (most.output, rates.dearest_output(most))]));
        self.placed(Bill { prompt: dearest.max().unwrap_or(0), answer: 0 }, most.regional).total()
    }

    /// The tier whose cards are used.
    fn billed(&self, tier: Tier) -> Tier {
        if self.cards.iter().any(|card| card.tier == tier) { tier } else { Tier::Standard }
    }

    fn rates_of(&self, tier: Tier, prompt: u64) -> &Rates {
        let applies = |card: &&Card| card.tier == tier && (card.above == 0 || prompt > card.above);
        let card = self.cards.iter().filter(applies).max_by_key(|card| card.above);
        card.map_or(&self.rates, |card| &card.rates)
    }
}

impl Rates {
    fn dearest_input(&self, most: &Most) -> u64 {
        let written = if most.cache_writes { self.cache_write.max(self.cache_write_1h) } else { 0 };
        let images = if most.images { self.image_input } else { 0 };
        let audio = if most.audio { self.audio_input } else { 0 };
        self.input.max(written).max(images).max(audio)
    }

    fn dearest_output(&self, most: &Most) -> u64 {
        let audio = if most.audio { self.audio_output } else { 0 };
        self.output.max(self.reasoning).max(self.image_output).max(audio)
    }
}

fn sum<const N: usize>(parts: [(u64, u64); N]) -> u128 {
    parts
        .iter()
        .fold(0u128, |sum, &(tokens, rate)| sum.saturating_add(u128::from(tokens).saturating_mul(u128::from(rate))))
}

// === impl Bill ===

/// How many of a bill's units a nano-dollar has.
const PER_NANO: u128 = 1_000_000;

impl Bill {
    /// In nano-dollars, rounded up.
    #[must_use]
    pub fn total(&self) -> NanoUsd {
        let total = self.prompt.saturating_add(self.answer);
        NanoUsd(u64::try_from(total.div_ceil(PER_NANO)).unwrap_or(u64::MAX))
    }
}
