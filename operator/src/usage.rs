//! Intake of reports: checks them, books them in the ledger, and hands them on to the replica that leads.
//!
//! Every replica books what it receives, because booking twice is harmless; only the leader's ledger is complete, stored, and
//! shown in status. A replica that takes over merges the stored ledger with what it has heard itself.

pub mod ledger;
mod store;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use jiff::civil::Date;
use spillway_wire::{Delivery, Report, RestingBackend, SidecarIdentity};
use tokio::sync::watch;

use crate::changes::Changes;
use crate::clock::Clock;
use crate::lease::Leadership;
use crate::pods::{Incarnation, PodIndex};
use crate::relay::Relay;
use ledger::{Ledger, Spend, oldest_reportable};

pub use store::{CONFIG_MAP_NAME, FIELD as LEDGER_FIELD, Store};

/// A sidecar that is alive reports every ten seconds; a source that was not heard of for this long and has no pod, or
/// was replaced by a newer boot, will not be heard of again.
const SILENCE: Duration = Duration::from_secs(5 * 60);
/// Lines one report may have: two days of every backend of a few hundred routes.
const MAX_LINES: usize = 4096;
/// Kubernetes names, model names and boots stay far below.
const MAX_NAME_BYTES: usize = 512;
/// Boots of one pod within [`SILENCE`]. A crash loop with back-off makes about ten.
const MAX_BOOTS: usize = 32;

/// Why a report is not booked.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadReport {
    #[error("the report has {0} usage lines, {MAX_LINES} are accepted")]
    TooManyLines(usize),
    #[error("the report names {0} backends that are left alone, {max} are accepted", max = Report::MAX_BACKENDS)]
    TooManyBackends(usize),
    #[error("a reason in the report has {0} bytes, {max} are accepted", max = RestingBackend::MAX_REASON_BYTES)]
    LongReason(usize),
    #[error("a name in the report has {0} bytes, {MAX_NAME_BYTES} are accepted")]
    LongName(usize),
    #[error("the report names no boot")]
    NoBoot,
    #[error("the report speaks of route {route:?}, but its pod is in namespace {namespace:?}")]
    ForeignRoute { route: String, namespace: String },
    #[error("pod {pod} has started its sidecar more than {MAX_BOOTS} times within minutes")]
    TooManyBoots { pod: String },
}

/// The ledger with everything around it. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    inner: Arc<Inner>,
}

struct Inner {
    books: Mutex<Books>,
    /// The stored ledger has been read, so the sums are complete.
    complete: AtomicBool,
    relay: Relay,
    leadership: watch::Receiver<Leadership>,
    changes: Changes,
    clock: Clock,
}

#[derive(Default)]
struct Books {
    ledger: Ledger,
    /// When every source reported last.
    heard: BTreeMap<Incarnation, Instant>,
    /// Counts changes of the ledger, so that it is stored only when there was one.
    edition: u64,
}

// === impl Intake ===

impl Intake {
    #[must_use]
    pub fn new(relay: Relay, leadership: watch::Receiver<Leadership>, changes: Changes, clock: Clock) -> Self {
        let inner =
            Inner { books: Mutex::default(), complete: AtomicBool::new(false), relay, leadership, changes, clock };
        Self { inner: Arc::new(inner) }
    }

    /// Books what a sidecar reported to this replica, and sees to it that the leader hears of it.
    pub fn receive(&self, delivery: &mut Delivery) -> Result<(), BadReport> {
        self.book(delivery)?;
        self.inner.relay.offer(delivery.clone());
        Ok(())
    }

    /// Books what another replica passed on.
    pub fn receive_relayed(&self, delivery: &mut Delivery) -> Result<(), BadReport> {
        self.book(delivery)
    }

