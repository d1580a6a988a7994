//! A sidecar: requests in, reports up, rights down, and a journal that outlives the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use spillway_policy::quota::Entry;
use spillway_wire::{AccountName, Counts, RateName, RateOf, Rights};
use tokio::time::{Instant, sleep, timeout};
use turmoil::net::TcpStream;

use super::faults::Dice;
use super::observer::Observer;
use super::replica::{Hello, PORT};
use super::{DEAREST, PAUSE, REPLICAS, lines, name};
use crate::pods::PodEntry;
use crate::quota::tests::sidecar::Sidecar;

const REPORT_EVERY: Duration = Duration::from_secs(2);
/// Less often than the real one: what is short asks all the time, and time is simulated at a price.
const URGENT: Duration = Duration::from_millis(200);
const CONNECT: Duration = Duration::from_secs(2);
/// As the real one: an operator that says nothing for so long is asked for elsewhere.
const SILENCE: Duration = Duration::from_secs(8);
const SLOWEST_MS: u64 = 3_000;

/// What outlives the process.
#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    lives: u32,
    entries: BTreeMap<String, Entry>,
}

pub(super) fn pod(index: usize) -> PodEntry {
    crate::quota::tests::pod(&name(index))
}

impl Disk {
    fn keep(&self, entries: Vec<Entry>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            let key = match entry {
                Entry::Epoch(_) => "epoch".to_owned(),
                Entry::Balance(balance) => format!("{:?}", balance.account),
                Entry::Floor(share) => format!("{:?}", share.rate),
            };
            kept.entries.insert(key, entry);
        }
    }

    fn start(&self) -> (u32, Vec<Entry>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.lives += 1;
        (kept.lives, kept.entries.values().copied().collect())
    }
}

struct Member {
    sidecar: Sidecar,
    disk: Disk,
    observer: Observer,
    account: AccountName,
    limit: RateName,
    /// The clock of its process begins anywhere.
    began: Instant,
    offset: u64,
}

impl Member {
    fn now(&self) -> u64 {
        self.offset + u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// One request under the limit.
    fn pass(member: &Arc<Mutex<Self>>) {
        let mut this = member.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, limit) = (this.now(), this.limit.clone());
        if this.sidecar.takes(now, &limit, 1) {
            this.observer.passed();
        }
    }

    /// One request that may cost so much and costs less. What it sets aside is written down before it goes upstream.
    fn ask(member: &Arc<Mutex<Self>>, dice: &mut Dice) {
        let mut this = member.lock().unwrap_or_else(PoisonError::into_inner);
        let amount = 1 + dice.below(DEAREST);
        let (now, account) = (this.now(), this.account.clone());
        let admitted = this.sidecar.admit(now, &account, amount);
        let written = this.sidecar.written();
        this.disk.keep(written);
        let Ok(hold) = admitted else {
            this.observer.refused();
            return;
        };
        this.observer.admitted(amount);
        let (cost, takes) = (dice.below(amount + 1), Duration::from_millis(dice.below(SLOWEST_MS)));
        let member = Arc::clone(member);
        tokio::spawn(async move {
            sleep(takes).await;
            let mut this = member.lock().unwrap_or_else(PoisonError::into_inner);
            let now = this.now();
            this.sidecar.settle(now, hold, cost);
            let written = this.sidecar.written();
            this.disk.keep(written);
            this.observer.settled(amount - cost);
        });
    }
}

/// One life of a sidecar.
pub(super) async fn run(index: usize, disk: Disk, observer: Observer) -> turmoil::Result {
    let (life, entries) = disk.start();
    let mut dice = Dice::new(observer.seed().wrapping_mul(31) ^ (index as u64) << 8 ^ u64::from(life));
    let account = AccountName { budget: "shop/x".into(), value: None, period: 0 };
    let of = RateOf::Limit { route: "shop/chat".into(), limit: "team".into() };
    let limit = RateName { of, counts: Counts::Requests, value: None };
    let mut sidecar = Sidecar::new(&name(index), "journal");
    let offset = dice.below(1_000_000_000_000);
    sidecar.recover(offset, life, (&account, &limit), entries);
    let began = Instant::now();
    let member = Member { sidecar, disk, observer, account, limit, began, offset };
    let member = Arc::new(Mutex::new(member));
    tokio::spawn(connect(Arc::clone(&member), dice.clone()));
    // A few ask for most of it.
    let pause = PAUSE.mul_f64(f64::from(u32::try_from(index).unwrap_or(0) + 1) / 5.6);
    loop {
        sleep(pause.mul_f64(dice.below(2_000) as f64 / 1_000.0)).await;
        Member::ask(&member, &mut dice);
        Member::pass(&member);
    }
}

/// Talks to one replica after the other.
async fn connect(member: Arc<Mutex<Member>>, mut dice: Dice) {
    loop {
        let replica = REPLICAS[usize::try_from(dice.below(3)).unwrap_or(0)];
        if let Ok(Ok(stream)) = timeout(CONNECT, TcpStream::connect((replica, PORT))).await {
            talk(&member, stream).await;
        }
        sleep(Duration::from_millis(100 + dice.below(400))).await;
    }
}

async fn talk(member: &Arc<Mutex<Member>>, stream: TcpStream) {
    let lock = || member.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut reader, mut writer) = lines::split(stream);
    let uid = lock().sidecar.from.uid.clone();
    if writer.send(&Hello::Member { uid }).await.is_err() {
        return;
    }
    let (mut heard, mut reported) = (Instant::now(), None::<Instant>);
    loop {
        let due = reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY) || lock().sidecar.holder.is_urgent();
        if due {
            let report = {
                let mut this = lock();
                let now = this.now();
                this.sidecar.report(now)
            };
            reported = Some(Instant::now());
            if writer.send(&report).await.is_err() {
                return;
            }
        }
        tokio::select! {
            rights = reader.next::<Rights>() => {
                let Some(rights) = rights else { return };
                heard = Instant::now();
                let mut this = lock();
                let now = this.now();
                this.sidecar.take(now, &rights);
                let written = this.sidecar.written();
                this.disk.keep(written);
            }
            () = sleep(URGENT) => if heard.elapsed() >= SILENCE { return },
        }
    }
}
