//! A queue that is fair between tenants: they take turns, and within one it is first come, first served.

use std::collections::VecDeque;

/// Names a request that waits. A smaller one came earlier.
pub type Ticket = u64;

/// Who takes turns.
pub type Tenant = u64;

/// Requests that wait, and how much each will take.
#[derive(Clone, Debug, Default)]
pub struct FairQueue {
    /// In the order of their turns. None is empty.
    lanes: VecDeque<Lane>,
}

#[derive(Clone, Debug)]
struct Lane {
    tenant: Tenant,
    waiting: VecDeque<(Ticket, u64)>,
    /// The sum of what they will take.
    amount: u64,
}

/// Requests, and what they will take together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    pub requests: u64,
    pub amount: u64,
}

// === impl FairQueue ===

impl FairQueue {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Whose turn it is.
    #[must_use]
    pub fn first(&self) -> Option<Ticket> {
        self.lanes.front()?.waiting.front().map(|(ticket, _)| *ticket)
    }

    /// Does anybody in it come before this one, by age or by its turn's line?
    #[must_use]
    pub fn is_before(&self, tenant: Tenant, ticket: Ticket) -> bool {
        let front = |lane: &Lane| lane.waiting.front().is_some_and(|(earlier, _)| *earlier < ticket);
        self.lanes.front().is_some_and(front) || self.lanes.iter().find(|lane| lane.tenant == tenant).is_some_and(front)
    }

    /// The place of a ticket is given by its age: one that comes from another queue does not start again at the end.
    pub fn push(&mut self, tenant: Tenant, ticket: Ticket, amount: u64) {
        let lane = match self.lanes.iter().position(|lane| lane.tenant == tenant) {
            Some(index) => &mut self.lanes[index],
            None => {
                self.lanes.push_back(Lane { tenant, waiting: VecDeque::new(), amount: 0 });
                self.lanes.back_mut().expect("one was pushed")
            }
        };
        let place = lane.waiting.partition_point(|(earlier, _)| *earlier < ticket);
        lane.waiting.insert(place, (ticket, amount));
        lane.amount = lane.amount.saturating_add(amount);
    }

    /// The first one has had its turn.
    pub fn pop(&mut self) -> Option<Ticket> {
        let mut lane = self.lanes.pop_front()?;
        let (ticket, amount) = lane.waiting.pop_front()?;
        lane.amount = lane.amount.saturating_sub(amount);
        if !lane.waiting.is_empty() {
            self.lanes.push_back(lane);
        }
        Some(ticket)
    }

    /// One leaves without its turn. The others keep theirs.
    pub fn remove(&mut self, tenant: Tenant, ticket: Ticket) -> bool {
        let Some(index) = self.lanes.iter().position(|lane| lane.tenant == tenant) else { return false };
        let lane = &mut self.lanes[index];
        let Ok(place) = lane.waiting.binary_search_by_key(&ticket, |(ticket, _)| *ticket) else { return false };
        if let Some((_, amount)) = lane.waiting.remove(place) {
            lane.amount = lane.amount.saturating_sub(amount);
        }
        if lane.waiting.is_empty() {
            self.lanes.remove(index);
        }
        true
    }

    /// Who would be served before a newcomer of this tenant: all of its own, and as many turns of each other one.
    #[must_use]
    pub fn ahead(&self, tenant: Tenant) -> Ahead {
        let own = self.lanes.iter().find(|lane| lane.tenant == tenant).map_or(0, |lane| lane.waiting.len());
        self.lanes.iter().fold(Ahead::default(), |sum, lane| {
            // A newcomer's first turn comes after one turn of everybody who is there already.
            let turns = if lane.tenant == tenant { own } else { lane.waiting.len().min(own + 1) };
            let amount = if turns == lane.waiting.len() {
                lane.amount
            } else {
                lane.waiting.iter().take(turns).map(|(_, amount)| *amount).sum()
            };
            Ahead { requests: sum.requests + turns as u64, amount: sum.amount.saturating_add(amount) }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(queue: &mut FairQueue) -> Vec<Ticket> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn tenants_take_turns_whoever_came_with_more() {
        let mut queue = FairQueue::default();
        for (tenant, ticket) in [(1, 1), (1, 2), (1, 3), (1, 4), (2, 5), (3, 6), (2, 7)] {
            queue.push(tenant, ticket, 10);
        }
        assert_eq!(queue.ahead(1), Ahead { requests: 7, amount: 70 });
        assert_eq!(queue.ahead(4), Ahead { requests: 3, amount: 30 });
        assert_eq!(drain(&mut queue), [1, 5, 6, 2, 7, 3, 4]);
        assert!(queue.is_empty());
    }

    #[test]
    fn who_comes_from_another_queue_keeps_its_age() {
        let mut queue = FairQueue::default();
        for ticket in [5, 9, 2, 7] {
            queue.push(1, ticket, 1);
        }
        assert_eq!(drain(&mut queue), [2, 5, 7, 9]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn nobody_waits_for_more_than_one_turn_of_each_other_and_nothing_is_lost(
            steps in proptest::collection::vec((0u8..4, 0u64..4), 1..60),
        ) {
            let (mut queue, mut inside) = (FairQueue::default(), Vec::<(Tenant, Ticket)>::new());
            let mut served: Vec<Tenant> = Vec::new();
            for (ticket, (act, tenant)) in (0u64..).zip(steps) {
                match act {
                    0 | 1 => {
                        queue.push(tenant, ticket, 1);
                        inside.push((tenant, ticket));
                        served.clear();
                    }
                    2 => {
                        if let Some(ticket) = queue.pop() {
                            let at = inside.iter().position(|(_, waiting)| *waiting == ticket).unwrap();
                            let (tenant, _) = inside.remove(at);
                            prop_assert!(inside.iter().all(|(other, later)| *other != tenant || *later > ticket), "FIFO");
                            // Since the last newcomer, nobody is served twice while somebody else is not served at all.
                            if served.contains(&tenant) {
                                let hungry = inside.iter().find(|(other, _)| !served.contains(other));
                                prop_assert_eq!(hungry, None);
                                served.clear();
                            }
                            served.push(tenant);
                        }
                    }
                    _ => {
                        if let Some(at) = inside.iter().position(|(other, _)| *other == tenant) {
                            let (tenant, ticket) = inside.remove(at);
                            prop_assert!(queue.remove(tenant, ticket) && !queue.remove(tenant, ticket));
                            served.clear();
                        }
                    }
                }
                let amount: u64 = queue.lanes.iter().map(|lane| lane.amount).sum();
                prop_assert_eq!(amount, inside.len() as u64);
                prop_assert_eq!(queue.is_empty(), inside.is_empty());
            }
        }
    }
}
