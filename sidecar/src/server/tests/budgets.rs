//! What a budget pays for, and what an application reads where it does not.

use serde_json::{Value, json};
use spillway_wire::{AccountName, AccountUse, Rights, Stamp};

use crate::{
    journal::Journal,
    runtime::{self, unix},
    server::fake::*,
};

/// What [`Act::answer`] costs at either backend, in nano-dollars.
const ANSWER: u64 = 60_000;
/// More than any request of these tests can cost.
pub(super) const PLENTY: u64 = 1_000_000_000;

fn budget(reserve: &str, on_exhausted: &Value) -> Value {
    json!({"limit_nanos": 5_000_000_000u64, "per": "Namespace", "period": {"every": "Month"}, "reserve": reserve,
        "on_exhausted": on_exhausted})
}

/// A sidecar with a budget over its route.
pub(super) async fn world(reserve: &str, on_exhausted: Value, change: impl FnOnce(&mut Value)) -> World {
    World::new(|config| {
        config["budgets"] = json!({"shop/month": budget(reserve, &on_exhausted)});
        route(config)["budgets"] = json!(["shop/month"]);
        change(config);
    })
    .await
}

fn asks(max_tokens: u64) -> Value {
    let mut body = chat();
    body["max_tokens"] = max_tokens.into();
    body
}

impl World {
    fn account(&self) -> Option<AccountUse> {
        self.runtime.rights.report().unwrap().accounts.pop()
    }

    /// `(spent, open)` of the only account.
    pub(super) fn money(&self) -> (u64, u64) {
        self.account().map_or((0, 0), |account| (account.spent_nanos, account.open_nanos))
    }

    /// All that was ever granted, and what is left for everybody.
    pub(super) fn grant(&self, total_nanos: u64, left_nanos: u64) {
        let generation = self.runtime.generation().unwrap();
        let period = generation.snapshot.budgets["shop/month"].period.at(unix()).unwrap().start;
        let account = AccountName { budget: "shop/month".into(), value: None, period };
        self.runtime.rights.granted(account, total_nanos, left_nanos);
    }

