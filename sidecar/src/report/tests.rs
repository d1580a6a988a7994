use http::StatusCode;
use spillway_policy::breaker::{Cause, Outcome};
use spillway_wire::UsageTotals;

use super::{
    resting::tests::{a_snapshot, tell},
    *,
};
use crate::{
    link::fake::{Authority, FakeOperator},
    runtime::{Limits, Who},
    telemetry::{Log, Telemetry},
    usage::{SeriesKey, UsageTable},
};

const SOON: Duration = Duration::from_millis(5);
const NEVER: Duration = Duration::from_secs(3600);

struct Sidecar {
    runtime: Arc<Runtime>,
    ack: watch::Sender<Ack>,
    reporter: Arc<Reporter>,
}

impl Sidecar {
    /// Sends nothing but what a test asks for, unless the test sets another pace.
    fn start(operator: &FakeOperator, journal: &Journal, boot: &str) -> Self {
        Self::with_pace(operator, journal, boot, |_| ())
    }

    fn with_pace(operator: &FakeOperator, journal: &Journal, boot: &str, set: impl FnOnce(&mut Pace)) -> Self {
        let mut pace = Pace { collect: NEVER, heartbeat: NEVER, farewell: NEVER };
        set(&mut pace);
        let telemetry = Arc::new(Telemetry::new(Log::default(), &"off".parse().unwrap()));
        let runtime = Runtime::new(Limits::default(), telemetry, Arc::new(UsageTable::default()), 7);
        let ack = watch::Sender::default();
        let (link, journal) = (operator.link(), journal.clone());
        let reporter = Reporter::new(link, boot.to_owned(), journal, Arc::clone(&runtime), ack.subscribe());
        Self { runtime, ack, reporter: Arc::new(Reporter { pace, ..reporter }) }
    }

    fn run(&self) -> tokio::task::JoinHandle<()> {
        let reporter = Arc::clone(&self.reporter);
        tokio::spawn(async move { reporter.run().await })
    }

    /// One request more.
    fn serve(&self) {
        let text = str::to_owned;
        let (route, backend) = (text("shop/chat"), text("mini"));
        let series =
            self.runtime.usage.series(SeriesKey { route, backend, provider: text("ai/o"), model: text("gpt") });
        let used = UsageTotals { requests: 1, cost_nanos: 5, ..UsageTotals::default() };
        self.runtime.usage.add(&series, clock::today(), used);
    }
}

fn requests(report: &Report) -> u64 {
    report.usage.iter().map(|line| line.totals.requests).sum()
}

fn a_journal() -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(Some(dir.path().to_owned()));
    (dir, journal)
}

#[tokio::test]
async fn every_report_has_everything_and_goes_out_for_one_of_three_reasons() {
    let mut operator = FakeOperator::start(&Authority::new()).await;
    let (_dir, journal) = a_journal();

    let counting = Sidecar::with_pace(&operator, &journal, "counting", |pace| pace.collect = SOON);
    counting.run();
    let first = operator.report(|_| true).await;
    assert_eq!((first.boot.as_str(), first.sequence, first.last), ("counting", 1, false));
    counting.serve();
    counting.serve();
    operator.report(|report| report.boot == "counting" && requests(report) == 2).await;

    let acking = Sidecar::start(&operator, &journal, "acking");
    acking.run();
    operator.report(|report| report.boot == "acking").await;
    acking.ack.send_modify(|ack| ack.running = Some("r1".into()));
    let ack = operator.report(|report| report.boot == "acking").await;
    assert_eq!(ack.ack.running.as_deref(), Some("r1"));

    let idle = Sidecar::with_pace(&operator, &journal, "idle", |pace| pace.heartbeat = SOON);
    idle.run();
    for sequence in 1..4 {
        assert_eq!(operator.report(|report| report.boot == "idle").await.sequence, sequence);
    }
}

