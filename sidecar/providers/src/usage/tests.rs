use serde_json::json;

use super::*;

#[test]
fn a_count_that_cannot_be_is_not_believed() {
    let absurd = json!({"prompt_tokens": u64::MAX, "completion_tokens": 3});
    assert_eq!(Usage::read(Dialect::OpenAi, &absurd), None);
    let absurd = json!({"input_tokens": 5, "output_tokens": u64::MAX});
    assert_eq!(Usage::read(Dialect::Anthropic, &absurd).map(|usage| usage.output), Some(0));
}

#[test]
fn searches_made_for_an_answer_are_counted_once() {
    let read = |usage: Value| Usage::read(Dialect::Anthropic, &usage).unwrap();
    let first = read(json!({"input_tokens": 9, "output_tokens": 1}));
    let last = read(json!({"output_tokens": 5, "server_tool_use": {"web_search_requests": 2}}));
    assert_eq!((first.searches, last.searches, first.merge(last).merge(last).searches), (0, 2, 2));
}

#[test]
fn anthropic_says_under_what_terms_it_answered_and_what_it_did_before() {
    let read = |more: Value| {
        let mut usage = json!({"input_tokens": 9, "output_tokens": 1});
        usage.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Usage::read(Dialect::Anthropic, &usage).unwrap()
    };
    let rows = [
        (
            json!({"service_tier": "standard", "speed": "standard", "inference_geo": "global"}),
            Some(Tier::Standard),
            false,
        ),
        (json!({"service_tier": "priority"}), Some(Tier::Standard), false),
        (json!({"service_tier": "standard", "speed": "fast"}), Some(Tier::Priority), false),
        (json!({"inference_geo": "us"}), None, true),
    ];
    for (more, tier, regional) in rows {
        let usage = read(more.clone());
        assert_eq!((usage.tier, usage.regional), (tier, regional), "{more}");
    }
    let compacted = json!({"iterations": [
        {"type": "compaction", "input_tokens": 100, "output_tokens": 20, "cache_read_input_tokens": 5},
        {"type": "message", "input_tokens": 9, "output_tokens": 1},
    ]});
    let usage = read(compacted);
    assert_eq!((usage.input, usage.output, usage.cache_read), (9 + 100 + 5, 21, 5));
}

#[test]
fn every_spelling_means_the_same() {
    let rows = [
        (Dialect::OpenAi, json!({"prompt_tokens": 12, "completion_tokens": 7}), (12, 7, 0, 0, 0)),
        (
            Dialect::OpenAi,
            json!({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 2}}),
            (9, 3, 4, 0, 2),
        ),
        (
            Dialect::OpenAi,
            json!({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 112,
                "completion_tokens_details": {"reasoning_tokens": 100}}),
            (9, 103, 0, 0, 100),
        ),
        (Dialect::OpenAi, json!({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4}), (9, 0, 4, 0, 0)),
        (Dialect::OpenAi, json!({"prompt_tokens": 3, "prompt_cache_hit_tokens": 4}), (3, 0, 3, 0, 0)),
        (
            Dialect::Anthropic,
            json!({"input_tokens": 10, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 1000,
                "output_tokens": 5}),
            (1110, 5, 1000, 100, 0),
        ),
        (Dialect::Anthropic, json!({"output_tokens": 7}), (0, 7, 0, 0, 0)),
        (Dialect::Ollama, json!({"prompt_eval_count": 26, "eval_count": 10}), (26, 10, 0, 0, 0)),
        (Dialect::Ollama, json!({"eval_count": 10}), (0, 10, 0, 0, 0)),
        (
            Dialect::Bedrock,
            json!({"inputTokens": 10, "outputTokens": 5, "totalTokens": 1115, "cacheReadInputTokens": 1000,
                "cacheWriteInputTokens": 100}),
            (1110, 5, 1000, 100, 0),
        ),
        (
            Dialect::Gemini,
            json!({"promptTokenCount": 12, "candidatesTokenCount": 7, "thoughtsTokenCount": 30,
                "totalTokenCount": 49, "cachedContentTokenCount": 5}),
            (12, 37, 5, 0, 30),
        ),
        (
            Dialect::Gemini,
            json!({"promptTokenCount": 12, "candidatesTokenCount": 7, "thoughtsTokenCount": 5, "totalTokenCount": 19}),
            (12, 7, 0, 0, 5),
        ),
    ];
    for (dialect, value, (input, output, cache_read, cache_write, reasoning)) in rows {
        let want = Usage { input, output, cache_read, cache_write, reasoning, ..Usage::default() };
        assert_eq!(Usage::read(dialect, &value), Some(want), "{value}");
    }
}

