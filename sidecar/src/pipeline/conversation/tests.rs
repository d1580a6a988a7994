use serde_json::json;
use spillway_policy::truncate::Order;
use spillway_providers::{Dialect, Target, encode, read};

use super::*;

/// How many conversations of each API are shortened. The benchmark sets `SPILLWAY_CONVERSATIONS` to a hundred thousand, which
/// takes ten minutes where nothing is optimised.
const USUALLY: u64 = 3_000;

/// What is counted is asked about every sixteen kilobytes, and what is remembered is not counted.
#[test]
fn of_a_conversation_over_its_window_that_grows_only_what_is_new_is_counted() {
    let turn =
        |number: usize| json!({"role": "user", "content": format!("{number} {}", "fifty llamas ".repeat(3_000))});
    let mut messages: Vec<Value> = (0..8).map(turn).collect();
    let asked = std::cell::Cell::new(0);
    let shortened = |messages: &[Value]| {
        asked.set(0);
        let goes_on = || asked.replace(asked.get() + 1) < usize::MAX;
        let body = Body::parse(json!({"model": "m", "messages": messages}).to_string().into()).unwrap();
        let believed = tokens::count_while(Api::ChatCompletions, &body, Encoding::O200k, &goes_on).tokens;
        let mut conversation =
            Conversation::read(Api::ChatCompletions, body, Encoding::O200k, believed, &goes_on).unwrap();
        let rule = Rule { keep_system: true, keep_last: 1, order: Order::OldestFirst };
        let fates = conversation.fit(30_000, rule, &goes_on).unwrap();
        assert!(fates.contains(&Fate::Drop) && conversation.shorten(&fates, &goes_on).tokens <= 30_000);
        asked.get()
    };
    let first = shortened(&messages);
    assert!(first >= 16, "asked {first} times");
    for number in 8..11 {
        messages.push(turn(number));
        let asked = shortened(&messages);
        assert!((1..=3).contains(&asked), "turn {number}: asked {asked} times, {first} times for the first eight");
    }
}

const GOES_ON: GoesOn<'_> = &|| true;

/// Numbers that look like any, the same ones every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn words(&mut self) -> String {
        let long = if self.below(12) == 0 { 400 } else { 30 };
        let words = ["where", "is", "my", "parcel", "Grüße", "東京", "🎉", "{}", "\"", "\n"];
        (0..=self.below(long)).map(|_| words[usize::try_from(self.below(10)).unwrap()]).collect::<Vec<_>>().join(" ")
    }

    fn rule(&mut self) -> Rule {
        let order = if self.below(3) == 0 { Order::MiddleOut } else { Order::OldestFirst };
        Rule { keep_system: self.below(4) > 0, keep_last: 1 + usize::try_from(self.below(4)).unwrap(), order }
    }
}

/// What is said and done in turn. Speakers alternate.
enum Turn {
    System(String),
    User(String, bool),
    /// Calls by number, with what they found.
    Tools(Vec<(u64, String)>),
    /// A call, what the user says meanwhile, and what it found.
    Late(u64, String),
    /// Leave is asked for and given, with words between if there are any.
    Leave(u64, Option<String>),
    Assistant(String),
}

fn turns(dice: &mut Dice) -> Vec<Turn> {
    let (mut turns, mut calls) = (Vec::new(), 0);
    if dice.below(3) > 0 {
        turns.push(Turn::System(dice.words()));
    }
    let rounds = 1 + dice.below(6);
    for round in 1..=rounds {
        turns.push(Turn::User(dice.words(), dice.below(10) == 0));
        for _ in 0..dice.below(4).saturating_sub(1) {
            let found = (0..=dice.below(3)).map(|_| {
                calls += 1;
                (calls, dice.words())
            });
            turns.push(Turn::Tools(found.collect()));
        }
        if dice.below(5) == 0 {
            calls += 1;
            turns.push(Turn::Late(calls, dice.words()));
        }
        if dice.below(5) == 0 {
            calls += 1;
            let meanwhile = dice.below(2) == 0;
            turns.push(Turn::Leave(calls, meanwhile.then(|| dice.words())));
        }
        if round < rounds || dice.below(4) == 0 {
            turns.push(Turn::Assistant(dice.words()));
        }
    }
    turns
}

const IMAGE: &str = "data:image/png;base64,aGk=";

