//! The operator's side: who may spend how much.

mod book;
mod deal;
mod ledger;
mod pool;
mod rates;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub use book::Statement;
pub use ledger::{AccountLedger, Ledger, RateLedger, Right, Token, Write};
pub use pool::{Loss, RateRule, RateStatement};

use super::{Account, Epoch, Grant, Nanos, RateId, Report, Rights, Stamp};
use book::Book;
use rates::Rates;

/// Between two writes that grants wait for: what comes meanwhile is written together.
const WRITE_EVERY: Nanos = 100_000_000;
/// Between two writes that nothing waits for.
const WRITE_TOTALS_EVERY: Nanos = 5_000_000_000;

/// Hands out rights. `S` names an incarnation of a sidecar: a process, and those that go on from its journal.
///
/// It leads once a ledger with its epoch is stored. The shell asks [`Self::turn`] what to write and what to send, and says
/// [`Self::written`] when it is; until then nothing that depends on it is sent.
#[derive(Clone, Debug)]
pub struct Allocator<S> {
    /// Who this is: no two machines have the same name, or both could take one write for theirs.
    name: Arc<str>,
    epoch: Epoch,
    standing: Standing,
    token: Token,
    sources: BTreeMap<S, Source>,
    retired: BTreeSet<S>,
    books: BTreeMap<Account, Book<S>>,
    rates: Rates<S>,
    /// Until when nobody else can lead: parts of rates are handed out no longer than that.
    lead_until: Nanos,
    /// Sources of the stored ledger that have not been heard yet.
    unheard: BTreeSet<S>,
    writing: Option<Arc<Ledger<S>>>,
    /// Something waits for a write.
    urgent: bool,
    /// Something is not as stored.
    changed: bool,
    written_at: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Its first write has not succeeded yet.
    Candidate,
    Leader,
    /// Somebody else leads.
    Deposed,
}

#[derive(Clone, Copy, Debug, Default)]
struct Source {
    /// It is in the stored ledger.
    registered: bool,
    /// It obeys this leader and no earlier one.
    obeys: bool,
    /// When the newest of its reports came that did.
    heard: Nanos,
    /// It has reported for the last time.
    over: bool,
    stamp: Stamp,
    serial: u64,
    /// It has reported and not been answered.
    owed: bool,
}

/// What there is to do. Nothing depends on the order in which it is done, or on whether it is.
#[derive(Clone, Debug)]
pub struct Output<S> {
    pub rights: Vec<(S, Rights)>,
    /// To be stored. The same one is given again until the outcome is known.
    pub write: Option<Write<S>>,
}

// === impl Allocator ===

impl<S: Ord + Clone> Allocator<S> {
    /// Prepares to lead from the stored ledger on, whose version is `token`. `name` is this machine's alone.
    #[must_use]
    pub fn take_over(name: Arc<str>, stored: &Ledger<S>, token: Token) -> Self {
        let known = Source { registered: true, ..Source::default() };
        let mut this = Self {
            name,
            epoch: Epoch(stored.epoch.0.saturating_add(1)),
            standing: Standing::Candidate,
            token,
            sources: stored.sources.iter().map(|source| (source.clone(), known)).collect(),
            retired: stored.retired.clone(),
            books: stored.accounts.iter().map(|(account, book)| (*account, Book::take_over(book))).collect(),
            rates: Rates::take_over(&stored.rates),
            lead_until: 0,
            unheard: stored.sources.clone(),
            writing: None,
            urgent: true,
            changed: true,
            written_at: 0,
        };
        this.learn();
        this
    }

    /// Sets what may be spent of an account. One that is new starts with nothing spent, and with the demand that `like` has:
    /// that of the period before.
    pub fn set_budget(&mut self, account: Account, limit: u64, like: Option<Account>) {
        self.changed = true;
        if let Some(book) = self.books.get_mut(&account) {
            book.limit = limit;
            return;
        }
        let mut book = Book::new(limit);
        if let Some(like) = like.and_then(|like| self.books.get(&like)) {
            book.expect(like);
        }
        self.books.insert(account, book);
    }

    /// Forgets an account: what is reported of it from now on is ignored.
    pub fn drop_budget(&mut self, account: Account) {
        self.changed |= self.books.remove(&account).is_some();
    }

