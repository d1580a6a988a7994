use serde_json::json;

use super::*;

fn look_up(provider: ProviderType, model: &str) -> Option<Entry> {
    Catalogue::default().look_up(provider, model)
}

fn rates(entry: &Entry) -> Rates {
    entry.pricing.as_ref().unwrap().standard.rates
}

#[test]
fn well_known_models_are_known() {
    let mini = look_up(ProviderType::OpenAI, "gpt-4o-mini").unwrap();
    assert_eq!((mini.context_window, mini.max_output_tokens), (Some(128_000), Some(16_384)));
    let price = mini.price(ProviderType::OpenAI).unwrap();
    assert_eq!((price.rates.input_nanos, price.rates.output_nanos), (150_000_000, 600_000_000));
    assert_eq!(price.rates.cache_read_nanos, Some(75_000_000));
    assert!(mini.tools && mini.parallel_tools && mini.vision && mini.json_schema);
    let haiku = look_up(ProviderType::Anthropic, "claude-haiku-4-5").unwrap();
    assert_eq!((haiku.context_window, rates(&haiku).get(Token::CacheWrite)), (Some(200_000), Some(1_250_000_000)));
    assert_eq!(rates(&haiku).get(Token::CacheWrite1h), Some(2_000_000_000));
    let embedding = look_up(ProviderType::OpenAI, "text-embedding-3-small").unwrap();
    assert_eq!(embedding.mode, Mode::Embedding);
    assert_eq!(rates(&embedding).get(Token::Output), Some(0));
    let opus = look_up(ProviderType::Anthropic, "claude-opus-5").unwrap().abilities;
    assert_eq!((opus.sampling, opus.adaptive_thinking, opus.assistant_prefill), (Some(false), Some(true), Some(false)));
}

#[test]
fn what_is_billed_by_the_piece_has_the_price_of_a_piece() {
    let pieces = |provider, model| look_up(provider, model).and_then(|entry| entry.pieces).map(|pieces| *pieces);
    let none = wire::Pieces::default();
    let rows = [
        (ProviderType::OpenAI, "whisper-1", wire::Pieces { second_nanos: Some(100_000_000_000), ..none.clone() }),
        (ProviderType::OpenAI, "tts-1", wire::Pieces { character_nanos: Some(15_000_000_000), ..none.clone() }),
        (
            ProviderType::XAI,
            "grok-imagine-image",
            wire::Pieces { image_nanos: Some(20_000_000_000_000), ..none.clone() },
        ),
        (ProviderType::Cohere, "rerank-v3.5", wire::Pieces { search_nanos: Some(2_000_000_000_000), ..none.clone() }),
        (
            ProviderType::Anthropic,
            "claude-sonnet-4-5",
            wire::Pieces { search_nanos: Some(10_000_000_000_000), ..none.clone() },
        ),
        (
            ProviderType::Nscale,
            "black-forest-labs/FLUX.1-schnell",
            wire::Pieces { pixel_nanos: Some(1_300_000), ..none },
        ),
    ];
    for (provider, model, want) in rows {
        assert_eq!(pieces(provider, model), Some(want), "{model}");
    }
    let drawn = pieces(ProviderType::OpenAI, "gpt-image-1").unwrap();
    let high = |look: &&wire::Look| look.quality == "high" && (look.width, look.height) == (1024, 1024);
    assert_eq!(drawn.looks.iter().find(high).map(|look| look.image_nanos), Some(167_000_000_000_000));
    let entry = look_up(ProviderType::OpenAI, "gpt-image-1").unwrap();
    assert_eq!(rates(&entry).get(Token::ImageOutput), Some(40_000_000_000), "and by the token");
    assert!(look_up(ProviderType::OpenAI, "high/1024-x-1024/gpt-image-1").is_none(), "which is no model");
    let moderation = look_up(ProviderType::OpenAI, "omni-moderation-latest").unwrap();
    assert_eq!((moderation.mode, rates(&moderation).get(Token::Input)), (Mode::Moderation, Some(0)));
}

