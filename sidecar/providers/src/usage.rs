//! What a provider billed, from a body or from a stream, in one meaning.

use serde_json::{Value, json};

use crate::Dialect;

/// Tokens of one answer, in OpenAI's meaning: `input` includes what was read from or written to a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    /// Part of `output`.
    pub reasoning: u64,
}

// === impl Usage ===

impl Usage {
    /// Reads a provider's `usage` object. None when it holds no count at all.
    pub(crate) fn read(dialect: Dialect, usage: &Value) -> Option<Self> {
        match dialect {
            Dialect::OpenAi => Self::from_openai(usage),
            Dialect::Anthropic | Dialect::BedrockInvoke => Self::from_anthropic(usage),
            Dialect::Gemini => Self::from_gemini(usage),
            Dialect::Cohere => Self::from_cohere(usage),
            Dialect::Bedrock => Self::from_converse(usage),
            Dialect::Ollama => Self::from_ollama(usage),
        }
    }

    /// Providers of the family put cache hits in three places and Anthropic's words beside OpenAI's.
    fn from_openai(usage: &Value) -> Option<Self> {
        let input = count(usage, "/prompt_tokens").or_else(|| count(usage, "/input_tokens"))?;
        let cache_read = [
            "/prompt_tokens_details/cached_tokens",
            "/input_tokens_details/cached_tokens",
            "/prompt_cache_hit_tokens",
            "/cache_read_input_tokens",
        ];
        let cache_write = ["/prompt_tokens_details/cache_write_tokens", "/cache_creation_input_tokens"];
        let output = count(usage, "/completion_tokens").or_else(|| count(usage, "/output_tokens")).unwrap_or(0);
        let reasoning =
            first(usage, &["/completion_tokens_details/reasoning_tokens", "/output_tokens_details/reasoning_tokens"]);
        // Some leave reasoning out of the answer's tokens and bill it all the same; the total gives it away.
        let beside = count(usage, "/total_tokens") == Some(input.saturating_add(output).saturating_add(reasoning));
        Some(Self {
            input,
            output: if beside { output.saturating_add(reasoning) } else { output },
            cache_read: first(usage, &cache_read).min(input),
            cache_write: first(usage, &cache_write).min(input),
            reasoning,
        })
    }

    /// Anthropic's `input_tokens` are only those that touched no cache.
    fn from_anthropic(usage: &Value) -> Option<Self> {
        let fresh = count(usage, "/input_tokens");
        let output = count(usage, "/output_tokens");
        if fresh.is_none() && output.is_none() {
            return None;
        }
        let cache_read = first(usage, &["/cache_read_input_tokens"]);
        let cache_write = first(usage, &["/cache_creation_input_tokens"]);
        let input = fresh.unwrap_or(0).saturating_add(cache_read).saturating_add(cache_write);
        let reasoning = first(usage, &["/output_tokens_details/thinking_tokens"]);
        Some(Self { input, output: output.unwrap_or(0), cache_read, cache_write, reasoning })
    }

    /// Cohere says what it counted and what it bills; older answers say only the latter.
    fn from_cohere(usage: &Value) -> Option<Self> {
        let counts = ["tokens", "billed_units"].iter().find_map(|key| usage.get(*key))?;
        let input = count(counts, "/input_tokens")?;
        let cache_read = first(usage, &["/cached_tokens"]).min(input);
        Some(Self { input, output: first(counts, &["/output_tokens"]), cache_read, ..Self::default() })
    }

    /// Converse counts as Anthropic does: what touched a cache is beside the input.
    fn from_converse(usage: &Value) -> Option<Self> {
        let fresh = count(usage, "/inputTokens");
        let output = count(usage, "/outputTokens");
        if fresh.is_none() && output.is_none() {
            return None;
        }
        let cache_read = first(usage, &["/cacheReadInputTokens", "/cacheReadInputTokenCount"]);
        let cache_write = first(usage, &["/cacheWriteInputTokens", "/cacheWriteInputTokenCount"]);
        let input = fresh.unwrap_or(0).saturating_add(cache_read).saturating_add(cache_write);
        Some(Self { input, output: output.unwrap_or(0), cache_read, cache_write, ..Self::default() })
    }

