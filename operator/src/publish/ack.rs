//! Which sidecar runs which revision, and which it refused with what reason. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use spillway_wire::{Ack, Report, RestingBackend, Subscribe};

use super::view::{RouteHashes, View};
use crate::conditions::RouteFleet;

/// The newest word of every sidecar, by pod uid.
#[derive(Debug, Default)]
pub(super) struct Acks {
    by_uid: HashMap<String, Word>,
}

#[derive(Debug)]
pub(super) struct Word {
    boot: String,
    /// The boot before this one. Its reports may still be on their way through another replica.
    boot_before: Option<String>,
    sequence: u64,
    pub(super) ack: Ack,
    /// None: it has not reported yet.
    resting: Option<Resting>,
}

/// Backends that a sidecar leaves alone, by route and name.
type Resting = BTreeMap<String, BTreeMap<String, RestingBackend>>;

/// Whether a report said something new of the config or of its backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    News,
    Nothing,
}

// === impl Acks ===

impl Acks {
    /// A sidecar has connected, and says what it runs already.
    pub(super) fn subscribed(&mut self, uid: &str, subscribe: &Subscribe) {
        if self.by_uid.get(uid).is_some_and(|word| word.boot == subscribe.boot) {
            return;
        }
        let boot_before = self.by_uid.remove(uid).map(|word| word.boot);
        let ack = Ack { running: subscribe.revision.clone(), ..Ack::default() };
        self.by_uid.insert(
            uid.to_owned(),
            Word { boot: subscribe.boot.clone(), boot_before, sequence: 0, ack, resting: None },
        );
    }

    /// A sidecar has reported. Older reports of a boot, those of the boot before, and the last of any boot say nothing
    /// any more.
    pub(super) fn record(&mut self, uid: &str, report: &Report) -> Heard {
        let Report { boot, sequence, ack, usage: _, last, backends } = report;
        if *last {
            return Heard::Nothing;
        }
        let resting = Some(by_route(backends));
        let known = self.by_uid.get_mut(uid);
        let boot_before = match known {
            Some(word) if word.boot_before.as_ref() == Some(boot) => return Heard::Nothing,
            Some(word) if word.boot == *boot => {
                if *sequence < word.sequence {
                    return Heard::Nothing;
                }
                word.sequence = *sequence;
                let heard = if word.ack == *ack && word.resting == resting { Heard::Nothing } else { Heard::News };
                (word.ack, word.resting) = (ack.clone(), resting);
                return heard;
            }
            Some(word) => Some(std::mem::take(&mut word.boot)),
            None => None,
        };
        let (boot, ack) = (boot.clone(), ack.clone());
        self.by_uid.insert(uid.to_owned(), Word { boot, boot_before, sequence: *sequence, ack, resting });
        Heard::News
    }

    pub(super) fn get(&self, uid: &str) -> Option<&Word> {
        self.by_uid.get(uid)
    }

    /// Every revision that some sidecar runs.
    pub(super) fn running(&self) -> HashSet<String> {
        self.by_uid.values().filter_map(|word| word.ack.running.clone()).collect()
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.by_uid.retain(|uid, _| keep(uid));
    }
}

fn by_route(backends: &[RestingBackend]) -> Resting {
    let mut resting = Resting::new();
    for line in backends {
        resting.entry(line.route.clone()).or_default().insert(line.backend.clone(), line.clone());
    }
    resting
}

/// Counts one pod in the fleets of its routes: `runs` is what is in the revision it runs, if that is known.
pub(super) fn tally(
    fleets: &mut BTreeMap<String, RouteFleet>,
    pod: &str,
    view: &View,
    word: Option<&Word>,
    runs: Option<&RouteHashes>,
) {
    let ack = word.map(|word| &word.ack);
    let refusal = ack.and_then(|ack| ack.refused.as_ref()).filter(|(revision, _)| *revision == view.revision);
    for (route, hash) in &*view.routes {
        let fleet = fleets.entry(route.clone()).or_default();
        fleet.expected += 1;
        let is_current = runs.and_then(|runs| runs.get(route)) == Some(hash);
        let degraded = ack.and_then(|ack| ack.degraded.get(route)).filter(|_| is_current);
        if is_current {
            let resting = word.and_then(|word| word.resting.as_ref());
            fleet.breakers.count(resting.map(|resting| resting.get(route).into_iter().flat_map(BTreeMap::values)));
            fleet.breakers.learn(ack.and_then(|ack| ack.learnt_windows.get(route)).into_iter().flatten());
        }
        match (degraded, is_current, refusal) {
            (Some(reason), ..) | (None, false, Some((_, reason))) => {
                fleet.rejected.push((pod.to_owned(), reason.clone()))
            }
            (None, true, _) => fleet.programmed += 1,
            (None, false, None) => fleet.waiting.push(pod.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
