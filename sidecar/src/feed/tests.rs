use std::{collections::BTreeMap, fs, time::Duration};

use spillway_wire::Egress;

use super::*;
use crate::{
    link::fake::{Authority, FakeOperator, Subscribed},
    runtime::Limits,
    telemetry::{Log, Telemetry},
    usage::UsageTable,
};

fn a_runtime() -> Arc<Runtime> {
    let telemetry = Arc::new(Telemetry::new(Log::default(), &"off".parse().unwrap()));
    Runtime::new(Limits::default(), telemetry, Arc::new(UsageTable::default()), 7)
}

/// A snapshot that differs from others by a range; a range that is none makes it unusable.
fn a_snapshot(range: &str) -> Snapshot {
    let egress = Egress { allowed_private_ranges: vec![range.to_owned()] };
    Snapshot { egress, ..Snapshot::default() }.seal()
}

fn a_key(version: &str, value: Option<&str>) -> Credential {
    Credential { key: "ai/openai".into(), version: version.into(), value: value.map(str::to_owned) }
}

fn snapshot_message(snapshot: &Snapshot) -> Down {
    Down::Snapshot { snapshot: Box::new(snapshot.clone()) }
}

fn running(snapshot: &Snapshot) -> Ack {
    Ack { running: Some(snapshot.revision.clone()), ..Ack::default() }
}

/// A sidecar that follows a fake operator.
struct Sidecar {
    operator: FakeOperator,
    runtime: Arc<Runtime>,
    ack: watch::Receiver<Ack>,
    journal: Journal,
    _dir: tempfile::TempDir,
}

impl Sidecar {
    async fn start() -> Self {
        let operator = FakeOperator::start(&Authority::new()).await;
        let runtime = a_runtime();
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(Some(dir.path().to_owned()));
        let intake = Intake::new(Arc::clone(&runtime), journal.clone());
        let ack = intake.ack();
        let feed = OperatorFeed { link: operator.link(), runtime: Arc::clone(&runtime), boot: "boot-1".into() };
        tokio::spawn(Feed::Operator(feed).run(intake));
        Self { operator, runtime, ack, journal, _dir: dir }
    }

    async fn until_ack(&mut self, want: &Ack) {
        let limit = Duration::from_secs(20);
        let in_time = tokio::time::timeout(limit, self.ack.wait_for(|ack| ack == want)).await.is_ok();
        assert!(in_time, "wanted {want:?}, the ack is {:?}", self.ack.borrow());
    }

    async fn with_snapshot(&mut self, snapshot: &Snapshot) -> Subscribed {
        let stream = self.operator.subscribed().await;
        stream.send(&snapshot_message(snapshot));
        self.until_ack(&running(snapshot)).await;
        stream
    }
}

#[tokio::test]
async fn a_snapshot_and_its_key_are_applied_journalled_and_acknowledged() {
    let mut sidecar = Sidecar::start().await;
    let stream = sidecar.operator.subscribed().await;
    assert_eq!(stream.token, "Bearer first-token");
    assert_eq!((stream.words.protocol, stream.words.boot.as_str()), (PROTOCOL, "boot-1"));
    assert_eq!((&stream.words.revision, stream.words.credentials.len()), (&None, 0));
    let snapshot = a_snapshot("10.0.0.0/8");
    stream.send(&Down::Credential { credential: a_key("v1", Some("sk-1")) });
    stream.send(&snapshot_message(&snapshot));
    sidecar.until_ack(&running(&snapshot)).await;
    assert_eq!(sidecar.runtime.credential_versions(), Map::from([("ai/openai".into(), "v1".into())]));
    assert_eq!(sidecar.journal.load::<Snapshot>(Slot::Snapshot), Some(snapshot));
    let keys: Vec<Credential> = sidecar.journal.load(Slot::Credentials).unwrap();
    assert_eq!(keys[0].value.as_deref(), Some("sk-1"));
}

