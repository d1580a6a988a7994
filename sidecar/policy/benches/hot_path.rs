//! What deciding costs each request.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use spillway_policy::{
    Class, PiecePrices, Price, Rates, Usage,
    balance::{Load, Turn, by_affinity, by_busy, by_cost, by_latency, by_turn, take_turn},
    breaker::{self, Breaker, Outcome},
    fallback::{Candidate, Choice, Demand, Output, Question, Set, Sizes, primaries},
    limit::{self, Ask, Key, LimitId, Limiter, Verdict},
    quota,
    retry::{
        Failure, Rule,
        budget::{self, Budget},
    },
};

const PRICE: Price = Price {
    rates: Rates { cache_read: 75_000_000, cache_write: 187_500_000, ..Rates::plain(150_000_000, 600_000_000) },
    cards: Vec::new(),
    flat: false,
    regional: None,
};

const CANDIDATE: Candidate = Candidate {
    primary: true,
    window: Some(128_000),
    tokenizer: 0,
    calibration: None,
    tools: true,
    parallel_tools: true,
    images: true,
    image_urls: true,
    per_image: None,
    json_schema: true,
    hosted_tools: true,
    price: Some(PRICE),
    pieces: PiecePrices::UNKNOWN,
    max_output: Some(4_096),
};

fn plan(c: &mut Criterion) {
    let mut candidates = vec![Candidate { tools: false, ..CANDIDATE }; 16];
    candidates[15] = CANDIDATE;
    let sizes = Sizes::bounds(100, 8_000);
    c.bench_function("choose the last of 16 backends", |b| {
        b.iter(|| {
            let demand = Demand { output: Output::Reserve(1_024), tools: true, ..Demand::default() };
            let question = Question {
                candidates: &candidates,
                learnt: &[],
                told: &[],
                demand,
                sizes: &sizes,
                out: Set::default(),
                open: Set::default(),
                denied: Set::default(),
                unwanted: Set::default(),
                unclear: Set::default(),
                larger_than: 0,
                max_cost: None,
            };
            black_box(question.first_of(primaries(&candidates), |_, skip| _ = black_box(skip)))
        });
    });
}

const BREAKER: breaker::Rule = breaker::Rule {
    failure_threshold: 5,
    failure_ratio_ppm: 500_000,
    min_requests: 10,
    window: Duration::from_secs(30),
    success_threshold: 2,
    open_for: Duration::from_secs(60),
};

/// The clock is an argument, and does not move.
#[expect(clippy::disallowed_methods, reason = "a benchmark has to begin somewhere")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

fn breaker(c: &mut Criterion) {
    let now = now();
    let mut breaker = Breaker::default();
    c.bench_function("breaker admit and record", |b| {
        b.iter(|| {
            if let Ok(ticket) = breaker.admit(black_box(now)) {
                breaker.record(&BREAKER, ticket, Outcome::Success, now);
            }
        });
    });
    let mut budget = Budget::default();
    let extra = budget::Rule { ratio_ppm: 200_000, min_per_second: 10 };
    c.bench_function("retry budget, a request and a retry", |b| {
        b.iter(|| {
            budget.request(black_box(now));
            black_box(budget.take(&extra, now))
        });
    });
}

fn plan_with_breakers(c: &mut Criterion) {
    let (sizes, now) = (Sizes::bounds(100, 8_000), now());
    let mut breakers: [Breaker; 8] = std::array::from_fn(|_| Breaker::default());
    c.bench_function("plan eight backends, each with its breaker", |b| {
        b.iter(|| {
            let mut open = Set::default();
            for (index, breaker) in breakers.iter().enumerate() {
                if breaker.refusal(black_box(now)).is_some() {
                    open.insert(index);
                }
            }
            let demand = Demand { output: Output::Reserve(1_024), tools: true, ..Demand::default() };
            let question = Question {
                candidates: &[CANDIDATE; 8],
                learnt: &[],
                told: &[],
                demand,
                sizes: &sizes,
                out: Set::default(),
                open,
                denied: Set::default(),
                unclear: Set::default(),
                unwanted: Set::default(),
                larger_than: 0,
                max_cost: None,
            };
            let choice = question.first_of(0..8, |_, skip| _ = black_box(skip));
            if let Choice::Take(index) = choice
                && let Ok(ticket) = breakers[index].admit(now)
            {
                breakers[index].record(&BREAKER, ticket, Outcome::Success, now);
            }
        });
    });
}

fn retry(c: &mut Criterion) {
    let second = Duration::from_secs(1);
    let on = Class::ALL.into_iter().collect();
    let rule = Rule { attempts: 2, on, base: second / 4, max: second * 8, honour_retry_after: second * 120 };
    let failure = Failure {
        class: Class::RateLimited,
        repeats: 1,
        paused: second / 2,
        retry_after: Some(second),
        left: second * 60,
    };
    c.bench_function("decide on a retry", |b| b.iter(|| black_box(rule.after(black_box(&failure), 42))));
}

fn cost(c: &mut Criterion) {
    let usage = Usage { input: 1_200, output: 345, cache_read: 1_000, ..Usage::default() };
    let price = PRICE;
    c.bench_function("price an answer", |b| b.iter(|| black_box(price.of(black_box(&usage)))));
}

