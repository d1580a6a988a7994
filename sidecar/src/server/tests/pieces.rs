//! What images, sound and searches cost.

use serde_json::{Value, json};

use super::budgets::{self, PLENTY};
use crate::server::fake::*;

const JSON: &str = "application/json";
const FORM: &str = "multipart/form-data; boundary=b";
const SOUND: &str = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nchat\r\n--b--\r\n";

/// The first backend's model is billed by the piece: $0.04 an image ($0.08 a good one), $15 per million characters, $0.006 a
/// minute, $2 per thousand searches.
fn by_piece(config: &mut Value) {
    let model = &mut route(config)["backends"][0]["model"];
    model.as_object_mut().unwrap().remove("price");
    model["pieces"] = json!({
        "image_nanos": 40_000_000_000_000u64,
        "looks": [{"quality": "high", "width": 1024, "height": 1024, "image_nanos": 80_000_000_000_000u64}],
        "character_nanos": 15_000_000_000u64,
        "second_nanos": 100_000_000_000u64,
        "search_nanos": 2_000_000_000_000u64,
    });
}

type Setting = fn(&mut Value);

/// It is billed by the token, and images are another price; beside that an image has one.
fn by_token(config: &mut Value) {
    let model = &mut route(config)["backends"][0]["model"];
    model["price"] = json!({"input_nanos": 5_000_000_000u64, "output_nanos": 40_000_000_000u64,
        "image_output_nanos": 40_000_000_000u64, "image_input_nanos": 10_000_000_000u64});
    model["pieces"] = json!({"image_nanos": 40_000_000_000_000u64});
}

fn free(config: &mut Value) {
    route(config)["backends"][0]["model"]["price"] = json!({"input_nanos": 0, "output_nanos": 0});
}

#[tokio::test]
async fn what_is_no_text_costs_what_the_model_lists_for_it() {
    let images = |more: Value| {
        let mut body = json!({"model": "chat", "prompt": "x"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let two = r#"{"data":[{"url":"a"},{"url":"b"}]}"#;
    let good = r#"{"data":[{"url":"a"}],"quality":"high","size":"1024x1024"}"#;
    let told = r#"{"data":[{"url":"a"}],"usage":{"input_tokens":50,"output_tokens":1000,"total_tokens":1050,
        "input_tokens_details":{"text_tokens":10,"image_tokens":40}}}"#;
    let (draw, rerank) =
        ("/v1/images/generations", json!({"model": "chat", "query": "q", "documents": []}).to_string());
    let speak = json!({"model": "chat", "input": "grüße 👋"}).to_string();
    let rows: [(Setting, &str, &str, String, &str, &str); 12] = [
        (by_piece, draw, JSON, images(json!({"n": 3})), two, "0.08"),
        (by_piece, draw, JSON, images(json!({"quality": "high"})), two, "0.16"),
        (by_piece, draw, JSON, images(json!({"quality": "auto"})), good, "0.08"),
        (by_token, draw, JSON, images(json!({})), told, "0.04045"),
        (by_token, draw, JSON, images(json!({"n": 2})), two, "0.08"),
        (
            by_piece,
            "/v1/audio/transcriptions",
            FORM,
            SOUND.into(),
            r#"{"text":"x","usage":{"type":"duration","seconds":30}}"#,
            "0.003",
        ),
        (by_piece, "/v1/audio/transcriptions", FORM, SOUND.into(), r#"{"text":"x","duration":1.5}"#, "0.00015"),
        (by_piece, "/v1/audio/transcriptions", FORM, SOUND.into(), r#"{"text":"x"}"#, ""),
        (
            by_piece,
            "/v2/rerank",
            JSON,
            rerank.clone(),
            r#"{"results":[],"meta":{"billed_units":{"search_units":3}}}"#,
            "0.006",
        ),
        (by_piece, "/v2/rerank", JSON, rerank, r#"{"results":[]}"#, ""),
        (free, "/v1/moderations", JSON, json!({"model": "chat", "input": "x"}).to_string(), r#"{"results":[]}"#, "0"),
        (by_piece, "/v1/audio/speech", JSON, speak, "{}", "0.000105"),
    ];
    for (setting, path, kind, body, answer, want) in rows {
        let world = World::new(setting).await;
        world.provider.then([Act::Write(reply(200, &[], answer))]);
        let got = world.send("POST", path, kind, body.clone()).await;
        assert_eq!((got.status.as_u16(), got.header("x-spillway-cost-usd")), (200, want), "{path} {body} {got:?}");
        let totals = world.runtime.usage.lines()[0].totals;
        assert_eq!(totals.unpriced, u64::from(want.is_empty()), "{path} {answer}");
    }
}

#[tokio::test]
async fn who_hears_nothing_pays_nothing_and_who_hangs_up_pays_for_the_text() {
    let world = World::new(by_piece).await;
    let body = || json!({"model": "chat", "input": "grüße 👋"}).to_string().into();
    world.provider.then([Act::status(400, &[], "no such voice")]);
    assert_eq!(world.post("/v1/audio/speech", body()).await.status, 400);
    assert_eq!(world.runtime.usage.lines()[0].totals.cost_nanos, 0, "it was refused");
    let sound = "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 9\r\n\r\nID3";
    world.provider.then([Act::WriteAndClose(sound.into())]);
    let got = world.post("/v1/audio/speech", body()).await;
    assert_eq!((got.header("x-spillway-cost-usd"), got.whole), ("0.000105", false));
    assert_eq!(world.runtime.usage.lines()[0].totals.cost_nanos, 105_000, "its provider has read it out");
}

#[tokio::test]
async fn a_strict_budget_pays_for_what_is_known_beforehand_and_refuses_the_rest() {
    let world = |change: Setting| budgets::world("WorstCase", json!("Block"), change);
    let (by_piece, by_token, free) = (world(by_piece).await, world(by_token).await, world(free).await);
    let speak = json!({"model": "chat", "input": "grüße 👋"}).to_string();
    let draw = json!({"model": "chat", "prompt": "x", "n": 2}).to_string();
    let moderate = json!({"model": "chat", "input": "x"}).to_string();
    let rows = [
        (&by_piece, "/v1/audio/speech", JSON, speak, "{}", 200, 105_000),
        (&by_piece, "/v1/images/generations", JSON, draw.clone(), r#"{"data":[1]}"#, 200, 40_105_000),
        (&by_piece, "/v1/audio/transcriptions", FORM, SOUND.to_owned(), "", 400, 40_105_000),
        (&by_token, "/v1/images/generations", JSON, draw, "", 400, 0),
        (&free, "/v1/moderations", JSON, moderate, r#"{"results":[]}"#, 200, 0),
    ];
    for (world, path, kind, body, answer, status, spent) in rows {
        world.grant(PLENTY, PLENTY);
        if status == 200 {
            world.provider.then([Act::Write(reply(200, &[], answer))]);
        }
        let got = world.send("POST", path, kind, body).await;
        assert_eq!((got.status.as_u16(), world.money()), (status, (spent, 0)), "{path} {got:?}");
        assert_eq!(got.code(), if status == 200 { "" } else { "price_unknown" }, "{path}");
    }
}
