//! What deciding costs each request.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use spillway_policy::{
    Class, Price, Usage,
    fallback::{Candidate, Demand, Output, Question, Set, Sizes, primaries},
    retry::{Failure, Rule},
};

const CANDIDATE: Candidate =
    Candidate { primary: true, window: Some(128_000), tokenizer: 0, tools: true, images: true, json_schema: true };

fn plan(c: &mut Criterion) {
    let mut candidates = [Candidate { tools: false, ..CANDIDATE }; 16];
    candidates[15] = CANDIDATE;
    let sizes = Sizes::bounds(100, 8_000);
    c.bench_function("choose the last of 16 backends", |b| {
        b.iter(|| {
            let demand = Demand { output: Output::Reserve(1_024), tools: true, ..Demand::default() };
            let question =
                Question { candidates: &candidates, demand, sizes: &sizes, out: Set::default(), larger_than: 0 };
            black_box(question.first_of(primaries(&candidates), |_, skip| _ = black_box(skip)))
        });
    });
}

fn retry(c: &mut Criterion) {
    let second = Duration::from_secs(1);
    let on = Class::ALL.into_iter().collect();
    let rule = Rule { attempts: 2, on, base: second / 4, max: second * 8, honour_retry_after: second * 120 };
    let failure = Failure { class: Class::RateLimited, repeats: 1, retry_after: Some(second), left: second * 60 };
    c.bench_function("decide on a retry", |b| b.iter(|| black_box(rule.after(black_box(&failure), 42))));
}

fn cost(c: &mut Criterion) {
    let price = Price { input: 150_000_000, output: 600_000_000, cache_read: 75_000_000, cache_write: 187_500_000 };
    let usage = Usage { input: 1_200, output: 345, cache_read: 1_000, cache_write: 0 };
    c.bench_function("price an answer", |b| b.iter(|| black_box(price.of(black_box(&usage)))));
}

criterion_group!(benches, plan, retry, cost);
criterion_main!(benches);
