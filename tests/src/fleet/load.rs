//! Applications that ask for more than there is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::cluster::MODEL;
use super::member::Member;
use super::upstream::{Upstream, cost_nanos};
use super::{Plan, What};
use crate::client::{CHAT, post};
use crate::clock::Epoch;

/// The longest answer that is asked for.
const MAX_TOKENS: u64 = 40;
/// Longer than the most that is billed for a prompt.
const PROMPT: &str = "In a few plain words, and without any preamble, tell me which of the seven seas has the most salt in \
                      it, why that is so, since when people have known about it, and what it means for those who live there.";

/// What was asked and what came back.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) offered: AtomicU64,
    pub(super) answered: AtomicU64,
    /// 429 while more than a tenth was left, by the provider's books.
    pub(super) refused_early: AtomicU64,
    pub(super) refused: AtomicU64,
    /// The sidecar was not there, or died meanwhile.
    pub(super) lost: AtomicU64,
    /// Anything else.
    pub(super) failed: AtomicU64,
}

pub(super) struct Load {
    plan: Plan,
    epoch: Epoch,
    upstream: Arc<Upstream>,
    pub(super) counts: Counts,
    /// The first answers that nobody expected.
    pub(super) surprises: std::sync::Mutex<Vec<String>>,
}

impl Load {
    pub(super) fn new(plan: &Plan, epoch: Epoch, upstream: Arc<Upstream>) -> Self {
        Self { plan: plan.clone(), epoch, upstream, counts: Counts::default(), surprises: Default::default() }
    }

    /// What all of them ask for together, in requests a second.
    fn per_second(&self) -> f64 {
        let seconds = self.plan.length.as_secs_f64();
        let offered = self.plan.offered_percent as f64 / 100.0;
        match self.plan.what {
            What::Budget { milli_dollars } => {
                // On average half of the most that is billed.
                let each = cost_nanos(20, MAX_TOKENS / 2) as f64;
                milli_dollars as f64 * 1e6 * offered / each / seconds
            }
            What::Rate { requests } => requests as f64 / 60.0 * offered,
        }
    }

    /// One application, until the time is over.
    pub(super) async fn drive(self: Arc<Self>, member: Arc<Member>, began: u64) {
        let weight = |index: usize| if self.plan.skewed { 1.0 / (index + 1) as f64 } else { 1.0 };
        let weights: f64 = (0..self.plan.sidecars).map(weight).sum();
        let rate = self.per_second() * weight(member.index) / weights;
        let mut dice = Dice::new(self.plan.seed.wrapping_add(member.index as u64 * 7_919));
        let end = began + u64::try_from(self.plan.length.as_nanos()).unwrap_or(u64::MAX);
        let mut requests = JoinSet::new();
        loop {
            // Exponential pauses: a Poisson process.
            let pause = -(1.0 - dice.unit()).ln() / rate;
            tokio::time::sleep(Duration::from_secs_f64(pause.min(30.0))).await;
            if self.epoch.nanos() >= end {
                break;
            }
            requests.spawn(Arc::clone(&self).ask(Arc::clone(&member)));
            while requests.try_join_next().is_some() {}
        }
        while requests.join_next().await.is_some() {}
    }

    async fn ask(self: Arc<Self>, member: Arc<Member>) {
        let body: Value =
            json!({"model": MODEL, "max_tokens": MAX_TOKENS, "messages": [{"role": "user", "content": PROMPT}]});
        let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        let counts = &self.counts;
        add(&counts.offered);
        match post(member.data, CHAT, &body).await {
            Ok(reply) if reply.status == 200 && reply.whole => add(&counts.answered),
            Ok(reply) if reply.status == 429 => {
                if self.much_is_left() {
                    add(&counts.refused_early);
                }
                add(&counts.refused)
            }
            Ok(reply) if !reply.whole => add(&counts.lost),
            Ok(reply) => {
                let mut surprises = self.surprises.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if surprises.len() < 3 {
                    surprises.push(format!("{}: {}", reply.status, String::from_utf8_lossy(&reply.body)));
                }
                add(&counts.failed)
            }
            Err(_) => add(&counts.lost),
        };
    }

    fn much_is_left(&self) -> bool {
        match self.plan.what {
            What::Budget { milli_dollars } => self.upstream.spent_nanos() < milli_dollars * 900_000,
            What::Rate { .. } => false,
        }
    }
}

/// Numbers that a seed repeats: SplitMix64.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// From 0 to 1, without 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
