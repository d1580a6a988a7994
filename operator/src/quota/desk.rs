//! What the leader does: reports in, rights and writes out. Pure: time and pods are arguments.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use spillway_policy::quota::{Account, Allocator, Epoch, Ledger, Nanos, Statement, Token, Write};
use spillway_wire::{AccountName, QuotaDelivery, QuotaReport, RateName, Rights, SidecarIdentity};

use super::accounts::{Accounts, Named};
use super::breakers::Breakers;
use super::ledger::{Stored, encode};
use super::names::{Source, Subject, pod};
use super::plan::Plan;
use super::rates::Rates;
use super::standing::Standing;
use super::translate::{self, Numbers};
use super::{Unopened, store};
use crate::pods::{PodEntry, PodIndex};

/// A sidecar reports every two seconds. Another journal of its pod, silent for this long, will not be heard of again.
const REPLACED_AFTER: Nanos = 60 * SECOND;
/// A report may be on its way through another replica while its pod goes away.
const GONE_AFTER: Nanos = 10 * SECOND;
/// How long reports of a retired source are refused: twice the life of a sidecar's token.
const TOMBSTONE_SECONDS: i64 = 2 * 3600;
const SECOND: Nanos = 1_000_000_000;

/// Both clocks: what durations are counted by, and what periods are.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub now: Nanos,
    /// Seconds since 1970.
    pub unix: i64,
}

/// The leader's desk.
pub(super) struct Desk {
    pub(super) allocator: Allocator<Source>,
    pub(super) accounts: Accounts,
    clients: BTreeMap<Source, Client>,
    retired: BTreeMap<Source, i64>,
    rates: Rates,
    breakers: Breakers,
    /// Sources of the stored ledger: they may share in rates.
    registered: BTreeSet<Source>,
    plan: Plan,
}

/// A source of totals that may still be heard of.
struct Client {
    /// None: it is in the stored ledger and has not been heard by this leader.
    who: Option<Who>,
    heard: Nanos,
    crowded: Crowded,
}

/// What it spoke of last that there is no room for.
#[derive(Default)]
struct Crowded {
    accounts: Vec<AccountName>,
    rates: Vec<RateName>,
}

struct Who {
    from: SidecarIdentity,
    journal: String,
    /// Its last report came through another replica.
    relayed: bool,
}

/// What there is to do.
#[derive(Debug)]
pub(super) struct Turn {
    pub rights: Vec<Post>,
    pub write: Option<Write<Source>>,
}

/// Rights for one pod.
#[derive(Debug)]
pub(super) struct Post {
    pub uid: String,
    pub rights: Rights,
    /// Its report came through another replica, so its stream may end there.
    pub relayed: bool,
}

// === impl Desk ===

impl Desk {
    pub(super) fn take_over(name: Arc<str>, stored: Stored, token: Token, plan: Plan, at: At) -> Self {
        let Stored { ledger, names, retired, gone } = stored;
        let client = |source: &Source| (*source, Client::new(at.now));
        let mut this = Self {
            allocator: Allocator::take_over(name, &ledger, token),
            accounts: Accounts::restore(names, gone),
            clients: ledger.sources.iter().map(client).collect(),
            retired,
            rates: Rates::default(),
            breakers: Breakers::new(ledger.epoch, at.now),
            registered: ledger.sources.clone(),
            plan: Plan::default(),
        };
        this.make_room(store::ROOM_AT_FIRST);
        this.follow(plan);
        this
    }

    /// Takes another config.
    pub(super) fn follow(&mut self, plan: Plan) {
        self.accounts.follow(self.plan.budgets(), plan.budgets(), &mut self.allocator);
        self.rates.follow(&plan, &mut self.allocator);
        self.breakers.follow(&plan);
        self.plan = plan;
    }

    /// Takes a report. True: somebody waits for what it brings about.
    pub(super) fn hear(&mut self, at: At, delivery: &QuotaDelivery, relayed: bool) -> bool {
        let QuotaDelivery { from, report } = delivery;
        let source = Source::new(&from.uid, &report.journal);
        if self.allocator.retired(&source) {
            return false;
        }
        for said in &report.said {
            if let Ok(rate) = self.rates.find((&self.plan, &mut self.allocator), from, &said.rate) {
                self.rates.hear(at.now, rate, source, said);
            }
        }
        let (numbers, crowded) = self.numbers(from, report, at.unix);
        let client = self.clients.entry(source).or_insert_with(|| Client::new(at.now));
        (client.heard, client.crowded) = (at.now, crowded);
        let new = client.who.is_none();
        client.who = Some(Who { from: from.clone(), journal: report.journal.clone(), relayed });
        let urgent = self.breakers.hear(&self.plan, at.now, source, report) || new;
        let report = translate::report(report, &numbers);
        let urgent = urgent || translate::is_short(&report);
        self.allocator.report(at.now, &source, &report);
        urgent
    }