fn chat(turn: &Turn) -> Vec<Value> {
    match turn {
        Turn::System(text) => vec![json!({"role": "system", "content": text})],
        Turn::User(text, false) => vec![json!({"role": "user", "content": text})],
        Turn::User(text, true) => vec![json!({"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": IMAGE}}, {"type": "text", "text": text}]})],
        Turn::Assistant(text) => vec![json!({"role": "assistant", "content": text})],
        Turn::Late(id, text) => {
            let mut said = chat(&Turn::Tools(vec![(*id, text.clone())]));
            said.insert(1, json!({"role": "user", "content": text}));
            said
        }
        Turn::Leave(id, _) => chat(&Turn::Tools(vec![(*id, "ok".to_owned())])),
        Turn::Tools(calls) => {
            let call = |(id, _): &(u64, String)| {
                json!({"id": format!("call_{id}"), "type": "function",
                    "function": {"name": "look", "arguments": format!("{{\"at\":{id}}}")}})
            };
            let asked = json!({"role": "assistant", "content": null,
                "tool_calls": calls.iter().map(call).collect::<Vec<_>>()});
            let found = |(id, text): &(u64, String)| json!({"role": "tool", "tool_call_id": format!("call_{id}"), "content": text});
            std::iter::once(asked).chain(calls.iter().map(found)).collect()
        }
    }
}

fn message(turn: &Turn) -> Vec<Value> {
    match turn {
        Turn::System(_) => Vec::new(),
        Turn::User(text, false) => vec![json!({"role": "user", "content": text})],
        Turn::User(text, true) => vec![json!({"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
            {"type": "text", "text": text}]})],
        Turn::Assistant(text) => vec![json!({"role": "assistant", "content": [{"type": "text", "text": text}]})],
        Turn::Late(id, text) => message(&Turn::Tools(vec![(*id, text.clone())])),
        Turn::Leave(id, _) => message(&Turn::Tools(vec![(*id, "ok".to_owned())])),
        Turn::Tools(calls) => {
            let call = |(id, _): &(u64, String)| json!({"type": "tool_use", "id": format!("call_{id}"), "name": "look", "input": {"at": id}});
            let found = |(id, text): &(u64, String)| json!({"type": "tool_result", "tool_use_id": format!("call_{id}"), "content": text});
            vec![
                json!({"role": "assistant", "content": calls.iter().map(call).collect::<Vec<_>>()}),
                json!({"role": "user", "content": calls.iter().map(found).collect::<Vec<_>>()}),
            ]
        }
    }
}

fn item(turn: &Turn) -> Vec<Value> {
    match turn {
        Turn::System(text) => vec![json!({"role": "developer", "content": text})],
        Turn::User(text, false) => vec![json!({"role": "user", "content": text})],
        Turn::User(text, true) => vec![json!({"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": text}, {"type": "input_image", "image_url": IMAGE}]})],
        Turn::Assistant(text) => {
            vec![json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]})]
        }
        Turn::Late(id, text) => {
            let mut said = item(&Turn::Tools(vec![(*id, text.clone())]));
            said.insert(2, json!({"role": "user", "content": text}));
            said
        }
        Turn::Leave(id, meanwhile) => {
            let asked =
                json!({"type": "mcp_approval_request", "id": format!("mcpr_{id}"), "name": "look", "arguments": "{}"});
            let given =
                json!({"type": "mcp_approval_response", "approval_request_id": format!("mcpr_{id}"), "approve": true});
            let said = meanwhile.iter().map(|text| json!({"role": "user", "content": text}));
            std::iter::once(asked).chain(said).chain([given]).collect()
        }
        Turn::Tools(calls) => {
            let call = |(id, _): &(u64, String)| json!({"type": "function_call", "call_id": format!("call_{id}"), "name": "look", "arguments": "{}"});
            let found = |(id, text): &(u64, String)| json!({"type": "function_call_output", "call_id": format!("call_{id}"), "output": text});
            let thought = json!({"type": "reasoning", "id": format!("rs_{}", calls[0].0), "summary": []});
            std::iter::once(thought).chain(calls.iter().map(call)).chain(calls.iter().map(found)).collect()
        }
    }
}

fn is_role(message: &Value, role: &str) -> bool {
    message["role"] == role
}

