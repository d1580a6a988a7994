//! Rights to what an attempt may cost, and to its part of what its provider's account allows: asked for together with leave of the gates on its way.
//!
//! Every attempt sets aside for itself: a retry and a hop to somebody else may be billed as well. What this sidecar has no
//! right to at this moment may be granted in the next: that is waited for, for a bounded time in all. Where a budget has too
//! little left for the longest answer, and the request sets no limit of its own, it gets one that can be paid.

use std::time::{Duration, Instant};

use spillway_policy::{
    NanoUsd,
    fallback::Set,
    limit::Nanos,
    quota::{Account, Ask, RateId, Refusal, Spend, Take},
};
use spillway_providers::Api;
use spillway_wire::Reserve;
use tokio::sync::watch;

use super::{count, limit, resolve::Call};
use crate::{
    clock,
    runtime::{Admission, Away, Denied, Due, Reserved},
};

/// Why an attempt has no rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    /// What it costs at most is not known, and this budget wants to know.
    Unpriced {
        budget: usize,
    },
    /// This budget has so little left fleet-wide that it cannot be paid in its period.
    Exhausted {
        budget: usize,
        asked: NanoUsd,
        left: NanoUsd,
    },
    /// This budget has enough left, and none of it is here.
    Short {
        budget: usize,
        asked: NanoUsd,
    },
    /// The account of its provider has no room for it.
    Busy {
        ready_in: Nanos,
    },
    /// The account's part that is here will never have: it takes leave of the operator.
    Alone {
        rate: RateId,
        amount: u64,
    },
    /// Nothing can be written down.
    Journal,
    Leaving,
}

/// Why a backend is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    Gate,
    /// [`Call::denials`] says more.
    Rights,
}

/// What a request has been told of its rights.
#[derive(Debug, Default)]
pub(super) struct Rights {
    /// What it counts towards.
    dues: Vec<Due>,
    pub(super) denials: Vec<(usize, Denial)>,
    /// The longest answer that can be paid, where that is shorter than it could be.
    cap: Option<(usize, u64)>,
    /// The budget that was used up, where somebody else is asked for that.
    pub(super) spared: Option<usize>,
    /// It has asked for what it asks for now before.
    again: bool,
    /// Until when it waits for rights.
    until: Option<Instant>,
    /// How long it has waited.
    pub(super) waited: Duration,
    /// Leave that was asked for, and when.
    leave: Option<(RateId, u64, Instant)>,
}

/// A report and the grant it brings take some tenths of a second.
const PATIENCE: Duration = Duration::from_secs(2);
/// Leave is used within this time, or not at all.
const LEAVE: Duration = Duration::from_secs(1);

// === impl Rights ===

impl Rights {
    pub(super) fn new(dues: Vec<Due>) -> Self {
        Self { dues, ..Self::default() }
    }

    /// Of a copy that is asked beside the request itself.
    pub(super) fn copy(&self) -> Self {
        Self::new(self.dues.clone())
    }

    /// Who was denied, so far.
    pub(super) fn denied(&self) -> Set {
        let mut set = Set::default();
        self.denials.iter().for_each(|(index, _)| set.insert(*index));
        set
    }

    pub(super) fn cap_of(&self, index: usize) -> Option<u64> {
        self.cap.filter(|(of, _)| *of == index).map(|(_, tokens)| tokens)
    }
}

// === impl Call ===

impl Call {
    /// Leave of the gates on the way to a backend, and rights to what it may cost to ask it, after a wait if need be.
    pub(super) async fn admit(&mut self, index: usize) -> Result<Admission, Closed> {
        self.rights.again = false;
        match self.admit_at_once(index)? {
            Ok(taken) => Ok(self.admitted(taken)),
            Err(denial) => Box::pin(self.admit_later(index, denial)).await,
        }
    }

    /// After a wait, or with less, or not at all.
    async fn admit_later(&mut self, index: usize, mut denial: Denial) -> Result<Admission, Closed> {
        let mut changes = None;
        loop {
            self.rights.again = true;
            let again = match denial {
                // Once more after it is sure to be told.
                Denial::Short { .. } | Denial::Alone { .. } if changes.is_none() => {
                    changes = Some(self.route.rights.changes());
                    true
                }
                Denial::Short { .. } => {
                    self.is_granted(changes.as_mut(), PATIENCE).await || self.shrink(index, denial).await
                }
                Denial::Alone { rate, amount } => {
                    let left = self.asks(rate, amount);
                    !left.is_zero() && self.is_granted(changes.as_mut(), left).await
                }
                Denial::Exhausted { .. } => self.shrink(index, denial).await,
                Denial::Unpriced { .. } | Denial::Busy { .. } | Denial::Journal | Denial::Leaving => false,
            };
            if !again {
                self.rights.denials.push((index, denial));
                return Err(Closed::Rights);
            }
            denial = match self.admit_at_once(index)? {
                Ok(taken) => return Ok(self.admitted(taken)),
                Err(denial) => denial,
            };
        }
    }

