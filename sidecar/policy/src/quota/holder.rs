//! The sidecar's side: whether a request may pass, from what was granted beforehand.

mod bucket;
mod meter;
mod purse;
mod view;

use std::collections::BTreeMap;

pub(super) use bucket::{Bucket, DEPTH};
pub(super) use meter::Meter;
pub use purse::Balance;

use super::{Account, Epoch, Nanos, PERMIT_LIFE, PermitAsk, RateId, Report, Rights, Share, Stamp};
use purse::Purse;

/// The rights of one sidecar, and what it has used of them.
///
/// What has to survive the process comes out as [`Entry`]s. They are written down before what the call allowed is done:
/// before a request goes upstream, before a report is sent. Anything later might bring rights back to life that were spent,
/// or that somebody else has by now.
#[derive(Clone, Debug)]
pub struct Holder {
    epoch: Epoch,
    serial: u64,
    stamp: Stamp,
    purses: BTreeMap<Account, Purse>,
    buckets: BTreeMap<RateId, Bucket>,
    /// Asked for, and perhaps granted.
    permits: BTreeMap<u64, Wish>,
    asked: u64,
    /// Nothing is admitted any more.
    leaving: bool,
    /// The operator should hear of something before the next regular report.
    urgent: bool,
}

/// A piece of a [`Holder`] that has to survive. The newest of each kind and account counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The newest leader that was heard.
    Epoch(Epoch),
    Balance(Balance),
    /// A permanent part of a rate.
    Floor(Share),
}

/// A request that wants to pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// What it may cost, of each budget that it counts towards. No account comes twice.
    pub spends: &'a [Spend],
    /// What it takes of each rate. No rate comes twice.
    pub takes: &'a [Take],
    /// What it was asked for by [`Holder::ask_permit`], if anything.
    pub permits: &'a [u64],
    /// It has asked before: it is wanted no more than once.
    pub again: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spend {
    pub account: Account,
    /// What is set aside: under strict enforcement the most it can cost.
    pub amount: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Take {
    pub rate: RateId,
    /// 1 of a rate of requests; of one of tokens, the most it can use.
    pub amount: u64,
    /// It is corrected by the tokens that were used.
    pub tokens: bool,
}

/// What a request has set aside. Handed back exactly once.
#[derive(Debug)]
#[must_use = "what was set aside has to be handed back"]
pub struct Hold {
    spends: Vec<Spend>,
    /// And where it was. None: by permit.
    takes: Vec<(Take, Option<bucket::Place>)>,
}

/// What a request turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No provider saw it.
    Unsent,
    Done {
        cost: u64,
        tokens: u64,
    },
}

/// A permit that was asked for.
#[derive(Clone, Copy, Debug)]
struct Wish {
    rate: RateId,
    amount: u64,
    asked: Nanos,
    patience: Nanos,
    granted: bool,
}

/// Why a request may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// All of the budget is spent, or so much of it that this request does not fit: it will not in this period.
    Exhausted { account: Account, asked: u64, left: u64 },
    /// This sidecar has no right to so much now. A report is due, and the next grant may bring it.
    Short { account: Account, asked: u64, spare: u64 },
    /// This sidecar's part of the rate has no room now.
    Rate { rate: RateId, asked: u64, ready_in: Nanos },
    /// Its part can never hold so much: it takes a permit.
    Permit { rate: RateId, asked: u64 },
    /// This sidecar is going away.
    Leaving,
}

// === impl Holder ===

impl Holder {
    /// A sidecar that starts for the first time, or without its journal: then it is another source than before.
    #[must_use]
    pub fn new(life: u32) -> Self {
        Self {
            epoch: Epoch(0),
            serial: 0,
            stamp: Stamp { life, sent: 0 },
            purses: BTreeMap::new(),
            buckets: BTreeMap::new(),
            permits: BTreeMap::new(),
            asked: u64::from(life) << 32,
            leaving: false,
            urgent: true,
        }
    }

    /// Goes on from a journal as the same source. What was in flight counts as spent.
    #[must_use]
    pub fn recover(now: Nanos, life: u32, journal: impl IntoIterator<Item = Entry>) -> Self {
        let mut this = Self::new(life);
        for entry in journal {
            match entry {
                Entry::Epoch(epoch) => this.epoch = epoch,
                Entry::Balance(balance) => _ = this.purses.insert(balance.account, Purse::recover(now, &balance)),
                Entry::Floor(share) => _ = this.buckets.insert(share.rate, Bucket::recover(now, share)),
            }
        }
        this
    }

