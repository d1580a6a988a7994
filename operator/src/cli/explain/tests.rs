use spillway_policy::fallback::Skip;

use super::{
    plan::{Asked, Outcome, Plan, When, plan},
    print::Told,
};
use crate::{
    compile::{Compiled, compile},
    resources::world::{SHOP, world},
};

const POLICY: &str = "kind: FallbackPolicy\nmetadata: {name: chat, namespace: shop}\nspec:\n  \
    targetRefs: [{group: spillway.dev, kind: ModelRoute, name: chat}]\n  contextWindow: {onExceeded: MODE}\n  fallbacks:\n  \
    - {onErrors: [ContextWindowExceeded], to: [large, small]}\n  - {onErrors: [RateLimited, Timeout], to: [small, large]}\n";

fn compiled(documents: &[&str]) -> Compiled {
    compile(&world(documents))
}

fn planned(compiled: &Compiled, asked: &Asked) -> Plan {
    plan(&compiled.routes["shop/chat"].route, |_| "OpenAI", asked)
}

/// What a step looks at, by the words of metrics; nothing for who can serve.
fn words(plan: &Plan, at: usize) -> Vec<(usize, &'static str)> {
    plan.steps[at].hops.iter().map(|hop| (hop.backend, hop.skip.map_or("", Skip::as_str))).collect()
}

#[test]
fn a_prompt_goes_where_it_fits_and_every_hop_says_why_not() {
    let with = |mode: &str| compiled(&[SHOP, &POLICY.replace("MODE", mode)]);
    let rows = [
        ("LargerModel", 9_000, Outcome::Answer(0), vec![(0, "")]),
        ("LargerModel", 150_000, Outcome::Answer(2), vec![(0, "window")]),
        ("Reject", 150_000, Outcome::TooLong(0), vec![(0, "window")]),
        ("Truncate", 150_000, Outcome::Shortened(0, 126_976), vec![(0, "window")]),
        ("Hybrid", 150_000, Outcome::Answer(2), vec![(0, "window")]),
        ("Hybrid", 2_000_000, Outcome::Shortened(0, 126_976), vec![(0, "window")]),
        // Nobody knows how the large one counts: a little too long is for it to say.
        ("LargerModel", 2_000_000, Outcome::Answer(2), vec![(0, "window")]),
        ("LargerModel", 2_000_002, Outcome::TooLong(0), vec![(0, "window")]),
    ];
    for (mode, tokens, outcome, first) in rows {
        let plan = planned(&with(mode), &Asked { tokens, ..Asked::default() });
        assert_eq!((plan.outcome, words(&plan, 0)), (outcome, first), "{mode} {tokens}");
    }
    let plan = planned(&with("LargerModel"), &Asked { tokens: 150_000, ..Asked::default() });
    assert_eq!(plan.steps[1].when, When::TooLong);
    assert_eq!(words(&plan, 1), [(1, "window"), (2, "")], "the smallest window first");
    // The one that is asked is not asked again once it has failed.
    assert_eq!(words(&plan, 3), [(1, "window"), (2, "out")]);
}

#[test]
fn what_a_request_needs_and_may_cost_decides_like_its_length() {
    let rows = [
        ("", Asked { tokens: 10, tools: true, ..Asked::default() }, Outcome::Nobody, "tools"),
        ("", Asked { tokens: 10, images: true, ..Asked::default() }, Outcome::Nobody, "images"),
        ("", Asked { tokens: 10, schema: true, ..Asked::default() }, Outcome::Nobody, "json_schema"),
        ("maxCostPerRequest: '0.0001', ", Asked { tokens: 9_000, ..Asked::default() }, Outcome::Nobody, "cost"),
        ("maxCostPerRequest: '10', ", Asked { tokens: 9_000, ..Asked::default() }, Outcome::Answer(0), ""),
        ("", Asked { tokens: 10, output: Some(10_000), ..Asked::default() }, Outcome::Lowered(0, 8_990), "window"),
        ("", Asked { tokens: 8_990, output: Some(10_000), ..Asked::default() }, Outcome::TooLong(0), "window"),
        (
            "request: {set: {max_tokens: 5}}, ",
            Asked { tokens: 10, output: Some(10_000), ..Asked::default() },
            Outcome::Answer(0),
            "",
        ),
    ];
    let provider = "kind: ModelProvider\nmetadata: {name: p, namespace: shop}\nspec: {type: OpenAI, credentials: {none: {}}, \
                    models: [{name: m, tokenizer: o200k_base, contextWindow: 9000, maxOutputTokens: 1000, tools: false, vision: false, jsonSchema: false, \
                    pricing: {inputPerMillion: '1', outputPerMillion: '2'}}]}";
    for (fields, asked, outcome, word) in rows {
        // A prompt of 9,000 tokens has to fit beside an answer.
        let provider = if asked.tokens == 9_000 { provider.replace("9000", "19000") } else { provider.to_owned() };
        let route = format!(
            "kind: ModelRoute\nmetadata: {{name: chat, namespace: shop}}\n\
             spec: {{{fields}backends: [{{name: a, providerRef: {{name: p}}, model: m}}]}}"
        );
        let plan = planned(&compiled(&[&provider, &route]), &asked);
        assert_eq!((plan.outcome, words(&plan, 0)), (outcome, vec![(0, word)]), "{fields} {asked:?}");
    }
}

