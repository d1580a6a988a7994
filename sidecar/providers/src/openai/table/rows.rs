//! The rows, in the order of their names.

use crate::format::OF_SERVERS;

use super::{Auth, Completions, Files, Members, Names, Path, Row, Schemas, StreamUsage, Thinking, Thoughts};

/// What most copies of the API leave out: words of OpenAI's newest models, and Anthropic's `thinking`.
const NEW: &[&str] = &["reasoning_effort", "thinking", "verbosity", "user", "metadata"];

/// The same, where an effort is understood.
const NEW_BUT_EFFORT: &[&str] = &["thinking", "verbosity", "user", "metadata"];

/// Served nowhere but at OpenAI.
macro_rules! openai_only {
    ($($more:literal),* $(,)?) => {
        &[
            "audio", "metadata", "modalities", "prediction", "prompt_cache_key", "prompt_cache_retention",
            "safety_identifier", "service_tier", "store", "thinking", "web_search_options", $($more),*
        ]
    };
}

/// OpenAI's name for the bound on an answer is newer than most copies of its API: some refuse it, and others, which is worse,
/// write on beyond it. All of them take the older one.
const OLD_BOUND: &[(&str, &str)] = &[("max_completion_tokens", "max_tokens")];

/// What a message holds. Strict servers refuse whatever else is in one, and applications send back what they got. A call in
/// the old spelling stays, to be refused: without it nobody would know what was answered.
macro_rules! members {
    ($($more:literal),* $(,)?) => {
        Members::Only(&["role", "content", "name", "tool_calls", "tool_call_id", "function_call", $($more),*])
    };
}

/// The whole Responses API.
const ALL: Option<&[&str]> = Some(&[]);

const fn public(kind: &'static str, base_url: &'static str) -> Row {
    Row { base_url: Some(base_url), ..account(kind) }
}

/// At a place of the account's own.
const fn account(kind: &'static str) -> Row {
    Row {
        renames: OLD_BOUND,
        cache_marks: false,
        thoughts: Thoughts::Plain,
        members: Members::Asked,
        drops: NEW,
        formats: &[],
        ..Row::at(kind, None)
    }
}

/// A server on someone's own machines.
const fn own(kind: &'static str) -> Row {
    Row::at(kind, None)
}

/// Of models that only chat.
const fn chats(row: Row) -> Row {
    Row { completions: Completions::NONE, ..row }
}

