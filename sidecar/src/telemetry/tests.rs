use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::Value;
use spillway_policy::{Class, NanoUsd, Usage};
use spillway_providers::Api;

use super::*;
use crate::{clock, record::Outcome};

fn a_record<'a>() -> RequestRecord<'a> {
    RequestRecord {
        id: "req-1",
        api: Api::ChatCompletions,
        stream: true,
        outcome: Outcome::Answered,
        status: 200,
        error: None,
        class: None,
        route: Some("shop/chat"),
        backend: Some("mini"),
        provider: Some("ai/openai"),
        provider_kind: Some("OpenAI"),
        model: Some("gpt-4o-mini"),
        attempts: 2,
        fallback_reason: Some("Timeout"),
        usage: Some(Usage { input: 100, output: 20, ..Usage::default() }),
        usage_estimated: false,
        cost: Some(NanoUsd(27_000)),
        short: false,
        wasted: NanoUsd(0),
        hedged: false,
        truncated_messages: 0,
        dropped: Some("seed,top_k"),
        lowered_limit: None,
        summary: None,
        summary_cost: NanoUsd(0),
        skipped_events: 0,
        schema: None,
        duration: Duration::from_millis(1500),
        overhead: Duration::from_micros(60),
        first_token: Some(Duration::from_millis(200)),
        queued: None,
        limit: None,
        budget: None,
    }
}

fn telemetry() -> Telemetry {
    Telemetry::new(Log::default(), &"info".parse().unwrap())
}

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|had| had == line), "no line {line:?} in\n{text}");
}

