use super::*;

fn content(api: Api, part: &Value) -> Count {
    let message = json!([{"role": "user", "content": [part]}]);
    let key = if api == Api::Responses { "input" } else { "messages" };
    count(api, &body(&json!({key: message})), Encoding::O200k)
}

#[test]
fn a_documents_text_is_counted_as_any_and_an_image_by_its_detail_wherever_that_stands() {
    let text = "hello world ".repeat(400);
    let (messages, said) = (Api::Messages, json!({"type": "text", "text": text}));
    let plain = content(messages, &said);
    assert!(plain.exact && plain.tokens > 800, "{plain:?}");
    let document = |source: Value| json!({"type": "document", "source": source});
    let given = document(json!({"type": "text", "media_type": "text/plain", "data": text}));
    assert_eq!(content(messages, &given), plain);
    for inside in [json!(text), json!([said])] {
        assert_eq!(content(messages, &document(json!({"type": "content", "content": inside}))), plain);
    }
    let mut titled = given;
    (titled["title"], titled["context"]) = ("hello".into(), "hello world".into());
    assert_eq!(content(messages, &titled).tokens, plain.tokens + 3);
    let file = content(messages, &document(json!({"type": "base64", "data": text})));
    assert!(!file.exact && file.tokens < plain.tokens, "{file:?}");

    let image = |detail: &str| json!({"type": "input_image", "image_url": "https://x", "detail": detail});
    let counted = ["low", "high"].map(|detail| content(Api::Responses, &image(detail)).tokens);
    assert_eq!(counted[1] - counted[0], 765 - 85, "{counted:?}");
}

#[test]
fn what_an_answer_has_to_look_like_is_part_of_the_prompt_whatever_it_is_called() {
    let schema = json!({"type": "json_schema", "schema": {"description": "long ".repeat(2_000)}});
    let bare = json!({"messages": [{"role": "user", "content": "hi"}]});
    let (least, before) = (bounds(Api::Messages, &body(&bare)), count(Api::Messages, &body(&bare), Encoding::O200k));
    for (key, value) in [("output_format", schema.clone()), ("output_config", json!({"format": schema}))] {
        let mut asked = bare.clone();
        asked[key] = value;
        let (bounds, counted) =
            (bounds(Api::Messages, &body(&asked)), count(Api::Messages, &body(&asked), Encoding::O200k));
        assert!(bounds.upper >= least.upper + 10_000, "{key}: {bounds:?}");
        assert!(counted.tokens > before.tokens + 2_000 && counted.tokens <= bounds.upper, "{key}: {counted:?}");
    }
}

/// Some applications write a type beside a message's role, where only items of a response have one.
#[test]
fn what_a_part_of_a_conversation_is_its_api_says_and_not_its_words() {
    let call =
        json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\": \"hello world\"}"}});
    let message = json!({"type": "message", "role": "assistant", "content": "hello", "tool_calls": [call]});
    let written = message.to_string();
    let counted = [Api::ChatCompletions, Api::Messages, Api::Responses].map(|api| {
        let alone = count_message(api, &message, Encoding::O200k, &|| true);
        assert_eq!(count_parts(api, &[written.as_bytes()], Encoding::O200k, &|| true), [alone], "{api:?}");
        alone
    });
    assert!(counted[0] == counted[1] && counted[0] > counted[2], "{counted:?}");
}
