//! Answers that come piece by piece.

use http_body_util::BodyExt;
use serde_json::json;

use crate::server::fake::*;

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
    world.provider.then([Act::events(&[&piece("some words that were seen")], false)]);
    let mut sender = connect(world.addr).await;
    let mut response = sender.send_request(post(PATH, streamed().to_string().into())).await.unwrap();
    response.frame().await.unwrap().unwrap();
    drop((response, sender));
    world.provider.abandoned().await;
    while world.runtime.in_flight() > 0 {
        tokio::task::yield_now().await;
    }
    let totals = world.runtime.usage.lines()[0].totals;
    assert!(totals.requests == 1 && totals.errors == 0 && totals.output_tokens > 0, "{totals:?}");
}