#[tokio::test]
async fn a_stream_that_ends_is_opened_again_with_what_is_held_and_a_fresh_token() {
    let mut sidecar = Sidecar::start().await;
    let snapshot = a_snapshot("10.0.0.0/8");
    let stream = sidecar.operator.subscribed().await;
    stream.send(&Down::Credential { credential: a_key("v1", Some("sk-1")) });
    stream.send(&snapshot_message(&snapshot));
    sidecar.until_ack(&running(&snapshot)).await;
    sidecar.operator.write_token("second-token");
    drop(stream);
    let stream = sidecar.operator.subscribed().await;
    assert_eq!(stream.token, "Bearer second-token");
    assert_eq!(stream.words.revision, Some(snapshot.revision));
    assert_eq!(stream.words.credentials, Map::from([("ai/openai".into(), "v1".into())]));
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_and_the_next_good_one_clears_it() {
    let mut sidecar = Sidecar::start().await;
    let good = a_snapshot("10.0.0.0/8");
    let stream = sidecar.with_snapshot(&good).await;
    let bad = a_snapshot("everywhere");
    stream.send(&snapshot_message(&bad));
    sidecar.ack.wait_for(|ack| ack.refused.is_some()).await.unwrap();
    let ack = sidecar.ack.borrow().clone();
    assert_eq!(ack.running, Some(good.revision.clone()));
    let (revision, reason) = ack.refused.unwrap();
    assert_eq!(revision, bad.revision);
    assert!(reason.contains("everywhere"), "{reason}");
    assert_eq!(sidecar.journal.load::<Snapshot>(Slot::Snapshot), Some(good));
    let next = a_snapshot("172.16.0.0/12");
    stream.send(&snapshot_message(&next));
    sidecar.until_ack(&running(&next)).await;
}

#[tokio::test]
async fn a_snapshot_of_a_newer_operator_is_refused_by_name_and_unknown_kinds_are_skipped() {
    let mut sidecar = Sidecar::start().await;
    let stream = sidecar.operator.subscribed().await;
    stream.send_line(r#"{"type":"rights","rights":{"epoch":3}}"#);
    stream.send_line(r#"{"type":"snapshot","snapshot":{"revision":"r9","routes":{"a/b":{"strategy":"Quantum"}}}}"#);
    sidecar.ack.wait_for(|ack| ack.refused.is_some()).await.unwrap();
    let (revision, reason) = sidecar.ack.borrow().refused.clone().unwrap();
    assert_eq!(revision, "r9");
    assert!(reason.starts_with("not understood: "), "{reason}");
    let snapshot = a_snapshot("10.0.0.0/8");
    stream.send(&snapshot_message(&snapshot));
    sidecar.until_ack(&running(&snapshot)).await;
}

#[tokio::test]
async fn garbage_ends_the_stream_but_not_the_service() {
    let mut sidecar = Sidecar::start().await;
    let snapshot = a_snapshot("10.0.0.0/8");
    let mut stream = sidecar.with_snapshot(&snapshot).await;
    for line in ["not json", "[]", "{\"kind\":\"ping\"}"] {
        stream.send_line(line);
        stream = sidecar.operator.subscribed().await;
        assert_eq!(stream.words.revision.as_ref(), Some(&snapshot.revision), "after {line}");
    }
}

#[tokio::test]
async fn a_new_ca_is_trusted_from_the_next_connection_on() {
    let mut sidecar = Sidecar::start().await;
    let stream = sidecar.with_snapshot(&a_snapshot("10.0.0.0/8")).await;
    let next = Authority::new();
    stream.send(&Down::Trust { ca_pem: "not a certificate".into() });
    stream.send(&Down::Trust { ca_pem: next.pem.clone() });
    let marker = a_snapshot("172.16.0.0/12");
    stream.send(&snapshot_message(&marker));
    sidecar.until_ack(&running(&marker)).await;
    assert_eq!(sidecar.journal.load::<String>(Slot::Trust), Some(next.pem.clone()));
    sidecar.operator.change_authority(&next);
    drop(stream);
    sidecar.operator.subscribed().await;
}

#[tokio::test]
async fn an_operator_with_another_ca_is_told_nothing() {
    let mut operator = FakeOperator::start(&Authority::new()).await;
    operator.source.ca_pem = Authority::new().pem;
    let error = operator.link().post("/v1/subscribe", &"words").await.unwrap_err();
    let text = crate::chain::Chain(&error).to_string();
    assert!(text.contains("certificate"), "{text}");
    assert!(!text.contains("first-token") && !text.contains("127.0.0.1"), "{text}");
    assert!(operator.is_quiet());
}

#[test]
fn a_restart_serves_from_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(Some(dir.path().to_owned()));
    let snapshot = a_snapshot("10.0.0.0/8");
    let mut before = Intake::new(a_runtime(), journal.clone());
    before.restore();
    assert_eq!(*before.ack().borrow(), Ack::default(), "nothing is remembered yet");
    before.take(Down::Credential { credential: a_key("v1", Some("sk-1")) });
    before.take(snapshot_message(&snapshot));

    let mut after = Intake::new(a_runtime(), journal.clone());
    after.restore();
    assert_eq!(*after.ack().borrow(), running(&snapshot));
    assert_eq!(after.subscribe("b").credentials, Map::from([("ai/openai".into(), "v1".into())]));
    assert_eq!(after.runtime.credential_versions().len(), 1);
    after.take(Down::Credential { credential: a_key("", None) });

    let mut later = Intake::new(a_runtime(), journal);
    later.restore();
    assert_eq!(later.runtime.credential_versions(), Map::new(), "a withdrawn key is forgotten for good");
}

#[test]
fn files_are_read_when_they_change_and_bad_ones_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (config, credentials) = (dir.path().join("snapshot.json"), dir.path().join("keys.json"));
    let runtime = a_runtime();
    let mut intake = Intake::new(Arc::clone(&runtime), Journal::open(None));
    let mut feed = FileFeed::new(config.clone(), Some(credentials.clone()));
    let write_keys = |keys: &[(&str, &str)]| {
        let keys: BTreeMap<_, _> = keys.iter().copied().collect();
        fs::write(&credentials, serde_json::to_vec(&keys).unwrap()).unwrap();
    };
    let revision = |intake: &Intake| intake.ack().borrow().running.clone();

    feed.poll(&mut intake);
    assert_eq!(revision(&intake), None, "no files yet");

    write_keys(&[("ai/a", "one"), ("ai/b", "two")]);
    fs::write(&config, "{}").unwrap();
    feed.poll(&mut intake);
    let first = revision(&intake);
    assert_eq!(first, Some(Snapshot::default().seal().revision), "a file without a revision gets one");
    let versions = runtime.credential_versions();
    assert_eq!(versions.len(), 2);

    write_keys(&[("ai/b", "three")]);
    fs::write(&config, "{ half").unwrap();
    feed.poll(&mut intake);
    assert_eq!(revision(&intake), first, "half a file changes nothing");
    let rotated = runtime.credential_versions();
    assert_eq!(rotated.keys().collect::<Vec<_>>(), ["ai/b"]);
    assert_ne!(rotated["ai/b"], versions["ai/b"]);

    fs::write(&config, serde_json::to_vec(&a_snapshot("10.0.0.0/8")).unwrap()).unwrap();
    feed.poll(&mut intake);
    assert_eq!(revision(&intake), Some(a_snapshot("10.0.0.0/8").revision));
}
