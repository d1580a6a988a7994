//! Answers that come piece by piece.

use http_body_util::BodyExt;
use serde_json::json;

use crate::{runtime::Limits, server::fake::*};

const PATH: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_stream_passes_with_the_name_the_application_asked_for() {
    let world = World::new(|_| ()).await;
    world.provider.then([Act::events(&[&piece("a"), &piece("b"), &stop(), "[DONE]"], true)]);
    let got = world.chat(&streamed()).await;
    assert_eq!((got.status.as_u16(), got.whole), (200, true));
    assert!(got.header("content-type").starts_with("text/event-stream"));
    assert!(got.text.ends_with("data: [DONE]\n\n") && !got.text.contains("small-1"), "{}", got.text);
    assert_eq!(world.chat(&streamed()).await.status, 502, "a whole answer is no stream");
    assert_eq!(world.provider.connections(), 1, "a stream that was read to its end leaves its connection");
}

#[tokio::test]
async fn before_the_first_content_another_backend_may_answer_and_after_it_nobody() {
    let nothing = piece("");
    let good = Act::events(&[&piece("good"), &stop(), "[DONE]"], true);
    let broken = json!({"error": {"message": "overloaded", "type": "server_error", "code": null}}).to_string();
    let rows = [
        ("cut before content", Act::events(&[&nothing], true), true),
        ("an error before content", Act::events(&[&nothing, &broken], true), true),
        ("cut after content", Act::events(&[&piece("half")], true), false),
        ("an error after content", Act::events(&[&piece("half"), &broken], true), false),
    ];
    for (row, act, moved) in rows {
        let world = World::new(|config| {
            let on = json!(["ConnectionError", "Timeout", "InternalServerError", "ServiceUnavailable"]);
            route(config)["fallbacks"] = json!([{"on": on, "to": ["large"]}]);
        });
        let world = world.await;
        world.provider.then([act, good.clone()]);
        let got = world.chat(&streamed()).await;
        assert_eq!(got.text.contains("good"), moved, "{row}: {}", got.text);
        assert_eq!(got.text.contains("[DONE]"), moved, "{row}: {}", got.text);
        assert_eq!(got.text.contains("\"error\""), !moved, "{row}: {}", got.text);
    }
}

#[tokio::test]
async fn a_stalled_stream_ends_with_an_error_event_and_its_use_is_charged() {
    let timeouts = ["/providers/ai~1fake/timeouts/idle_ms", "/routes/shop~1chat/streaming/idle_timeout_ms"];
    for timeout in timeouts {
        let world = World::new(|config| *config.pointer_mut(timeout).unwrap() = json!(50)).await;
        world.provider.then([Act::events(&[&piece("half an answer")], false)]);
        let got = world.chat(&streamed()).await;
        assert!(got.text.contains("half") && got.text.contains("Timeout"), "{timeout}: {}", got.text);
        assert!(!got.text.contains("[DONE]"), "{timeout}");
        world.provider.abandoned().await;
        let totals = world.runtime.usage.lines()[0].totals;
        assert!(totals.errors == 1 && totals.output_tokens > 0 && totals.cost_nanos > 0, "{totals:?}");
    }
}

#[tokio::test]
async fn a_route_that_stays_silent_is_not_asked_again_but_left() {
    let world = World::new(|config| {
        let route = route(config);
        route["streaming"]["first_token_timeout_ms"] = json!(50);
        route["retries"]["attempts"] = json!(3);
        route["retries"]["on"] = json!(["Timeout"]);
        route["fallbacks"] = json!([{"on": ["Timeout"], "to": ["large"]}]);
    });
    let world = world.await;
    world.provider.then([Act::events(&[&piece("")], false), Act::events(&[&piece("a"), &stop(), "[DONE]"], true)]);
    let got = world.chat(&streamed()).await;
    assert_eq!((got.status.as_u16(), got.header("x-spillway-attempts")), (200, "2"), "{}", got.text);
    assert_eq!(world.provider.models(), ["small-1", "large-1"]);
}

#[tokio::test]
async fn an_application_that_leaves_aborts_the_stream_and_is_charged_for_what_it_saw() {
    let world = World::new(|_| ()).await;
    world.provider.then([Act::events(&[&usage(77), &piece("some words that were seen")], false)]);
    let mut sender = connect(world.addr).await;
    let mut response = sender.send_request(post(PATH, streamed().to_string().into())).await.unwrap();
    response.frame().await.unwrap().unwrap();
    drop((response, sender));
    world.left().await;
    let totals = world.runtime.usage.lines()[0].totals;
    assert_eq!((totals.requests, totals.errors, totals.input_tokens), (1, 0, 77), "what the provider has said holds");
    assert!(totals.output_tokens > 1, "{totals:?}");
}

