//! Active health checks: a GET now and then, only to see whether the provider answers. Every sidecar checks for itself, and
//! not at the same moment as the others.
//!
//! An answer below 500 is a good one, whatever it says: a provider that refuses a key, or wants fewer requests, is there.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::Full;
use spillway_policy::breaker::{Cause, Outcome};
use tokio::task::JoinSet;

use crate::{
    clock,
    runtime::{Check, Provider, Runtime},
};

/// Checks the providers of whatever config is in use, for as long as the process lives.
pub async fn run(runtime: Arc<Runtime>) {
    let mut changes = runtime.changes();
    let mut checking = JoinSet::new();
    loop {
        // The tasks of the config before end here; the health they found out is kept with the provider's state.
        checking.abort_all();
        let generation = changes.borrow_and_update().clone();
        for provider in generation.iter().flat_map(|generation| generation.providers.values()) {
            if let Some(check) = provider.check.clone() {
                checking.spawn(keep_checking(Arc::clone(&runtime), Arc::clone(provider), check));
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

async fn keep_checking(runtime: Arc<Runtime>, provider: Arc<Provider>, check: Check) {
    loop {
        tokio::time::sleep(spread(check.interval, runtime.roll())).await;
        // Without its key it would be told no, and learn nothing.
        if provider.has_key() {
            let is_there = ask(&provider, &check).await;
            tell(&provider, &check, is_there);
        }
    }
}

/// Give or take a tenth: sidecars that started together drift apart.
fn spread(interval: Duration, roll: u64) -> Duration {
    let tenths = u32::try_from(roll % 201).unwrap_or(100);
    interval * (900 + tenths) / 1000
}

async fn ask(provider: &Provider, check: &Check) -> bool {
    let place = provider.upstream.place();
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.method_mut() = Method::GET;
    *request.uri_mut() = place.uri(&check.path);
    let headers = request.headers_mut();
    headers.insert(header::HOST, place.authority().clone());
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("spillway/", env!("CARGO_PKG_VERSION"))));
    for (name, value) in &provider.set {
        headers.insert(name, value.clone());
    }
    if let Some((name, key)) = provider.keys.iter().find_map(|slot| provider.authorization(slot)) {
        headers.insert(name, key);
    }
    let until = clock::now() + provider.first_byte.min(check.interval);
    // The body is not read: what counts is that there is somebody.
    let answer = provider.upstream.send(request, provider.first_byte, until).await;
    answer.is_ok_and(|answer| !answer.status().is_server_error())
}

/// One good check is enough; bad ones count as failed requests do, and keep an unhealthy provider unhealthy.
fn tell(provider: &Provider, check: &Check, is_there: bool) {
    let Some(rule) = &provider.health else { return };
    let (gate, now) = (&provider.state.gate, clock::now());
    if is_there {
        gate.close_if_open(Cause::Checked, now);
    }
    match gate.admit(rule, now) {
        Ok(pass) => pass.end(if is_there { Outcome::Success } else { Outcome::Failure }),
        Err(_) => gate.keep_open(check.interval * 2, now),
    }
}

#[cfg(test)]
mod tests {
    use spillway_policy::breaker::Phase;

    use super::*;
    use crate::server::fake::World;

    #[test]
    fn checks_are_spread_over_a_fifth_of_the_interval() {
        let second = Duration::from_secs(1);
        for roll in [0, 1, 100, 200, 201, u64::MAX] {
            let wait = spread(10 * second, roll);
            assert!((9 * second..=11 * second).contains(&wait), "{roll}: {wait:?}");
        }
    }

    #[tokio::test]
    async fn three_bad_checks_make_a_provider_unhealthy_and_a_good_one_makes_it_healthy_at_once() {
        use crate::server::fake::Act;
        let check = serde_json::json!({"path": "/models", "interval_ms": 5_000});
        let world = World::new(|config| config["providers"]["ai/fake"]["active_health"] = check).await;
        let provider = Arc::clone(&world.runtime.generation().unwrap().providers["ai/fake"]);
        let check = provider.check.clone().unwrap();
        let rows =
            [(503, Phase::Closed), (500, Phase::Closed), (502, Phase::Open), (503, Phase::Open), (401, Phase::Closed)];
        for (status, want) in rows {
            world.provider.then([Act::status(status, &[], "as it is")]);
            tell(&provider, &check, ask(&provider, &check).await);
            assert_eq!(provider.state.gate.view().phase, want, "{status}");
        }
        let seen = &world.provider.seen()[0];
        assert!(seen.starts_with("GET /v1/models HTTP/1.1\r\n"), "{seen}");
        assert!(seen.contains("\r\nauthorization: Bearer sk-canary\r\n"), "{seen}");
    }

    #[tokio::test]
    async fn where_only_checks_are_configured_requests_are_no_judges_and_are_kept_out_all_the_same() {
        use crate::server::fake::{Act, chat};
        let check = serde_json::json!({"path": "/models", "interval_ms": 5_000});
        let world = World::new(|config| config["providers"]["ai/fake"]["active_health"] = check).await;
        let provider = Arc::clone(&world.runtime.generation().unwrap().providers["ai/fake"]);
        for _ in 0..4 {
            world.provider.then([Act::status(503, &[], "no")]);
            assert_eq!(world.chat(&chat()).await.status, 503);
        }
        assert_eq!(provider.state.gate.view().phase, Phase::Closed);
        let check = provider.check.clone().unwrap();
        (0..3).for_each(|_| tell(&provider, &check, false));
        let got = world.chat(&chat()).await;
        assert_eq!((got.status.as_u16(), got.code().as_str()), (503, "all_backends_unavailable"), "{got:?}");
        assert_eq!(world.provider.seen().len(), 4);
        tell(&provider, &check, true);
        assert_eq!(world.chat(&chat()).await.status, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_is_checked_once_an_interval_until_the_config_says_so_no_more() {
        let world = World::new(|config| {
            // Nobody is there.
            config["providers"]["ai/fake"]["base_url"] = "http://127.0.0.1:1/v1".into();
            config["providers"]["ai/fake"]["active_health"] =
                serde_json::json!({"path": "/models", "interval_ms": 10_000});
        })
        .await;
        let gate = Arc::clone(&world.runtime.generation().unwrap().providers["ai/fake"].state.gate);
        let (began, checking) = (clock::now(), tokio::spawn(run(Arc::clone(&world.runtime))));
        let second = Duration::from_secs(1);
        let opened = async {
            while gate.view().phase != Phase::Open {
                tokio::time::sleep(second).await;
            }
        };
        tokio::time::timeout(100 * second, opened).await.unwrap();
        let took = clock::now() - began;
        assert!((27 * second..=41 * second).contains(&took), "three checks, and their timeouts: {took:?}");
        let until = gate.view().until;
        tokio::time::sleep(30 * second).await;
        assert!(gate.view().until > until, "it is still being checked");

        let mut next = (*world.runtime.generation().unwrap().snapshot).clone();
        next.providers.get_mut("ai/fake").unwrap().active_health = None;
        world.runtime.apply(next).unwrap();
        tokio::time::sleep(second).await;
        let until = gate.view().until;
        tokio::time::sleep(60 * second).await;
        assert_eq!(gate.view().until, until);
        checking.abort();
    }
}