/// Everything logged by `act`, as JSON.
fn lines(log: &Log, act: impl FnOnce()) -> Vec<Value> {
    struct Pipe(mpsc::Sender<Vec<u8>>);
    impl std::io::Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.send(bytes.to_vec()).map(|()| bytes.len()).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (sender, receiver) = mpsc::channel();
    let writer = log.start(Pipe(sender)).unwrap();
    act();
    writer.close();
    let bytes: Vec<u8> = receiver.iter().flatten().collect();
    let text = String::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn a_request_is_counted_under_its_configured_names() {
    let telemetry = telemetry();
    telemetry.request(&a_record());
    telemetry.metrics.attempt("shop/chat", "ai/openai", Some(Class::Timeout), Duration::from_secs(1));
    telemetry.metrics.attempt("shop/chat", "ai/openai", None, Duration::from_secs(1));
    let text = telemetry.render();
    let place = r#"backend="mini",model="gpt-4o-mini""#;
    let gen_ai = r#"gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="gpt-4o-mini""#;
    for line in [
        format!(
            r#"spillway_sidecar_requests_total{{{place},operation="chat",outcome="answered",provider="ai/openai",route="shop/chat"}} 1"#
        ),
        format!(r#"spillway_sidecar_cost_nano_dollars_total{{{place},provider="ai/openai",route="shop/chat"}} 27000"#),
        r#"spillway_sidecar_attempts_total{outcome="Timeout",provider="ai/openai",route="shop/chat"} 1"#.to_owned(),
        r#"spillway_sidecar_attempts_total{outcome="ok",provider="ai/openai",route="shop/chat"} 1"#.to_owned(),
        r#"spillway_sidecar_fallbacks_total{reason="Timeout",route="shop/chat"} 1"#.to_owned(),
        format!(r#"gen_ai_client_token_usage_sum{{{gen_ai},gen_ai_token_type="input"}} 100"#),
        format!(r#"gen_ai_client_token_usage_sum{{{gen_ai},gen_ai_token_type="output"}} 20"#),
        format!(r#"gen_ai_client_operation_duration_seconds_sum{{error_type="",{gen_ai}}} 1.5"#),
        format!("gen_ai_client_operation_time_to_first_chunk_seconds_count{{{gen_ai}}} 1"),
        "spillway_sidecar_overhead_seconds_count 1".to_owned(),
    ] {
        has(&text, &line);
    }
}

#[test]
fn names_nobody_configured_are_other_and_series_are_bounded() {
    let telemetry = telemetry();
    let unknown = RequestRecord {
        route: None,
        backend: None,
        provider: None,
        provider_kind: None,
        model: None,
        outcome: Outcome::Failed,
        error: Some("model_not_found"),
        usage: None,
        ..a_record()
    };
    telemetry.request(&unknown);
    has(
        &telemetry.render(),
        r#"spillway_sidecar_requests_total{backend="other",model="other",operation="chat",outcome="failed",provider="other",route="other"} 1"#,
    );
    for number in 0..2000 {
        telemetry.request(&RequestRecord { backend: Some(&format!("backend-{number}")), ..a_record() });
    }
    let series = telemetry.render().lines().filter(|line| line.starts_with("spillway_sidecar_cost")).count();
    assert!(series <= 1025, "{series}");
}

#[test]
fn a_price_nobody_knows_is_not_a_cost_of_zero() {
    let telemetry = telemetry();
    telemetry.request(&RequestRecord { cost: None, ..a_record() });
    let place = r#"backend="mini",model="gpt-4o-mini",provider="ai/openai",route="shop/chat""#;
    has(&telemetry.render(), &format!("spillway_sidecar_unpriced_requests_total{{{place}}} 1"));
}

#[tokio::test(start_paused = true)]
async fn config_age_grows_until_the_source_is_heard_again() {
    let telemetry = telemetry();
    assert!(!telemetry.render().contains("config_info{"), "no config yet");
    telemetry.metrics.config(Some("abc"), clock::now());
    tokio::time::advance(Duration::from_secs(90)).await;
    has(&telemetry.render(), "spillway_sidecar_config_age_seconds 90");
    telemetry.metrics.config(Some("def"), clock::now());
    let text = telemetry.render();
    has(&text, "spillway_sidecar_config_age_seconds 0");
    has(&text, r#"spillway_sidecar_config_info{revision="def"} 1"#);
    assert!(!text.contains("abc"), "{text}");
}

#[test]
fn an_open_stream_is_counted_until_it_is_dropped() {
    let telemetry = telemetry();
    let stream = telemetry.metrics.open_stream();
    has(&telemetry.render(), "spillway_sidecar_streams_open 1");
    drop(stream);
    has(&telemetry.render(), "spillway_sidecar_streams_open 0");
}

#[test]
fn the_access_log_has_decisions_and_no_gaps_are_written() {
    let log = Log::default();
    let telemetry = Telemetry::new(log.clone(), &"info".parse().unwrap());
    let lines = lines(&log, || telemetry.request(&a_record()));
    let line = &lines[0];
    let rows = [
        ("request_id", "\"req-1\""),
        ("route", "\"shop/chat\""),
        ("outcome", "\"answered\""),
        ("fallback_reason", "\"Timeout\""),
        ("tokens", r#"{"input":100,"output":20,"cache_read":0,"cache_write":0}"#),
        ("cost_nanos", "27000"),
        ("overhead_us", "60"),
        ("first_token_us", "200000"),
        ("error", "null"),
        ("truncated_messages", "null"),
        ("dropped", "\"seed,top_k\""),
    ];
    for (field, want) in rows {
        assert_eq!(line[field].to_string(), want, "{field}");
    }
    assert!(line["timestamp"].as_str().is_some_and(|time| time.len() == "2026-11-21T00:00:00.000000Z".len()), "{line}");
}

#[test]
fn the_access_log_is_written_at_level_info_only() {
    for (levels, want) in [("info", 1), ("debug", 1), ("warn", 0), ("off", 0), ("warn,spillway=info", 1)] {
        let log = Log::default();
        let telemetry = Telemetry::new(log.clone(), &levels.parse().unwrap());
        assert_eq!(lines(&log, || telemetry.request(&a_record())).len(), want, "{levels}");
    }
}

#[test]
fn a_warning_that_repeats_is_written_once_per_configured_name() {
    let log = Log::default();
    let logged = lines(&log, || {
        tracing::subscriber::with_default(subscriber(&log, "info".parse().unwrap()), || {
            for attempt in 0..5 {
                tracing::info!(attempt, "an information");
                for provider in ["ai/one", "ai/two"] {
                    tracing::warn!(provider, request_id = attempt, "provider cannot be reached");
                }
            }
            tracing::debug!("nobody asked");
        });
    });
    let of_level = |level: &str| logged.iter().filter(|line| line["level"] == level).count();
    assert_eq!((of_level("INFO"), of_level("WARN"), of_level("DEBUG")), (5, 2, 0), "{logged:?}");
    assert_eq!(logged[1]["provider"], "ai/one");
}

/// The registry may be asked from another thread while requests are counted.
#[test]
fn telemetry_is_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&telemetry());
    let _: Instant = clock::now();
}