    /// All that has to survive, for a journal that starts again.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        let balances = self.purses.iter().map(|(account, purse)| Entry::Balance(purse.balance(*account)));
        let floors = self.buckets.values().map(Bucket::permanent).filter(|share| share.floor > 0).map(Entry::Floor);
        std::iter::once(Entry::Epoch(self.epoch)).chain(balances).chain(floors)
    }

    /// Sets everything aside that the request may use, or nothing. `journal` has to be written before it goes upstream.
    ///
    /// # Errors
    ///
    /// The first right that does not allow it.
    pub fn admit(&mut self, now: Nanos, ask: &Ask<'_>, journal: &mut Vec<Entry>) -> Result<Hold, Refusal> {
        if self.leaving {
            return Err(Refusal::Leaving);
        }
        // Both are asked in any case: each measures what is wanted of it.
        let (money, rates) = (self.check_spends(now, ask), self.check_takes(now, ask));
        if let Some(refusal) = money.or(rates) {
            self.urgent |= !matches!(refusal, Refusal::Exhausted { .. });
            return Err(refusal);
        }
        for &Spend { account, amount } in ask.spends {
            let Some(purse) = self.purses.get_mut(&account) else { continue };
            purse.reserve(amount);
            journal.push(Entry::Balance(purse.balance(account)));
        }
        let takes = ask.takes.iter().map(|take| (*take, self.take_one(now, take, ask.permits))).collect();
        Ok(Hold { spends: ask.spends.to_vec(), takes })
    }

    fn check_spends(&mut self, now: Nanos, ask: &Ask<'_>) -> Option<Refusal> {
        let mut refusal = None;
        for &Spend { account, amount } in ask.spends {
            let purse = self.purses.entry(account).or_insert_with(|| Purse::new(now));
            let (spare, left) = (purse.spare(), purse.left.unwrap_or(u64::MAX));
            if spare < amount && left < amount {
                // Not counted as wanted: rights would be taken from others, and to no use.
                refusal = Some(Refusal::Exhausted { account, asked: amount, left });
                continue;
            }
            if !ask.again {
                purse.meter.count(amount);
            }
            if spare < amount {
                refusal = refusal.or(Some(Refusal::Short { account, asked: amount, spare }));
            }
        }
        refusal
    }

    fn check_takes(&mut self, now: Nanos, ask: &Ask<'_>) -> Option<Refusal> {
        let mut refusal = None;
        for take in ask.takes {
            if self.permit(now, take, ask.permits).is_some() {
                continue;
            }
            let &Take { rate, amount, .. } = take;
            let bucket = self.buckets.entry(rate).or_insert_with(|| Bucket::new(now, rate));
            bucket.advance(now);
            let ready_in = bucket.ready_in(now, amount);
            if !bucket.has(amount) {
                refusal = refusal.or(Some(match ready_in {
                    Some(ready_in) => Refusal::Rate { rate, asked: amount, ready_in },
                    None => Refusal::Permit { rate, asked: amount },
                }));
            }
            // A larger part would be of no use for what needs a permit.
            let counts = !ask.again && (ready_in.is_some() || bucket.most(now) == 0);
            bucket.wish(now, counts, amount);
        }
        refusal
    }

    fn take_one(&mut self, now: Nanos, take: &Take, permits: &[u64]) -> Option<bucket::Place> {
        if let Some(id) = self.permit(now, take, permits) {
            self.permits.remove(&id);
            return None;
        }
        self.buckets.get_mut(&take.rate).map(|bucket| bucket.take(take.amount))
    }

    /// One of these permits that is good for this.
    fn permit(&self, now: Nanos, take: &Take, permits: &[u64]) -> Option<u64> {
        let good = |wish: &&Wish| {
            let fits = wish.rate == take.rate && wish.amount >= take.amount;
            fits && wish.granted && now <= wish.asked.saturating_add(PERMIT_LIFE)
        };
        permits.iter().find(|id| self.permits.get(id).filter(good).is_some()).copied()
    }

    /// Asks for leave to take so much at once. The answer comes with some later rights; then [`Self::admit`] is called again
    /// with what this gives. `patience`: it is of no use after that.
    pub fn ask_permit(&mut self, now: Nanos, rate: RateId, amount: u64, patience: Nanos) -> u64 {
        self.asked += 1;
        let wish = Wish { rate, amount, asked: now, patience: patience.min(PERMIT_LIFE), granted: false };
        self.permits.insert(self.asked, wish);
        self.urgent = true;
        self.asked
    }

    /// Was this permit granted?
    #[must_use]
    pub fn has_permit(&self, id: u64) -> bool {
        self.permits.get(&id).is_some_and(|wish| wish.granted)
    }

    /// The request is over.
    pub fn settle(&mut self, now: Nanos, hold: Hold, outcome: Outcome, journal: &mut Vec<Entry>) {
        let (cost, tokens) = match outcome {
            Outcome::Unsent => (0, 0),
            Outcome::Done { cost, tokens } => (cost, tokens),
        };
        for Spend { account, amount } in hold.spends {
            let Some(purse) = self.purses.get_mut(&account) else { continue };
            purse.settle(amount, cost);
            journal.push(Entry::Balance(purse.balance(account)));
        }
        for (Take { rate, amount, tokens: of_tokens }, place) in hold.takes {
            let used = if of_tokens || outcome == Outcome::Unsent { tokens } else { amount };
            let (Some(bucket), Some(place)) = (self.buckets.get_mut(&rate), place) else { continue };
            bucket.settle(now, place, amount, used);
        }
    }

    /// Takes what it is granted. `journal` has to be written before the next report is sent.
    pub fn take(&mut self, now: Nanos, rights: &Rights, journal: &mut Vec<Entry>) {
        if rights.epoch < self.epoch {
            return;
        }
        if rights.epoch > self.epoch {
            // The new leader grants nothing before it knows that the old one is not obeyed any more.
            (self.epoch, self.serial, self.urgent) = (rights.epoch, 0, true);
            journal.push(Entry::Epoch(self.epoch));
        }
        let newest = rights.serial > self.serial;
        self.serial = self.serial.max(rights.serial);
        for grant in &rights.grants {
            if !newest && !self.purses.contains_key(&grant.account) {
                // It may be older than what made this sidecar forget the account, and know of less spent.
                continue;
            }
            let purse = self.purses.entry(grant.account).or_insert_with(|| Purse::new(now));
            let returned = purse.returned;
            if purse.grant(grant, newest) {
                journal.push(Entry::Balance(purse.balance(grant.account)));
            }
            self.urgent |= purse.returned > returned;
        }
        // What was meant for an earlier process is not this one's: its floor may have been lowered since.
        if newest && rights.answers.life == self.stamp.life {
            self.take_shares(now, rights, journal);
        }
    }

    fn take_shares(&mut self, now: Nanos, rights: &Rights, journal: &mut Vec<Entry>) {
        for share in &rights.shares {
            let bucket = self.buckets.entry(share.rate).or_insert_with(|| Bucket::new(now, share.rate));
            bucket.advance(now);
            let shrinks = bucket.shrinks(now, share);
            if bucket.set(*share, rights.answers.sent) {
                journal.push(Entry::Floor(bucket.permanent()));
            }
            // Somebody else waits for what this one has no more.
            self.urgent |= shrinks;
        }
        for permit in &rights.permits {
            if let Some(wish) = self.permits.get_mut(&permit.id) {
                wish.granted = true;
            }
        }
    }

    /// What to report. Sent every two seconds, and as soon as [`Self::is_urgent`].
    pub fn report(&mut self, now: Nanos) -> Report {
        self.urgent = false;
        self.stamp.sent = now.max(self.stamp.sent.saturating_add(1));
        self.purses.values_mut().for_each(|purse| purse.meter.look(now));
        for bucket in self.buckets.values_mut() {
            bucket.advance(now);
            bucket.meter.look(now);
        }
        self.buckets.retain(|_, bucket| !bucket.is_idle(now));
        self.permits.retain(|_, wish| now <= wish.asked.saturating_add(PERMIT_LIFE));
        Report {
            stamp: self.stamp,
            epoch: self.epoch,
            serial: self.serial,
            accounts: self.purses.iter().map(|(account, purse)| purse.usage(*account)).collect(),
            flows: self.buckets.values().map(|bucket| bucket.flow(now)).collect(),
            asks: self.permits.iter().filter(|(_, wish)| !wish.granted).map(|(id, wish)| wish.ask(now, *id)).collect(),
            last: self.leaving && self.purses.values().all(|purse| purse.open == 0),
        }
    }

    /// The operator should hear of something before the next regular report.
    #[must_use]
    pub const fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Admits nothing any more and gives back what is not set aside. The first report after the last request is over is
    /// [`Report::last`].
    pub fn leave(&mut self, journal: &mut Vec<Entry>) {
        (self.leaving, self.urgent) = (true, true);
        for (account, purse) in &mut self.purses {
            purse.empty();
            journal.push(Entry::Balance(purse.balance(*account)));
        }
    }

    /// Forgets an account that nothing was ever granted or spent of.
    pub fn drop_unused(&mut self, account: Account) {
        if self.purses.get(&account).is_some_and(Purse::is_unused) {
            self.purses.remove(&account);
        }
    }

    /// Forgets an account of a period that is over and of which nothing is in flight, once its last report has arrived.
    pub fn drop_account(&mut self, account: Account) {
        if self.purses.get(&account).is_some_and(|purse| purse.open == 0) {
            self.purses.remove(&account);
        }
    }
}

// === impl Wish ===

impl Wish {
    const fn ask(&self, now: Nanos, id: u64) -> PermitAsk {
        let patience = self.patience.saturating_sub(now.saturating_sub(self.asked));
        PermitAsk { rate: self.rate, id, amount: self.amount, patience }
    }
}
