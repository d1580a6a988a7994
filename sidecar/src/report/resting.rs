//! Which backends are left alone now, in the words the operator shows.

use std::time::{Duration, Instant};

use spillway_policy::breaker::{Cause, Phase, Trouble};
use spillway_wire::{Report, RestState, RestingBackend};

use crate::runtime::{Backend, Generation, Who};

/// A pause that is over before anybody has read of it is not told: busy providers ask for many.
const SHORT_PAUSE: Duration = Duration::from_secs(5);

/// Backends that are not simply asked, in the order of the config. `wall` is the time since 1970 at `now`.
pub(super) fn resting(generation: &Generation, now: Instant, wall: Duration) -> Vec<RestingBackend> {
    let backends =
        generation.routes.iter().flat_map(|route| route.backends.iter().map(move |backend| (route, backend)));
    let lines = backends.filter_map(|(route, backend)| line(&route.name, backend, now, wall));
    lines.take(Report::MAX_BACKENDS).collect()
}

/// Of several gates on the way, the one that keeps requests away for longest.
fn line(route: &str, backend: &Backend, now: Instant, wall: Duration) -> Option<RestingBackend> {
    let troubles = backend.gates(now).filter_map(|(who, gate)| Some((who, gate, gate.trouble(now)?)));
    let lasting = troubles.filter(|(.., trouble)| !is_short(trouble));
    let (who, gate, Trouble { phase, since, cause, until }) = lasting.max_by_key(|(.., trouble)| trouble.until)?;
    let reason = match who {
        Who::Backend => cause.to_string(),
        Who::Model | Who::Key | Who::Provider => format!("{cause} ({})", gate.name()),
    };
    Some(RestingBackend {
        route: route.to_owned(),
        backend: backend.name.clone(),
        state: if phase == Phase::Open { RestState::Open } else { RestState::HalfOpen },
        reason: cut(reason),
        since: wall.saturating_sub(now.saturating_duration_since(since)).as_secs(),
        // The fleet says when, and prolongs a lease until then.
        until: until
            .filter(|_| !matches!(cause, Cause::Fleet { .. }))
            .map(|until| (wall + until.saturating_duration_since(now)).as_secs()),
    })
}

fn is_short(trouble: &Trouble) -> bool {
    let lasts = trouble.until.map(|until| until.saturating_duration_since(trouble.since));
    trouble.cause == Cause::Paused && lasts.is_some_and(|lasts| lasts < SHORT_PAUSE)
}

