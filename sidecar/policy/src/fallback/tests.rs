use proptest::prelude::*;

use super::{sizes::counted_by, *};
use crate::PiecePrices;

const PLAIN: Candidate = Candidate {
    primary: true,
    window: Some(1_000),
    tokenizer: 0,
    calibration: None,
    tools: true,
    parallel_tools: true,
    images: true,
    image_urls: true,
    per_image: None,
    json_schema: true,
    hosted_tools: true,
    price: None,
    pieces: PiecePrices::UNKNOWN,
    max_output: None,
};

fn question<'a>(candidates: &'a [Candidate], demand: Demand, sizes: &'a Sizes) -> Question<'a> {
    Question {
        candidates,
        learnt: &[],
        told: &[],
        demand,
        sizes,
        out: Set::default(),
        open: Set::default(),
        denied: Set::default(),
        unwanted: Set::default(),
        unclear: Set::default(),
        larger_than: 0,
        max_cost: None,
    }
}

fn ask(candidates: &[Candidate], demand: Demand, sizes: &Sizes, out: Set) -> (Choice, Vec<(usize, Skip)>) {
    let mut skipped = Vec::new();
    let question = Question { out, ..question(candidates, demand, sizes) };
    let choice = question.first_of(0..candidates.len(), |index, reason| skipped.push((index, reason)));
    (choice, skipped)
}

#[test]
fn bounds_decide_where_they_can_and_counting_is_asked_for_where_not() {
    let demand = Demand { output: Output::Asked(200), ..Demand::default() };
    let counted =
        |tokens, exact| Sizes { counted: counted_by(0, Counted { tokens, exact }), ..Sizes::bounds(500, 5_000) };
    let of_list =
        |tokens| Sizes { longest: Some(counted_by(0, Counted { tokens, exact: true })), ..counted(4_000, true) };
    let too_long = |prompt, certain| vec![(0, Skip::TooLong { prompt, output: 200, window: 1_000, certain })];
    let rows = [
        ("every byte a token, and still it fits", Sizes::bounds(1, 800), Choice::Take(0), vec![]),
        ("one more, and it has to be counted", Sizes::bounds(1, 801), Choice::Count(0), vec![]),
        (
            "too long if every token is the longest there is",
            Sizes::bounds(801, 5_000),
            Choice::Nobody,
            too_long(801, true),
        ),
        ("each of a list fits", of_list(800), Choice::Take(0), vec![]),
        ("one of a list is too long", of_list(801), Choice::Nobody, too_long(801, true)),
        ("counted, fits", counted(800, true), Choice::Take(0), vec![]),
        ("counted, too long", counted(801, true), Choice::Nobody, too_long(801, true)),
        ("estimated, too long", counted(801, false), Choice::Nobody, too_long(801, false)),
    ];
    for (row, sizes, choice, skipped) in rows {
        assert_eq!(ask(&[PLAIN], demand, &sizes, Set::default()), (choice, skipped), "{row}");
    }
    let unknown = Candidate { tokenizer: UNKNOWN, ..PLAIN };
    let asked = ask(std::slice::from_ref(&unknown), demand, &Sizes::bounds(801, 5_000), Set::default());
    assert_eq!(asked, (Choice::Nobody, too_long(801, true)), "no tokenizer has longer tokens");
    let guessed = |tokens, attached| Sizes {
        counted: counted_by(UNKNOWN, Counted { tokens, exact: false }),
        attached,
        ..Sizes::bounds(1, 50_000)
    };
    let images = Attached { images: 1, ..Attached::default() };
    for (tokens, attached, certain) in
        [(2_001, Attached::default(), false), (2_002, Attached::default(), true), (9_000, images, false)]
    {
        let asked = ask(std::slice::from_ref(&unknown), demand, &guessed(tokens, attached), Set::default());
        assert_eq!(asked, (Choice::Nobody, too_long(tokens, certain)), "{tokens}");
    }
    // Estimated at a thousand tokens, where this model finds seven hundred.
    let calibration = Arc::<Calibration>::default();
    calibration.learn(1_000, 700);
    let calibrated = Candidate { calibration: Some(calibration), ..unknown };
    let estimated =
        |tokens| Sizes { counted: counted_by(UNKNOWN, Counted { tokens, exact: false }), ..Sizes::bounds(1, 5_000) };
    assert_eq!(ask(std::slice::from_ref(&calibrated), demand, &estimated(1_100), Set::default()).0, Choice::Take(0));
    let (choice, skipped) = ask(&[calibrated], demand, &estimated(1_200), Set::default());
    assert_eq!((choice, skipped), (Choice::Nobody, too_long(840, false)));
}

