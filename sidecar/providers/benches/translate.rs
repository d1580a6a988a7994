//! What the request path pays here: reading a prompt, rewriting it, and one event of a stream.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use spillway_providers::{Api, Body, Dialect, StreamDecoder, Target, encode, read, tokens};

/// Events of an answer, which is kept until its end where a copy of it is written there: a bound ends the longest.
const LONG: u32 = 20_000;

/// A chat request of about `size` bytes: prose with the escapes prose has.
fn request(size: usize) -> Bytes {
    let line = "The quick brown fox said \"yes\" to the lazy dog, and both went home before it rained.\n";
    let text: String = line.chars().cycle().take(size.saturating_sub(120)).collect();
    let body = json!({"model": "chat", "temperature": 0.2, "messages": [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]});
    body.to_string().into()
}

fn target(dialect: Dialect) -> Target<'static> {
    let model = if dialect == Dialect::OpenAi { "gpt-4o-mini" } else { "claude-haiku-4-5" };
    Target::new(dialect, model)
}

fn prompts(criterion: &mut Criterion) {
    for (name, size) in [("200B", 200), ("8KB", 8 << 10), ("200KB", 200 << 10)] {
        let bytes = request(size);
        let body = Body::parse(bytes.clone()).expect("the request is valid");
        let need = read(Api::ChatCompletions, &body).expect("the request is valid");
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("parse", |bench| bench.iter(|| Body::parse(black_box(bytes.clone()))));
        group.bench_function("read", |bench| bench.iter(|| read(Api::ChatCompletions, black_box(&body))));
        group.bench_function("bounds", |bench| bench.iter(|| tokens::bounds(Api::ChatCompletions, black_box(&body))));
        for (dialect, label) in [(Dialect::OpenAi, "to_openai"), (Dialect::Anthropic, "to_anthropic")] {
            let target = target(dialect);
            group.bench_function(label, |bench| {
                bench.iter(|| encode(Api::ChatCompletions, black_box(&body), &need, &target));
            });
        }
        group.finish();
    }
}

fn events(criterion: &mut Criterion) {
    let openai = Bytes::from_static(
        b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o-2024-08-06\",\
        \"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n",
    );
    let call = Bytes::from_static(
        b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o-2024-08-06\",\
        \"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\" word\"}}]},\
        \"logprobs\":null,\"finish_reason\":null}]}\n\n",
    );
    let anthropic = Bytes::from_static(
        b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\
        \"text\":\" word\"}}\n\n",
    );
    let mut group = criterion.benchmark_group("event");
    let rows = [
        ("openai_kept", Api::ChatCompletions, Dialect::OpenAi, "", &openai),
        ("openai_renamed", Api::ChatCompletions, Dialect::OpenAi, "chat", &openai),
        ("openai_to_messages", Api::Messages, Dialect::OpenAi, "chat", &openai),
        ("openai_to_responses", Api::Responses, Dialect::OpenAi, "chat", &openai),
        ("openai_call_renamed", Api::ChatCompletions, Dialect::OpenAi, "chat", &call),
        ("openai_call_to_messages", Api::Messages, Dialect::OpenAi, "chat", &call),
        ("openai_call_to_responses", Api::Responses, Dialect::OpenAi, "chat", &call),
        ("anthropic_to_chat", Api::ChatCompletions, Dialect::Anthropic, "chat", &anthropic),
        ("anthropic_kept", Api::Messages, Dialect::Anthropic, "chat", &anthropic),
    ];
    for (name, api, dialect, shown, event) in rows {
        group.bench_function(name, |bench| {
            let new = || StreamDecoder::new(api, dialect, shown, false);
            let (mut decoder, mut events) = (new(), 0);
            let push = |out: &mut Vec<_>| {
                events += 1;
                if events == LONG {
                    (decoder, events) = (new(), 0);
                }
                decoder.push(black_box(event.clone()), out)
            };
            bench.iter_batched_ref(Vec::new, push, BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, prompts, events);
criterion_main!(benches);