    /// Whether relayed reports are to come here.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        self.inner.leadership.borrow().is_leading()
    }

    /// The leader's ledger is complete once the stored one was read; before that, sums are too small to be shown.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.inner.complete.load(Ordering::Acquire)
    }

    /// Today's and this month's spend by route (`namespace/name`).
    #[must_use]
    pub fn by_route(&self) -> BTreeMap<String, Spend> {
        self.read(Ledger::by_route)
    }

    /// Looks at the ledger, with today's date (UTC).
    pub fn read<T>(&self, look: impl FnOnce(&Ledger, Date) -> T) -> T {
        look(&self.books().ledger, self.inner.clock.today())
    }

    /// Drops what cannot grow any more: the leader folds it into its totals, the others forget it.
    pub fn tidy(&self, pods: &PodIndex) {
        if !pods.is_ready() {
            return;
        }
        let now = self.inner.clock.monotonic();
        let mut books = self.books();
        let Books { ledger, heard, edition } = &mut *books;
        for source in ledger.sources().filter(|source| !heard.contains_key(source)).cloned().collect::<Vec<_>>() {
            heard.insert(source, now);
        }
        let mut newest: HashMap<&str, Instant> = HashMap::new();
        for (source, at) in heard.iter() {
            let newest = newest.entry(&source.uid).or_insert(*at);
            *newest = (*newest).max(*at);
        }
        let is_gone = |source: &Incarnation| {
            let Some(at) = heard.get(source) else { return true };
            let is_replaced = newest.get(source.uid.as_str()).is_some_and(|newest| newest > at);
            now.duration_since(*at) >= SILENCE && (is_replaced || pods.get(&source.uid).is_none())
        };
        let gone: Vec<Incarnation> = heard.keys().filter(|source| is_gone(source)).cloned().collect();
        let (today, unix) = (self.inner.clock.today(), self.inner.clock.unix());
        let changed = if self.is_leading() {
            ledger.tidy(today, unix, is_gone)
        } else {
            ledger.forget(is_gone);
            ledger.tidy(today, unix, |_| false)
        };
        *edition += u64::from(changed);
        for source in &gone {
            heard.remove(source);
        }
        self.inner.relay.retain(|source, _| heard.contains_key(source));
    }

    fn book(&self, delivery: &mut Delivery) -> Result<(), BadReport> {
        check(delivery)?;
        let today = self.inner.clock.today();
        let (first, last) = (oldest_reportable(today), today.saturating_add(jiff::Span::new().days(1)).to_string());
        delivery.report.usage.retain(|line| *first <= *line.key.day && *line.key.day <= *last);
        let source = Incarnation { uid: delivery.from.uid.clone(), boot: delivery.report.boot.clone() };
        let mut books = self.books();
        if !books.heard.contains_key(&source) && books.boots(&source.uid) >= MAX_BOOTS {
            return Err(BadReport::TooManyBoots { pod: delivery.from.pod.clone() });
        }
        books.heard.insert(source, self.inner.clock.monotonic());
        let grew = books.ledger.merge(delivery);
        books.edition += u64::from(grew);
        drop(books);
        if grew {
            self.inner.changes.fleet();
        }
        Ok(())
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.inner.books.lock().expect("nothing panics while holding the books")
    }
}

// === impl Books ===

impl Books {
    fn boots(&self, uid: &str) -> usize {
        let first = Incarnation { uid: uid.to_owned(), boot: String::new() };
        self.heard.range(first..).take_while(|(source, _)| source.uid == uid).count()
    }
}

/// A sidecar is ours, but its pod may not be anyone's friend: a report costs bounded memory and only its own namespace.
fn check(delivery: &Delivery) -> Result<(), BadReport> {
    let Delivery { from: SidecarIdentity { namespace, .. }, report } = delivery;
    if report.boot.is_empty() {
        return Err(BadReport::NoBoot);
    }
    if report.boot.len() > MAX_NAME_BYTES {
        return Err(BadReport::LongName(report.boot.len()));
    }
    if report.usage.len() > MAX_LINES {
        return Err(BadReport::TooManyLines(report.usage.len()));
    }
    if report.backends.len() > Report::MAX_BACKENDS {
        return Err(BadReport::TooManyBackends(report.backends.len()));
    }
    for key in report.usage.iter().map(|line| &line.key) {
        check_names(&[&key.day, &key.backend, &key.provider, &key.model], &key.route, namespace)?;
    }
    for line in &report.backends {
        check_names(&[&line.backend], &line.route, namespace)?;
        if line.reason.len() > RestingBackend::MAX_REASON_BYTES {
            return Err(BadReport::LongReason(line.reason.len()));
        }
    }
    Ok(())
}

fn check_names(names: &[&str], route: &str, namespace: &str) -> Result<(), BadReport> {
    if let Some(long) = names.iter().chain([&route]).map(|name| name.len()).find(|bytes| *bytes > MAX_NAME_BYTES) {
        return Err(BadReport::LongName(long));
    }
    if route.split_once('/').is_none_or(|(of, _)| of != namespace) {
        return Err(BadReport::ForeignRoute { route: route.to_owned(), namespace: namespace.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
