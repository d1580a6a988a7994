//! A provider behind a proxy. Tunnels are tested beside the code that opens them.

use crate::server::fake::{World, chat};

#[tokio::test]
async fn a_proxy_is_told_the_whole_address_of_a_provider_that_is_asked_in_clear() {
    let world = World::new(|config| {
        let provider = &mut config["providers"]["ai/fake"];
        provider["proxy"] = provider["base_url"].as_str().unwrap().trim_end_matches("/v1").into();
        provider["base_url"] = "http://llm.example:8000/v1".into();
    })
    .await;
    for _ in 0..2 {
        assert_eq!(world.chat(&chat()).await.status, 200);
    }
    let seen = world.provider.seen();
    assert!(seen[1].starts_with("POST http://llm.example:8000/v1/chat/completions HTTP/1.1\r\n"), "{}", seen[1]);
    assert!(seen[1].contains("\r\nhost: llm.example:8000\r\n"), "{}", seen[1]);
    assert_eq!(world.provider.connections(), 1, "connections to a proxy are kept as well");
}

#[tokio::test]
async fn another_proxy_is_another_way() {
    let world = World::new(|_| ()).await;
    assert_eq!(world.chat(&chat()).await.status, 200);
    let mut next = (*world.runtime.generation().unwrap().snapshot).clone();
    next.providers.get_mut("ai/fake").unwrap().proxy = Some("http://127.0.0.1:1".to_owned());
    world.runtime.apply(next).unwrap();
    let got = world.chat(&chat()).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (502, "upstream_unreachable"), "{got:?}");
    assert!(got.text.contains("proxy http://127.0.0.1:1 cannot be used"), "{got:?}");
}
