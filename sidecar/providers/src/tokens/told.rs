//! What providers have said of prompts that they counted themselves. A conversation that has grown since is at least as long
//! as it was, and at most as much longer as it has bytes more: that may decide, and then nobody is asked again.

use memchr::memmem;

use super::{
    Attached, Count, SLACK, attached,
    memory::{Key, Kind, Known, Memory},
    text::MEMORY,
};
use crate::{Api, Body};

/// So many turns back a prompt is looked for.
const EARLIER: usize = 32;

/// What is no part of a prompt. Whatever else there is, known here or not, may be: a count is of the prompt it was made of.
const BESIDE: [&str; 25] = [
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "stop",
    "stop_sequences",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
];

/// What the provider keeps and may change: of the same words it makes another prompt.
const CHANGING: [&str; 2] = ["conversation", "prompt"];

/// How a part of a message begins, or is called, that is what a model thought.
const THOUGHTS: [&[u8]; 2] = [b"thinking\"", b"\"reasoning"];

/// A prompt has at least `least` and at most `most` tokens, as its provider counts. None: nobody has counted to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub least: u64,
    pub most: Option<u64>,
}

/// A prompt as it is remembered: what it is after each of its last turns. All of it is looked at once, whoever is asked for it.
#[derive(Clone, Debug)]
pub struct Turns {
    /// Each, and how long it is, the last one first.
    last: Vec<(Key, u64)>,
    /// An image has no length, nor has a file.
    is_text: bool,
    /// Models are not shown what they thought in turns that are over.
    thinks: bool,
}

/// Whether somebody's count of any prompt is remembered: if not, there is no need to look at one. `who`: whoever counts.
#[must_use]
pub fn is_told(who: &str) -> bool {
    MEMORY.is_told(who)
}

#[must_use]
pub fn turns(api: Api, body: &Body) -> Turns {
    MEMORY.turns(api, body)
}

/// What is known of a prompt, or of what it began with.
#[must_use]
pub fn told(turns: &Turns, who: &str) -> Option<Told> {
    MEMORY.told(turns, who)
}

/// Remembers a provider's count. One that is not exact is as far as it has counted.
pub fn remember(turns: &Turns, who: &str, count: Count) {
    MEMORY.remember(turns, who, count);
}

// === impl Memory ===

impl Memory {
    fn is_told(&self, who: &str) -> bool {
        self.get(self.first(Kind::Teller, who.as_bytes())).is_some()
    }

    fn told(&self, turns: &Turns, who: &str) -> Option<Told> {
        let who = self.first(Kind::Told, who.as_bytes());
        let mut later = 0;
        for (back, (key, bytes)) in turns.last.iter().enumerate() {
            if let Some(known) = self.get(self.of(*key, who)) {
                let tokens = u64::from(known.tokens);
                let least = if back > 0 && turns.thinks { 0 } else { tokens };
                let most = known.exact.then(|| tokens + later);
                return (back == 0 || turns.is_text).then_some(Told { least, most });
            }
            later += bytes + SLACK;
        }
        None
    }

    fn remember(&self, turns: &Turns, who: &str, Count { tokens, exact }: Count) {
        if let (Some((key, _)), Ok(tokens)) = (turns.last.first(), u32::try_from(tokens)) {
            let known = Known { tokens, exact, is_system: false };
            self.put(self.of(*key, self.first(Kind::Told, who.as_bytes())), known);
            // Looked at whenever one of the counts is, it stays for as long as any of them.
            self.put(self.first(Kind::Teller, who.as_bytes()), known);
        }
    }