/// Every tool's answer behind its call with at most the user's words between, every call answered, the user first.
fn is_chat(messages: &[Value]) -> bool {
    let mut open: Vec<&Value> = Vec::new();
    for message in messages {
        if is_role(message, "tool") {
            let Some(at) = open.iter().position(|id| **id == message["tool_call_id"]) else { return false };
            open.remove(at);
        } else if !open.is_empty() && !is_role(message, "user") {
            return false;
        }
        open.extend(message["tool_calls"].as_array().into_iter().flatten().map(|call| &call["id"]));
    }
    let mut others = messages.iter().filter(|message| !is_role(message, "system"));
    open.is_empty() && others.next().is_some_and(|first| is_role(first, "user"))
}

/// Speakers alternate, the user first; each answers the calls of the one before.
fn is_messages(messages: &[Value]) -> bool {
    let ids = |message: &Value, kind: &str, key: &str| {
        let blocks = message["content"].as_array().into_iter().flatten();
        blocks.filter(|block| block["type"] == kind).map(|block| block[key].clone()).collect::<Vec<_>>()
    };
    let speaks =
        |(at, message): (usize, &Value)| is_role(message, if at.is_multiple_of(2) { "user" } else { "assistant" });
    let answers = |two: &[Value]| ids(&two[0], "tool_use", "id") == ids(&two[1], "tool_result", "tool_use_id");
    messages.iter().enumerate().all(speaks)
        && messages.windows(2).all(answers)
        && messages.first().is_some_and(|first| ids(first, "tool_result", "tool_use_id").is_empty())
        && messages.last().is_some_and(|last| ids(last, "tool_use", "id").is_empty())
}

/// Every call has its answer behind it, every answer its call in front of it, every thought what was thought of.
fn is_input(items: &[Value]) -> bool {
    let is = |item: &Value, kind: &str| item["type"] == kind;
    let ids = |kind: &'static str| {
        items.iter().enumerate().filter(move |(_, item)| is(item, kind)).map(|(at, item)| (&item["call_id"], at))
    };
    let of: std::collections::HashMap<String, usize> =
        ids("function_call").map(|(id, at)| (id.to_string(), at)).collect();
    let calls = of.len();
    let answered = ids("function_call_output").filter(|(id, at)| of.get(&id.to_string()).is_some_and(|call| call < at));
    let answers = answered.count();
    let thinks = |two: &[Value]| {
        let id =
            |item: &Value, key: &str, start: &str| item[key].as_str().map(|id| id.trim_start_matches(start).to_owned());
        !is(&two[0], "reasoning") || id(&two[0], "id", "rs_") == id(&two[1], "call_id", "call_")
    };
    let asked = |at: usize, given: &Value| {
        items[..at].iter().any(|item| is(item, "mcp_approval_request") && item["id"] == given["approval_request_id"])
    };
    let count = |kind: &str| items.iter().filter(|item| is(item, kind)).count();
    let mut given = items.iter().enumerate().filter(|(_, item)| is(item, "mcp_approval_response"));
    count("mcp_approval_request") == count("mcp_approval_response")
        && given.all(|(at, item)| asked(at, item))
        && calls == answers
        && answers == ids("function_call_output").count()
        && items.windows(2).all(thinks)
        && items.iter().find(|item| !is_role(item, "developer")).is_some_and(|first| is_role(first, "user"))
}

/// What other providers make of it still alternates, and begins with the user.
fn is_gemini(body: &Body) -> bool {
    let need = read(Api::ChatCompletions, body).unwrap();
    let sent = encode(Api::ChatCompletions, body, &need, &Target::new(Dialect::Gemini, "gemini-2.5-pro")).unwrap();
    let sent: Value = serde_json::from_slice(&sent.body).unwrap();
    let contents = sent["contents"].as_array().unwrap();
    contents
        .iter()
        .enumerate()
        .all(|(at, content)| is_role(content, if at.is_multiple_of(2) { "user" } else { "model" }))
}

/// Whatever was neither left out nor cut is there as it was, and so is what the system says, if that was to stay.
fn keeps(messages: &[Value], left: &[Value], fates: &[Fate], rule: Rule) -> bool {
    let same = left.iter().filter(|message| messages.contains(message)).count();
    let cut = fates.iter().filter(|fate| matches!(fate, Fate::Cut(_))).count();
    let is_system = |message: &&Value| is_role(message, "system") || is_role(message, "developer");
    let mut systems = messages.iter().filter(is_system);
    same + cut >= left.len() && (!rule.keep_system || systems.all(|message| left.contains(message)))
}