#[test]
fn a_when_is_asked_and_what_it_looks_at_beyond_the_flags_is_told() {
    let route = SHOP
        .replace("model: gpt-4o-mini}", "model: gpt-4o-mini, when: 'request.tokens > 100 && request.user == \"\"'}");
    let compiled = compiled(&[&route]);
    let plan = planned(&compiled, &Asked { tokens: 10, ..Asked::default() });
    assert_eq!((plan.outcome, words(&plan, 0)), (Outcome::Nobody, vec![(0, "when")]));
    let plan = planned(&compiled, &Asked { tokens: 1_000, ..Asked::default() });
    assert_eq!((plan.outcome, plan.assumed.iter().copied().collect::<Vec<_>>()), (Outcome::Answer(0), vec!["user"]));
}

#[test]
fn a_plan_reads_from_top_to_bottom() {
    let compiled = compiled(&[SHOP, &POLICY.replace("MODE", "LargerModel")]);
    let asked = Asked { tokens: 150_000, stream: true, ..Asked::default() };
    let plan = planned(&compiled, &asked);
    let told = Told {
        key: "shop/chat",
        route: &compiled.routes["shop/chat"],
        facts: compiled.facts.get("shop/chat"),
        kinds: vec!["OpenAI"; 3],
        asked: &asked,
        plan: &plan,
    };
    let want = "\
ModelRoute shop/chat serves chat; FallbackPolicy shop/chat; contextWindow.onExceeded: LargerModel
a prompt of 150000 tokens, 1024 kept for the answer, streamed

first choices, in this order:
  mini  OpenAI gpt-4o-mini  window 128000  at most $0.0323304  skipped: too long: the prompt has 150000 tokens and 1024 are kept for the answer, of a window of 128000

larger windows, by the rule for ContextWindowExceeded, the smallest first:
  small  OpenAI small  window 8192     cost unknown  skipped: too long: the prompt has 150000 tokens and 1024 are kept for the answer, of a window of 8192
  large  OpenAI large  window 1000000  cost unknown  asked

if large fails with ContextWindowExceeded:
  small  OpenAI small  window 8192     cost unknown  skipped: too long: the prompt has 150000 tokens and 1024 are kept for the answer, of a window of 8192
  large  OpenAI large  window 1000000  cost unknown  skipped: it is the one that failed

if large fails with RateLimited, Timeout:
  small  OpenAI small  window 8192     cost unknown  skipped: too long: the prompt has 150000 tokens and 1024 are kept for the answer, of a window of 8192
  large  OpenAI large  window 1000000  cost unknown  skipped: it is the one that failed

answered by large; 1 retry there on ConnectionError
";
    assert_eq!(told.text(), want);
    let json = told.json();
    assert_eq!((&json["outcome"], &json["backend"]), (&"Answered".into(), &"large".into()));
    assert_eq!(json["steps"][0]["hops"][0]["skipped"]["reason"], "window");
    assert_eq!(json["steps"][0]["hops"][0]["worstCost"], "0.0323304");
}

#[test]
fn a_prompt_for_a_tokenizer_nobody_knows_is_as_long_as_a_sidecar_would_estimate() {
    let with = |tokenizer: &str| {
        let provider = format!(
            "kind: ModelProvider\nmetadata: {{name: p, namespace: shop}}\nspec: {{type: OpenAI, credentials: {{none: {{}}}}, \
             models: [{{name: m, {tokenizer}contextWindow: 9000, maxOutputTokens: 1000, \
             pricing: {{inputPerMillion: '1', outputPerMillion: '2'}}}}]}}"
        );
        let route = "kind: ModelRoute\nmetadata: {name: chat, namespace: shop}\n\
                     spec: {maxCostPerRequest: '0.012', backends: [{name: a, providerRef: {name: p}, model: m}]}";
        compiled(&[&provider, route])
    };
    let exact = "tokenizer: o200k_base, ";
    let rows = [
        (exact, 7_976, Outcome::Answer(0), ""),
        (exact, 7_977, Outcome::TooLong(0), "window"),
        ("", 18_001, Outcome::Answer(0), "window"),
        ("", 18_002, Outcome::TooLong(0), "window"),
        // It may be longer by a half, and cost more.
        ("", 6_666, Outcome::Answer(0), ""),
        ("", 6_670, Outcome::Nobody, "cost"),
    ];
    for (tokenizer, tokens, outcome, word) in rows {
        let plan = planned(&with(tokenizer), &Asked { tokens, ..Asked::default() });
        assert_eq!((plan.outcome, words(&plan, 0)), (outcome, vec![(0, word)]), "{tokenizer} {tokens}");
    }
}