    fn turns(&self, api: Api, body: &Body) -> Turns {
        if CHANGING.iter().any(|changing| body.get_bytes(changing).is_some_and(|raw| raw != b"null")) {
            return Turns { last: Vec::new(), is_text: false, thinks: false };
        }
        // Who counts messages asks for what they would be.
        let (words, field) = match api {
            Api::Responses => ("responses", "input"),
            Api::Messages | Api::CountTokens => ("messages", "messages"),
            Api::ChatCompletions | Api::Completions | Api::Embeddings | Api::Tokenize | Api::Pass(_) => {
                ("chat", "messages")
            }
        };
        let mut key = self.first(Kind::Told, words.as_bytes());
        for around in body.keys().filter(|key| *key != field && !BESIDE.contains(key)) {
            key = self.after(self.after(key, around.as_bytes()), body.get_bytes(around).unwrap_or_default());
        }
        let mut parts = body.elements(field);
        if parts.is_empty() {
            parts.extend(body.get_bytes(field));
        }
        let thought = |part: &&[u8]| THOUGHTS.iter().any(|word| memmem::find(part, word).is_some());
        let thinks = parts.iter().any(thought);
        let turn = |part: &[u8]| {
            key = self.after(key, part);
            (key, part.len() as u64)
        };
        let mut last: Vec<(Key, u64)> = parts.into_iter().map(turn).collect();
        last.drain(..last.len().saturating_sub(EARLIER));
        last.reverse();
        Turns { last, is_text: attached::find(api, body) == Attached::default(), thinks }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COUNT: Count = Count { tokens: 1_000, exact: true };

    fn talk(system: &str, turns: usize) -> Body {
        let turn = |number: usize| json!({"role": "user", "content": format!("turn {number}")});
        let messages: Vec<_> = (0..turns).map(turn).collect();
        Body::parse(json!({"model": "m", "system": system, "messages": messages}).to_string().into()).unwrap()
    }

    #[test]
    fn a_conversation_that_has_grown_is_as_long_as_it_was_and_a_little_longer() {
        let (memory, api) = (Memory::default(), Api::Messages);
        let talk = |system, turns| memory.turns(api, &talk(system, turns));
        assert!(!memory.is_told("x/m"));
        memory.remember(&talk("be told", 4), "x/m", COUNT);
        assert!(memory.is_told("x/m") && !memory.is_told("y/m"));
        assert_eq!(memory.told(&talk("be told", 4), "x/m"), Some(Told { least: 1_000, most: Some(1_000) }));
        let Told { least, most } = memory.told(&talk("be told", 6), "x/m").unwrap();
        assert!(least == 1_000 && most.is_some_and(|most| (1_050..1_150).contains(&most)), "{most:?}");
        let others = [
            ("another provider", talk("be told", 4), "y/m"),
            ("another system message", talk("be quiet", 4), "x/m"),
            ("a shorter one", talk("be told", 3), "x/m"),
            ("too long ago", talk("be told", 5 + EARLIER), "x/m"),
        ];
        for (row, turns, who) in others {
            assert_eq!(memory.told(&turns, who), None, "{row}");
        }
    }

    #[test]
    fn how_far_somebody_has_counted_says_how_long_a_prompt_is_at_least_and_no_more() {
        let (memory, talk) = (Memory::default(), |turns| talk("be told", turns));
        memory.remember(&memory.turns(Api::Messages, &talk(4)), "x/m", Count { exact: false, ..COUNT });
        for turns in [4, 6] {
            let told = memory.told(&memory.turns(Api::Messages, &talk(turns)), "x/m");
            assert_eq!(told, Some(Told { least: 1_000, most: None }), "{turns}");
        }
    }

    #[test]
    fn what_was_thought_in_a_turn_that_is_over_may_be_gone_from_a_conversation_that_has_grown() {
        let rows = [
            (json!([{"type": "text", "text": "thinking of it"}]), 1_000),
            (json!([{"type": "thinking", "thinking": "hm", "signature": "s"}]), 0),
            (json!([{"type": "redacted_thinking", "data": "s"}]), 0),
        ];
        for (content, want) in rows {
            let memory = Memory::default();
            let talk = |turns| {
                let turn = json!({"role": "assistant", "content": content});
                let body = json!({"model": "m", "messages": vec![turn; turns]}).to_string();
                memory.turns(Api::Messages, &Body::parse(body.into()).unwrap())
            };
            memory.remember(&talk(2), "x/m", COUNT);
            let told = |turns| memory.told(&talk(turns), "x/m").unwrap();
            assert_eq!((told(2).least, told(4).least), (1_000, want), "{content}");
            assert!(told(4).most.is_some_and(|most| most > 1_000), "{content}");
        }
    }

    #[test]
    fn a_count_is_of_one_prompt_whatever_else_it_is_made_of() {
        let memory = Memory::default();
        let with = |key: &str, value: serde_json::Value| {
            let mut body = talk("be told", 4);
            body.set(key, &value);
            body
        };
        let rows = [
            (Api::Messages, "thinking", json!({"type": "enabled"}), false),
            (Api::Messages, "mcp_servers", json!([{"url": "https://x"}]), false),
            (Api::Responses, "previous_response_id", json!("r"), false),
            (Api::ChatCompletions, "reasoning", json!({"effort": "high"}), false),
            (Api::ChatCompletions, "chat_template_kwargs", json!({"x": 1}), false),
            (Api::ChatCompletions, "functions", json!([{"name": "f"}]), false),
            (Api::ChatCompletions, "whatever_comes_next", json!(1), false),
            (Api::ChatCompletions, "temperature", json!(0.5), true),
            (Api::Messages, "max_tokens", json!(9), true),
        ];
        for (api, key, value, same) in rows {
            memory.remember(&memory.turns(api, &talk("be told", 4)), "x/m", COUNT);
            assert_eq!(memory.told(&memory.turns(api, &with(key, value)), "x/m").is_some(), same, "{key}");
        }
        let kept = memory.turns(Api::Responses, &with("conversation", json!("c")));
        memory.remember(&kept, "x/m", COUNT);
        assert_eq!(memory.told(&kept, "x/m"), None, "it grows where nobody sees it");
    }
}
