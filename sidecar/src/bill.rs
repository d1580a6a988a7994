//! What an answer costs: the price as the operator sends it, the usage as the provider reports it.

pub use spillway_lower::{pieces, price};
use spillway_policy::{NanoUsd, PiecePrices, Pieces, Price, Tier, Usage, fallback::Beside};
use spillway_providers::Billed;
use spillway_wire as wire;

/// Kinds of tokens that a price does not name, and that cost far more than text wherever somebody does name them. They are
/// billed as text, and what it comes to is too little. Images in a prompt are not among them: most charge them as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unnamed {
    audio_input: bool,
    audio_output: bool,
    image_output: bool,
}

/// What a price does not name.
#[must_use]
pub const fn unnamed(given: &wire::Price) -> Unnamed {
    let wire::Rates { audio_input_nanos, audio_output_nanos, image_output_nanos, .. } = given.rates;
    Unnamed {
        audio_input: audio_input_nanos.is_none(),
        audio_output: audio_output_nanos.is_none(),
        image_output: image_output_nanos.is_none(),
    }
}

impl Unnamed {
    /// Whether some of what was used is of these kinds.
    #[must_use]
    pub const fn has_part_in(self, usage: &Usage) -> bool {
        (self.audio_input && usage.audio_input > 0)
            || (self.audio_output && usage.audio_output > 0)
            || (self.image_output && usage.image_output > 0)
    }
}

/// What a provider says was used, without what it says that costs.
#[must_use]
pub fn usage(reported: spillway_providers::Usage) -> Usage {
    let spillway_providers::Usage {
        input,
        output,
        cache_read,
        cache_write,
        cache_write_1h,
        reasoning,
        audio_input,
        audio_output,
        image_input,
        image_output,
        searches: _,
        tier,
        regional,
        billed: _,
        cost_nanos: _,
        pieces: _,
    } = reported;
    Usage {
        input,
        output,
        cache_read,
        cache_write,
        cache_write_1h,
        reasoning,
        audio_input,
        audio_output,
        image_input,
        image_output,
        tier: tier.map_or(Tier::Standard, served),
        regional,
    }
}

/// The same, where it says anything of tokens.
#[must_use]
pub fn tokens(reported: spillway_providers::Usage) -> Option<Usage> {
    let spillway_providers::Usage { input, output, pieces, .. } = reported;
    (pieces.is_none() || input > 0 || output > 0).then(|| usage(reported))
}

/// What an answer cost: by the provider's own word, else by its price. None: neither is known.
#[must_use]
pub fn cost(price: Option<&Price>, usage: &Usage, reported: Option<&spillway_providers::Usage>) -> Option<NanoUsd> {
    let charged = reported.and_then(|reported| reported.cost_nanos).map(NanoUsd);
    let billed = reported.and_then(|reported| reported.billed).map_or(*usage, |billed| part(usage, billed));
    charged.or_else(|| Some(price?.of(&billed)))
}

/// The same with the searches that were made for it. Where nobody knows what one costs, the tokens alone.
#[must_use]
pub fn cost_with_searches(
    price: Option<&Price>,
    pieces: &PiecePrices,
    usage: &Usage,
    reported: Option<&spillway_providers::Usage>,
) -> Option<NanoUsd> {
    let cost = cost(price, usage, reported)?;
    let searches = searches(reported);
    let beside = if searches > 0 { pieces.of(&Pieces::Searches(searches)) } else { None };
    Some(NanoUsd(cost.0.saturating_add(beside.unwrap_or_default().0)))
}

/// How many searches are billed beside an answer's tokens: none where the provider says what all of it costs.
#[must_use]
pub fn searches(reported: Option<&spillway_providers::Usage>) -> u64 {
    reported.filter(|reported| reported.cost_nanos.is_none()).map_or(0, |reported| reported.searches)
}

/// Of what was used, what is billed.
fn part(usage: &Usage, billed: Billed) -> Usage {
    let Billed { input, output } = billed;
    Usage { input, output, cache_read: usage.cache_read.min(input), ..*usage }
}