#[test]
fn a_name_is_looked_up_at_its_own_provider_only() {
    assert_eq!(look_up(ProviderType::Anthropic, "gpt-4o-mini"), None);
    assert_eq!(look_up(ProviderType::OpenAICompatible, "gpt-4o-mini"), None);
    assert_eq!(look_up(ProviderType::OpenAI, "no-such-model"), None);
    assert!(look_up(ProviderType::Mistral, "mistral-small-latest").is_some(), "without the list's prefix");
}

#[test]
fn a_model_has_the_price_of_what_it_was_made_from() {
    let own = look_up(ProviderType::OpenAI, "ft:gpt-4o-mini-2024-07-18:acme::abc123");
    assert_eq!(own, look_up(ProviderType::OpenAI, "ft:gpt-4o-mini-2024-07-18"));
    assert!(own.is_some());
    for odd in ["ft:", "ft::", "ft:gpt", "ft:é:x"] {
        assert_eq!(look_up(ProviderType::OpenAI, odd), None, "{odd}");
    }
    let profile = look_up(ProviderType::Bedrock, "sg.anthropic.claude-opus-4-7");
    assert_eq!(profile, look_up(ProviderType::Bedrock, "anthropic.claude-opus-4-7"));
    assert!(profile.is_some() && look_up(ProviderType::Bedrock, "mars.anthropic.claude-opus-4-7").is_none());
    for way in [
        "invoke/us.anthropic.claude-opus-4-7",
        "invoke/anthropic.claude-opus-4-7",
        "converse/anthropic.claude-opus-4-7",
    ] {
        assert!(look_up(ProviderType::Bedrock, way).is_some(), "{way}");
    }
    assert_eq!(look_up(ProviderType::Bedrock, "invoke/sg.anthropic.claude-opus-4-7"), profile);
}

#[test]
fn what_is_shown_reads_back_as_it_was() {
    for (provider, name, entry) in Catalogue::default().all() {
        let shown = show(&entry);
        let row = Row::read(&shown).unwrap_or_else(|error| panic!("{provider} {name}: {error}\n{shown}"));
        assert_eq!(row.over(Entry::default()), entry, "{provider} {name}\n{shown}");
    }
}

fn overlay(document: &serde_json::Value) -> Result<Overlay, String> {
    Overlay::read([("catalogue.json", document.to_string().as_str())]).map_err(|error| error.to_string())
}

#[test]
fn an_overlay_wins_field_by_field() {
    let document = json!({
        "OpenAI": {
            "gpt-4o-mini": {"contextWindow": 64_000, "pricing": {"inputPerMillion": "0.10",
                "tiers": [{"aboveTokens": 32_000, "inputPerMillion": "0.20"}]}, "abilities": {"sampling": false}},
            "whisper-1": {"pricing": {"perSecond": "0.00005"}},
            "gpt-image-1": {"pricing": {"perImage": "0.02"}},
            "own": {"mode": "embedding", "pricing": {"inputPerMillion": "0.5", "outputPerMillion": "0"}, "vision": null},
        },
    });
    let catalogue = Catalogue::with(overlay(&document).unwrap());
    let mini = catalogue.look_up(ProviderType::OpenAI, "gpt-4o-mini").unwrap();
    assert_eq!((mini.context_window, mini.max_output_tokens), (Some(64_000), Some(16_384)));
    let price = mini.price(ProviderType::OpenAI).unwrap();
    assert_eq!((price.rates.input_nanos, price.rates.output_nanos), (100_000_000, 600_000_000));
    assert_eq!(price.cards.iter().map(|card| card.above_tokens).max(), Some(32_000));
    assert_eq!((mini.abilities.sampling, mini.abilities.tool_choice), (Some(false), Some(true)));
    let pieces = |model| catalogue.look_up(ProviderType::OpenAI, model).and_then(|entry| entry.pieces).unwrap();
    assert_eq!(pieces("whisper-1").second_nanos, Some(50_000_000_000));
    let drawn = pieces("gpt-image-1");
    assert_eq!((drawn.image_nanos, drawn.looks.len()), (Some(20_000_000_000_000), 9));
    let own = catalogue.look_up(ProviderType::OpenAI, "own").unwrap();
    assert_eq!((own.mode, own.tools), (Mode::Embedding, false));
    assert!(catalogue.all().iter().any(|(_, name, _)| name == "own"));
    assert_eq!(catalogue.look_up(ProviderType::Groq, "own"), None);
}