#[tokio::test]
async fn a_backend_that_is_left_alone_or_asked_again_is_told_soon() {
    let mut operator = FakeOperator::start(&Authority::new()).await;
    let sidecar = Sidecar::with_pace(&operator, &a_journal().1, "one", |pace| pace.collect = SOON);
    sidecar.runtime.apply(a_snapshot()).unwrap();
    sidecar.run();
    assert_eq!(operator.report(|_| true).await.backends, []);
    let generation = sidecar.runtime.generation().unwrap();
    tell(&generation, Who::Backend, Outcome::Failure);
    let open = operator.report(|report| !report.backends.is_empty()).await;
    assert_eq!((open.backends[0].route.as_str(), open.backends.len()), ("shop/chat", 1));
    let until = open.backends[0].until.unwrap();
    assert!(until.abs_diff(clock::since_epoch().as_secs()) <= 31, "{until}");
    let gates = generation.routes[0].backends[0].every_gate();
    gates.for_each(|(_, gate)| gate.close(Cause::Reset, clock::now()));
    operator.report(|report| report.backends.is_empty()).await;
}

#[test]
fn the_pace_keeps_the_contract() {
    let Pace { collect, heartbeat, farewell } = PACE;
    assert!(collect < Duration::from_secs(1) && heartbeat < Duration::from_secs(10));
    assert!(farewell <= Duration::from_secs(2));
}

#[tokio::test]
async fn nothing_is_lost_while_the_operator_refuses() {
    let mut operator = FakeOperator::start(&Authority::new()).await;
    operator.answer_reports_with(StatusCode::SERVICE_UNAVAILABLE);
    let sidecar = Sidecar::start(&operator, &a_journal().1, "one");
    for tries in 1..=5 {
        sidecar.serve();
        sidecar.reporter.note();
        let error = sidecar.reporter.send_all(&Ack::default(), false).await.unwrap_err();
        assert!(!error.is_final(), "try {tries}: {error}");
    }
    sidecar.run();
    operator.answer_reports_with(StatusCode::NO_CONTENT);
    let report = operator.report(|_| true).await;
    assert_eq!(requests(&report), 5);
    assert!(report.sequence > 5, "each try had a number of its own");
}

#[tokio::test]
async fn a_killed_container_loses_no_totals() {
    let mut operator = FakeOperator::start(&Authority::new()).await;
    let (_dir, journal) = a_journal();
    let first = Sidecar::start(&operator, &journal, "one");
    first.serve();
    first.reporter.note();
    drop(first);

    let second = Sidecar::start(&operator, &journal, "two");
    second.serve();
    second.reporter.note();
    for _ in 0..2 {
        second.reporter.send_all(&Ack::default(), false).await.unwrap();
    }
    let mut told = Vec::new();
    while told.len() < 3 {
        let report = operator.report(|_| true).await;
        told.push((report.boot.clone(), requests(&report), report.last));
    }
    let row = |boot: &str, last| (boot.to_owned(), 1, last);
    assert_eq!(told, [row("two", false), row("one", true), row("two", false)], "the old boot is told once");
}

#[tokio::test]
async fn totals_the_operator_will_never_take_hold_nothing_up() {
    let mut operator = FakeOperator::start(&Authority::new()).await;
    let (_dir, journal) = a_journal();
    let first = Sidecar::start(&operator, &journal, "one");
    first.serve();
    first.reporter.note();
    let second = Sidecar::start(&operator, &journal, "two");
    operator.refuse_boot("one");
    second.reporter.send_all(&Ack::default(), false).await.unwrap();
    assert_eq!(operator.report(|_| true).await.boot, "two");
    assert_eq!(second.reporter.prepare(Outbox::earlier_report), None, "given up");
}

#[tokio::test]
async fn the_last_report_says_so_and_waits_for_nobody() {
    let mut operator = FakeOperator::start(&Authority::new()).await;
    let sidecar = Sidecar::with_pace(&operator, &a_journal().1, "one", |pace| pace.farewell = SOON);
    operator.answer_reports_with(StatusCode::SERVICE_UNAVAILABLE);
    sidecar.serve();
    sidecar.reporter.finish().await;
    operator.answer_reports_with(StatusCode::NO_CONTENT);
    let sidecar = Sidecar::start(&operator, &a_journal().1, "two");
    sidecar.serve();
    sidecar.reporter.finish().await;
    let last = operator.report(|report| report.boot == "two").await;
    assert_eq!((last.last, requests(&last)), (true, 1));
}
