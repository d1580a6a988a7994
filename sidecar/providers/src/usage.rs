//! What a provider billed, from a body or from a stream, in one meaning.

mod cost;
mod inside;
#[cfg(test)]
mod tests;
mod tier;

use std::fmt;

use serde_json::{Value, json};

pub use inside::usage_in;
pub use tier::Tier;
pub(crate) use tier::is_regional;

use crate::{Dialect, Pieces};

/// Tokens of one answer, in OpenAI's meaning: `input` includes what was read from or written to a cache.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    /// Part of `input`.
    pub cache_read: u64,
    /// Part of `input`, whatever it is kept for.
    pub cache_write: u64,
    /// Part of `cache_write`: what is kept for an hour.
    pub cache_write_1h: u64,
    /// Part of `output`.
    pub reasoning: u64,
    /// Part of `input`.
    pub audio_input: u64,
    /// Part of `output`.
    pub audio_output: u64,
    /// Part of `input`.
    pub image_input: u64,
    /// Part of `output`.
    pub image_output: u64,
    /// Searches that the provider made for the answer, which are billed beside its tokens.
    pub searches: u64,
    /// The service tier that answered. None: the provider does not say.
    pub tier: Option<Tier>,
    /// The answer was made in a place that the request chose, and that costs more.
    pub regional: bool,
    /// What of `input` and `output` is billed. None: all of it.
    pub billed: Option<Billed>,
    /// What the provider says it charges for the answer, in nano-dollars.
    pub cost_nanos: Option<u64>,
    /// What of it is billed by the piece.
    pub pieces: Option<Pieces>,
}

