//! What counting costs, beside the reference in the same run, and what must not cost anything.
//!
//! Each row is the best of many rounds: what else runs on the machine can only add.

use std::{
    hint::black_box,
    io::{self, Write as _},
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::{Value, json};
use spillway_providers::{
    Api, Body,
    tokens::{self, Encoding},
};
use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton};

const KB: usize = 1 << 10;
const MB: usize = 1 << 20;

/// Text as people and programs write it: documentation and code of ours.
const TEXTS: [&str; 4] = [
    include_str!("../../../README.md"),
    include_str!("../src/translate.rs"),
    include_str!("../../../crds/src/model_provider/known.rs"),
    include_str!("../../policy/src/breaker.rs"),
];

/// What somebody might send who means ill.
const HOSTILE: [(&str, &str); 8] = [
    ("one letter", "a"),
    ("spaces", " "),
    ("line breaks", "\n"),
    ("hyphens", "-"),
    ("emoji", "😀"),
    ("brackets, nested", "["),
    ("accents", "\u{301}"),
    ("base64", "iVBORw0KGgoAAAANSUhEUgAAAAUA"),
];

type Reference = fn() -> &'static CoreBPE;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    memory(&mut out)?;
    for encoding in [Encoding::O200k, Encoding::Cl100k] {
        let load = best(1, || _ = tokens::count(Api::Embeddings, &embedding("x"), encoding));
        writeln!(out, "       {encoding:?} is loaded, and a word counted, in {:.1} ms", millis(load))?;
    }
    bounds(&mut out)?;
    exact(&mut out)?;
    turns(&mut out)?;
    hostile(&mut out)?;
    seed(&mut out)
}

/// What a vocabulary takes, in a process that has nothing else to do.
fn memory(out: &mut impl io::Write) -> io::Result<()> {
    let count = || _ = tokens::count(Api::Embeddings, &embedding(&text(KB)), Encoding::O200k);
    let before = resident_megabytes();
    for time in ["once", "again"] {
        count();
        let loaded = resident_megabytes();
        while tokens::turn() > 0 {}
        let (loaded, after) = (loaded - before, resident_megabytes() - before);
        writeln!(out, "       O200k, loaded {time}, takes {loaded:.1} MB; given back, {after:.1} MB")?;
    }
    Ok(())
}

/// Zero where the system does not say.
fn resident_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1024.0
}

/// A prompt whose length decides.
fn bounds(out: &mut impl io::Write) -> io::Result<()> {
    for (name, size) in [("1 KB", KB), ("64 KB", 64 * KB), ("1 MB", MB)] {
        let body = chat(&[text(size)]);
        let took = best(2_000, || _ = black_box(tokens::bounds(Api::ChatCompletions, black_box(&body))));
        at_most(out, &format!("bounds of {name}, us"), took.as_secs_f64() * 1e6, 2.0)?;
    }
    Ok(())
}

/// A prompt that has to be counted.
fn exact(out: &mut impl io::Write) -> io::Result<()> {
    let rows: [(Encoding, Reference); 2] =
        [(Encoding::O200k, o200k_base_singleton), (Encoding::Cl100k, cl100k_base_singleton)];
    let text = text(64 * KB);
    let body = embedding(&text);
    for (encoding, reference) in rows {
        let (mut counted, mut by_reference) = (0, 0);
        // By turns: what else runs here slows both.
        let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
        for _ in 0..50 {
            let took = best(1, || counted = tokens::count(Api::Embeddings, black_box(&body), encoding).tokens);
            ours = ours.min(millis(took));
            let took = best(1, || by_reference = reference().count_ordinary(black_box(&text)) as u64);
            theirs = theirs.min(millis(took));
        }
        let same = if counted == by_reference { "the same" } else { "NOT THE SAME" };
        writeln!(
            out,
            "       64 KB, {encoding:?}: {ours:.2} ms; tiktoken-rs: {theirs:.2} ms; {counted} tokens, {same}"
        )?;
        at_least(out, &format!("64 KB, {encoding:?}, times as fast as tiktoken-rs"), theirs / ours, 2.0)?;
    }
    Ok(())
}

/// A conversation, and the same with one turn more.
fn turns(out: &mut impl io::Write) -> io::Result<()> {
    let mut times: [Vec<Duration>; 2] = Default::default();
    for round in 0..20 {
        let mut messages: Vec<String> = (0..32).map(|message| format!("{round}.{message} {}", text(2 * KB))).collect();
        let first = chat(&messages);
        messages.push("And now in one sentence, please.".to_owned());
        let second = chat(&messages);
        for (turn, times) in [&first, &second].into_iter().zip(&mut times) {
            times.push(best(1, || _ = black_box(tokens::count(Api::ChatCompletions, turn, Encoding::O200k))));
        }
    }
    let [first, second] = times.map(|times| millis(times.into_iter().min().unwrap_or_default()));
    writeln!(out, "       a conversation of 64 KB: first turn {first:.2} ms, second turn {second:.3} ms")?;
    at_least(out, "second turn, times as fast as the first", first / second, 10.0)
}

fn hostile(out: &mut impl io::Write) -> io::Result<()> {
    for (name, unit) in HOSTILE {
        let body = embedding(&unit.repeat(MB / unit.len()));
        let took = best(10, || _ = black_box(tokens::count(Api::Embeddings, black_box(&body), Encoding::O200k)));
        at_most(out, &format!("1 MB of {name}, ms"), millis(took), 50.0)?;
    }
    Ok(())
}

/// The prompt that a model of 1,047,576 tokens was sent, and refused.
fn seed(out: &mut impl io::Write) -> io::Result<()> {
    let messages: Vec<String> = (0..80).map(|message| format!("{message} {}", text(64 * KB))).collect();
    let body = chat(&messages);
    let mut count = tokens::Count { tokens: 0, exact: false };
    let took = best(1, || count = tokens::count(Api::ChatCompletions, black_box(&body), Encoding::O200k));
    let (tokens, size) = (count.tokens, body.to_bytes().len());
    writeln!(out, "       a prompt of {size} bytes, {tokens} tokens, is counted in {:.0} ms", millis(took))
}

fn text(size: usize) -> String {
    TEXTS.iter().flat_map(|text| text.chars()).cycle().take(size).collect()
}

fn embedding(text: &str) -> Body {
    parse(&json!({ "input": text }))
}

fn chat(messages: &[String]) -> Body {
    let messages: Vec<Value> = messages.iter().map(|text| json!({"role": "user", "content": text})).collect();
    parse(&json!({"model": "chat", "messages": messages}))
}

fn parse(value: &Value) -> Body {
    Body::parse(Bytes::from(value.to_string())).expect("a request is JSON")
}

#[expect(clippy::disallowed_methods, reason = "time is what is measured")]
fn best(rounds: u32, mut work: impl FnMut()) -> Duration {
    let time = |_| {
        let from = Instant::now();
        work();
        from.elapsed()
    };
    (0..rounds).map(time).min().unwrap_or_default()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn at_most(out: &mut impl io::Write, name: &str, figure: f64, goal: f64) -> io::Result<()> {
    writeln!(out, "{} {name} {figure:.2} (goal: at most {goal})", if figure <= goal { "met   " } else { "MISSED" })
}

fn at_least(out: &mut impl io::Write, name: &str, figure: f64, goal: f64) -> io::Result<()> {
    writeln!(out, "{} {name} {figure:.2} (goal: at least {goal})", if figure >= goal { "met   " } else { "MISSED" })
}