#[test]
fn a_bad_overlay_names_the_key_the_row_and_the_field() {
    let row = |row: serde_json::Value| json!({"OpenAI": {"gpt-4o": row}});
    let rows = [
        (json!([]), "catalogue.json: is no object of provider types"),
        (json!({"OpenAi": {}}), "\"OpenAi\" is no type of provider"),
        (json!({"OpenAI": []}), "OpenAI: is no object of models"),
        (json!({"OpenAI": {"a b": {}}}), "OpenAI \"a b\": is no name of a model"),
        (row(json!(7)), "OpenAI \"gpt-4o\": 7 is no object"),
        (row(json!({"window": 1})), "window: there is no such field (there are mode, contextWindow,"),
        (row(json!({"contextWindow": "128k"})), "contextWindow: \"128k\" is no whole number"),
        (row(json!({"contextWindow": 5})), "maxOutputTokens: 16384 is more than the contextWindow of 5"),
        (row(json!({"vision": "yes"})), "vision: \"yes\" is neither true nor false"),
        (row(json!({"mode": "talk"})), "mode: \"talk\" is none of chat,"),
        (row(json!({"deprecationDate": "soon"})), "deprecationDate: \"soon\" is no date"),
        (row(json!({"abilities": {"fly": true}})), "abilities.fly: there is no such ability (there are sampling,"),
        (row(json!({"pricing": {"inputPerMillion": 2.5}})), "pricing.inputPerMillion: 2.5 is no string"),
        (row(json!({"pricing": {"inputPerMillion": "-1"}})), "pricing.inputPerMillion: \"-1\" is not an amount"),
        (row(json!({"pricing": {"input": "1"}})), "pricing.input: there is no such price"),
        (row(json!({"pricing": {"flex": {"flex": {}}}})), "pricing.flex.flex: there is no such price"),
        (row(json!({"pricing": {"tiers": [{}]}})), "pricing.tiers[0].aboveTokens: is missing"),
        (row(json!({"pricing": {"perImage": 4}})), "pricing.perImage: 4 is no string: write dollars as"),
        (row(json!({"pricing": {"perSecond": "1e-4"}})), "pricing.perSecond: \"1e-4\" is not an amount in US dollars"),
        (row(json!({"pricing": {"perPage": "1"}})), "pricing.perPage: there is no such price"),
        (row(json!({"pricing": {"flex": {"perImage": "1"}}})), "pricing.flex.perImage: there is no such price"),
        (
            row(json!({"pricing": {"images": [{"quality": "hd", "size": "9x9"}]}})),
            "pricing.images[0]: needs a quality, a size",
        ),
        (row(json!({"pricing": {"images": [{"size": "large"}]}})), "images[0].size: \"large\" is no size such as"),
        (
            row(json!({"pricing": {"flex": {"tiers": [{"aboveTokens": 9}, {"aboveTokens": 9}]}}})),
            "pricing.flex.tiers[1].aboveTokens: 9 is given twice",
        ),
        (json!({"OpenAI": {"own": {"pricing": {"inputPerMillion": "1"}}}}), "OpenAI \"own\": pricing: needs both"),
    ];
    for (document, want) in rows {
        let error = overlay(&document).expect_err(want);
        assert!(error.starts_with("catalogue.json: ") && error.contains(want), "{want:?}: {error}");
    }
    let twice = [("a", r#"{"Groq": {"m": {}}}"#), ("b", r#"{"Groq": {"m": {}}}"#)];
    let error = Overlay::read(twice).expect_err("twice").to_string();
    assert_eq!(error, "b: Groq \"m\": is in a as well: keep one of the two");
    let twice = "{\"Groq\": {\n\"m\": {\"tools\": true},\n\"m\": {}}}";
    let error = Overlay::read([("k", twice)]).expect_err("twice").to_string();
    assert!(error.ends_with("Groq: \"m\" is given twice, in line 2 and in line 3: keep one of the two"), "{error}");
    assert!(Overlay::read([("k", "{")]).expect_err("half").to_string().starts_with("k: is no JSON to be used: "));
}
