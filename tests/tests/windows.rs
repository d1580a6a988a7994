//! Prompts that do not fit, through real processes: every strategy, plain and streamed, in the words of three APIs. The
//! provider refuses what does not fit it, so an answer proves that what it got did.

use serde_json::{Value, json};
use spillway_tests::client::{CHAT, MESSAGES, RESPONSES, Reply, post};
use spillway_tests::clock::now;
use spillway_tests::process::program;
use spillway_tests::provider::{ANSWER, Provider};
use spillway_tests::sidecar::Sidecar;
use spillway_tests::snapshot::{a_backend, a_model, a_provider, a_route, a_rule, a_snapshot, a_spare};
use spillway_wire::{Dialect, ErrorClass, OnExceeded, Route, Summarize, Tokenizer};

const WINDOW: u64 = 2_000;

/// A route called after how it makes prompts fit. Its first choice takes [`WINDOW`] tokens; the config says `said`.
fn a_way(name: &str, on_exceeded: OnExceeded, first: &str, said: u64) -> Route {
    let mut route = a_route(name, vec![a_backend("main", first), a_spare("main", "large")]);
    route.backends[0].model = a_model(first, said);
    route.backends[1].model = a_model("large", 100_000);
    let window = &mut route.context_window;
    (window.on_exceeded, window.reserve_output_tokens) = (on_exceeded, 200);
    if on_exceeded == OnExceeded::Summarize {
        window.summarize = Some(Summarize { backend: "large".into(), keep_last: 3, max_tokens: 100 });
    }
    if matches!(on_exceeded, OnExceeded::LargerModel | OnExceeded::Hybrid) {
        route.fallbacks = vec![a_rule(&[ErrorClass::ContextWindowExceeded], &["large"])];
    }
    route
}

const WAYS: [(&str, OnExceeded); 4] = [
    ("larger", OnExceeded::LargerModel),
    ("truncate", OnExceeded::Truncate),
    ("summarize", OnExceeded::Summarize),
    ("hybrid", OnExceeded::Hybrid),
];

async fn serving(dialect: Dialect, routes: Vec<Route>) -> anyhow::Result<(Provider, Sidecar)> {
    let provider = Provider::start().await?;
    let account = a_provider("main", dialect, &provider.base_url());
    let snapshot = a_snapshot(routes, vec![("main", account)]);
    let sidecar = Sidecar::with_snapshot(&program("spillway-sidecar")?, &snapshot, None).await?;
    Ok((provider, sidecar))
}

/// A conversation of some 3,000 tokens, with a call of a tool in it.
fn conversation(path: &str, model: &str, stream: bool) -> Value {
    let words = |number: usize| format!("turn {number} {}", "word ".repeat(200));
    let turn = |number: usize| {
        let role = if number.is_multiple_of(2) { "user" } else { "assistant" };
        json!({"role": role, "content": words(number)})
    };
    let turns = (0..11).map(turn);
    let (key, system, call) = match path {
        MESSAGES => (
            "messages",
            json!({"system": "Be brief."}),
            vec![
                json!({"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look", "input": {}}]}),
                json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": words(90)}]}),
                json!({"role": "assistant", "content": words(91)}),
                json!({"role": "user", "content": "and now?"}),
            ],
        ),
        RESPONSES => (
            "input",
            json!({"instructions": "Be brief."}),
            vec![
                json!({"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}),
                json!({"type": "function_call_output", "call_id": "c1", "output": words(90)}),
                json!({"role": "assistant", "content": words(91)}),
                json!({"role": "user", "content": "and now?"}),
            ],
        ),
        _ => (
            "messages",
            json!({}),
            vec![
                json!({"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function",
                    "function": {"name": "look", "arguments": "{}"}}]}),
                json!({"role": "tool", "tool_call_id": "c1", "content": words(90)}),
                json!({"role": "assistant", "content": words(91)}),
                json!({"role": "user", "content": "and now?"}),
            ],
        ),
    };
    let messages: Vec<Value> = turns.chain(call).collect();
    let limit = if path == RESPONSES { "max_output_tokens" } else { "max_tokens" };
    let mut body = json!({"model": model, "stream": stream, limit: 200, key: messages});
    body.as_object_mut().expect("it is one").extend(system.as_object().expect("so is this").clone());
    body
}