#[test]
fn a_usage_without_counts_is_none() {
    for value in [json!(null), json!({}), json!([1]), json!({"prompt_tokens": "many"})] {
        assert_eq!(Usage::read(Dialect::OpenAi, &value), None, "{value}");
        assert_eq!(Usage::read(Dialect::Anthropic, &value), None, "{value}");
    }
}

#[test]
fn a_usage_survives_the_other_dialect() {
    let usage =
        Usage { input: 1110, output: 5, cache_read: 1000, cache_write: 100, cache_write_1h: 40, ..Usage::default() };
    assert_eq!(Usage::read(Dialect::Anthropic, &usage.to_anthropic()), Some(usage));
    assert_eq!(Usage::read(Dialect::OpenAi, &usage.to_openai()), Some(usage));
    let usage = Usage { cache_write_1h: 0, reasoning: 2, image_input: 3, ..usage };
    assert_eq!(Usage::read(Dialect::OpenAi, &usage.to_responses()), Some(usage));
}

#[test]
fn every_kind_of_token_is_told_apart() {
    let openai = json!({"prompt_tokens": 3000, "completion_tokens": 900, "total_tokens": 3900,
        "prompt_tokens_details": {"audio_tokens": 1000, "image_tokens": 500, "cached_tokens": 20},
        "completion_tokens_details": {"audio_tokens": 600, "image_tokens": 7, "reasoning_tokens": 30}});
    let responses = json!({"input_tokens": 3000, "output_tokens": 900, "total_tokens": 3900,
        "input_tokens_details": {"audio_tokens": 1000, "image_tokens": 500, "cached_tokens": 20},
        "output_tokens_details": {"audio_tokens": 600, "image_tokens": 7, "reasoning_tokens": 30}});
    let gemini = json!({"promptTokenCount": 3000, "candidatesTokenCount": 870, "thoughtsTokenCount": 30,
        "totalTokenCount": 3900, "cachedContentTokenCount": 20,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1500}, {"modality": "AUDIO", "tokenCount": 1000},
            {"modality": "IMAGE", "tokenCount": 500}],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 600}, {"modality": "IMAGE", "tokenCount": 7}]});
    let want = Usage {
        input: 3000,
        output: 900,
        cache_read: 20,
        reasoning: 30,
        audio_input: 1000,
        audio_output: 600,
        image_input: 500,
        image_output: 7,
        ..Usage::default()
    };
    for (dialect, value) in [(Dialect::OpenAi, &openai), (Dialect::OpenAi, &responses), (Dialect::Gemini, &gemini)] {
        assert_eq!(Usage::read(dialect, value), Some(want), "{value}");
    }
    assert_eq!(Usage::read(Dialect::OpenAi, &want.to_openai()), Some(want));
}

#[test]
fn what_is_kept_for_an_hour_is_part_of_what_was_written() {
    let kept = json!({"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40});
    let anthropic = json!({"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 100,
        "cache_creation": kept});
    let openai = json!({"prompt_tokens": 110, "completion_tokens": 5,
        "prompt_tokens_details": {"cache_creation_tokens": 100, "cache_creation_token_details": kept}});
    let bedrock = json!({"inputTokens": 10, "outputTokens": 5, "cacheWriteInputTokens": 100,
        "cacheDetails": [{"ttl": "5m", "inputTokens": 60}, {"ttl": "1h", "inputTokens": 40}]});
    for (dialect, value) in [(Dialect::Anthropic, anthropic), (Dialect::OpenAi, openai), (Dialect::Bedrock, bedrock)] {
        let usage = Usage::read(dialect, &value).unwrap();
        assert_eq!((usage.input, usage.cache_write, usage.cache_write_1h), (110, 100, 40), "{value}");
    }
}

#[test]
fn the_tier_is_the_one_that_answered() {
    let rows = [
        (Dialect::Anthropic, json!({"input_tokens": 1, "service_tier": "standard"}), Some(Tier::Standard)),
        (Dialect::Anthropic, json!({"input_tokens": 1, "service_tier": "priority"}), Some(Tier::Standard)),
        (Dialect::Gemini, json!({"promptTokenCount": 1, "trafficType": "ON_DEMAND_PRIORITY"}), Some(Tier::Priority)),
        (Dialect::Gemini, json!({"promptTokenCount": 1, "trafficType": "ON_DEMAND_FLEX"}), Some(Tier::Flex)),
        (
            Dialect::Gemini,
            json!({"promptTokenCount": 1, "trafficType": "PROVISIONED_THROUGHPUT"}),
            Some(Tier::Standard),
        ),
        (Dialect::OpenAi, json!({"prompt_tokens": 1, "service_tier": "auto"}), None),
        (Dialect::OpenAi, json!({"prompt_tokens": 1}), None),
    ];
    for (dialect, value, want) in rows {
        assert_eq!(Usage::read(dialect, &value).and_then(|usage| usage.tier), want, "{value}");
    }
}
