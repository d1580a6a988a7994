//! In which order the backends that can serve a request are asked. The first one gets it; the others are there for
//! whoever finds the first unusable after all.
//!
//! Every strategy only sorts: what a backend is able and allowed to do has been decided before. Nothing here draws a
//! random number or asks for the time; both are arguments.

mod affinity;
mod latency;
mod turns;

pub use affinity::by_affinity;
pub use latency::{Load, PeakEwma, by_latency};
pub use turns::{Turn, by_turn, take_turn};

use crate::NanoUsd;

/// Fewest in flight first; which of several with the same number is a matter of the roll.
pub fn by_busy(order: &mut [usize], in_flight: impl Fn(usize) -> u32, roll: u64) {
    order.sort_by_cached_key(|index| (in_flight(*index), mix(roll, *index as u64)));
}

/// Cheapest worst case for this very request first. A price nobody knows is not a low one: it comes last, in the user's
/// order.
pub fn by_cost(order: &mut [usize], worst: impl Fn(usize) -> Option<NanoUsd>) {
    order.sort_by_cached_key(|index| worst(*index).map_or((1, NanoUsd(0)), |cost| (0, cost)));
}

/// One random number out of two: the finish of splitmix64, in which every bit of the input matters.
const fn mix(seed: u64, more: u64) -> u64 {
    let mut mixed = seed ^ more.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_busy_comes_first_and_ties_are_spread() {
        let busy = [3, 1, 1, 0, 1];
        let mut seconds = [0u32; 5];
        for roll in 0..3_000 {
            let mut order = [0, 1, 2, 3, 4];
            by_busy(&mut order, |index| busy[index], roll);
            assert_eq!((order[0], order[4]), (3, 0), "roll {roll}");
            seconds[order[1]] += 1;
        }
        for tied in [1, 2, 4] {
            assert!((900..1_100).contains(&seconds[tied]), "{seconds:?}");
        }
    }

    #[test]
    fn the_cheapest_comes_first_and_an_unknown_price_last_in_the_given_order() {
        let costs = [None, Some(NanoUsd(9)), Some(NanoUsd(2)), None, Some(NanoUsd(2))];
        let mut order = [0, 1, 2, 3, 4];
        by_cost(&mut order, |index| costs[index]);
        assert_eq!(order, [2, 4, 1, 0, 3]);
    }
}