pub(super) const ROWS: &[Row] = &[
    chats(public("AI21", "https://api.ai21.com/studio/v1")),
    Row { flat_text: true, thoughts: Thoughts::Left, ..account("AzureAI") },
    Row {
        auth: Auth::ApiKey,
        path: Path::Deployment,
        drops: &["thinking", "metadata", "top_k"],
        cache_marks: false,
        responses: ALL,
        formats: &[],
        ..own("AzureOpenAI")
    },
    public("Baseten", "https://inference.baseten.co/v1"),
    Row {
        drops: openai_only![
            "frequency_penalty",
            "function_call",
            "functions",
            "logit_bias",
            "logprobs",
            "n",
            "parallel_tool_calls",
            "presence_penalty",
            "top_k",
            "top_logprobs",
            "verbosity",
        ],
        thoughts: Thoughts::Renamed,
        members: members!["reasoning"],
        ..public("Cerebras", "https://api.cerebras.ai/v1")
    },
    account("Cloudflare"),
    // Its own dialect, whose requests are OpenAI's but for this.
    Row {
        drops: openai_only![
            "function_call",
            "functions",
            "logit_bias",
            "logprobs",
            "parallel_tool_calls",
            "reasoning_effort",
            "top_logprobs",
            "user",
            "verbosity",
        ],
        renames: &[("max_completion_tokens", "max_tokens"), ("stop", "stop_sequences"), ("top_p", "p"), ("top_k", "k")],
        usage: StreamUsage::Always,
        files: Files::Nowhere,
        strict_tools: false,
        thoughts: Thoughts::Left,
        members: Members::Only(&["role", "content", "tool_calls", "tool_plan", "citations", "tool_call_id"]),
        ..public("Cohere", "https://api.cohere.com/v2")
    },
    Row { drops: NEW_BUT_EFFORT, ..public("DashScope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1") },
    Row {
        drops: &[
            "audio",
            "frequency_penalty",
            "function_call",
            "functions",
            "logit_bias",
            "logprobs",
            "metadata",
            "modalities",
            "parallel_tool_calls",
            "prediction",
            "presence_penalty",
            "prompt_cache_key",
            "prompt_cache_retention",
            "safety_identifier",
            "seed",
            "service_tier",
            "store",
            "top_logprobs",
            "user",
            "verbosity",
            "web_search_options",
        ],
        renames: OLD_BOUND,
        thinking: Thinking::Budget,
        names: Names::NotTools,
        empty_turns: false,
        thoughts: Thoughts::Left,
        members: Members::Asked,
        formats: &[],
        ..own("Databricks")
    },
    Row {
        drops: openai_only![
            "logprobs",
            "parallel_tool_calls",
            "reasoning_effort",
            "seed",
            "top_logprobs",
            "user",
            "verbosity",
        ],
        ..public("DeepInfra", "https://api.deepinfra.com/v1/openai")
    },
    Row {
        drops: &["verbosity", "user", "metadata"],
        thinking: Thinking::Switch,
        flat_text: true,
        schemas: Schemas::Told,
        ..public("DeepSeek", "https://api.deepseek.com/v1")
    },
    public("Featherless", "https://api.featherless.ai/v1"),
    Row {
        drops: &["audio", "metadata", "modalities", "store", "thinking", "verbosity", "web_search_options"],
        strict_tools: false,
        responses: ALL,
        formats: &["grammar"],
        ..public("Fireworks", "https://api.fireworks.ai/inference/v1")
    },
    Row { formats: &["regex"], ..public("Friendli", "https://api.friendli.ai/serverless/v1") },
    chats(public("GitHubModels", "https://models.github.ai/inference")),
    Row {
        drops: &["thinking", "verbosity", "user", "metadata", "top_k"],
        thoughts: Thoughts::Left,
        members: members![],
        search_tool: Some("browser_search"),
        ..chats(public("Groq", "https://api.groq.com/openai/v1"))
    },
    Row {
        cache_marks: true,
        thoughts: Thoughts::Kept,
        formats: OF_SERVERS,
        ..chats(public("HuggingFace", "https://router.huggingface.co/v1"))
    },
    public("Hyperbolic", "https://api.hyperbolic.xyz/v1"),
    chats(public("Jina", "https://api.jina.ai/v1")),
    Row { renames: OLD_BOUND, schemas: Schemas::Always, ..own("LMStudio") },
    Row { responses: ALL, ..own("LiteLLM") },
    Row { renames: OLD_BOUND, schemas: Schemas::Always, template_words: true, ..own("LlamaCpp") },
    Row { drops: NEW_BUT_EFFORT, renames: &[], ..chats(public("MetaLlama", "https://api.llama.com/compat/v1")) },
    Row {
        drops: openai_only![
            "function_call",
            "functions",
            "logit_bias",
            "logprobs",
            "reasoning_effort",
            "top_k",
            "top_logprobs",
            "user",
            "verbosity",
        ],
        renames: &[("max_completion_tokens", "max_tokens"), ("seed", "random_seed")],
        required: "any",
        usage: StreamUsage::Always,
        flat_text: true,
        files: Files::ByUrl,
        names: Names::Tools,
        empty_turns: false,
        thoughts: Thoughts::Left,
        members: members!["prefix"],
        short_ids: true,
        schema_drops: &["$id", "$schema"],
        // Code models fill in what is missing between a prompt and a suffix.
        completions: Completions {
            only: Some(&["codestral"]),
            path: "/fim/completions",
            drops: &["best_of", "echo", "frequency_penalty", "logit_bias", "logprobs", "n", "presence_penalty", "user"],
        },
        ..public("Mistral", "https://api.mistral.ai/v1")
    },
    Row {
        drops: &["reasoning_effort", "thinking", "verbosity", "user", "metadata", "functions"],
        hottest: Some(1.0),
        flat_text: true,
        fetches: false,
        ..chats(public("Moonshot", "https://api.moonshot.ai/v1"))
    },
    public("Nebius", "https://api.studio.nebius.ai/v1"),
    public("Novita", "https://api.novita.ai/v3/openai"),
    public("Nscale", "https://inference.api.nscale.com/v1"),
    Row {
        drops: openai_only![
            "function_call",
            "functions",
            "logit_bias",
            "logprobs",
            "n",
            "reasoning_effort",
            "top_logprobs",
            "user",
            "verbosity",
        ],
        ..public("NvidiaNim", "https://integrate.api.nvidia.com/v1")
    },
    Row { renames: OLD_BOUND, fetches: false, schemas: Schemas::Always, ..own("Ollama") },
    Row {
        drops: &["thinking", "top_k"],
        cache_marks: false,
        completions: Completions { only: Some(&["instruct", "davinci-002", "babbage-002"]), ..Completions::ALL },
        responses: ALL,
        formats: &[],
        ..Row::at("OpenAI", Some("https://api.openai.com/v1"))
    },
    Row::GENERIC,
    Row {
        drops: &["user", "verbosity", "metadata"],
        usage: StreamUsage::Include,
        responses: ALL,
        ..chats(Row::at("OpenRouter", Some("https://openrouter.ai/api/v1")))
    },
    Row {
        drops: &[
            "audio",
            "function_call",
            "functions",
            "logit_bias",
            "logprobs",
            "metadata",
            "modalities",
            "n",
            "parallel_tool_calls",
            "prediction",
            "prompt_cache_key",
            "prompt_cache_retention",
            "reasoning_effort",
            "safety_identifier",
            "seed",
            "service_tier",
            "stop",
            "store",
            "thinking",
            "tool_choice",
            "tools",
            "top_logprobs",
            "user",
            "verbosity",
        ],
        schemas: Schemas::Always,
        formats: &["regex"],
        ..chats(public("Perplexity", "https://api.perplexity.ai"))
    },
    Row { schemas: Schemas::Always, template_words: true, ..own("SGLang") },
    Row {
        drops: openai_only![
            "frequency_penalty",
            "function_call",
            "functions",
            "logit_bias",
            "logprobs",
            "n",
            "presence_penalty",
            "reasoning_effort",
            "seed",
            "top_logprobs",
            "user",
            "verbosity",
        ],
        flat_text: true,
        ..public("SambaNova", "https://api.sambanova.ai/v1")
    },
    Row { responses: ALL, ..own("Spillway") },
    Row { formats: &["regex"], ..public("Together", "https://api.together.ai/v1") },
    Row {
        drops: &["verbosity", "user"],
        thinking: Thinking::Effort,
        cache_marks: false,
        strict_tools: false,
        thoughts: Thoughts::Plain,
        schema_drops: &["additionalProperties"],
        responses: ALL,
        schemas: Schemas::Always,
        template_words: true,
        ..own("VLLM")
    },
    Row {
        cache_marks: true,
        drops: &["metadata"],
        formats: OF_SERVERS,
        ..public("Vercel", "https://ai-gateway.vercel.sh/v1")
    },
    public("VolcEngine", "https://ark.cn-beijing.volces.com/api/v3"),
    chats(public("Voyage", "https://api.voyageai.com/v1")),
    Row {
        drops: &[
            "audio",
            "frequency_penalty",
            "function_call",
            "functions",
            "metadata",
            "modalities",
            "prediction",
            "prompt_cache_key",
            "prompt_cache_retention",
            "safety_identifier",
            "service_tier",
            "store",
            "thinking",
            "verbosity",
            "web_search_options",
        ],
        reasoning_drops: &["frequency_penalty", "presence_penalty", "stop"],
        names: Names::Users,
        strict_tools: false,
        responses: Some(&["metadata"]),
        ..public("XAI", "https://api.x.ai/v1")
    },
    Row { schemas: Schemas::Told, ..chats(public("ZAI", "https://api.z.ai/api/paas/v4")) },
];
