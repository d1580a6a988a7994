use proptest::prelude::*;

use super::*;

/// $0.15 and $0.60 a million, half of it for what was cached.
fn mini() -> Price {
    let rates = Rates { cache_read: 75_000_000, cache_write: 187_500_000, ..Rates::plain(150_000_000, 600_000_000) };
    Price { rates, ..Price::default() }
}

/// Dearer above 200 tokens, and in its priority tier; half as dear in flex.
fn tiered() -> Price {
    let card = |tier, above, rate| Card { tier, above, rates: Rates::plain(rate, 10 * rate) };
    let cards = vec![
        card(Tier::Standard, 200, 2_000_000),
        card(Tier::Standard, 300, 3_000_000),
        card(Tier::Priority, 0, 5_000_000),
        card(Tier::Priority, 200, 7_000_000),
    ];
    Price { cards, ..Price::plain(1_000_000, 10_000_000) }
}

#[test]
fn every_kind_of_token_has_its_price() {
    let nothing = Usage::default();
    let rows = [
        ("nothing", nothing, 0),
        ("input", Usage { input: 1_000, ..nothing }, 150_000),
        ("output", Usage { output: 1_000, ..nothing }, 600_000),
        ("cached input is not billed twice", Usage { input: 1_000, cache_read: 1_000, ..nothing }, 75_000),
        ("written input neither", Usage { input: 1_000, cache_write: 400, ..nothing }, 90_000 + 75_000),
        ("caches beyond the input", Usage { input: 1, cache_read: 1_000, ..nothing }, 75_000),
        ("reasoning is output", Usage { output: 1_000, reasoning: 900, ..nothing }, 600_000),
    ];
    for (row, usage, want) in rows {
        assert_eq!(mini().of(&usage), NanoUsd(want), "{row}");
    }
}

#[test]
fn rare_tokens_have_their_own_rates() {
    let rates = Rates {
        input: 1_000_000,
        output: 2_000_000,
        cache_read: 3_000_000,
        cache_write: 4_000_000,
        cache_write_1h: 5_000_000,
        reasoning: 6_000_000,
        audio_input: 7_000_000,
        audio_output: 8_000_000,
        image_input: 9_000_000,
        image_output: 10_000_000,
    };
    let price = Price { rates, ..Price::default() };
    let nothing = Usage::default();
    let rows = [
        ("an hour's cache", Usage { input: 10, cache_write: 10, cache_write_1h: 4, ..nothing }, 6 * 4 + 4 * 5),
        ("sound and pictures", Usage { input: 10, audio_input: 2, image_input: 3, ..nothing }, 5 + 2 * 7 + 3 * 9),
        ("more details than tokens", Usage { input: 10, cache_read: 8, audio_input: 9, ..nothing }, 8 * 3 + 2 * 7),
        ("more kept than written", Usage { input: 4, cache_write: 4, cache_write_1h: 9, ..nothing }, 4 * 5),
        ("thoughts", Usage { output: 10, reasoning: 4, ..nothing }, 6 * 2 + 4 * 6),
        ("spoken and drawn", Usage { output: 10, audio_output: 1, image_output: 2, ..nothing }, 7 * 2 + 8 + 2 * 10),
    ];
    for (row, usage, want) in rows {
        assert_eq!(price.of(&usage), NanoUsd(want), "{row}");
    }
}

#[test]
fn the_whole_prompt_chooses_the_card_and_the_card_prices_all_of_it() {
    let usage = |input, tier| Usage { input, output: 1, tier, ..Usage::default() };
    let rows = [
        (200, Tier::Standard, 200 + 10),
        (201, Tier::Standard, 2 * 201 + 20),
        (300, Tier::Standard, 2 * 300 + 20),
        (301, Tier::Standard, 3 * 301 + 30),
        (0, Tier::Priority, 50),
        (200, Tier::Priority, 5 * 200 + 50),
        (301, Tier::Priority, 7 * 301 + 70),
        (201, Tier::Flex, 2 * 201 + 20),
    ];
    for (input, tier, want) in rows {
        assert_eq!(tiered().of(&usage(input, tier)), NanoUsd(want), "{input} {tier:?}");
    }
    let cached = Usage { cache_read: 100, ..usage(301, Tier::Priority) };
    assert_eq!(
        Price { flat: true, ..tiered() }.of(&cached),
        NanoUsd(301 + 10),
        "a flat bill knows nothing of all that"
    );
}