    /// Nobody else leads before `until`: the lease was renewed, and runs from when that was asked for. Parts of rates are
    /// handed out no longer than that; what money is granted does not depend on it.
    pub fn lead(&mut self, now: Nanos, until: Nanos) {
        if self.lead_until > 0 && now >= self.lead_until {
            // Somebody else may have led meanwhile.
            self.standing = Standing::Deposed;
        }
        self.lead_until = self.lead_until.max(until);
    }

    /// Sets a rate. None of it is handed out before all who share in it are heard, or what they had has run out.
    pub fn set_rate(&mut self, rate: RateId, rule: RateRule) {
        self.rates.set(rate, rule);
    }

    /// Forgets a rate. One that comes back may have been used up to all of it.
    pub fn drop_rate(&mut self, rate: RateId) {
        self.rates.drop(rate);
    }

    /// This source shares in the rate. Every one that may still run has to be named, whether it reports or not. In what is
    /// [on demand](RateRule::on_demand) whoever asks shares without being named.
    pub fn join(&mut self, rate: RateId, source: &S, weight: u32) {
        self.rates.join(rate, source, weight);
    }

    /// Forgets rates that nobody has shared in for so long that nothing of them counts. Gives those that are not set any more.
    pub fn forget_rates(&mut self, now: Nanos) -> Vec<RateId> {
        if self.standing != Standing::Leader || now >= self.lead_until {
            return Vec::new();
        }
        let over = self.rates.forget(now);
        self.changed |= !over.is_empty();
        over
    }

    /// Takes a report, whatever its age. False: it brought nothing new.
    pub fn report(&mut self, now: Nanos, source: &S, report: &Report) -> bool {
        if self.retired.contains(source) {
            return false;
        }
        let known = self.sources.entry(source.clone()).or_default();
        self.urgent |= !known.registered;
        known.obeys |= report.epoch == self.epoch;
        // Who is over obeys nobody: no grant reaches it any more.
        let heard = known.obeys || report.last;
        let newest = report.stamp > known.stamp;
        if newest {
            // A later process may go on from the journal of one that was over.
            known.over = report.last || known.over && report.stamp.life == known.stamp.life;
        }
        known.stamp = known.stamp.max(report.stamp);
        known.owed = true;
        if newest && known.obeys {
            known.heard = now;
            self.rates.report(now, source, known.registered, report);
        }
        let mut new = false;
        for usage in &report.accounts {
            let Some(book) = self.books.get_mut(&usage.account) else { continue };
            new |= book.report(source, report.stamp, usage);
        }
        if known.over {
            self.books.values_mut().for_each(|book| book.finish(source));
        }
        if heard && self.unheard.remove(source) {
            self.learn();
        }
        self.changed |= new;
        new
    }

    /// This source will never be heard again: its pod is gone, or a process without its journal has taken its place.
    pub fn retire(&mut self, source: &S) {
        if self.sources.remove(source).is_none() {
            return;
        }
        let unheard = self.unheard.remove(source);
        self.books.values_mut().for_each(|book| book.retire(source, unheard));
        self.rates.gone(source);
        self.retired.insert(source.clone());
        self.changed = true;
        self.learn();
    }

    /// Its reports are not counted any more: they have been.
    #[must_use]
    pub fn retired(&self, source: &S) -> bool {
        self.retired.contains(source)
    }

    /// No report of this retired source can be under way any more.
    pub fn forget(&mut self, source: &S) {
        self.changed |= self.retired.remove(source);
    }

    /// What to send and what to store now.
    pub fn turn(&mut self, now: Nanos) -> Output<S> {
        let mut rights = Vec::new();
        if self.standing == Standing::Leader {
            for book in self.books.values_mut() {
                let ready = |source: &S| self.sources.get(source).is_some_and(Source::may_be_granted);
                book.deal(ready);
                self.urgent |= book.staged | book.wants_block();
            }
            let leads = now < self.lead_until;
            if leads {
                let heard = self.heard();
                self.urgent |= self.rates.turn(now, heard);
            }
            rights = self.rights(now, leads);
        }
        Output { rights, write: self.write(now) }
    }