type Wrote = fn(&Turn) -> Vec<Value>;
type Valid = fn(&[Value]) -> bool;

fn body(key: &str, messages: &[Value]) -> Body {
    Body::parse(json!({"model": "m", key: messages}).to_string().into()).unwrap()
}

#[test]
fn whatever_is_left_of_a_conversation_fits_and_is_one_in_the_words_of_its_api() {
    let usual = std::env::var("SPILLWAY_CONVERSATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(USUALLY);
    let apis: [(Api, &str, Wrote, Valid); 3] = [
        (Api::ChatCompletions, "messages", chat, is_chat),
        (Api::Messages, "messages", message, is_messages),
        (Api::Responses, "input", item, is_input),
    ];
    let mut dice = Dice(5);
    let [mut short, mut cut, mut refused] = [0u64; 3];
    for number in 0..usual {
        let turns = turns(&mut dice);
        // What is counted exactly takes its time where nothing is optimised.
        let encoding = if number % 8 == 1 { Encoding::O200k } else { Encoding::Estimate };
        // What providers have said of others like it may have corrected an estimate.
        let correction = if encoding == Encoding::Estimate { 90 + dice.below(30) } else { 100 };
        for (api, key, write, valid) in apis {
            let messages: Vec<Value> = turns.iter().flat_map(write).collect();
            assert!(valid(&messages), "{number} {api:?}: {messages:?}");
            let given = body(key, &messages);
            let tokens = tokens::count(api, &given, encoding).tokens;
            let believed = tokens * correction / 100;
            let room = believed * dice.below(110) / 100;
            let rule = dice.rule();
            let mut conversation = Conversation::read(api, given.clone(), encoding, believed, GOES_ON).unwrap();
            let Ok(fates) = conversation.fit(room, rule, GOES_ON) else {
                refused += 1;
                continue;
            };
            let Shortened { body: written, tokens, .. } = conversation.shorten(&fates, GOES_ON);
            let left: Vec<Value> = serde_json::from_str(written.get(key).unwrap()).unwrap();
            let at = format!("{number} {api:?} room {room} of {believed}, {rule:?}: {messages:?}\n{left:?}");
            assert!(Some(left.len()) == written.array_len(key) && tokens <= room, "{tokens}: {at}");
            let now = tokens::count(api, &body(key, &left), encoding).tokens;
            assert!(now * believed / tokens::count(api, &given, encoding).tokens <= room, "{now}: {at}");
            assert!(valid(&left), "{at}");
            let last = messages.iter().rev().zip(left.iter().rev()).take(rule.keep_last);
            assert!(
                last.clone().all(|(before, now)| before["role"] == now["role"] && before["type"] == now["type"]),
                "{at}"
            );
            assert!(keeps(&messages, &left, &fates, rule), "{at}");
            if api == Api::ChatCompletions && number % 8 == 0 {
                assert!(is_gemini(&body(key, &left)) || !is_gemini(&given), "{at}");
            }
            short += u64::from(left.len() < messages.len());
            cut += u64::from(fates.iter().any(|fate| matches!(fate, Fate::Cut(_))));
        }
    }
    assert!(
        short > usual && cut > usual / 20 && refused > usual / 10,
        "{short} shortened, {cut} cut, {refused} refused"
    );
}

#[test]
fn a_text_that_is_a_whole_input_is_cut_and_what_is_no_conversation_is_left() {
    let text = "word ".repeat(1_000);
    let given = Body::parse(json!({"model": "m", "input": text}).to_string().into()).unwrap();
    let tokens = tokens::count(Api::Responses, &given, Encoding::Estimate).tokens;
    let mut conversation =
        Conversation::read(Api::Responses, given.clone(), Encoding::Estimate, tokens, GOES_ON).unwrap();
    let rule = Rule { keep_system: true, keep_last: 4, order: Order::OldestFirst };
    let fates = conversation.fit(500, rule, GOES_ON).unwrap();
    let short = conversation.shorten(&fates, GOES_ON);
    assert!((400..=500).contains(&short.tokens) && short.changed == 1, "{}", short.tokens);
    for api in [Api::Completions, Api::Embeddings, Api::CountTokens] {
        assert!(Conversation::read(api, given.clone(), Encoding::Estimate, tokens, GOES_ON).is_none(), "{api:?}");
    }
}
