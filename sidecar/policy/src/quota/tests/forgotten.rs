//! What a sidecar has forgotten, or says after it was over, brings nothing back to life; and nothing is kept for ever.

use crate::quota::*;

const SECOND: Nanos = 1_000_000_000;
const ACCOUNT: Account = Account { budget: BudgetId(7), period: Period(1) };
const RATE: RateId = RateId(3);

/// One leader and some sidecars that hear each other at once.
struct Exchange {
    now: Nanos,
    leader: Allocator<u32>,
    version: u32,
    stored: Ledger<u32>,
}

impl Exchange {
    fn new(stored: &Ledger<u32>) -> Self {
        let leader = Allocator::take_over("one".into(), stored, "0".into());
        Self { now: SECOND, leader, version: 0, stored: stored.clone() }
    }

    fn round(&mut self, sidecars: &mut [(u32, &mut Holder)]) {
        for (source, holder) in sidecars.iter_mut() {
            self.leader.report(self.now, source, &holder.report(self.now));
        }
        for _ in 0..3 {
            self.leader.lead(self.now, self.now + 10 * SECOND);
            let Output { rights, write } = self.leader.turn(self.now);
            if let Some(write) = write {
                self.version += 1;
                self.stored = Ledger::clone(&write.ledger);
                self.leader.written(self.now, self.version.to_string().into());
            }
            for (to, rights) in rights {
                for (_, holder) in sidecars.iter_mut().filter(|(source, _)| *source == to) {
                    holder.take(self.now, &rights, &mut Vec::new());
                }
            }
            self.now += SECOND / 4;
        }
    }
}

fn spend(holder: &mut Holder, now: Nanos, amount: u64) -> bool {
    let ask = Ask { spends: &[Spend { account: ACCOUNT, amount }], ..Ask::default() };
    let Ok(hold) = holder.admit(now, &ask, &mut Vec::new()) else { return false };
    holder.settle(now, hold, Outcome::Done { cost: amount, tokens: 0 }, &mut Vec::new());
    true
}

fn spend_all(exchange: &mut Exchange, holder: &mut Holder) -> u64 {
    let mut spent = 0;
    for _ in 0..40 {
        while spend(holder, exchange.now, 1) {
            spent += 1;
        }
        exchange.round(&mut [(1, holder)]);
    }
    spent
}

#[test]
fn a_sidecar_that_has_forgotten_an_account_takes_up_where_it_was() {
    let mut exchange = Exchange::new(&Ledger::default());
    exchange.leader.set_budget(ACCOUNT, 100, None);
    let mut holder = Holder::new(1);
    assert_eq!(spend_all(&mut exchange, &mut holder), 100);
    holder.drop_account(ACCOUNT);
    assert_eq!(spend_all(&mut exchange, &mut holder), 0);
    exchange.leader.set_budget(ACCOUNT, 130, None);
    assert_eq!(spend_all(&mut exchange, &mut holder), 30, "and has what is granted from then on");
}

#[test]
fn a_process_that_goes_on_from_the_journal_of_one_that_was_over_is_granted_again() {
    let mut exchange = Exchange::new(&Ledger::default());
    exchange.leader.set_budget(ACCOUNT, 100, None);
    let mut holder = Holder::new(1);
    for _ in 0..5 {
        assert!(spend(&mut holder, exchange.now, 1) || holder.money(ACCOUNT).0 == 0);
        exchange.round(&mut [(1, &mut holder)]);
    }
    holder.leave(&mut Vec::new());
    let last = holder.report(exchange.now);
    let mut next = Holder::recover(exchange.now, 2, holder.entries().collect::<Vec<_>>());
    exchange.leader.report(exchange.now, &1, &last);
    let spent = exchange.leader.statement(ACCOUNT).unwrap().spent;
    assert_eq!(spend_all(&mut exchange, &mut next), 100 - spent);
    exchange.leader.report(exchange.now, &1, &last);
    exchange.leader.set_budget(ACCOUNT, 110, None);
    assert_eq!(spend_all(&mut exchange, &mut next), 10, "a late copy of the last word of the one before says nothing");
}

#[test]
fn a_write_that_was_never_sent_makes_way_for_another_and_makes_nothing_durable() {
    let mut exchange = Exchange::new(&Ledger::default());
    exchange.leader.set_budget(ACCOUNT, 100, None);
    let mut holder = Holder::new(1);
    exchange.round(&mut [(1, &mut holder)]);
    for _ in 0..40 {
        assert!(!spend(&mut holder, exchange.now, 50));
        exchange.now += SECOND;
        exchange.leader.report(exchange.now, &1, &holder.report(exchange.now));
        exchange.leader.lead(exchange.now, exchange.now + 10 * SECOND);
        let Output { rights, write } = exchange.leader.turn(exchange.now);
        assert!(write.is_some(), "it is tried again");
        rights.iter().for_each(|(_, rights)| holder.take(exchange.now, rights, &mut Vec::new()));
        exchange.leader.abandon();
    }
    assert_eq!(spend_all(&mut exchange, &mut holder), 100);
}