    async fn wants_money(&self) {
        while self.account().is_none_or(|account| account.largest_nanos == 0) {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_request_sets_its_worst_case_aside_and_costs_what_was_billed() {
    let world = world("WorstCase", json!("Block"), |_| {}).await;
    world.grant(PLENTY, PLENTY);
    world.provider.then([Act::WriteAndHang(String::new())]);
    let hanging = async {
        while world.provider.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        let (spent, open) = world.money();
        assert!(spent == 0 && open > 100 * 10_000, "{spent} {open}");
    };
    let body = asks(100);
    tokio::join!(world.leave(&body, || world.provider.seen().len() == 1), hanging);
    let (charged, open) = world.money();
    assert!(
        charged > 0 && charged < ANSWER && open == 0,
        "a prompt that may have been read is charged: {charged} {open}"
    );
    assert_eq!(world.chat(&asks(100)).await.status, 200);
    assert_eq!(world.money(), (charged + ANSWER, 0));
}

#[tokio::test]
async fn what_was_in_flight_when_a_process_died_is_spent_for_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(Some(dir.path().to_owned()));
    let world = world("WorstCase", json!("Block"), |_| {}).await;
    world.runtime.rights.restore(journal.quota());
    // The config is newer than the journal here; in a pod it is the other way round.
    world.runtime.apply((*world.runtime.generation().unwrap().snapshot).clone()).unwrap();
    world.grant(PLENTY, PLENTY);
    assert_eq!(world.chat(&asks(100)).await.status, 200);
    world.provider.then([Act::WriteAndHang(String::new())]);
    let request = tokio::spawn({
        let addr = world.addr;
        async move { receive(&mut connect(addr).await, "/v1/chat/completions", asks(100).to_string().into()).await }
    });
    while world.provider.seen().len() < 2 {
        tokio::task::yield_now().await;
    }
    let open = world.money().1;
    assert!(open > 0);
    let next = super::budgets::world("WorstCase", json!("Block"), |_| {}).await;
    next.runtime.rights.restore(journal.quota());
    let (before, after) = (world.runtime.rights.report().unwrap(), next.runtime.rights.report().unwrap());
    assert_eq!((after.journal, after.stamp.life), (before.journal, 2));
    assert_eq!(next.money(), (ANSWER + open, 0));
    let account = next.account().unwrap();
    assert_eq!((account.granted_nanos, account.account.budget.as_str()), (PLENTY, "shop/month"));
    request.abort();
}

#[tokio::test]
async fn a_request_waits_for_the_grant_that_its_wish_brings() {
    let world = world("WorstCase", json!("Block"), |_| {}).await;
    let body = asks(100);
    let (got, ()) = tokio::join!(world.chat(&body), async {
        world.wants_money().await;
        assert!(world.provider.seen().is_empty(), "nobody is asked before it is paid");
        world.grant(PLENTY, PLENTY);
    });
    assert_eq!((got.status.as_u16(), world.money()), (200, (ANSWER, 0)), "{got:?}");
}

#[tokio::test]
async fn who_gets_no_rights_is_told_why_and_what_helps() {
    for (row, status, code, retry, words) in [
        ("used up", 429, "insufficient_quota", "false", "has $0.00001 left, and this request can cost up to $0.00"),
        ("elsewhere", 429, "budget_share_exceeded", "", "did not come from the operator within 2"),
        ("no operator", 429, "budget_unavailable", "false", "needs an operator"),
        ("unpriced", 400, "price_unknown", "false", "model \"small-1\" (backend small)"),
    ] {
        let change = |config: &mut Value| {
            if row == "unpriced" {
                route(config)["backends"][0]["model"].as_object_mut().unwrap().remove("price");
            }
        };
        let world = world("WorstCase", json!("Block"), change).await;
        match row {
            "used up" => world.grant(10_000, 10_000),
            "elsewhere" => world.grant(10_000, PLENTY),
            "no operator" => world.runtime.rights.without_operator(),
            _ => {}
        }
        let got = world.chat(&asks(100)).await;
        let error = got.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!((got.status.as_u16(), got.code().as_str()), (status, code), "{row}: {error}");
        assert_eq!(got.header("x-should-retry"), retry, "{row}");
        assert!(error.starts_with("budget shop/month of $5 a month") && error.contains(words), "{row}: {error}");
        assert_eq!((world.provider.seen().len(), world.money()), (0, (0, 0)), "{row}");
        let resets = (row == "used up").then_some("it begins anew at ");
        assert!(resets.is_none_or(|words| error.contains(words)), "{row}: {error}");
    }
}

#[tokio::test]
async fn a_backend_that_costs_less_is_asked_where_the_first_cannot_be_paid() {
    let world = world("WorstCase", json!("Block"), |config| {
        route(config)["backends"][1]["role"] = "Primary".into();
        route(config)["backends"][1]["model"]["price"] = json!({"input_nanos": 1, "output_nanos": 1});
    })
    .await;
    world.grant(10_000, 10_000);
    let got = world.chat(&asks(100)).await;
    assert_eq!((got.status.as_u16(), world.provider.models()), (200, vec!["large-1".to_owned()]), "{got:?}");
}

#[tokio::test]
async fn a_request_without_a_limit_gets_the_longest_answer_that_can_be_paid() {
    // A prompt of "hello" is a few tokens of 1,000 nano-dollars, and an answer of 4,096 costs 40,960,000.
    for (row, left, max_tokens) in [
        ("enough", 50_000_000, None),
        ("not for the longest", 20_000_000, Some(1_990..2_000)),
        ("hardly", 1_100_000, Some(100..110)),
        ("less than is of use", 900_000, None),
    ] {
        for (path, body, field) in [
            ("/v1/chat/completions", chat(), "max_tokens"),
            ("/v1/responses", json!({"model": "chat", "input": "hello"}), "max_output_tokens"),
        ] {
            let wide = |config: &mut Value| {
                route(config)["backends"][0]["model"]["context_window_tokens"] = 100_000.into();
            };
            let world = world("WorstCase", json!("Block"), wide).await;
            world.grant(left, left);
            let got = world.post(path, body.to_string().into()).await;
            let seen = world.provider.seen();
            if row == "less than is of use" {
                assert_eq!((got.code().as_str(), seen.len()), ("insufficient_quota", 0), "{row} {path}: {got:?}");
                continue;
            }
            let sent = body_of(&seen[0])[field].as_u64();
            let told = got.header("x-spillway-max-output-tokens").parse().ok();
            assert_eq!(sent, told, "{row} {path}: {got:?}");
            let fits = |range: std::ops::Range<u64>| sent.is_some_and(|sent| range.contains(&sent));
            assert!(max_tokens.clone().map_or(sent.is_none(), fits), "{row} {path}: {sent:?}");
        }
    }
}

#[tokio::test]
async fn who_has_nothing_left_goes_to_the_spare_that_is_counted_and_not_limited() {
    let world = world("WorstCase", json!({"Downgrade": ["large"]}), |_| {}).await;
    world.grant(10_000, 10_000);
    for nth in 1..=2 {
        let got = world.chat(&asks(100)).await;
        let told = ["x-spillway-backend", "x-spillway-fallback-reason", "x-spillway-budget-exhausted"];
        let told = told.map(|name| got.header(name).to_owned());
        assert_eq!((got.status.as_u16(), told), (200, ["large", "BudgetExhausted", "shop/month"].map(str::to_owned)));
        assert_eq!(world.money(), (nth * ANSWER, 0));
    }
}

#[tokio::test]
async fn each_attempt_sets_aside_for_itself_and_a_failed_one_costs_nothing() {
    let world = world("WorstCase", json!("Block"), |config| {
        route(config)["retries"] = json!({"attempts": 1, "on": ["InternalServerError"], "backoff_base_ms": 1,
            "backoff_max_ms": 2, "honour_retry_after_ms": 50});
        route(config)["fallbacks"] = json!([{"on": ["InternalServerError"], "to": ["large"]}]);
    })
    .await;
    // Enough for one request at a time.
    world.grant(2_000_000, PLENTY);
    world.provider.then([Act::status(500, &[], "oops"), Act::status(500, &[], "oops")]);
    let got = world.chat(&asks(100)).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-attempts")), (200, "3"), "{got:?}");
    assert_eq!(world.money(), (ANSWER, 0));
}

#[tokio::test]
async fn other_enforcements_set_aside_what_is_usual_or_nothing() {
    let usual = world("Usual", json!("Block"), |_| {}).await;
    usual.grant(2_000_000, 2_000_000);
    assert_eq!(usual.chat(&asks(100)).await.status, 200);
    usual.grant(2_000_000, ANSWER + 1_000);
    assert_eq!(usual.chat(&chat()).await.status, 200, "the worst case would not fit, and it is not what is usual");
    let nothing = world("Nothing", json!("Block"), |_| {}).await;
    nothing.runtime.rights.without_operator();
    assert_eq!(nothing.chat(&chat()).await.status, 200);
    assert_eq!((usual.money(), nothing.money()), ((2 * ANSWER, 0), (ANSWER, 0)));
}

#[tokio::test]
async fn each_value_of_a_header_has_an_account_and_so_has_none() {
    let world = world("Nothing", json!("Block"), |config| {
        config["budgets"]["shop/month"]["per"] = json!({"Header": "x-tenant"});
    })
    .await;
    let long = "x".repeat(300);
    for tenant in ["a", "b", "a", &long] {
        let mut request = post("/v1/chat/completions", chat().to_string().into());
        request.headers_mut().insert("x-tenant", tenant.parse().unwrap());
        assert_eq!(exchange(&mut connect(world.addr).await, request).await.status, 200);
    }
    world.chat(&chat()).await;
    let mut spent: Vec<_> = world.runtime.rights.report().unwrap().accounts;
    spent.sort_by_key(|account| account.account.value.clone());
    let spent: Vec<_> = spent.iter().map(|it| (it.account.value.as_deref().unwrap(), it.spent_nanos)).collect();
    let hash = runtime::value_of(long.as_bytes());
    let mut want = vec![("", ANSWER), ("a", 2 * ANSWER), ("b", ANSWER), (hash.as_str(), ANSWER)];
    want.sort_unstable();
    assert_eq!(spent, want);
}

#[tokio::test]
async fn rights_of_another_source_are_not_taken() {
    let world = world("WorstCase", json!("Block"), |_| {}).await;
    let report = world.runtime.rights.report().unwrap();
    world.runtime.rights.take(&Rights {
        journal: "somebody else".into(),
        epoch: 9,
        serial: 1,
        answers: Stamp::default(),
        ..Rights::default()
    });
    assert_eq!(world.runtime.rights.report().unwrap().epoch, report.epoch);
}

#[tokio::test]
async fn an_image_is_paid_for_by_what_its_model_may_make_of_it_or_not_at_all() {
    let image = json!([{"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}}]);
    let mut body = asks(10);
    body["messages"][0]["content"] = image;
    // A token of the prompt costs 1,000 nano-dollars, and one of the answer ten times that.
    for (model, tokens, status) in [("gpt-4o-mini", 40_000, 429), ("gpt-4o-mini", 50_000, 200), ("gpt-4o", 5_000, 200)]
    {
        let world = world("WorstCase", json!("Block"), |config| {
            let small = &mut route(config)["backends"][0]["model"];
            small["name"] = model.into();
            small["context_window_tokens"] = 128_000.into();
        })
        .await;
        world.grant(tokens * 1_000, tokens * 1_000);
        let got = world.chat(&body).await;
        assert_eq!(got.status.as_u16(), status, "{model} {tokens}: {}", got.text);
    }
}

#[tokio::test]
async fn what_a_provider_does_by_itself_is_set_aside_or_the_request_is_refused() {
    let search = json!({"web_search_options": {"search_context_size": "low"}});
    let mcp = json!({"tools": [{"type": "mcp", "server_url": "https://example.com"}]});
    let rows = [
        ("a search of known price and a window", "WorstCase", &search, true, 200),
        ("a search nobody knows the price of", "WorstCase", &search, false, 400),
        ("whatever a server does", "WorstCase", &mcp, true, 400),
        ("what is usual may be more", "Usual", &mcp, false, 200),
    ];
    for (row, reserve, more, known, status) in rows {
        let pieces = if known { json!({"search_nanos": 10_000_000_000_000u64}) } else { json!({}) };
        let world =
            world(reserve, json!("Block"), |config| route(config)["backends"][0]["model"]["pieces"] = pieces).await;
        world.grant(PLENTY, PLENTY);
        let mut body = asks(10);
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let got = world.chat(&body).await;
        assert_eq!(got.status, status, "{row}: {got:?}");
        if status == 400 {
            assert!(
                got.code() == "price_unknown" && got.text.contains("by itself for this request has no bound"),
                "{got:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_model_whose_answers_never_have_a_cost_is_refused_once_that_is_known() {
    let unpriced = |config: &mut Value| {
        route(config)["backends"][0]["model"].as_object_mut().unwrap().remove("price");
    };
    let world = world("Usual", json!("Block"), unpriced).await;
    world.grant(PLENTY, PLENTY);
    let (first, second) = (world.chat(&asks(10)).await, world.chat(&asks(10)).await);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 400), "{first:?} {second:?}");
    assert!(second.code() == "price_unknown" && second.text.contains("give the model a price"), "{second:?}");
}
