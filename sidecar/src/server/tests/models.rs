//! What an application is told that it may ask for.

use http::Request;
use serde_json::{Value, json};

use crate::server::fake::*;

async fn get(world: &World, path: &str, anthropic: bool) -> Got {
    let mut request = Request::get(path).header("host", "127.0.0.1");
    if anthropic {
        request = request.header("anthropic-version", "2023-06-01");
    }
    exchange(&mut connect(world.addr).await, request.body(http_body_util::Full::default()).unwrap()).await
}

#[tokio::test]
async fn both_kinds_of_sdk_can_list_the_models() {
    let world = World::new(|config| route(config)["models"] = json!(["chat", "gpt-*"])).await;
    let rows = [
        ("/v1/models", false, 200, "/data/0/id", "chat"),
        ("/v1/models", true, 200, "/first_id", "chat"),
        ("/v1/models/gpt-4", false, 200, "/owned_by", "shop/chat"),
        ("/v1/models/gpt-4", true, 200, "/type", "model"),
        ("/v1/models/nobody", false, 404, "/error/code", "model_not_found"),
        ("/v1/models/nobody", true, 404, "/type", "error"),
        ("/v1/models?limit=0", true, 400, "/error/type", "invalid_request_error"),
    ];
    for (path, anthropic, status, pointer, want) in rows {
        let got = get(&world, path, anthropic).await;
        assert_eq!(got.status, status, "{path}");
        assert_eq!(got.json().pointer(pointer).and_then(Value::as_str), Some(want), "{path}: {got:?}");
    }
    assert_eq!(get(&world, "/v1/models", false).await.json()["data"].as_array().map(Vec::len), Some(1), "no globs");
}

#[tokio::test]
async fn an_entry_says_what_spillway_knows_in_both_shapes() {
    let world = World::new(|_| ()).await;
    let abilities = json!({"tools": true, "parallel_tools": true, "vision": true, "json_schema": true});
    let want = json!({
        "context_window": 1_000, "max_output_tokens": 4_096,
        "pricing": {"input_per_million": "1", "output_per_million": "10", "cache_read_per_million": "1",
            "cache_write_per_million": "1"},
        "abilities": abilities,
        "backends": [{"name": "small", "provider": "ai/fake", "type": "OpenAI", "model": "small-1",
            "context_window": 1_000, "max_output_tokens": 4_096, "abilities": abilities,
            "pricing": {"input_per_million": "1", "output_per_million": "10", "cache_read_per_million": "1",
                "cache_write_per_million": "1"}}],
    });
    for (path, anthropic, pointer) in [
        ("/v1/models", false, "/data/0/spillway"),
        ("/v1/models", true, "/data/0/spillway"),
        ("/v1/models/chat", true, "/spillway"),
    ] {
        assert_eq!(get(&world, path, anthropic).await.json().pointer(pointer), Some(&want), "{path} {anthropic}");
    }
}

#[tokio::test]
async fn anthropics_sdk_pages_through_a_long_list() {
    let names: Vec<String> = (0..45).map(|number| format!("m{number:02}")).collect();
    let world = World::new(|config| route(config)["models"] = json!(names)).await;
    let (mut seen, mut path) = (Vec::new(), "/v1/models".to_owned());
    loop {
        let page = get(&world, &path, true).await.json();
        seen.extend(page["data"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()));
        if page["has_more"] == false {
            break;
        }
        path = format!("/v1/models?after_id={}", page["last_id"].as_str().unwrap());
    }
    assert_eq!(seen, names);
    assert_eq!(get(&world, "/v1/models", false).await.json()["data"].as_array().map(Vec::len), Some(45));
}