#[test]
fn where_an_answer_is_made_may_make_it_dearer() {
    let price = Price { regional: Some(1_100), ..Price::plain(1_000_000, 10_000_000) };
    let usage = |regional| Usage { input: 7, output: 1, regional, ..Usage::default() };
    assert_eq!((price.of(&usage(false)), price.of(&usage(true))), (NanoUsd(17), NanoUsd(19)));
    assert_eq!(Price { regional: None, ..price.clone() }.of(&usage(true)), NanoUsd(17));
    let most = Most { input: 7, output: 1, regional: true, ..Most::default() };
    assert_eq!(price.worst(&most), NanoUsd(19), "18.7, rounded up once");
}

#[test]
fn the_worst_case_is_the_dearest_card_the_prompt_may_reach() {
    let most = |input, tier| Most { input, output: 1, tier, ..Most::default() };
    let rows = [
        (200, Tier::Standard, 200 + 10),
        (201, Tier::Standard, 2 * 201 + 20),
        (301, Tier::Standard, 3 * 301 + 30),
        (200, Tier::Priority, 5 * 200 + 50),
        (201, Tier::Priority, 7 * 201 + 70),
    ];
    for (input, tier, want) in rows {
        assert_eq!(tiered().worst(&most(input, tier)), NanoUsd(want), "{input} {tier:?}");
        assert_eq!(Price { flat: true, ..tiered() }.worst(&most(input, tier)), NanoUsd(want), "flat, {input} {tier:?}");
    }
    let rates = Rates {
        cache_write_1h: 9_000_000,
        audio_input: 3_000_000,
        reasoning: 4_000_000,
        ..Rates::plain(1_000_000, 2_000_000)
    };
    let price = Price { rates, ..Price::default() };
    let most = Most { input: 10, output: 10, ..Most::default() };
    assert_eq!(price.worst(&most), NanoUsd(10 + 40), "all of the answer may be thoughts");
    assert_eq!(price.worst(&Most { audio: true, ..most }), NanoUsd(30 + 40));
    assert_eq!(price.worst(&Most { cache_writes: true, ..most }), NanoUsd(90 + 40));
}

#[test]
fn a_fraction_of_a_nano_dollar_is_a_whole_one() {
    let price = Price::plain(1, 1);
    assert_eq!(price.of(&Usage { input: 1, ..Usage::default() }), NanoUsd(1));
    assert_eq!(price.of(&Usage { input: 1, output: 1, ..Usage::default() }), NanoUsd(1), "rounded once");
    assert_eq!(price.of(&Usage { input: 1_000_001, ..Usage::default() }), NanoUsd(2));
}

proptest! {
    #[test]
    fn more_tokens_never_cost_less(input in 0u64.., output in 0u64.., read in 0u64.., more in 0u64..) {
        let usage = Usage { input, output, cache_read: read, ..Usage::default() };
        let larger = Usage { output: output.saturating_add(more), ..usage };
        prop_assert!(mini().of(&usage) <= mini().of(&larger));
    }

    #[test]
    fn no_answer_costs_more_than_its_worst_case(
        input in 0u64..1_000, output in 0u64..1_000, thoughts in 0u64..1_000, priority: bool,
    ) {
        let tier = if priority { Tier::Priority } else { Tier::Standard };
        let usage = Usage { input, output, reasoning: thoughts.min(output), tier, ..Usage::default() };
        let most = Most { input, output, tier, ..Most::default() };
        prop_assert!(tiered().of(&usage) <= tiered().worst(&most));
    }
}