#[tokio::test]
async fn an_application_that_leaves_while_its_stream_is_held_back_is_charged_for_what_was_read() {
    let limits = Limits { buffered_bytes: 20_000, ..Limits::default() };
    let world = World::with_limits(limits, |config| route(config)["streaming"]["hold_bytes"] = json!(1 << 20)).await;
    world.provider.then([Act::events(&[&usage(77), &piece(&"x".repeat(8_000))], false)]);
    // The request is nothing beside what is held back.
    world.leave(&streamed(), || !world.runtime.memory.hold().grow(16_000)).await;
    let totals = world.runtime.usage.lines()[0].totals;
    assert_eq!((totals.requests, totals.input_tokens, totals.output_tokens), (1, 77, 2_000), "{totals:?}");
}

/// A route with a spare for everything that can go wrong with a stream.
fn with_spare(config: &mut serde_json::Value) {
    let on = json!(["ConnectionError", "Timeout", "InternalServerError", "ServiceUnavailable"]);
    route(config)["fallbacks"] = json!([{"on": on, "to": ["large"]}]);
}

#[tokio::test]
async fn what_fails_while_it_is_held_back_is_thrown_away_charged_and_answered_by_another() {
    let broken = json!({"error": {"message": "overloaded", "type": "server_error", "code": null}}).to_string();
    let rows = [
        ("cut", Act::events(&[&piece("half an answer")], true)),
        ("stalled", Act::events(&[&piece("half an answer")], false)),
        ("an error", Act::events(&[&piece("half an answer"), &broken], true)),
    ];
    for (row, act) in rows {
        let world = World::new(|config| {
            with_spare(config);
            route(config)["streaming"]["hold_bytes"] = json!(1 << 20);
            route(config)["streaming"]["idle_timeout_ms"] = json!(50);
        });
        let world = world.await;
        world.provider.then([act, Act::events(&[&piece("good"), &stop(), "[DONE]"], true)]);
        let got = world.chat(&streamed()).await;
        assert!(got.text.contains("good") && got.text.contains("[DONE]"), "{row}: {}", got.text);
        assert!(!got.text.contains("half") && !got.text.contains("error"), "{row}: {}", got.text);
        assert_eq!((got.header("x-spillway-backend"), got.header("x-spillway-attempts")), ("large", "2"), "{row}");
        let lines = world.runtime.usage.lines();
        let of = |name: &str| lines.iter().find(|line| line.key.backend == name).unwrap().totals;
        assert!(of("small").requests == 0 && of("small").output_tokens > 0 && of("small").cost_nanos > 0, "{row}");
        assert_eq!((of("large").requests, of("large").errors), (1, 0), "{row}: {lines:?}");
    }
}

#[tokio::test]
async fn a_held_stream_is_released_by_its_bytes_or_its_time_and_is_on_its_own_from_then_on() {
    for (field, value) in [("hold_bytes", 20), ("hold_ms", 50)] {
        let world = World::new(|config| {
            with_spare(config);
            route(config)["streaming"][field] = json!(value);
            route(config)["streaming"]["idle_timeout_ms"] = json!(200);
        });
        let world = world.await;
        let enough = "twenty bytes of an answer";
        world.provider.then([Act::events(&[&piece(enough)], false)]);
        let got = world.chat(&streamed()).await;
        assert!(got.text.contains(enough) && got.text.contains("Timeout"), "{field}: {}", got.text);
        assert_eq!(world.provider.models(), ["small-1"], "{field}");
    }
}

#[tokio::test]
async fn a_model_that_loops_is_ended_or_left_if_nothing_of_it_was_seen() {
    for held in [0, 1 << 20] {
        let world = World::new(|config| {
            with_spare(config);
            route(config)["streaming"]["hold_bytes"] = json!(held);
            route(config)["streaming"]["max_repeats"] = json!(5);
        });
        let world = world.await;
        let again = piece(" again");
        let events: Vec<&str> = std::iter::repeat_n(again.as_str(), 20).collect();
        world.provider.then([Act::events(&events, false), Act::events(&[&piece("good"), &stop(), "[DONE]"], true)]);
        let got = world.chat(&streamed()).await;
        if held > 0 {
            assert!(got.text.contains("good") && !got.text.contains("again"), "{}", got.text);
        } else {
            assert_eq!(got.text.matches(" again").count(), 5, "{}", got.text);
            assert!(got.text.contains("InternalServerError") && !got.text.contains("[DONE]"), "{}", got.text);
        }
        world.provider.abandoned().await;
    }
}