    fn admitted(&mut self, (admission, spared): (Admission, Option<usize>)) -> Admission {
        self.rights.spared = self.rights.spared.or(spared);
        admission
    }

    /// The same without a wait, and the request as it is.
    pub(super) fn admit_at_once(&self, index: usize) -> Result<Result<(Admission, Option<usize>), Denial>, Closed> {
        let mut admission = self.route.admit(index, clock::now()).map_err(|_| Closed::Gate)?;
        Ok(self.reserve(index).map(|(reserved, spared)| {
            admission.reserved = reserved;
            (admission, spared)
        }))
    }

    /// Sets aside what an attempt may cost: for a shadow, which asks no gate.
    pub(super) fn reserve(&self, index: usize) -> Result<(Option<Reserved>, Option<usize>), Denial> {
        let Rights { dues, .. } = &self.rights;
        let takes = self.takes(index);
        if dues.is_empty() && takes.is_empty() {
            return Ok((None, None));
        }
        let leave: Vec<u64> = self.rights.leave.iter().map(|(_, id, _)| *id).collect();
        let tokens = takes.iter().filter(|take| take.tokens).map(|take| take.amount).max().unwrap_or(0);
        let mut spends = self.spends(index)?;
        let mut spared = None;
        loop {
            let most = spends.iter().map(|spend| spend.amount).max().unwrap_or(0);
            let ask = Ask { spends: &spends, takes: &takes, permits: &leave, again: self.rights.again };
            let refusal = match self.route.rights.admit(&ask, (most, tokens)) {
                Ok(reserved) => return Ok((Some(reserved), spared)),
                Err(Denied::By(refusal)) => refusal,
                Err(Denied::Journal) => return Err(Denial::Journal),
            };
            let of = |account: Account| dues.iter().position(|due| due.account == account);
            match refusal {
                Refusal::Exhausted { account, asked, left } => {
                    let Some(at) = of(account) else { return Err(Denial::Leaving) };
                    let budget = dues[at].budget;
                    let spares = self.route.budgets[budget].spares.as_ref();
                    if spends[at].amount > 0 && spares.is_some_and(|spares| spares.contains(&index)) {
                        // What it costs is counted and not limited.
                        spends[at].amount = 0;
                        spared = Some(budget);
                        continue;
                    }
                    return Err(Denial::Exhausted { budget, asked: NanoUsd(asked), left: NanoUsd(left) });
                }
                Refusal::Short { account, asked, spare: _ } => {
                    let Some(at) = of(account) else { return Err(Denial::Leaving) };
                    return Err(Denial::Short { budget: dues[at].budget, asked: NanoUsd(asked) });
                }
                Refusal::Rate { ready_in, .. } => return Err(Denial::Busy { ready_in }),
                Refusal::Permit { rate, asked } => return Err(Denial::Alone { rate, amount: asked }),
                Refusal::Leaving => return Err(Denial::Leaving),
            }
        }
    }

    /// What is taken of what the provider's account allows.
    fn takes(&self, index: usize) -> Vec<Take> {
        let Some(quota) = &self.route.backends[index].provider.quota else { return Vec::new() };
        // Where nobody shares an account out it is this sidecar's alone, and the provider says when it is used up.
        if self.route.rights.away() == Some(Away::Never) {
            return Vec::new();
        }
        let rates = quota.rates(&self.route.rights, &[]);
        // What is more than all of it is refused there, if it is.
        let amount = limit::reserved(self).min(quota.tokens.unwrap_or(u64::MAX));
        let requests = rates.requests.map(|rate| Take { rate, amount: 1, tokens: false });
        let tokens = rates.tokens.filter(|_| amount > 0).map(|rate| Take { rate, amount, tokens: true });
        requests.into_iter().chain(tokens).collect()
    }

    /// Takes a request from what the provider's account allows, for a question beside the answer. False: there is no room.
    pub(super) fn takes_request(&self, index: usize) -> bool {
        let takes: Vec<Take> = self.takes(index).into_iter().filter(|take| !take.tokens).collect();
        if takes.is_empty() {
            return true;
        }
        let admitted = self.route.rights.admit(&Ask { takes: &takes, ..Ask::default() }, (0, 0));
        admitted.map(|reserved| reserved.settle(0, 0)).is_ok()
    }

    /// Asks for leave, once. Gives how long that may take yet.
    fn asks(&mut self, rate: RateId, amount: u64) -> Duration {
        let now = clock::now();
        let asked = match self.rights.leave {
            Some((of, _, asked)) if of == rate => asked,
            _ => {
                let id = self.route.rights.ask(rate, amount, LEAVE);
                self.rights.leave = Some((rate, id, now));
                now
            }
        };
        clock::after(asked, LEAVE).saturating_duration_since(now)
    }

    /// How long until some provider's account has room for it again. None: that is not what stands in its way.
    pub(super) fn ready_in(&self) -> Option<Duration> {
        let ready = |denial: &Denial| match denial {
            Denial::Busy { ready_in } => Some(Duration::from_nanos(*ready_in)),
            Denial::Alone { .. } => Some(LEAVE),
            Denial::Unpriced { .. } | Denial::Exhausted { .. } | Denial::Short { .. } => None,
            Denial::Journal | Denial::Leaving => None,
        };
        self.rights.denials.iter().filter_map(|(_, denial)| ready(denial)).min()
    }

