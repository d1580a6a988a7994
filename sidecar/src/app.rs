//! Puts the process together, and takes it apart when it is asked to end.
//!
//! Start: bind, serve last-good config from the journal, then look for the feed. End: not ready, no new connections, open
//! streams finish within the drain time, the last report is sent. The data plane is one thread: it waits for networks, and
//! a second one would cost memory in every pod.

mod capacity;
mod listen;

use std::{
    hash::{BuildHasher, RandomState},
    io,
    sync::Arc,
};

use spillway_wire::Ack;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use self::listen::{BindError, Listeners};
use crate::{
    chain::Chain,
    feed::{Feed, FileFeed, Intake, OperatorFeed},
    health,
    journal::{Journal, Slot},
    link::{Link, LinkError},
    pipeline,
    report::{QuotaReporter, Reporter},
    runtime::Runtime,
    server::{self, admin::Admin},
    settings::{OperatorSource, Settings, Source},
    telemetry::{self, Log, Telemetry},
    usage::UsageTable,
};

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("cannot start a thread, a runtime or a signal handler")]
    Io(#[from] io::Error),
    #[error("connection to the operator cannot be set up")]
    Link(#[from] LinkError),
}

/// Runs until a signal ends the process.
pub fn run(settings: Settings) -> Result<(), StartError> {
    let log = Log::default();
    let writer = log.start(io::stdout())?;
    // Only fails if there is one already, which then is as good.
    let _ = tracing::subscriber::set_global_default(telemetry::subscriber(&log, settings.log.clone()));
    protect_memory();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(serve(settings, log));
    // Lookups and connections that are still on their way must not delay the exit.
    runtime.shutdown_background();
    writer.close();
    result
}

/// Provider keys are in this memory: no core dumps of it, and no other process of the pod looks into it.
fn protect_memory() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "memory with provider keys cannot be protected from dumps");
    }
}

async fn serve(settings: Settings, log: Log) -> Result<(), StartError> {
    let mut signals = Signals::new()?;
    let Listeners { data, admin, bound } = listen::bind(settings.data_addr, settings.admin_addr).await?;
    let telemetry = Arc::new(Telemetry::new(log, &settings.log));
    let seed = RandomState::new().hash_one("boot");
    let limits = capacity::limits();
    let runtime = Runtime::in_cloud(settings.cloud, limits, telemetry, Arc::new(UsageTable::default()), seed);
    let boot = format!("{seed:016x}");
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, boot, pod = settings.pod, data = %bound.data, admin = %bound.admin, ?limits, "starting");

    let draining = CancellationToken::new();
    let (intake, feed, reporter) = sources(settings.source, Journal::open(settings.journal_dir), &runtime, boot)?;
    Admin::new(Arc::clone(&runtime), draining.clone()).start(admin)?;
    tokio::spawn(feed.run(intake));
    tokio::spawn(health::run(Arc::clone(&runtime)));
    tokio::spawn(pipeline::give_back(settings.tokenizer_idle));
    let reporting = reporter.as_ref().map(Reports::start);
    let mut serving = JoinSet::new();
    for listener in data {
        serving.spawn(server::serve(listener, Arc::clone(&runtime), draining.clone(), settings.drain));
    }

    let name = signals.next().await;
    tracing::info!(signal = name, in_flight = runtime.in_flight(), limit = ?settings.drain, "draining");
    draining.cancel();
    let finished = async {
        let cut: usize = serving.join_all().await.into_iter().sum();
        if cut > 0 {
            tracing::warn!(connections = cut, "drain time is over, open requests are cut");
        }
        farewell(reporter, reporting).await;
    };
    tokio::select! {
        () = finished => tracing::info!("ended"),
        name = signals.next() => tracing::warn!(signal = name, in_flight = runtime.in_flight(), "second signal, ending now"),
    }
    Ok(())
}

async fn farewell(reports: Option<Reports>, reporting: Option<JoinHandle<()>>) {
    if let Some(reporting) = reporting {
        reporting.abort();
    }
    if let Some(Reports { usage, quota }) = reports {
        tokio::join!(usage.finish(), quota.finish());
    }
}

/// What goes to the operator.
struct Reports {
    usage: Arc<Reporter>,
    quota: Arc<QuotaReporter>,
}

impl Reports {
    fn start(&self) -> JoinHandle<()> {
        let (usage, quota) = (Arc::clone(&self.usage), Arc::clone(&self.quota));
        tokio::spawn(async move { _ = tokio::join!(usage.run(), quota.run()) })
    }
}

type Sources = (Intake, Feed, Option<Reports>);

/// Where config comes from, and where reports go: a file takes none.
fn sources(source: Source, journal: Journal, runtime: &Arc<Runtime>, boot: String) -> Result<Sources, StartError> {
    match source {
        Source::File { config, credentials } => {
            // What the file says is what is meant, so nothing older is served before it is read.
            let intake = Intake::new(Arc::clone(runtime), Journal::open(None));
            runtime.rights.without_operator();
            Ok((intake, Feed::File(FileFeed::new(config, credentials)), None))
        }
        Source::Operator(source) => {
            runtime.rights.restore(journal.quota());
            let mut intake = Intake::new(Arc::clone(runtime), journal.clone());
            intake.restore();
            let link = Arc::new(link(&source, &journal)?);
            let usage = reporter(&link, &boot, journal, runtime, intake.ack());
            let quota = Arc::new(QuotaReporter::new(Arc::clone(&link), Arc::clone(runtime)));
            let feed = OperatorFeed { link, runtime: Arc::clone(runtime), boot };
            Ok((intake, Feed::Operator(feed), Some(Reports { usage, quota })))
        }
    }
}

/// A CA bundle the operator sent to an earlier boot is newer than the one in the pod's manifest.
fn link(source: &OperatorSource, journal: &Journal) -> Result<Link, LinkError> {
    let journalled: Option<String> = journal.load(Slot::Trust);
    if let Some(ca_pem) = journalled {
        match Link::new(source, &ca_pem) {
            Ok(link) => return Ok(link),
            Err(error) => tracing::warn!(error = %Chain(&error), "journalled CA bundle cannot be used"),
        }
    }
    Link::new(source, &source.ca_pem)
}

fn reporter(
    link: &Arc<Link>,
    boot: &str,
    journal: Journal,
    runtime: &Arc<Runtime>,
    ack: watch::Receiver<Ack>,
) -> Arc<Reporter> {
    Arc::new(Reporter::new(Arc::clone(link), boot.to_owned(), journal, Arc::clone(runtime), ack))
}

/// What asks the process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