/// What a model costs that draws, speaks, listens or searches.
#[derive(Clone, Copy, Debug)]
pub struct Prices<'a> {
    pub tokens: Option<&'a Price>,
    pub unnamed: Unnamed,
    pub pieces: &'a PiecePrices,
}

/// What an answer cost that is not a text: by the provider's own word, else by the token where it says how many, else by the
/// piece. `asked` is what the request said of those. None: neither is known.
#[must_use]
pub fn cost_of_pieces(
    prices: Prices<'_>,
    usage: Option<&Usage>,
    reported: Option<&spillway_providers::Usage>,
    asked: Option<spillway_providers::Pieces>,
) -> Option<NanoUsd> {
    let Prices { tokens, unnamed, pieces } = prices;
    if let Some(charged) = reported.and_then(|reported| reported.cost_nanos) {
        return Some(NanoUsd(charged));
    }
    if tokens.is_some_and(Price::is_free) {
        return Some(NanoUsd(0));
    }
    let by_token = || {
        let usage = usage.filter(|usage| !unnamed.has_part_in(usage))?;
        tokens.and_then(|price| cost(Some(price), usage, reported))
    };
    // Where tokens are billed, what was asked for is not what it takes.
    let counted = match reported.and_then(|reported| reported.pieces) {
        Some(said) => Some(said.or(asked)),
        None => asked.filter(|_| tokens.is_none()),
    };
    by_token().or_else(|| pieces.of(&self::counted(counted?)))
}

/// Pieces of a request or an answer, as they are priced.
pub(crate) const fn counted(said: spillway_providers::Pieces) -> Pieces {
    use spillway_providers::Pieces as Said;
    match said {
        Said::Images { count, quality, size } => Pieces::Images { count, quality, size },
        Said::Characters(count) => Pieces::Characters(count),
        Said::Milliseconds(count) => Pieces::Milliseconds(count),
        Said::Searches(count) => Pieces::Searches(count),
    }
}

/// The tier of a request or an answer, as it is priced.
pub(crate) const fn served(tier: spillway_providers::Tier) -> Tier {
    match tier {
        spillway_providers::Tier::Standard => Tier::Standard,
        spillway_providers::Tier::Flex => Tier::Flex,
        spillway_providers::Tier::Priority => Tier::Priority,
    }
}

/// What a provider does by itself.
#[must_use]
pub const fn beside(asked: spillway_providers::Beside) -> Beside {
    match asked {
        spillway_providers::Beside::Nothing => Beside::Nothing,
        spillway_providers::Beside::AtMost { rounds, searches } => Beside::AtMost { rounds, searches },
        spillway_providers::Beside::Unbounded => Beside::Unbounded,
    }
}

#[cfg(test)]
mod tests {
    use spillway_policy::Rates;

    use super::*;

