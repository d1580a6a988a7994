//! What providers have said of prompts that they counted themselves. A conversation that has grown since is at least as long
//! as it was, and at most as much longer as it has bytes more: that may decide, and then nobody is asked again.

use super::{
    Attached, SLACK, attached,
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

/// A prompt has at least `least` and at most `most` tokens, as its provider counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub least: u64,
    pub most: u64,
}

/// What is known of a prompt, or of what it began with. `who`: whoever counts.
#[must_use]
pub fn told(api: Api, body: &Body, who: &str) -> Option<Told> {
    MEMORY.told(api, body, who)
}

/// Remembers a provider's count.
pub fn remember(api: Api, body: &Body, who: &str, tokens: u64) {
    MEMORY.remember(api, body, who, tokens);
}

// === impl Memory ===

impl Memory {
    fn told(&self, api: Api, body: &Body, who: &str) -> Option<Told> {
        let turns = self.turns(api, body, who);
        let mut later = 0;
        for (back, (key, bytes)) in turns.iter().rev().take(EARLIER).enumerate() {
            if let Some(known) = self.get(*key) {
                let least = u64::from(known.tokens);
                if back == 0 {
                    return Some(Told { least, most: least });
                }
                // An image has no length, nor has a file.
                let is_text = attached::find(api, body) == Attached::default();
                return is_text.then(|| Told { least, most: least + later });
            }
            later += bytes + SLACK;
        }
        None
    }

    fn remember(&self, api: Api, body: &Body, who: &str, tokens: u64) {
        if let (Some((key, _)), Ok(tokens)) = (self.turns(api, body, who).pop(), u32::try_from(tokens)) {
            self.put(key, Known { tokens, exact: true, is_system: false });
        }
    }

    /// What a prompt is after each of its turns, and how long each is.
    fn turns(&self, api: Api, body: &Body, who: &str) -> Vec<(Key, u64)> {
        if CHANGING.iter().any(|changing| body.get_bytes(changing).is_some_and(|raw| raw != b"null")) {
            return Vec::new();
        }
        // Who counts messages asks for what they would be.
        let (words, field) = match api {
            Api::Responses => ("responses", "input"),
            Api::Messages | Api::CountTokens => ("messages", "messages"),
            Api::ChatCompletions | Api::Completions | Api::Embeddings | Api::Tokenize | Api::Pass(_) => {
                ("chat", "messages")
            }
        };
        let mut key = self.after(self.first(Kind::Told, who.as_bytes()), words.as_bytes());
        for around in body.keys().filter(|key| *key != field && !BESIDE.contains(key)) {
            key = self.after(self.after(key, around.as_bytes()), body.get_bytes(around).unwrap_or_default());
        }
        let mut parts = body.elements(field);
        if parts.is_empty() {
            parts.extend(body.get_bytes(field));
        }
        let turn = |part: &[u8]| {
            key = self.after(key, part);
            (key, part.len() as u64)
        };
        parts.into_iter().map(turn).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn talk(system: &str, turns: usize) -> Body {
        let turn = |number: usize| json!({"role": "user", "content": format!("turn {number}")});
        let messages: Vec<_> = (0..turns).map(turn).collect();
        Body::parse(json!({"model": "m", "system": system, "messages": messages}).to_string().into()).unwrap()
    }

    #[test]
    fn a_conversation_that_has_grown_is_as_long_as_it_was_and_a_little_longer() {
        let (memory, api) = (Memory::default(), Api::Messages);
        memory.remember(api, &talk("be told", 4), "x/m", 1_000);
        assert_eq!(memory.told(api, &talk("be told", 4), "x/m"), Some(Told { least: 1_000, most: 1_000 }));
        let Told { least, most } = memory.told(api, &talk("be told", 6), "x/m").unwrap();
        assert!(least == 1_000 && (1_050..1_150).contains(&most), "{most}");
        let others = [
            ("another provider", talk("be told", 4), "y/m"),
            ("another system message", talk("be quiet", 4), "x/m"),
            ("a shorter one", talk("be told", 3), "x/m"),
            ("too long ago", talk("be told", 5 + EARLIER), "x/m"),
        ];
        for (row, body, who) in others {
            assert_eq!(memory.told(api, &body, who), None, "{row}");
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
            memory.remember(api, &talk("be told", 4), "x/m", 1_000);
            assert_eq!(memory.told(api, &with(key, value), "x/m").is_some(), same, "{key}");
        }
        let kept = with("conversation", json!("c"));
        memory.remember(Api::Responses, &kept, "x/m", 1_000);
        assert_eq!(memory.told(Api::Responses, &kept, "x/m"), None, "it grows where nobody sees it");
    }
}