#[tokio::test]
async fn an_event_without_json_is_left_out_and_the_stream_goes_on() {
    let world = World::new(|_| ()).await;
    let garbage = ["{nonsense", "", "{\"id\": \"1\", \"choices\": [{\"delta\": oops}]}"];
    world.provider.then([Act::events(
        &[&piece("a"), garbage[0], &piece("b"), garbage[1], garbage[2], &piece("c"), &stop(), "[DONE]"],
        true,
    )]);
    let got = world.chat(&streamed()).await;
    let data: Vec<&str> = got.text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(data.len(), 5, "{}", got.text);
    let json = |text: &&&str| serde_json::from_str::<serde_json::Value>(text).is_ok();
    assert!(data.iter().take(4).filter(json).count() == 4 && data[4] == "[DONE]", "{}", got.text);
    let metrics = world.runtime.telemetry.render();
    assert!(metrics.contains("stream_events_skipped_total{provider=\"ai/fake\",route=\"shop/chat\"} 3"), "{metrics}");
}

#[tokio::test]
async fn an_answer_that_says_why_it_ends_is_complete_without_the_last_event() {
    let usage = json!({"id": "1", "object": "chat.completion.chunk", "choices": [],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}});
    for end in [true, false] {
        let world = World::new(|_| ()).await;
        world.provider.then([Act::events(&[&piece("a"), &stop(), &usage.to_string()], end)]);
        let got = world.chat(&streamed()).await;
        assert!(got.text.ends_with("data: [DONE]\n\n") && !got.text.contains("error"), "{end}: {}", got.text);
        let totals = world.runtime.usage.lines()[0].totals;
        assert_eq!((totals.input_tokens, totals.output_tokens, totals.errors), (10, 5, 0), "{end}");
    }
    let world = World::new(|_| ()).await;
    world.provider.then([Act::events(&[&piece("a"), &usage.to_string()], true)]);
    let got = world.chat(&streamed()).await;
    assert!(got.text.contains("error") && !got.text.contains("[DONE]"), "nothing says that it is whole: {}", got.text);
}

#[tokio::test]
async fn an_answer_that_is_whole_waits_no_idle_timeout_for_its_connection() {
    let usage = json!({"id": "1", "object": "chat.completion.chunk", "choices": [],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}});
    let last = [
        ("the reason and the counts", vec![stop(), usage.to_string()], 4_000),
        ("the reason alone", vec![stop()], 4_000),
        ("the last event", vec![stop(), "[DONE]".to_owned()], 1_000),
    ];
    for (row, events, bound_ms) in last {
        let world = World::new(|config| {
            config.pointer_mut("/providers/ai~1fake").unwrap()["timeouts"] =
                json!({"connect_ms": 600_000, "first_byte_ms": 600_000, "idle_ms": 600_000, "total_ms": 600_000});
            let route = route(config);
            route["streaming"] = json!({"first_token_timeout_ms": 600_000, "idle_timeout_ms": 600_000});
            route["request"]["timeout_ms"] = json!(600_000);
        });
        let world = world.await;
        let events: Vec<String> = std::iter::once(piece("a")).chain(events).collect();
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        world.provider.then([Act::events(&events, false)]);
        tokio::time::pause();
        let began = crate::clock::now();
        let got = world.chat(&streamed()).await;
        let took = crate::clock::now() - began;
        tokio::time::resume();
        assert!(got.text.ends_with("data: [DONE]\n\n") && !got.text.contains("error"), "{row}: {}", got.text);
        assert!(took.as_millis() < bound_ms, "{row}: {took:?}");
    }
}

#[tokio::test]
async fn bytes_that_bring_no_content_are_no_progress() {
    let drops = [("one byte of an event", "x"), ("keep-alive comments", ": still here\n\n"), ("empty pieces", "\n\n")];
    for (row, drop) in drops {
        let before = World::new(|config| {
            with_spare(config);
            route(config)["streaming"]["first_token_timeout_ms"] = json!(50);
        });
        let before = before.await;
        let good = Act::events(&[&piece("good"), &stop(), "[DONE]"], true);
        before.provider.then([Act::events_and_drip(&[], drop), good]);
        let got = before.chat(&streamed()).await;
        assert!(got.text.contains("good") && got.text.contains("[DONE]"), "{row}: {}", got.text);
        before.provider.abandoned().await;

        let after = World::new(|config| route(config)["streaming"]["idle_timeout_ms"] = json!(50)).await;
        after.provider.then([Act::events_and_drip(&[&piece("half")], drop)]);
        let got = after.chat(&streamed()).await;
        assert!(got.text.contains("no content came for 50ms") && !got.text.contains("[DONE]"), "{row}: {}", got.text);
        after.provider.abandoned().await;
    }
}