#[test]
fn a_hop_to_a_model_that_cannot_do_it_is_skipped_with_the_reason() {
    let candidates = [
        Candidate { tools: false, ..PLAIN },
        Candidate { images: false, ..PLAIN },
        Candidate { json_schema: false, ..PLAIN },
        Candidate { hosted_tools: false, ..PLAIN },
        Candidate { image_urls: false, ..PLAIN },
        PLAIN,
        Candidate { window: None, ..PLAIN },
    ];
    let demand = Demand { tools: true, images: true, image_urls: true, json_schema: true, ..Demand::default() };
    let demand = Demand { hosted_tools: true, ..demand };
    let mut out = Set::default();
    out.insert(5);
    let want = [Skip::NoTools, Skip::NoImages, Skip::NoJsonSchema, Skip::NoHostedTools, Skip::NoImageUrls, Skip::Out];
    let want = want.into_iter().enumerate().collect();
    assert_eq!(ask(&candidates, demand, &Sizes::bounds(1, 9), out), (Choice::Take(6), want));
}

#[test]
fn a_reserve_takes_no_more_than_half_a_window_and_a_limit_what_it_says() {
    for (output, want) in [(Output::Reserve(100), 100), (Output::Reserve(900), 500), (Output::Asked(900), 900)] {
        assert_eq!(output.of(1_000), want, "{output:?}");
    }
}

#[test]
fn a_window_that_proved_too_small_is_not_tried_under_another_name() {
    let candidates = [PLAIN, Candidate { window: Some(1_001), ..PLAIN }];
    let (sizes, mut skipped) = (Sizes::bounds(1, 9), Vec::new());
    let question = Question { larger_than: 1_000, ..question(&candidates, Demand::default(), &sizes) };
    let choice = question.first_of([0, 1], |index, reason| skipped.push((index, reason)));
    assert_eq!((choice, skipped), (Choice::Take(1), vec![(0, Skip::NotLarger { window: 1_000 })]));
}

#[test]
fn an_unknown_window_refuses_nothing() {
    let unknown = Candidate { window: None, ..PLAIN };
    let sizes = Sizes::bounds(1 << 40, 1 << 50);
    assert_eq!(ask(&[unknown], Demand::default(), &sizes, Set::default()).0, Choice::Take(0));
}

#[test]
fn the_first_rule_that_names_the_class_decides_even_if_it_says_nobody() {
    let rule = |class, to: &[usize]| Rule { on: [class].into_iter().collect(), to: to.to_vec() };
    let rules = [rule(Class::ContentPolicyViolation, &[]), rule(Class::Timeout, &[2, 1]), rule(Class::Timeout, &[3])];
    assert_eq!(targets(&rules, Class::Timeout), [2, 1]);
    assert_eq!(targets(&rules, Class::ContentPolicyViolation), []);
    assert_eq!(targets(&rules, Class::Connection), []);
}

#[test]
fn the_smallest_sufficient_window_comes_first_and_of_two_the_cheaper() {
    let price = |input: u64| Some(Price::plain(input * 1_000_000, 0));
    let with = |window, input| Candidate { window, price: price(input), max_output: Some(9), ..PLAIN };
    let unknown = |window| Candidate { window, ..PLAIN };
    let candidates =
        [with(Some(9), 20), unknown(None), with(Some(3), 90), unknown(Some(9)), with(Some(9), 10), with(Some(99), 1)];
    let sizes = Sizes::bounds(1, 5);
    let question = Question { learnt: &[(5, 5)], ..question(&candidates, Demand::default(), &sizes) };
    assert_eq!(question.by_window(&[0, 1, 2, 3, 4, 5]), [2, 5, 4, 0, 3, 1]);
    assert_eq!(question.by_window(&[3, 1]), [3, 1]);
}