fn order(c: &mut Criterion) {
    const NAMES: [&str; 8] = ["mini", "haiku", "big", "own", "far", "near", "old", "new"];
    let turn = |index| Turn { weight: [90, 10, 5, 5, 3, 2, 1, 0][index], behind: [-9, 4, 3, 1, 1, 0, 0, 0][index] };
    let load = |index| Load { in_flight: [3, 1, 4, 1, 5, 9, 2, 6][index], micros: Some(2_500) };
    let (demand, sizes) = (Demand { output: Output::Reserve(1_024), ..Demand::default() }, Sizes::bounds(100, 8_000));
    let mut bench = |name: &str, sort: &dyn Fn(&mut [usize])| {
        c.bench_function(&format!("order eight backends by {name}"), |b| {
            b.iter(|| {
                let mut order = black_box([0, 1, 2, 3, 4, 5, 6, 7]);
                sort(&mut order);
                black_box(order)
            });
        });
    };
    bench("turns", &|order| {
        by_turn(order, turn);
        take_turn(order, turn, |index, behind| _ = black_box((index, behind)));
    });
    bench("latency", &|order| by_latency(order, load, 42));
    bench("requests in flight", &|order| by_busy(order, |index| load(index).in_flight, 42));
    let candidate = CANDIDATE;
    bench("cost", &|order| by_cost(order, |_| candidate.worst(sizes.common(), &demand)));
    bench("session", &|order| by_affinity(order, b"session-4711", |index| NAMES[index], |_| 1));
}

/// Ten limits: of requests, of tokens, of both, with and without a burst, half of them for each of 5,000 tenants.
fn limits(c: &mut Criterion) {
    const SECOND: u64 = 1_000_000_000;
    let rule = |index: u64| limit::Rule {
        id: LimitId(index),
        name: format!("limit-{index}").into(),
        requests: (index % 3 != 1).then_some(1 << 40),
        tokens: (!index.is_multiple_of(3)).then_some(1 << 50),
        window: 60 * SECOND,
        burst: (index.is_multiple_of(2) && index % 3 != 2).then_some(1 << 30),
        concurrency: (index == 9).then_some(1_000_000),
        queue: None,
    };
    let rules: Vec<limit::Rule> = (0..10).map(rule).collect();
    let mut limiter = Limiter::<()>::default();
    let mut events = Vec::new();
    limiter.resize(0, &rules, &mut events);
    let mut now = 0_u64;
    c.bench_function("limits: check and take ten, then settle", |b| {
        b.iter(|| {
            now += 20_000;
            let tenant = (now / 20_000 % 5_000).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut keys = [Key { limit: LimitId(0), tenant: 0, name: "tenant" }; 10];
            for (index, key) in (0..).zip(&mut keys) {
                *key = Key { limit: LimitId(index), tenant: if index < 5 { 0 } else { tenant }, name: "tenant" };
            }
            let ask = Ask { keys: &keys, turn: tenant, tokens: 900, at_least: 100, deadline: u64::MAX, crowd: None };
            if let Verdict::Pass(pass) = limiter.ask(black_box(now), &ask, &mut events, || ()) {
                limiter.settle(now, pass, 500, &mut events);
            }
        });
    });
}

/// Three budgets and three fleet-wide limits, among a hundred of each.
fn rights(c: &mut Criterion) {
    const SECOND: u64 = 1_000_000_000;
    let account = |nth| quota::Account { budget: quota::BudgetId(nth), period: quota::Period(1) };
    let grant = |nth| quota::Grant {
        account: account(nth),
        total: u64::MAX / 2,
        returned: 0,
        spent: 0,
        keep: None,
        left: u64::MAX / 2,
    };
    let share = |nth| {
        let (rate, lease) = (quota::RateId(nth), 1_000 * SECOND);
        quota::Share { rate, window: 60 * SECOND, floor: 1 << 60, surplus: 0, least: 1 << 40, lease }
    };
    let mut holder = quota::Holder::new(1);
    let mut journal = Vec::new();
    let answers = holder.report(1).stamp;
    let (grants, shares) = ((0..100).map(grant).collect(), (0..100).map(share).collect());
    let rights = quota::Rights { epoch: quota::Epoch(1), serial: 1, answers, grants, shares, permits: Vec::new() };
    holder.take(1, &rights, &mut journal);
    let spends = [7, 42, 99].map(|nth| quota::Spend { account: account(nth), amount: 3_000_000 });
    let takes = [7, 42, 99].map(|nth| quota::Take { rate: quota::RateId(nth), amount: 900, tokens: nth != 7 });
    let mut now = SECOND;
    let mut bench = |name: &str, takes: &[quota::Take], settles: bool| {
        c.bench_function(name, |b| {
            b.iter(|| {
                now += 20_000;
                journal.clear();
                let ask = quota::Ask { spends: &spends, takes, ..quota::Ask::default() };
                let admitted = holder.admit(black_box(now), &ask, &mut journal);
                if let Ok(hold) = admitted.map(black_box)
                    && settles
                {
                    holder.settle(now, hold, quota::Outcome::Done { cost: 60_000, tokens: 500 }, &mut journal);
                }
            });
        });
    };
    bench("rights: admit to three budgets", &[], false);
    bench("rights: admit to three budgets and three fleet-wide limits", &takes, false);
    bench("rights: the same, and settle", &takes, true);
}

criterion_group!(benches, plan, order, breaker, plan_with_breakers, retry, cost, limits, rights);
criterion_main!(benches);
