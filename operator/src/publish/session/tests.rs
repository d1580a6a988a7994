use std::sync::Arc;

use super::*;
use crate::publish::config::Config;
use crate::publish::samples::{Sample, labels, running, subscribe};

/// A config as one pod sees it.
fn config(sample: Sample) -> (Arc<View>, Arc<Keys>) {
    let config = Config::succeed(None, Arc::new(sample.build()));
    (config.view("shop", &labels("web")), config.keys)
}

/// Lines in short: `+key`, `-key`, and `snapshot`.
fn said(lines: &[Line]) -> String {
    let mut words = Vec::new();
    for line in lines {
        let (Line::Credential(bytes) | Line::Withdrawal(bytes) | Line::Snapshot(bytes)) = line;
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        words.push(match serde_json::from_slice(bytes).unwrap() {
            Down::Credential { credential: Credential { key, value: Some(value), .. } } => format!("+{key}={value}"),
            Down::Credential { credential: Credential { key, value: None, .. } } => format!("-{key}"),
            Down::Snapshot { .. } => "snapshot".to_owned(),
            Down::Trust { .. } | Down::Rights { .. } | Down::Ping => "other".to_owned(),
        });
    }
    words.join(" ")
}

fn one_route() -> Sample {
    Sample::default().route("chat", "openai", None)
}

#[test]
fn a_new_sidecar_gets_its_keys_before_its_snapshot_and_everything_once() {
    let (view, keys) = config(one_route().key("openai", "k").key("unused", "u"));
    let mut session = Session::new(&subscribe("b", None));
    assert_eq!(said(&session.next(&view, &keys)), "+ai/openai=k snapshot");
    assert_eq!(said(&session.next(&view, &keys)), "");
    session.acknowledged(&running(&view.revision));
    assert_eq!(said(&session.next(&view, &keys)), "");
}

#[test]
fn a_sidecar_that_comes_back_with_everything_is_told_nothing() {
    let (view, keys) = config(one_route().key("openai", "k"));
    let mut back = subscribe("b", Some(&view.revision));
    back.credentials.insert("ai/openai".into(), keys["ai/openai"].version.clone());
    back.credentials.insert("ai/old".into(), "v".into());
    let mut session = Session::new(&back);
    assert_eq!(said(&session.next(&view, &keys)), "-ai/old");
}

#[test]
fn one_snapshot_is_unacknowledged_and_the_newest_comes_next() {
    let (first, keys) = config(one_route());
    let (second, _) = config(one_route().changed("chat"));
    let (third, _) = config(one_route().changed("chat").changed("chat"));
    let mut session = Session::new(&subscribe("b", None));
    assert_eq!(said(&session.next(&first, &keys)), "snapshot");
    assert_eq!(said(&session.next(&second, &keys)), "");
    assert_eq!(said(&session.next(&third, &keys)), "");
    assert_eq!(session.awaited(), Some(&first.revision));
    session.acknowledged(&running("something older"));
    assert_eq!(said(&session.next(&third, &keys)), "");
    session.acknowledged(&running(&first.revision));
    let next = session.next(&third, &keys);
    assert_eq!(next, [Line::Snapshot(third.line.clone())]);
}

#[test]
fn a_refused_snapshot_is_not_sent_again_and_its_successor_is() {
    let (good, keys) = config(one_route());
    let (bad, _) = config(one_route().changed("chat"));
    let mut session = Session::new(&subscribe("b", Some(&good.revision)));
    assert_eq!(said(&session.next(&bad, &keys)), "snapshot");
    let refused = Some((bad.revision.clone(), "too new".to_owned()));
    session.acknowledged(&Ack { refused, ..running(&good.revision) });
    assert_eq!(said(&session.next(&bad, &keys)), "");
    assert_eq!(said(&session.next(&good, &keys)), "snapshot", "the config was taken back");
}

#[test]
fn a_rotated_key_is_sent_and_a_deleted_one_withdrawn_even_while_a_snapshot_is_unacknowledged() {
    let (view, keys) = config(one_route().key("openai", "k1"));
    let (_, rotated) = config(one_route().key("openai", "k2"));
    let (_, deleted) = config(one_route());
    let mut session = Session::new(&subscribe("b", None));
    session.next(&view, &keys);
    assert_eq!(said(&session.next(&view, &rotated)), "+ai/openai=k2");
    assert_eq!(said(&session.next(&view, &deleted)), "-ai/openai");
    assert_eq!(said(&session.next(&view, &deleted)), "");
    assert_eq!(said(&session.next(&view, &keys)), "+ai/openai=k1", "the Secret is back");
}

#[test]
fn a_key_that_is_not_needed_any_more_stays_until_the_config_without_it_runs() {
    let both = |sample: Sample| sample.key("openai", "o").key("groq", "g");
    let (before, keys) = config(both(one_route()));
    let (after, _) = config(both(Sample::default().route("chat", "groq", None)));
    let mut session = Session::new(&subscribe("b", None));
    session.next(&before, &keys);
    session.acknowledged(&running(&before.revision));
    assert_eq!(said(&session.next(&after, &keys)), "+ai/groq=g snapshot");
    session.acknowledged(&running(&before.revision));
    assert_eq!(said(&session.next(&after, &keys)), "");
    session.acknowledged(&running(&after.revision));
    assert_eq!(said(&session.next(&after, &keys)), "-ai/openai");
}