/// Tokens that cost something, where a provider counts others as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Billed {
    pub input: u64,
    pub output: u64,
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
        let output = count(usage, "/completion_tokens").or_else(|| count(usage, "/output_tokens")).unwrap_or(0);
        let prompt = |name: &str| first_of(usage, &["prompt_tokens_details", "input_tokens_details"], name);
        let answer = |name: &str| first_of(usage, &["completion_tokens_details", "output_tokens_details"], name);
        let reasoning = answer("reasoning_tokens").unwrap_or(0);
        // Some leave reasoning out of the answer's tokens and bill it all the same; the total gives it away.
        let beside = count(usage, "/total_tokens") == Some(input.saturating_add(output).saturating_add(reasoning));
        let cache_read = prompt("cached_tokens")
            .unwrap_or_else(|| first(usage, &["/prompt_cache_hit_tokens", "/cache_read_input_tokens"]));
        let cache_write = prompt("cache_write_tokens")
            .or_else(|| prompt("cache_creation_tokens"))
            .unwrap_or_else(|| first(usage, &["/cache_creation_input_tokens"]))
            .min(input);
        let kept = [
            "/prompt_tokens_details/cache_creation_token_details/ephemeral_1h_input_tokens",
            "/cache_creation/ephemeral_1h_input_tokens",
        ];
        Some(Self {
            input,
            output: if beside { output.saturating_add(reasoning) } else { output },
            cache_read: cache_read.min(input),
            cache_write,
            cache_write_1h: first(usage, &kept).min(cache_write),
            reasoning,
            audio_input: prompt("audio_tokens").unwrap_or(0).min(input),
            audio_output: answer("audio_tokens").unwrap_or(0),
            image_input: prompt("image_tokens").unwrap_or(0).min(input),
            image_output: answer("image_tokens").unwrap_or(0),
            searches: 0,
            tier: usage.get("service_tier").and_then(Tier::read),
            regional: false,
            billed: None,
            cost_nanos: cost::nanos(usage),
            pieces: None,
        })
    }

    /// Anthropic's `input_tokens` are only those that touched no cache.
    fn from_anthropic(usage: &Value) -> Option<Self> {
        let fresh = count(usage, "/input_tokens");
        let output = count(usage, "/output_tokens");
        if fresh.is_none() && output.is_none() {
            return None;
        }
        // What was done before the answer itself, such as making a long conversation shorter, is billed and counted apart.
        let rounds = usage["iterations"].as_array().into_iter().flatten();
        let apart = rounds.filter(|round| round["type"].as_str().is_some_and(|kind| kind != "message"));
        let apart: Vec<&Value> = apart.collect();
        let with =
            |own: u64, name: &str| apart.iter().fold(own, |sum, round| sum.saturating_add(first(round, &[name])));
        let cache_read = with(first(usage, &["/cache_read_input_tokens"]), "/cache_read_input_tokens");
        let cache_write = with(first(usage, &["/cache_creation_input_tokens"]), "/cache_creation_input_tokens");
        let fresh = with(fresh.unwrap_or(0), "/input_tokens");
        Some(Self {
            input: fresh.saturating_add(cache_read).saturating_add(cache_write),
            output: with(output.unwrap_or(0), "/output_tokens"),
            cache_read,
            cache_write,
            cache_write_1h: first(usage, &["/cache_creation/ephemeral_1h_input_tokens"]).min(cache_write),
            reasoning: first(usage, &["/output_tokens_details/thinking_tokens"]),
            searches: first(usage, &["/server_tool_use/web_search_requests"]),
            tier: Tier::of_anthropic(usage),
            regional: usage.get("inference_geo").is_some_and(is_regional),
            ..Self::default()
        })
    }

    /// Cohere says what it counted and what it bills, which leaves out what it adds to a prompt; older answers say only the
    /// latter.
    fn from_cohere(usage: &Value) -> Option<Self> {
        let read = |key: &str| {
            let counts = usage.get(key)?;
            Some(Billed { input: count(counts, "/input_tokens")?, output: first(counts, &["/output_tokens"]) })
        };
        let billed = read("billed_units");
        let Billed { input, output } = read("tokens").or(billed)?;
        let billed = billed.filter(|billed| *billed != Billed { input, output });
        let cache_read = first(usage, &["/cached_tokens"]).min(input);
        Some(Self { input, output, cache_read, billed, ..Self::default() })
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
        let kept = usage["cacheDetails"].as_array().into_iter().flatten().filter(|one| one["ttl"] == "1h");
        let kept = kept.filter_map(|one| count(one, "/inputTokens")).fold(0, u64::saturating_add);
        Some(Self {
            input,
            output: output.unwrap_or(0),
            cache_read,
            cache_write,
            cache_write_1h: kept.min(cache_write),
            ..Self::default()
        })
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
        let tier = usage.get("serviceTier").or_else(|| usage.get("trafficType"));
        Some(Self {
            input,
            output: if within { answer } else { answer.saturating_add(reasoning) },
            cache_read: first(usage, &["/cachedContentTokenCount"]).min(input),
            reasoning,
            audio_input: modality(&usage["promptTokensDetails"], "AUDIO").min(input),
            audio_output: modality(&usage["candidatesTokensDetails"], "AUDIO").min(answer),
            image_input: modality(&usage["promptTokensDetails"], "IMAGE").min(input),
            image_output: modality(&usage["candidatesTokensDetails"], "IMAGE").min(answer),
            tier: tier.and_then(Tier::read),
            ..Self::default()
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
            cache_write_1h: self.cache_write_1h.max(later.cache_write_1h),
            reasoning: self.reasoning.max(later.reasoning),
            audio_input: self.audio_input.max(later.audio_input),
            audio_output: self.audio_output.max(later.audio_output),
            image_input: self.image_input.max(later.image_input),
            image_output: self.image_output.max(later.image_output),
            searches: self.searches.max(later.searches),
            tier: later.tier.or(self.tier),
            regional: self.regional || later.regional,
            billed: later.billed.or(self.billed),
            cost_nanos: self.cost_nanos.max(later.cost_nanos),
            pieces: later.pieces.or(self.pieces),
        }
    }

    /// As OpenAI writes it.
    pub(crate) fn to_openai(self) -> Value {
        let (prompt, answer) = self.details();
        json!({
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "total_tokens": self.input.saturating_add(self.output),
            "prompt_tokens_details": prompt,
            "completion_tokens_details": answer,
        })
    }

    /// What prompt and answer were made of, in OpenAI's words.
    fn details(self) -> (Value, Value) {
        let mut prompt = json!({"cached_tokens": self.cache_read, "cache_write_tokens": self.cache_write});
        let mut answer = json!({"reasoning_tokens": self.reasoning});
        note(&mut prompt, "audio_tokens", self.audio_input);
        note(&mut prompt, "image_tokens", self.image_input);
        note(&mut answer, "audio_tokens", self.audio_output);
        note(&mut answer, "image_tokens", self.image_output);
        if self.cache_write_1h > 0 {
            prompt["cache_creation_token_details"] = self.kept();
        }
        (prompt, answer)
    }

    /// As OpenAI writes it in a response.
    pub(crate) fn to_responses(self) -> Value {
        let (prompt, answer) = self.details();
        json!({
            "input_tokens": self.input,
            "input_tokens_details": prompt,
            "output_tokens": self.output,
            "output_tokens_details": answer,
            "total_tokens": self.input.saturating_add(self.output),
        })
    }

    /// As Anthropic writes it.
    pub(crate) fn to_anthropic(self) -> Value {
        let mut usage = json!({
            "input_tokens": self.input.saturating_sub(self.cache_read).saturating_sub(self.cache_write),
            "output_tokens": self.output,
            "cache_creation_input_tokens": self.cache_write,
            "cache_read_input_tokens": self.cache_read,
        });
        if self.cache_write_1h > 0 {
            usage["cache_creation"] = self.kept();
        }
        usage
    }

    /// What was written to the cache, by how long it is kept.
    fn kept(self) -> Value {
        json!({
            "ephemeral_5m_input_tokens": self.cache_write.saturating_sub(self.cache_write_1h),
            "ephemeral_1h_input_tokens": self.cache_write_1h,
        })
    }
}