    /// Waits until there may be room at a provider. False: that would take too long.
    pub(super) async fn has_room_soon(&mut self) -> bool {
        let Some(ready_in) = self.ready_in().filter(|_| self.route.rights.away().is_none()) else { return false };
        let now = clock::now();
        let until = *self.rights.until.get_or_insert((now + PATIENCE).min(self.deadline));
        let at = clock::after(now, ready_in);
        if at >= until {
            return false;
        }
        tokio::time::sleep_until(at.into()).await;
        self.rights.waited += ready_in;
        self.rights.denials.clear();
        true
    }

    /// What is set aside of each account.
    fn spends(&self, index: usize) -> Result<Vec<Spend>, Denial> {
        let question = self.question(Set::default(), Set::default(), 0);
        let worst = question.worst(index, self.rights.cap_of(index));
        let state = &self.route.backends[index].state;
        let spend = |&Due { budget, account, reserve }: &Due| {
            let amount = match reserve {
                Reserve::WorstCase => worst.ok_or(Denial::Unpriced { budget })?,
                // Before anything is known of what is usual, that is the worst.
                // What never has a cost is never over a limit. The first answer tells: some providers say what they charge.
                Reserve::Usual if worst.is_none() && state.is_unpriced() => return Err(Denial::Unpriced { budget }),
                Reserve::Usual => state.usual_cost().or(worst).unwrap_or_default(),
                Reserve::Nothing => NanoUsd(0),
            };
            Ok(Spend { account, amount: amount.0 })
        };
        self.rights.dues.iter().map(spend).collect()
    }

    /// Waits for rights, or for some to be given back. False: there was no time for it, or nobody gives any.
    async fn is_granted(&mut self, changes: Option<&mut watch::Receiver<()>>, within: Duration) -> bool {
        let Some(changes) = changes.filter(|_| self.route.rights.away().is_none()) else { return false };
        let now = clock::now();
        let until = *self.rights.until.get_or_insert((now + PATIENCE).min(self.deadline));
        let changed = tokio::time::timeout_at(until.min(clock::after(now, within)).into(), changes.changed()).await;
        self.rights.waited += clock::now().saturating_duration_since(now);
        matches!(changed, Ok(Ok(())))
    }

    /// Makes the request one that costs less at most. False: it is as small as it gets.
    async fn shrink(&mut self, index: usize, denial: Denial) -> bool {
        let (Denial::Exhausted { budget, .. } | Denial::Short { budget, .. }) = denial else { return false };
        if self.route.budgets[budget].budget.reserve != Reserve::WorstCase {
            return false;
        }
        // Bytes are far more than tokens.
        let tokenizer = self.route.candidates[index].tokenizer;
        if self.sizes.counted.get(tokenizer).is_some_and(Option::is_none) {
            count::count(self, index).await;
            return true;
        }
        let answers = matches!(self.api, Api::ChatCompletions | Api::Completions | Api::Responses | Api::Messages);
        if self.need.max_output_tokens.is_some() || !answers || self.rights.cap_of(index).is_some() {
            return false;
        }
        self.rights.cap = self.payable(index).map(|tokens| (index, tokens));
        self.rights.cap.is_some()
    }

    /// Whom it goes to because budgets have no room for it.
    pub(super) fn spares(&self) -> Vec<usize> {
        let budget = |denial: &Denial| match denial {
            Denial::Exhausted { budget, .. } => Some(*budget),
            Denial::Unpriced { .. } | Denial::Short { .. } | Denial::Busy { .. } | Denial::Alone { .. } => None,
            Denial::Journal | Denial::Leaving => None,
        };
        let exhausted = self.rights.denials.iter().filter_map(|(_, denial)| budget(denial));
        exhausted.filter_map(|budget| self.route.budgets[budget].spares.as_ref()).flatten().copied().collect()
    }

    /// The longest answer that can be paid from what is here; or the shortest that is of use, from what is left elsewhere.
    fn payable(&self, index: usize) -> Option<u64> {
        let strict = self.rights.dues.iter().filter(|due| due.reserve == Reserve::WorstCase);
        let money = strict.map(|due| self.route.rights.money(due.account));
        let (spare, left) = money.fold((u64::MAX, u64::MAX), |(spare, left), (here, everywhere)| {
            (spare.min(here), left.min(here.max(everywhere.unwrap_or(u64::MAX))))
        });
        let longest = self.route.candidates[index].max_output.unwrap_or(u64::MAX);
        let least = self.route.window.reserve_output.min(longest).max(1);
        let question = self.question(Set::default(), Set::default(), 0);
        let here = question.affordable(index, NanoUsd(spare)).filter(|tokens| *tokens >= least);
        let elsewhere = || question.worst(index, Some(least)).filter(|worst| worst.0 <= left).map(|_| least);
        here.or_else(elsewhere)
    }
}
