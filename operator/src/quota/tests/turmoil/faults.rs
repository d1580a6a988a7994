//! What goes wrong, by the seed.

use std::time::Duration;

use turmoil::Sim;

use super::{MEMBERS, REPLICAS, api, name};

/// SplitMix64: the same numbers for the same seed, whatever else draws some.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

pub(super) struct Faults {
    dice: Dice,
    next: Duration,
    /// Links that are broken, until when.
    broken: Vec<(String, String, Duration)>,
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed ^ 0xFA17), next: Duration::from_secs(3), broken: Vec::new() }
    }

    /// Whatever is due now.
    pub(super) fn strike(&mut self, sim: &mut Sim<'_>) {
        let now = sim.elapsed();
        self.broken.retain(|(from, to, until)| {
            let over = *until <= now;
            if over {
                sim.repair(from.as_str(), to.as_str());
            }
            !over
        });
        if now < self.next {
            return;
        }
        self.next = now + Duration::from_millis(200 + self.dice.below(2_500));
        match self.dice.below(10) {
            0..=2 => sim.bounce(name(self.member())),
            3 => sim.bounce(self.replica()),
            kind => {
                let (from, to) = self.link();
                if kind < 7 {
                    sim.partition(from.as_str(), to.as_str());
                } else {
                    sim.partition_oneway(from.as_str(), to.as_str());
                }
                let until = now + Duration::from_millis(500 + self.dice.below(25_000));
                self.broken.push((from, to, until));
            }
        }
    }

    fn member(&mut self) -> usize {
        usize::try_from(self.dice.below(MEMBERS as u64)).unwrap_or(0)
    }

    fn replica(&mut self) -> &'static str {
        REPLICAS[usize::try_from(self.dice.below(REPLICAS.len() as u64)).unwrap_or(0)]
    }

    fn link(&mut self) -> (String, String) {
        let replica = self.replica().to_owned();
        let other = match self.dice.below(4) {
            0 => api::HOST.to_owned(),
            1 => self.replica().to_owned(),
            _ => name(self.member()),
        };
        if other == replica {
            (replica, api::HOST.to_owned())
        } else if self.dice.below(2) == 0 {
            (replica, other)
        } else {
            (other, replica)
        }
    }
}