    /// Ollama's counts stand beside the answer.
    fn from_ollama(answer: &Value) -> Option<Self> {
        let (input, output) = (count(answer, "/prompt_eval_count"), count(answer, "/eval_count"));
        if input.is_none() && output.is_none() {
            return None;
        }
        Some(Self { input: input.unwrap_or(0), output: output.unwrap_or(0), ..Self::default() })
    }

    /// Gemini counts its thoughts beside the answer, mostly: the total gives it away where it counts them within.
    fn from_gemini(usage: &Value) -> Option<Self> {
        let prompt = count(usage, "/promptTokenCount");
        let candidates = count(usage, "/candidatesTokenCount");
        if prompt.is_none() && candidates.is_none() {
            return None;
        }
        let input = prompt.unwrap_or(0).saturating_add(first(usage, &["/toolUsePromptTokenCount"]));
        let (answer, reasoning) = (candidates.unwrap_or(0), first(usage, &["/thoughtsTokenCount"]));
        let within = count(usage, "/totalTokenCount") == Some(input.saturating_add(answer));
        Some(Self {
            input,
            output: if within { answer } else { answer.saturating_add(reasoning) },
            cache_read: first(usage, &["/cachedContentTokenCount"]).min(input),
            cache_write: 0,
            reasoning,
        })
    }

    /// Both are cumulative parts of one answer: the larger of two counts is the later one. So a usage that repeats only
    /// what changed (Anthropic's last event) loses nothing that came before.
    pub(crate) fn merge(self, later: Self) -> Self {
        Self {
            input: self.input.max(later.input),
            output: self.output.max(later.output),
            cache_read: self.cache_read.max(later.cache_read),
            cache_write: self.cache_write.max(later.cache_write),
            reasoning: self.reasoning.max(later.reasoning),
        }
    }

    /// As OpenAI writes it.
    pub(crate) fn to_openai(self) -> Value {
        json!({
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "total_tokens": self.input.saturating_add(self.output),
            "prompt_tokens_details": {"cached_tokens": self.cache_read, "cache_write_tokens": self.cache_write},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning},
        })
    }

    /// As OpenAI writes it in a response.
    pub(crate) fn to_responses(self) -> Value {
        json!({
            "input_tokens": self.input,
            "input_tokens_details": {"cached_tokens": self.cache_read, "cache_write_tokens": self.cache_write},
            "output_tokens": self.output,
            "output_tokens_details": {"reasoning_tokens": self.reasoning},
            "total_tokens": self.input.saturating_add(self.output),
        })
    }

    /// As Anthropic writes it.
    pub(crate) fn to_anthropic(self) -> Value {
        json!({
            "input_tokens": self.input.saturating_sub(self.cache_read).saturating_sub(self.cache_write),
            "output_tokens": self.output,
            "cache_creation_input_tokens": self.cache_write,
            "cache_read_input_tokens": self.cache_read,
        })
    }
}

/// No answer has this many tokens, by orders of magnitude. A count beyond it is a provider's mistake, and believing it would
/// fill every budget at once.
const MOST_TOKENS: u64 = 1_000_000_000;

/// A count that cannot be is none.
fn count(usage: &Value, pointer: &str) -> Option<u64> {
    usage.pointer(pointer)?.as_u64().filter(|count| *count <= MOST_TOKENS)
}

fn first(usage: &Value, pointers: &[&str]) -> u64 {
    pointers.iter().find_map(|pointer| count(usage, pointer)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_cannot_be_is_not_believed() {
        let absurd = json!({"prompt_tokens": u64::MAX, "completion_tokens": 3});
        assert_eq!(Usage::read(Dialect::OpenAi, &absurd), None);
        let absurd = json!({"input_tokens": 5, "output_tokens": u64::MAX});
        assert_eq!(Usage::read(Dialect::Anthropic, &absurd).map(|usage| usage.output), Some(0));
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
            let want = Usage { input, output, cache_read, cache_write, reasoning };
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
        let usage = Usage { input: 1110, output: 5, cache_read: 1000, cache_write: 100, reasoning: 0 };
        assert_eq!(Usage::read(Dialect::Anthropic, &usage.to_anthropic()), Some(usage));
        assert_eq!(Usage::read(Dialect::OpenAi, &usage.to_openai()), Some(usage));
        let usage = Usage { cache_write: 0, reasoning: 2, ..usage };
        assert_eq!(Usage::read(Dialect::OpenAi, &usage.to_responses()), Some(usage));
    }
}