/// Whether an answer came, and by which way.
fn check(way: &str, reply: &Reply, models: &[String], at: &str) {
    assert_eq!((reply.status, reply.text().as_str()), (200, ANSWER), "{at}: {reply:?}");
    let number = |name: &str| reply.header(name).parse::<u32>().unwrap_or(0);
    let [gone, summary] = ["x-spillway-truncated-messages", "x-spillway-summary-tokens"].map(number);
    let (backend, shortened, summarized) = match way {
        "larger" | "hybrid" => ("large", false, false),
        "summarize" => (models[0].as_str(), true, true),
        _ => (models[0].as_str(), true, false),
    };
    assert_eq!(reply.header("x-spillway-model"), backend, "{at}: {reply:?}");
    assert_eq!(reply.header("x-spillway-fallback-reason"), "ContextWindowExceeded", "{at}");
    assert_eq!((gone > 0, summary > 0), (shortened, summarized), "{at}: {reply:?}");
}

#[tokio::test]
async fn every_way_to_make_a_prompt_fit_works_plain_and_streamed_in_every_api() -> anyhow::Result<()> {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let routes = WAYS.map(|(name, mode)| a_way(name, mode, "fits-2000", WINDOW));
        let (provider, sidecar) = serving(dialect, routes.into()).await?;
        for (way, _) in WAYS {
            for path in [CHAT, MESSAGES, RESPONSES] {
                for stream in [false, true] {
                    let before = provider.seen().len();
                    let reply = post(sidecar.data, path, &conversation(path, way, stream)).await?;
                    let at = format!("{dialect:?} {way} {path} stream {stream}: {:?}", provider.models());
                    check(way, &reply, &["fits-2000".to_owned()], &at);
                    let asked = &provider.models()[before..];
                    let summarized = way == "summarize" && asked[0] == "large";
                    assert_eq!(
                        asked.len(),
                        1 + usize::from(summarized),
                        "nobody was asked who could not take it: {at}"
                    );
                }
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_window_that_only_the_provider_knows_is_learnt_and_the_same_is_done() -> anyhow::Result<()> {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        for (way, mode) in WAYS {
            for stream in [false, true] {
                for first in ["fits-2000", "tells-2000"] {
                    let (provider, sidecar) = serving(dialect, vec![a_way(way, mode, first, 50_000)]).await?;
                    let body = conversation(CHAT, way, stream);
                    let reply = post(sidecar.data, CHAT, &body).await?;
                    let at = format!("{dialect:?} {way} {first} stream {stream}: {:?}", provider.models());
                    check(way, &reply, &[first.to_owned()], &at);
                    // A window so much smaller is believed when it is said again.
                    post(sidecar.data, CHAT, &body).await?;
                    let before = provider.seen().len();
                    let again = post(sidecar.data, CHAT, &body).await?;
                    check(way, &again, &[first.to_owned()], &at);
                    assert_eq!(provider.seen().len(), before + 1, "it is known by now: {at}");
                    let line = format!("learnt_window_tokens{{model=\"{first}\",provider=\"shop/main\"}} 2000");
                    let (_, metrics) = sidecar.admin_get("/metrics").await?;
                    assert!(metrics.contains(&line), "{at}");
                }
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn words_that_a_request_puts_into_an_error_move_nothing_and_teach_nothing() -> anyhow::Result<()> {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let route = a_way("larger", OnExceeded::LargerModel, "quotes", 50_000);
        let (provider, sidecar) = serving(dialect, vec![route]).await?;
        let content = "maximum context length is 300 tokens, and no api key is valid: invalid api key";
        let body = json!({"model": "larger", "messages": [{"role": "user", "content": content}]});
        for _ in 0..3 {
            let reply = post(sidecar.data, CHAT, &body).await?;
            assert_eq!((reply.status, reply.header("x-spillway-error-class")), (400, "BadRequest"), "{reply:?}");
        }
        assert!(provider.models().iter().all(|model| model == "quotes"), "{dialect:?} {:?}", provider.models());
        let (_, metrics) = sidecar.admin_get("/metrics").await?;
        assert!(!metrics.contains("learnt_window_tokens{"), "{dialect:?}");
    }
    Ok(())
}

#[tokio::test]
async fn estimates_become_what_the_provider_reports_and_decide_by_that() -> anyhow::Result<()> {
    // The provider reports a hundred tokens whatever it gets: of an estimate of 200 that is believed, of one of more than 400
    // it is not. The window has room for 220 and an answer.
    let believed = 200;
    let mut route = a_way("larger", OnExceeded::LargerModel, "small", 420);
    for backend in &mut route.backends {
        backend.model.tokenizer = Tokenizer::Estimate;
    }
    let (_provider, sidecar) = serving(Dialect::OpenAi, vec![route]).await?;
    let words = "word ".repeat(400);
    let ask = |letters| json!({"model": "larger", "messages": [{"role": "user", "content": &words[..letters]}]});
    let tokens = async |letters| {
        let reply = post(sidecar.data, "/v1/tokenize", &ask(letters)).await?;
        let said: Value = serde_json::from_slice(&reply.body)?;
        assert_eq!((&said["exact"], &said["encoding"]), (&json!(false), &json!("estimate")), "{said}");
        anyhow::Ok(said["tokens"].as_u64().unwrap_or_default())
    };
    let mut short = believed;
    while tokens(short).await? < believed as u64 {
        short += 1;
    }
    let long = short * 17 / 8;
    let estimated = tokens(long).await?;
    for (letters, want) in [(long, "large"), (short, "small"), (long, "small")] {
        let reply = post(sidecar.data, CHAT, &ask(letters)).await?;
        assert_eq!((reply.status, reply.header("x-spillway-model")), (200, want), "{letters} letters: {reply:?}");
    }
    assert_eq!(tokens(long).await?, estimated.div_ceil(2));
    let (_, metrics) = sidecar.admin_get("/metrics").await?;
    let line = "spillway_sidecar_token_estimate_per_mille{backend=\"small\",route=\"shop/larger\"} 500";
    assert!(metrics.contains(line), "{metrics}");
    let (_, page) = sidecar.admin_get("/debug/backends").await?;
    assert!(page.contains("\"token_estimate_per_mille\": 500"), "{page}");
    Ok(())
}

/// The prompt that this project began with, and what its model takes.
const SEED_TOKENS: usize = 1_129_124;
const SEED_WINDOW: u64 = 1_047_576;

#[tokio::test]
async fn the_prompt_it_all_began_with_is_answered_by_whoever_takes_it_and_refused_in_numbers_elsewhere()
-> anyhow::Result<()> {
    let mut larger = a_way("larger", OnExceeded::LargerModel, "small", SEED_WINDOW);
    larger.backends[1].model = a_model("large", 2_000_000);
    let mut reject = a_way("reject", OnExceeded::Reject, "small", SEED_WINDOW);
    for route in [&mut larger, &mut reject] {
        route.request.timeout_ms = 120_000;
        route.backends[1].model.max_output_tokens = Some(65_536);
    }
    let (provider, sidecar) = serving(Dialect::OpenAi, vec![larger, reject]).await?;
    // A word is a token, and seven are what is around them.
    let prompt = vec!["word"; SEED_TOKENS - 7].join(" ");
    let ask = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": prompt}]});
    let before = sidecar.process.resident_bytes();
    // Without optimisation the count takes longer than anybody waits for it: what is estimated then is moved to more room,
    // and not refused.
    let rows = [("larger", 200), ("larger", 200), ("reject", 400)];
    for (model, status) in rows.into_iter().filter(|(_, status)| *status == 200 || !cfg!(debug_assertions)) {
        let (begun, worked) = (now(), sidecar.process.cpu_nanos());
        let reply = post(sidecar.data, CHAT, &ask(model)).await?;
        let (took, worked) = (begun.elapsed(), sidecar.process.cpu_nanos().saturating_sub(worked));
        assert_eq!(reply.status, status, "{model}: {reply:?}");
        let own = reply.header("x-spillway-overhead-us");
        println!(
            "{model}: {status} after {took:?}, {own} µs of it in the sidecar, which took {} ms of CPU",
            worked / 1_000_000
        );
        if status == 200 {
            assert_eq!((reply.text().as_str(), reply.header("x-spillway-model")), (ANSWER, "large"));
        } else {
            assert_eq!(reply.code(), "context_length_exceeded");
            let message = reply.message();
            for word in [SEED_TOKENS.to_string(), SEED_WINDOW.to_string(), "FallbackPolicy".to_owned()] {
                assert!(message.contains(&word), "{word} is not in {message:?}");
            }
            println!("{message}");
        }
    }
    assert_eq!(provider.models(), ["large", "large"], "the small one was not asked");
    let mebi = |bytes: u64| bytes >> 20;
    let (now, peak) = (sidecar.process.resident_bytes(), sidecar.process.peak_bytes());
    println!("memory: {} MiB before, {} MiB at its peak, {} MiB after", mebi(before), mebi(peak), mebi(now));
    // Its body, a copy to count, what is sent, and the vocabulary.
    assert!(mebi(peak) < 200, "{} MiB", mebi(peak));
    Ok(())
}
