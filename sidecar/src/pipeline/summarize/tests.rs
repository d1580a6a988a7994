use spillway_policy::truncate::{Order, Rule};
use spillway_providers::{
    Api, Body,
    tokens::{self, Encoding},
};

use super::*;

/// A conversation of so many messages, some of them long; one begins as all others do.
fn talk(count: usize) -> Vec<Value> {
    let word = |number: usize| format!("message {number} {}", "word ".repeat(20 + number % 7 * 10));
    let role = |number: usize| if number.is_multiple_of(2) { "user" } else { "assistant" };
    let talk = (0..count).map(|number| json!({"role": role(number), "content": word(number)}));
    std::iter::once(json!({"role": "system", "content": "be brief"})).chain(talk).collect()
}

fn plan(messages: &[Value], room: u64, author: &str) -> Option<Plan> {
    let body = Body::parse(json!({"model": "m", "messages": messages}).to_string().into()).unwrap();
    let tokens = tokens::count(Api::ChatCompletions, &body, Encoding::Estimate).tokens;
    let keep = Rule { keep_system: true, keep_last: 4, order: Order::OldestFirst };
    let wanted = Wanted {
        window: 2_000,
        room,
        rule: SummaryRule { backend: 0, keep, max_tokens: 100 },
        author: author.to_owned(),
    };
    let conversation = Conversation::read(Api::ChatCompletions, body, Encoding::Estimate, tokens, &|| true)?;
    Plan::new(conversation, &wanted, &|| true)
}

#[test]
fn a_conversation_that_grows_is_summarized_once_per_step_and_each_time_from_where_it_was() {
    let (mut keys, mut turns) = (Vec::new(), 0);
    for count in (41..400).step_by(2) {
        let plan = plan(&talk(count), 1_500, "x").unwrap();
        turns += 1;
        if keys.last() != Some(&plan.key) {
            assert!(!keys.contains(&plan.key), "{count}: back to an earlier step");
            let before = keys.last().copied();
            let of = plan.earlier.first().map(|(key, _)| *key);
            assert!(before.is_none() || of == before, "{count}: made of the one before");
            keys.push(plan.key);
        }
    }
    // 360 messages of some 70 tokens are 25,000: a quarter of a window at a time.
    assert!((30..70).contains(&keys.len()), "{} summaries for {turns} requests", keys.len());
}

#[test]
fn a_summary_takes_the_place_of_what_was_left_out_in_front_of_the_oldest_that_stays() {
    let messages = talk(61);
    let plan = plan(&messages, 1_500, "x").unwrap();
    let gone = plan.goes.iter().flatten().filter(|goes| **goes <= plan.step).count();
    let words = plan.words(None);
    assert!(words.starts_with("user: message 0 ") && words.contains("assistant: message 1 "), "{words}");
    let (_, before) = plan.earlier[0];
    let rest = plan.words(Some((&Summary { text: "all so far".into(), tokens: 3 }, before)));
    assert!(rest.starts_with("summary of what came before: all so far\n\nuser: message"), "{rest}");
    assert!(!rest.contains("message 1 ") && rest.len() < words.len(), "{rest}");

    let short = plan.told_by(&Summary { text: "the parcel is lost".into(), tokens: 5 }, &|| true);
    let left: Vec<Value> = serde_json::from_str(short.body.get("messages").unwrap()).unwrap();
    assert_eq!((left.len(), short.changed), (messages.len() - gone, u32::try_from(gone).unwrap()));
    assert_eq!(left[0], messages[0], "system first");
    assert_eq!(left[2..], messages[gone + 2..], "and the rest as it was");
    let first = left[1]["content"].as_str().unwrap();
    assert!(first.starts_with(OPENING) && first.contains("the parcel is lost"), "{first}");
    assert!(first.ends_with(messages[gone + 1]["content"].as_str().unwrap()), "{first}");
    assert!(short.tokens <= 1_500, "{}", short.tokens);
}

#[test]
fn two_that_began_alike_share_a_summary_and_others_do_not() {
    let key = |messages: &[Value], author: &str| plan(messages, 1_500, author).unwrap().key;
    let mut other = talk(61);
    let last = other.last_mut().unwrap();
    last["content"] = json!(last["content"].as_str().unwrap().replace("word", "worm"));
    assert_eq!(key(&talk(61), "x"), key(&other, "x"));
    assert_ne!(key(&talk(61), "x"), key(&talk(61), "y"), "another author");
    other[1]["content"] = json!(other[1]["content"].as_str().unwrap().replace("message 0", "message O"));
    assert_ne!(key(&talk(61), "x"), key(&other, "x"));
}

#[test]
fn names_are_found_in_one_look_and_by_nobody_who_has_left() {
    let messages = talk(400);
    let asked = std::cell::Cell::new(0);
    let goes: Vec<Option<u64>> = (1..=401).map(Some).collect();
    let names = |goes_on: &dyn Fn() -> bool| names("x", &messages, &goes, 401, goes_on);
    let found = names(&|| asked.replace(asked.get() + 1) < usize::MAX).unwrap();
    assert_eq!((found.len(), asked.get()), (65, messages.len()), "each message once, for all steps together");
    let different: std::collections::HashSet<_> = found.iter().map(|(key, _)| *key).collect();
    assert_eq!(different.len(), found.len());
    assert!(names(&|| asked.replace(asked.get() + 1) < messages.len() + 5).is_none());
    assert_eq!(asked.get(), messages.len() + 6, "and then no more");
}

#[test]
fn what_cannot_fit_even_with_a_summary_is_not_summarized() {
    let mut messages = talk(21);
    messages.last_mut().unwrap()["content"] = json!("word ".repeat(3_000));
    assert!(plan(&messages, 1_500, "x").is_none());
}

#[test]
fn a_summary_stands_in_front_of_whatever_a_message_holds() {
    let rows = [
        (json!({"role": "user", "content": "x"}), json!({"role": "user", "content": "Sx"})),
        (
            json!({"role": "user", "content": [{"type": "image"}]}),
            json!({"role": "user", "content": [{"type": "text", "text": "S"}, {"type": "image"}]}),
        ),
        (
            json!({"role": "user", "content": [{"type": "input_text", "text": "x"}]}),
            json!({"role": "user", "content": [{"type": "input_text", "text": "S"}, {"type": "input_text", "text": "x"}]}),
        ),
    ];
    for (mut message, want) in rows {
        assert!(put_in_front(&mut message, "S"));
        assert_eq!(message, want);
    }
    assert!(!put_in_front(&mut json!({"type": "item_reference"}), "S"));
}