    /// Of all that a report names: opened where that is new, and what there is no room for.
    fn numbers(&mut self, from: &SidecarIdentity, report: &QuotaReport, unix: i64) -> (Numbers, Crowded) {
        let Self { accounts, rates, allocator, plan, .. } = self;
        let (mut numbers, mut crowded) = (Numbers::default(), Crowded::default());
        for name in report.accounts.iter().map(|line| &line.account) {
            let found = accounts.find((plan.budgets(), allocator), from, name, unix);
            crowded.accounts.extend((found == Err(Unopened::Crowded)).then(|| name.clone()));
            numbers.accounts.push(found.ok());
        }
        let mut rate = |name: &RateName| {
            let found = rates.find((&*plan, &mut *allocator), from, name);
            crowded.rates.extend((found == Err(Unopened::Crowded)).then(|| name.clone()));
            found.ok()
        };
        numbers.flows = report.flows.iter().map(|line| rate(&line.rate)).collect();
        numbers.asks = report.asks.iter().map(|line| rate(&line.rate)).collect();
        (numbers, crowded)
    }

    /// What to send and what to store now. `until`: nobody else leads before; None: nobody else ever does.
    pub(super) fn turn(&mut self, now: Nanos, until: Option<Nanos>) -> Turn {
        let until = until.unwrap_or(Nanos::MAX);
        // A tenure that is over takes nothing away from what is lent already, and money does not ask for one.
        if until > now {
            self.allocator.lead(now, until);
        }
        self.rates.correct(now, &mut self.allocator);
        let output = self.allocator.turn(now);
        let mut verdicts = self.breakers.turn(now);
        let mut posts = Vec::with_capacity(output.rights.len());
        for (source, rights) in output.rights {
            let Some(Client { who: Some(who), crowded, .. }) = self.clients.get_mut(&source) else { continue };
            let account = |account| Some(self.accounts.get(account)?.name.clone());
            let rights = translate::rights(&rights, &who.journal, account, |rate| self.rates.name(rate).cloned());
            let breakers = verdicts.remove(&source).unwrap_or_default();
            let Crowded { accounts, rates } = std::mem::take(crowded);
            posts.push(who.post(Rights { breakers, crowded_accounts: accounts, crowded_rates: rates, ..rights }));
        }
        // Whoever is not owed an answer now is told of breakers all the same.
        if let Some(Epoch(epoch)) = self.allocator.epoch() {
            for (source, breakers) in verdicts {
                let Some(who) = self.who(&source) else { continue };
                posts.push(who.post(Rights { journal: who.journal.clone(), epoch, breakers, ..Rights::default() }));
            }
        }
        Turn { rights: posts, write: output.write }
    }

    fn who(&self, source: &Source) -> Option<&Who> {
        self.clients.get(source)?.who.as_ref()
    }

    /// Lets go of what is over: pods, periods, tombstones.
    pub(super) fn tidy(&mut self, at: At, pods: &PodIndex) {
        self.accounts.turn_over(self.plan.budgets(), &mut self.allocator, at.unix);
        self.breakers.forget(at.now);
        self.rates.forget(&self.allocator.forget_rates(at.now));
        if !pods.is_ready() {
            return;
        }
        for source in self.gone(at.now, pods) {
            if let Some(Client { who: Some(who), .. }) = self.clients.remove(&source) {
                let spent = self.allocator.spent_by(&source);
                spent.for_each(|(account, spent)| self.accounts.bury(account, &who.from.workload, spent));
            }
            self.allocator.retire(&source);
            self.rates.gone(source);
            self.registered.remove(&source);
            self.retired.insert(source, at.unix);
        }
        let over = self.retired.extract_if(.., |_, retired| at.unix - *retired >= TOMBSTONE_SECONDS);
        over.for_each(|(source, _)| self.allocator.forget(&source));
        self.join(pods);
    }

    /// Lets every registered source share in the rates of its pod. None is handed out before the pods are known: whoever may
    /// have a part of it has to be counted.
    fn join(&mut self, pods: &PodIndex) {
        let by_number: HashMap<u64, &Arc<PodEntry>> = pods.iter().map(|entry| (pod(&entry.uid), entry)).collect();
        for source in &self.registered {
            if let Some(entry) = by_number.get(&source.pod) {
                self.rates.join(&self.plan, &mut self.allocator, *source, entry);
            }
        }
    }