#[test]
fn a_window_is_as_small_as_it_has_proved_and_never_larger_than_it_is_said_to_be() {
    let candidates = [PLAIN, PLAIN, Candidate { window: None, ..PLAIN }];
    let sizes = Sizes::bounds(1, 9);
    let question =
        Question { learnt: &[(0, 500), (1, 2_000), (2, 700)], ..question(&candidates, Demand::default(), &sizes) };
    assert_eq!([0, 1, 2, 3].map(|index| question.window(index)), [Some(500), Some(1_000), Some(700), None]);
}

#[test]
fn a_limit_is_lowered_as_far_as_the_reserve_and_no_further() {
    let rows = [(4_000, 300, 1_000, 300), (100, 300, 1_000, 100), (4_000, 900, 1_000, 500)];
    for (asked, reserve, window, want) in rows {
        assert_eq!(Output::AtLeast { asked, reserve }.of(window), want, "{asked} {reserve}");
    }
}

#[test]
fn a_hop_to_a_model_that_calls_one_tool_at_a_time_is_skipped_where_that_is_asked_for() {
    let candidates = [Candidate { parallel_tools: false, ..PLAIN }, PLAIN];
    let demand = |parallel_tools| Demand { tools: true, parallel_tools, ..Demand::default() };
    let sizes = Sizes::bounds(1, 9);
    let skipped = vec![(0, Skip::NoParallelTools)];
    assert_eq!(ask(&candidates, demand(true), &sizes, Set::default()), (Choice::Take(1), skipped));
    assert_eq!(ask(&candidates, demand(false), &sizes, Set::default()), (Choice::Take(0), vec![]));
}

proptest! {
    #[test]
    fn what_is_taken_fits_and_was_not_ruled_out(
        windows in proptest::collection::vec(proptest::option::of(0u64..2_000), 0..10),
        tokens in 0u64..2_000, output in 0u64..500, ruled_out in 0usize..10,
    ) {
        let candidates: Vec<_> = windows.iter().map(|window| Candidate { window: *window, ..PLAIN }).collect();
        let sizes = Sizes { counted: counted_by(0, Counted { tokens, exact: true }), ..Sizes::bounds(0, 9_999) };
        let mut out = Set::default();
        out.insert(ruled_out);
        let demand = Demand { output: Output::Asked(output), ..Demand::default() };
        match ask(&candidates, demand, &sizes, out) {
            (Choice::Take(index), skipped) => {
                prop_assert!(index != ruled_out && skipped.len() == index);
                prop_assert!(windows[index].is_none_or(|window| tokens + output <= window || tokens == 0));
            }
            (Choice::Nobody, skipped) => prop_assert_eq!(skipped.len(), candidates.len()),
            (Choice::Count(_), _) => prop_assert!(false, "a counted prompt is counted again"),
        }
    }
}

#[test]
fn what_a_route_does_not_want_for_a_request_is_passed_over() {
    let (mut unwanted, mut unclear) = (Set::default(), Set::default());
    unwanted.insert(0);
    unclear.insert(1);
    let (candidates, sizes) = ([PLAIN; 3], Sizes::bounds(1, 9));
    // Whoever is not wanted is not missed either.
    let question = Question { out: unwanted, unwanted, unclear, ..question(&candidates, Demand::default(), &sizes) };
    let mut skipped = Vec::new();
    let able = question.able(&[2, 1, 0], |index, skip| skipped.push((index, skip)));
    assert_eq!(able, [Able { index: 2, certain: true }]);
    assert_eq!(skipped, [(1, Skip::Unclear), (0, Skip::Unwanted)]);
}