/// What every answer has is always shown; what most do not have, only where it is.
impl fmt::Debug for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let always = [
            ("input", self.input),
            ("output", self.output),
            ("cache_read", self.cache_read),
            ("cache_write", self.cache_write),
            ("reasoning", self.reasoning),
        ];
        let rare = [
            ("cache_write_1h", self.cache_write_1h),
            ("audio_input", self.audio_input),
            ("audio_output", self.audio_output),
            ("image_input", self.image_input),
            ("image_output", self.image_output),
            ("searches", self.searches),
            ("billed_input", self.billed.map_or(0, |billed| billed.input)),
            ("billed_output", self.billed.map_or(0, |billed| billed.output)),
            ("cost_nanos", self.cost_nanos.unwrap_or(0)),
        ];
        let mut shown = f.debug_struct("Usage");
        for (name, count) in always.into_iter().chain(rare.into_iter().filter(|(_, count)| *count > 0)) {
            shown.field(name, &count);
        }
        if self.regional {
            shown.field("regional", &true);
        }
        if let Some(tier) = self.tier {
            shown.field("tier", &tier);
        }
        if let Some(pieces) = self.pieces {
            shown.field("pieces", &pieces);
        }
        shown.finish()
    }
}

/// No answer has this many tokens, by orders of magnitude. A count beyond it is a provider's mistake, and believing it would
/// fill every budget at once.
const MOST_TOKENS: u64 = 1_000_000_000;

/// What is looked at here has a handful of members, which are compared sooner than a name is hashed.
fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_object()?.iter().find_map(|(key, value)| (key == name).then_some(value))
}

/// A count that cannot be is none. No name has a `/` or `~` in it, which a JSON pointer would have to unescape each time.
fn count(usage: &Value, pointer: &str) -> Option<u64> {
    let found = pointer.split('/').skip(1).try_fold(usage, member)?;
    found.as_u64().filter(|count| *count <= MOST_TOKENS)
}

fn first(usage: &Value, pointers: &[&str]) -> u64 {
    pointers.iter().find_map(|pointer| count(usage, pointer)).unwrap_or(0)
}

/// A count in the first of several objects that has it.
fn first_of(usage: &Value, objects: &[&str], name: &str) -> Option<u64> {
    let counts = objects.iter().filter_map(|object| member(member(usage, object)?, name)?.as_u64());
    counts.into_iter().find(|count| *count <= MOST_TOKENS)
}

/// Writes a count that most answers do not have.
fn note(details: &mut Value, name: &str, count: u64) {
    if count > 0 {
        details[name] = count.into();
    }
}

/// Gemini's counts by what the tokens stand for.
fn modality(details: &Value, name: &str) -> u64 {
    let of = |one: &&Value| one["modality"] == name;
    let counts = details.as_array().into_iter().flatten().filter(of).filter_map(|one| count(one, "/tokenCount"));
    counts.fold(0, u64::saturating_add)
}