#[test]
fn who_is_lost_with_a_leader_strands_the_block_of_what_it_had_a_part_of_only() {
    let other = Account { budget: BudgetId(8), period: Period(1) };
    let mut exchange = Exchange::new(&Ledger::default());
    let (mut one, mut two) = (Holder::new(1), Holder::new(1));
    for account in [ACCOUNT, other] {
        exchange.leader.set_budget(account, 1_000_000, None);
    }
    for _ in 0..30 {
        for (holder, account) in [(&mut one, ACCOUNT), (&mut two, other)] {
            let ask = Ask { spends: &[Spend { account, amount: 100 }], ..Ask::default() };
            if let Ok(hold) = holder.admit(exchange.now, &ask, &mut Vec::new()) {
                holder.settle(exchange.now, hold, Outcome::Done { cost: 100, tokens: 0 }, &mut Vec::new());
            }
        }
        exchange.round(&mut [(1, &mut one), (2, &mut two)]);
    }
    let blocks = [ACCOUNT, other].map(|account| exchange.stored.accounts[&account].block);
    assert!(blocks.iter().all(|block| *block > 0), "{blocks:?}");
    let mut next = Exchange { now: exchange.now, ..Exchange::new(&exchange.stored) };
    for _ in 0..4 {
        next.round(&mut [(1, &mut one)]);
    }
    let held = [ACCOUNT, other].map(|account| next.leader.statement(account).unwrap().held);
    assert_eq!(held, blocks, "the second one may have either");
    next.leader.retire(&2);
    let [first, second] = [ACCOUNT, other].map(|account| next.leader.statement(account).unwrap());
    assert_eq!((first.held, first.forfeited), (0, 0), "it had no part of that");
    assert!(second.held == 0 && second.forfeited >= blocks[1], "{second:?}");
}

fn by_value(limit: u64) -> RateRule {
    RateRule { limit, window: 60 * SECOND, quantum: 1, loss: Loss::Hold, on_demand: true }
}

/// So many pass, of as many as are asked for, with leave where that is needed.
fn pass(exchange: &mut Exchange, holder: &mut Holder, requests: usize) -> usize {
    let take = [Take { rate: RATE, amount: 1, tokens: false }];
    let mut passed = 0;
    for _ in 0..requests {
        let mut permits = Vec::new();
        for again in [false, true] {
            let ask = Ask { takes: &take, permits: &permits, again, ..Ask::default() };
            match holder.admit(exchange.now, &ask, &mut Vec::new()) {
                Ok(hold) => {
                    holder.settle(exchange.now, hold, Outcome::Done { cost: 0, tokens: 0 }, &mut Vec::new());
                    passed += 1;
                    break;
                }
                Err(_) => permits.push(holder.ask_permit(exchange.now, RATE, 1, SECOND)),
            }
            exchange.round(&mut [(1, holder)]);
        }
    }
    passed
}

#[test]
fn the_first_request_of_a_value_passes_at_once_and_a_successor_is_careful_with_what_was_used() {
    let mut exchange = Exchange::new(&Ledger::default());
    let mut holder = Holder::new(1);
    exchange.round(&mut [(1, &mut holder)]);
    exchange.leader.set_rate(RATE, by_value(60));
    assert_eq!(pass(&mut exchange, &mut holder, 3), 3);
    assert!(exchange.stored.rates.contains_key(&RATE), "it is stored before it is used");

    let mut next = Exchange { now: exchange.now, ..Exchange::new(&exchange.stored) };
    let mut other = Holder::new(1);
    next.leader.set_rate(RATE, by_value(60));
    for _ in 0..4 {
        next.round(&mut [(2, &mut other)]);
    }
    let statement = next.leader.rate(next.now, RATE).unwrap();
    assert_eq!(statement.unknown, statement.charged, "the first one was not heard: {statement:?}");
    for _ in 0..4 {
        next.round(&mut [(1, &mut holder), (2, &mut other)]);
    }
    assert_eq!(next.leader.rate(next.now, RATE).unwrap().unknown, 0, "everybody was");
}

#[test]
fn a_value_that_nobody_uses_any_more_is_forgotten_by_everybody() {
    let mut exchange = Exchange::new(&Ledger::default());
    let mut holder = Holder::new(1);
    exchange.round(&mut [(1, &mut holder)]);
    exchange.leader.set_rate(RATE, by_value(60));
    pass(&mut exchange, &mut holder, 3);
    let mut forgotten = Vec::new();
    let begun = exchange.now;
    while forgotten.is_empty() {
        exchange.round(&mut [(1, &mut holder)]);
        exchange.now += SECOND;
        forgotten = exchange.leader.forget_rates(exchange.now);
        assert!(exchange.now < begun + 1_200 * SECOND, "{:?}", exchange.leader.rate(exchange.now, RATE));
    }
    assert!(exchange.now > begun + 420 * SECOND, "not before no window and no lease can see anything of it");
    assert_eq!((forgotten, exchange.leader.has_rate(RATE)), (vec![RATE], false));
    assert_eq!(holder.report(exchange.now).flows, []);
    exchange.now += 5 * SECOND;
    exchange.round(&mut [(1, &mut holder)]);
    assert!(!exchange.stored.rates.contains_key(&RATE));
}