    #[test]
    fn sound_and_pictures_without_a_price_of_their_own_are_known_to_cost_more() {
        let plain = unnamed(&wire::Price::plain(5, 7));
        let all = wire::Rates {
            audio_input_nanos: Some(9),
            audio_output_nanos: Some(9),
            image_output_nanos: Some(9),
            ..wire::Rates::plain(5, 7)
        };
        let named = unnamed(&wire::Price { rates: all, ..wire::Price::default() });
        let rows = [
            (Usage { input: 9, output: 9, image_input: 3, reasoning: 2, ..Usage::default() }, false),
            (Usage { audio_input: 1, ..Usage::default() }, true),
            (Usage { audio_output: 1, ..Usage::default() }, true),
            (Usage { image_output: 1, ..Usage::default() }, true),
        ];
        for (usage, want) in rows {
            assert_eq!((plain.has_part_in(&usage), named.has_part_in(&usage)), (want, false), "{usage:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_billed_by_its_tokens_or_else_by_the_piece() {
        use spillway_providers::{Pieces as Said, Usage as Reported};

        let drawn =
            Price { rates: Rates { image_output: 9_000_000, ..Rates::plain(1_000_000, 0) }, ..Price::default() };
        let (text, free) = (Price::plain(1_000_000, 2_000_000), Price::default());
        let pieces = PiecePrices { image: Some(70_000_000), ..PiecePrices::UNKNOWN };
        let images = |count| Said::Images { count, quality: None, size: None };
        let told = Reported { input: 10, output: 3, image_output: 3, pieces: Some(images(2)), ..Reported::default() };
        let counted = Reported { pieces: Some(images(2)), ..Reported::default() };
        let own = Reported { cost_nanos: Some(5), ..told };
        let named = Unnamed::default();
        let unnamed = Unnamed { image_output: true, ..named };
        let rows = [
            ("by its tokens", Some(&drawn), named, Some(told), Some(37)),
            ("by its tokens, whose price is that of text", Some(&text), unnamed, Some(told), Some(140)),
            ("by the images there are", Some(&drawn), named, Some(counted), Some(140)),
            ("by the images that were asked for", None, named, None, Some(280)),
            ("by tokens that nobody counts", Some(&drawn), named, None, None),
            ("by the provider's own word", Some(&drawn), named, Some(own), Some(5)),
            ("for nothing", Some(&free), named, None, Some(0)),
        ];
        for (row, tokens, unnamed, reported, want) in rows {
            let usage = reported.and_then(super::tokens);
            let prices = Prices { tokens, unnamed, pieces: &pieces };
            let cost = cost_of_pieces(prices, usage.as_ref(), reported.as_ref(), Some(images(4)));
            assert_eq!(cost, want.map(NanoUsd), "{row}");
        }
        let prices = Prices { tokens: None, unnamed: named, pieces: &PiecePrices::UNKNOWN };
        assert_eq!(cost_of_pieces(prices, None, Some(&counted), None), None, "unknown is not free");
    }

    #[test]
    fn the_providers_own_word_on_its_bill_wins() {
        let reported = spillway_providers::Usage { input: 1_000_000, cost_nanos: Some(42), ..Default::default() };
        let (price, usage) = (Price::plain(5, 7), usage(reported));
        let silent = spillway_providers::Usage { cost_nanos: None, ..reported };
        let rows = [
            (Some(&price), Some(&reported), Some(NanoUsd(42))),
            (None, Some(&reported), Some(NanoUsd(42))),
            (Some(&price), Some(&silent), Some(NanoUsd(5))),
            (Some(&price), None, Some(NanoUsd(5))),
            (None, Some(&silent), None),
        ];
        for (row, (price, reported, want)) in rows.into_iter().enumerate() {
            assert_eq!(cost(price, &usage, reported), want, "row {row}");
        }
    }

    #[test]
    fn searches_cost_what_they_cost_beside_the_tokens() {
        let searched =
            spillway_providers::Usage { input: 1_000_000, searches: 3, ..spillway_providers::Usage::default() };
        let told = spillway_providers::Usage { cost_nanos: Some(42), ..searched };
        let (price, tokens) = (Price::plain(5, 7), usage(searched));
        let known = PiecePrices { search: Some(10_000_000_000_000), ..PiecePrices::UNKNOWN };
        let rows = [
            (Some(&price), &known, &searched, Some(30_000_005)),
            (Some(&price), &PiecePrices::UNKNOWN, &searched, Some(5)),
            (Some(&price), &known, &told, Some(42)),
            (None, &known, &searched, None),
        ];
        for (price, pieces, reported, want) in rows {
            let got = cost_with_searches(price, pieces, &tokens, Some(reported));
            assert_eq!(got, want.map(NanoUsd), "{reported:?}");
        }
    }

    #[test]
    fn what_a_provider_counts_and_does_not_bill_costs_nothing() {
        let billed = Some(Billed { input: 2_000_000, output: 1_000_000 });
        let counted = spillway_providers::Usage { input: 9_000_000, output: 3_000_000, ..Default::default() };
        let (price, used) = (Price::plain(5, 7), usage(counted));
        let cost = |billed| cost(Some(&price), &used, Some(&spillway_providers::Usage { billed, ..counted }));
        assert_eq!((cost(billed), cost(None)), (Some(NanoUsd(2 * 5 + 7)), Some(NanoUsd(9 * 5 + 3 * 7))));
        assert_eq!((used.input, used.output), (9_000_000, 3_000_000), "what was used is told as it was counted");
    }
}