    /// The write has succeeded, and what is stored has version `token` now.
    pub fn written(&mut self, now: Nanos, token: Token) {
        let Some(stored) = self.writing.take() else { return };
        if self.standing == Standing::Candidate {
            self.standing = Standing::Leader;
        }
        self.token = token;
        self.written_at = now;
        for (account, book) in &mut self.books {
            if let Some(stored) = stored.accounts.get(account) {
                book.written(stored);
            }
        }
        self.rates.written(&stored.rates);
        for source in &stored.sources {
            if let Some(known) = self.sources.get_mut(source) {
                known.registered = true;
            }
        }
    }

    /// The write has failed or its outcome is not known, and this is what is stored now.
    pub fn reread(&mut self, now: Nanos, stored: &Ledger<S>, token: Token) {
        if self.writing.as_deref() == Some(stored) {
            self.written(now, token);
        } else if token != self.token {
            // Whoever has written it may have granted what this machine takes for free.
            self.standing = Standing::Deposed;
        }
    }

    /// The write was never sent, and never will be: what it would have made durable is not.
    pub fn abandon(&mut self) {
        if self.writing.take().is_some() {
            self.books.values_mut().for_each(Book::abandon);
            (self.urgent, self.changed) = (true, true);
        }
    }

    /// Since when everybody was heard who may have anything of an earlier leader's.
    fn heard(&self) -> Nanos {
        if !self.unheard.is_empty() {
            return 0;
        }
        let obeying = self.sources.values().filter(|source| source.obeys && !source.over);
        obeying.map(|source| source.heard).min().unwrap_or(Nanos::MAX)
    }

    fn learn(&mut self) {
        if self.unheard.is_empty() {
            self.books.values_mut().for_each(Book::learned);
        }
    }

    fn write(&mut self, now: Nanos) -> Option<Write<S>> {
        if self.standing == Standing::Deposed {
            return None;
        }
        let since = now.saturating_sub(self.written_at);
        let first = self.standing == Standing::Candidate;
        let due = first || self.urgent && since >= WRITE_EVERY || self.changed && since >= WRITE_TOTALS_EVERY;
        if self.writing.is_none() && due {
            (self.urgent, self.changed) = (false, false);
            self.writing = Some(Arc::new(Ledger {
                leader: Arc::clone(&self.name),
                epoch: self.epoch,
                sources: self.sources.keys().cloned().collect(),
                retired: self.retired.clone(),
                accounts: self.books.iter_mut().map(|(account, book)| (*account, book.store())).collect(),
                rates: self.rates.store(),
            }));
        }
        let ledger = Arc::clone(self.writing.as_ref()?);
        Some(Write { expects: Arc::clone(&self.token), ledger })
    }

    /// Messages to those that have reported, or that have something new coming.
    fn rights(&mut self, now: Nanos, leads: bool) -> Vec<(S, Rights)> {
        let mut grants = self.grants();
        let mut messages = Vec::new();
        for (source, known) in &mut self.sources {
            let grants = grants.remove(source).unwrap_or_default();
            let rates = known.obeys && leads;
            let changed = rates && self.rates.changed(source);
            if !std::mem::take(&mut known.owed) && grants.is_empty() && !changed {
                continue;
            }
            known.serial += 1;
            let (serial, answers) = (known.serial, known.stamp);
            let mut rights = Rights { epoch: self.epoch, serial, answers, grants, ..Rights::default() };
            if rates {
                self.rates.send(now, source, &mut rights);
            }
            messages.push((source.clone(), rights));
        }
        messages
    }

    fn grants(&mut self) -> BTreeMap<S, Vec<Grant>> {
        let mut grants: BTreeMap<S, Vec<Grant>> = BTreeMap::new();
        for (account, book) in &mut self.books {
            let left = book.left();
            for (source, line) in &mut book.lines {
                let asked = self.sources.get(source).is_some_and(|source| source.owed);
                if std::mem::take(&mut line.changed) || asked {
                    let Right { granted: _, returned, spent } = line.right;
                    let grant =
                        Grant { account: *account, total: line.sendable, returned, spent, keep: line.keep, left };
                    grants.entry(source.clone()).or_default().push(grant);
                }
            }
        }
        grants
    }
}

// === impl Source ===

impl Source {
    const fn may_be_granted(&self) -> bool {
        self.registered && self.obeys && !self.over
    }
}