    fn gone(&self, now: Nanos, pods: &PodIndex) -> Vec<Source> {
        let alive: HashSet<u64> = pods.iter().map(|entry| pod(&entry.uid)).collect();
        let mut newest: HashMap<u64, Nanos> = HashMap::new();
        for (source, client) in self.clients.iter().filter(|(_, client)| client.who.is_some()) {
            let newest = newest.entry(source.pod).or_default();
            *newest = client.heard.max(*newest);
        }
        let is_gone = |source: &Source, client: &Client| {
            let silent = now.saturating_sub(client.heard);
            let is_replaced = newest.get(&source.pod).is_some_and(|newest| *newest > client.heard);
            silent >= GONE_AFTER && !alive.contains(&source.pod) || silent >= REPLACED_AFTER && is_replaced
        };
        self.clients.iter().filter(|(source, client)| is_gone(source, client)).map(|(source, _)| *source).collect()
    }

    /// The write has succeeded. New sources in it share in rates from now on.
    pub(super) fn written(&mut self, now: Nanos, stored: &Ledger<Source>, token: Token, pods: &PodIndex) {
        self.allocator.written(now, token);
        let known = |source: &&Source| self.clients.contains_key(source);
        let registered: BTreeSet<Source> = stored.sources.iter().filter(known).copied().collect();
        let grows = registered.len() > self.registered.len();
        self.registered = registered;
        if grows && pods.is_ready() {
            self.join(pods);
        }
    }

    /// The outcome of the write is not known, and this is stored.
    pub(super) fn reread(&mut self, now: Nanos, stored: &Ledger<Source>, token: Token) {
        self.allocator.reread(now, stored, token);
    }

    /// Somebody else leads.
    pub(super) fn is_deposed(&self) -> bool {
        self.allocator.is_deposed()
    }

    /// The write was never sent.
    pub(super) fn abandon(&mut self) {
        self.allocator.abandon();
    }

    /// A write as bytes. By how many there are it is known how many values more there is room for: one budget or limit with
    /// too many of them must not keep all others from being stored.
    pub(super) fn encode(&mut self, write: &Write<Source>) -> Vec<u8> {
        let names: BTreeMap<Account, &Named> = self.accounts.iter().map(|(account, named)| (*account, named)).collect();
        let bytes = encode(&write.ledger, &names, &self.retired, self.accounts.gone());
        self.make_room(store::BYTES_OF_VALUES.saturating_sub(bytes.len()));
        bytes
    }

    const fn make_room(&mut self, bytes: usize) {
        self.accounts.make_room(bytes / 2);
        self.rates.make_room(bytes / 2);
    }

    /// How this budget stands in its present period. None: nobody has spoken of it in that.
    pub(super) fn standing(&self, budget: &str, unix: i64) -> Option<Standing> {
        let mut standing = Standing::default();
        let mut workloads = BTreeMap::new();
        let statements = self.statements(budget, unix);
        if let Some((_, named, _)) = statements.first() {
            let gone = self.accounts.gone().get(&(budget.to_owned(), named.name.period));
            gone.into_iter().for_each(|gone| add(&mut workloads, gone));
        }
        for (account, named, statement) in statements {
            standing.add(&named.subject, &statement);
            // The others are known by what they are.
            if matches!(named.subject, Subject::Namespace | Subject::Value(_)) {
                add(&mut workloads, &named.gone);
                self.count_workloads(account, &mut workloads);
            }
        }
        standing.workloads.extend(workloads);
        (standing.accounts > 0).then_some(standing)
    }

    /// How the accounts of the present period of this budget stand.
    fn statements(&self, budget: &str, unix: i64) -> Vec<(Account, &Named, Statement)> {
        let span = self.plan.budgets().get(budget).and_then(|budget| budget.period.at(unix));
        let of_now =
            |named: &Named| named.name.budget == budget && span.is_some_and(|span| span.start == named.name.period);
        let accounts = self.accounts.iter().filter(|(_, named)| of_now(named));
        accounts.filter_map(|(account, named)| Some((*account, named, self.allocator.statement(*account)?))).collect()
    }

    /// What each workload has spent of an account that others share.
    fn count_workloads(&self, account: Account, sums: &mut BTreeMap<String, u64>) {
        for (source, spent) in self.allocator.spenders(account) {
            if let Some(Who { from, .. }) = self.who(source).filter(|_| spent > 0) {
                let sum = sums.entry(from.workload.clone()).or_default();
                *sum = sum.saturating_add(spent);
            }
        }
    }
}

fn add(sums: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (name, spent) in more {
        let sum = sums.entry(name.clone()).or_default();
        *sum = sum.saturating_add(*spent);
    }
}

// === impl Client ===

impl Client {
    fn new(heard: Nanos) -> Self {
        Self { who: None, heard, crowded: Crowded::default() }
    }
}

// === impl Who ===

impl Who {
    fn post(&self, rights: Rights) -> Post {
        Post { uid: self.from.uid.clone(), rights, relayed: self.relayed }
    }
}