fn cut(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(RestingBackend::MAX_REASON_BYTES));
    reason
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use spillway_policy::breaker::{
        Outcome, Rule,
        fleet::{Say, Verdict},
    };
    use spillway_wire::Snapshot;

    use super::*;
    use crate::{
        clock,
        runtime::{Limits, Runtime},
        telemetry::{Log, Telemetry},
        usage::UsageTable,
    };

    const SECOND: Duration = Duration::from_secs(1);
    const WALL: Duration = Duration::from_millis(1_000_500);
    const RULE: Rule = Rule {
        failure_threshold: 1,
        failure_ratio_ppm: 1_000_000,
        min_requests: 9,
        window: SECOND,
        success_threshold: 1,
        open_for: Duration::from_secs(30),
    };

    /// Routes `shop/chat` and `shop/mail` with the one backend `mini`, of one model of one provider.
    pub(in crate::report) fn a_snapshot() -> Snapshot {
        let backend = json!({"name": "mini", "provider": "ai/openai", "role": "Primary", "model": {"name": "gpt",
            "tokenizer": "Estimate", "tools": true, "parallel_tools": true, "vision": true, "json_schema": true}});
        let route = |name: &str| {
            json!({
                "namespace": "shop", "name": name, "models": [name], "backends": [backend],
                "context_window": {"on_exceeded": "Reject", "reserve_output_tokens": 1,
                    "truncate": {"keep_system": true, "keep_last": 1}},
                "retries": {"attempts": 0, "on": [], "backoff_base_ms": 1, "backoff_max_ms": 1, "honour_retry_after_ms": 1},
                "request": {"unsupported": "Drop", "max_body_bytes": 1, "timeout_ms": 1},
                "streaming": {"first_token_timeout_ms": 1, "idle_timeout_ms": 1},
            })
        };
        let snapshot = json!({
            "revision": "r1",
            "providers": {"ai/openai": {
                "kind": "OpenAI", "dialect": "OpenAi", "base_url": "https://api.openai.com/v1", "auth": "Bearer",
                "credential": "ai/openai", "passive_health": {"failures": 3, "recover_after_ms": 1000},
                "timeouts": {"connect_ms": 1, "first_byte_ms": 1, "idle_ms": 1, "total_ms": 1},
            }},
            "routes": {"shop/chat": route("chat"), "shop/mail": route("mail")},
            "egress": {"allowed_private_ranges": []},
        });
        serde_json::from_value(snapshot).unwrap()
    }

    pub(in crate::report) fn a_generation() -> Arc<Generation> {
        let telemetry = Arc::new(Telemetry::new(Log::default(), &"off".parse().unwrap()));
        let runtime = Runtime::new(Limits::default(), telemetry, Arc::new(UsageTable::default()), 7);
        runtime.apply(a_snapshot()).unwrap();
        runtime.generation().unwrap()
    }

    /// What a gate on the way of `shop/chat` is told.
    pub(in crate::report) fn tell(generation: &Generation, who: Who, outcome: Outcome) {
        let (_, gate) = generation.routes[0].backends[0].every_gate().find(|(gate, _)| *gate == who).unwrap();
        gate.admit(&RULE, clock::now()).unwrap().end(outcome);
    }

    fn told(generation: &Generation) -> Vec<String> {
        let lines = resting(generation, clock::now(), WALL);
        let line = |line: RestingBackend| {
            let RestingBackend { route, backend, state, reason, since, until } = line;
            format!(
                "{route} {backend} {state:?} {since}-{}: {reason}",
                until.map_or(String::new(), |at| at.to_string())
            )
        };
        lines.into_iter().map(line).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_backend_says_who_keeps_requests_away_and_what_is_shared_is_said_by_all_who_share_it() {
        let pause = |seconds| Outcome::Pause(SECOND * seconds);
        let rows = [
            (Who::Backend, Outcome::Success, vec![]),
            (Who::Backend, Outcome::Failure, vec!["shop/chat mini Open 1000-1030: a failure"]),
            (
                Who::Model,
                pause(20),
                vec![
                    "shop/chat mini Open 1000-1020: the provider asked for a pause (model gpt of provider ai/openai)",
                    "shop/mail mini Open 1000-1020: the provider asked for a pause (model gpt of provider ai/openai)",
                ],
            ),
            (Who::Model, pause(4), vec![]),
            (
                Who::Key,
                Outcome::Failure,
                vec![
                    "shop/chat mini Open 1000-1030: a failure (key ai/openai)",
                    "shop/mail mini Open 1000-1030: a failure (key ai/openai)",
                ],
            ),
            (
                Who::Provider,
                Outcome::Failure,
                vec![
                    "shop/chat mini Open 1000-1030: a failure (provider ai/openai)",
                    "shop/mail mini Open 1000-1030: a failure (provider ai/openai)",
                ],
            ),
        ];
        for (who, outcome, want) in rows {
            let generation = a_generation();
            tell(&generation, who, outcome);
            assert_eq!(told(&generation), want, "{who:?} {outcome:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_fleet_has_opened_has_no_end_of_its_own() {
        let generation = a_generation();
        let gate = generation.routes[0].backends[0].state.gate.clone();
        let (say, lease) = (Say::StayOut, SECOND * 6);
        for second in 0..3 {
            gate.obey(&Verdict { turn: 1, say, lease, failed: 5, of: 7 }, clock::now());
            let want = format!("shop/chat mini Open {}-: fleet-wide, 5 of 7 attempts failed", 1000 - 2 * second);
            assert_eq!(told(&generation), [want]);
            tokio::time::advance(SECOND * 2).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_gates_the_one_that_opens_last_is_told() {
        let generation = a_generation();
        tell(&generation, Who::Backend, Outcome::Failure);
        tell(&generation, Who::Model, Outcome::Pause(SECOND * 40));
        let model = "the provider asked for a pause (model gpt of provider ai/openai)";
        assert_eq!(told(&generation)[0], format!("shop/chat mini Open 1000-1040: {model}"));
        tokio::time::advance(SECOND * 35).await;
        assert_eq!(told(&generation)[0], format!("shop/chat mini Open 965-1005: {model}"));
        tokio::time::advance(SECOND * 5).await;
        assert_eq!(
            told(&generation),
            ["shop/chat mini HalfOpen 960-: a failure"],
            "the pause is over, and needs no probe"
        );
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let cut = cut("é".repeat(RestingBackend::MAX_REASON_BYTES));
        assert_eq!(cut.len(), RestingBackend::MAX_REASON_BYTES);
    }
}
