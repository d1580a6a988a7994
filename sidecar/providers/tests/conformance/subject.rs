//! Which of our providers each recorded one is.

use serde_json::Value;
use spillway_providers::{Api, BadRequest, Body, Dialect, Host, Need, Outgoing, Speech, Target, encode, read, row};

use crate::known::known;

/// A recorded provider, as we would be configured for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) dialect: Dialect,
    host: Host,
    /// `ModelProvider.spec.type`.
    kind: &'static str,
    model: &'static str,
    /// The path of its base URL.
    pub(crate) prefix: &'static str,
    api_version: Option<&'static str>,
    max_output_tokens: Option<u64>,
}

const fn openai(name: &'static str, kind: &'static str, model: &'static str, prefix: &'static str) -> Subject {
    let (dialect, host) = (Dialect::OpenAi, Host::Own);
    Subject { name, dialect, host, kind, model, prefix, api_version: None, max_output_tokens: None }
}

const fn azure(name: &'static str, deployment: &'static str, version: &'static str) -> Subject {
    Subject { api_version: Some(version), ..openai(name, "AzureOpenAI", deployment, "") }
}

const fn anthropic(name: &'static str, model: &'static str, max_output_tokens: u64) -> Subject {
    Subject {
        dialect: Dialect::Anthropic,
        max_output_tokens: Some(max_output_tokens),
        ..openai(name, "Anthropic", model, "/v1")
    }
}

const fn gemini(name: &'static str, model: &'static str) -> Subject {
    Subject { dialect: Dialect::Gemini, ..openai(name, "Gemini", model, "") }
}

const fn vertex(name: &'static str, dialect: Dialect, model: &'static str) -> Subject {
    let prefix = "/v1/projects/proj-1/locations/us-central1";
    Subject { dialect, host: Host::Vertex, ..openai(name, "VertexAI", model, prefix) }
}

const fn ollama(name: &'static str) -> Subject {
    Subject { dialect: Dialect::Ollama, ..openai(name, "Ollama", "llama3.1", "") }
}

const fn bedrock(name: &'static str, model: &'static str) -> Subject {
    Subject { dialect: Dialect::Bedrock, ..openai(name, "Bedrock", model, "") }
}

const fn bedrock_invoke(name: &'static str, model: &'static str) -> Subject {
    Subject { dialect: Dialect::BedrockInvoke, host: Host::Bedrock, ..bedrock(name, model) }
}

/// What we can be configured for. Rows of other recorded providers are not counted.
const SUBJECTS: &[Subject] = &[
    openai("openai", "OpenAI", "gpt-4o", "/v1"),
    openai("openai_chat", "OpenAI", "gpt-4o", "/v1"),
    openai("openai_reasoning", "OpenAI", "o3-mini", "/v1"),
    openai("openai_gpt5", "OpenAI", "gpt-5-mini", "/v1"),
    openai("openai_gpt56", "OpenAI", "gpt-5.6", "/v1"),
    azure("azure", "my-deploy", "2024-10-21"),
    azure("azure_text", "instr", "2024-10-21"),
    azure("azure_o", "my-o3", "2024-12-01-preview"),
    azure("azure_gpt5", "my-gpt5", "2025-04-01-preview"),
    openai("azure_ai", "AzureAI", "mistral-large", ""),
    anthropic("anthropic", "claude-sonnet-4-5", 64_000),
    anthropic("anthropic_opus46", "claude-opus-4-6", 128_000),
    anthropic("anthropic_opus5", "claude-opus-5", 128_000),
    gemini("gemini", "gemini-2.5-flash"),
    gemini("gemini3", "gemini-3.1-pro-preview"),
    gemini("gemini38", "gemini-3.8-flash"),
    vertex("vertex_ai", Dialect::Gemini, "gemini-2.5-flash"),
    vertex("vertex_anthropic", Dialect::Anthropic, "claude-sonnet-4-5@20250929"),
    ollama("ollama"),
    ollama("ollama_chat"),
    Subject { dialect: Dialect::Cohere, ..openai("cohere", "Cohere", "command-a-03-2025", "/v2") },
    bedrock("bedrock_claude", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
    bedrock("bedrock_opus5", "anthropic.claude-opus-5"),
    bedrock("bedrock_nova", "amazon.nova-pro-v1:0"),
    bedrock("bedrock_llama", "meta.llama3-3-70b-instruct-v1:0"),
    bedrock("bedrock_mistral", "mistral.mistral-large-2407-v1:0"),
    bedrock_invoke("bedrock_invoke_claude", "invoke/anthropic.claude-3-5-sonnet-20240620-v1:0"),
    bedrock("bedrock_titan", "amazon.titan-embed-text-v2:0"),
    bedrock("bedrock_cohere", "cohere.embed-english-v3"),
    openai("mistral", "Mistral", "mistral-large-latest", "/v1"),
    openai("codestral", "Mistral", "codestral-latest", "/v1"),
    openai("voyage", "Voyage", "voyage-3", "/v1"),
    openai("jina_ai", "Jina", "jina-embeddings-v3", "/v1"),
    openai("groq", "Groq", "openai/gpt-oss-120b", "/openai/v1"),
    openai("deepseek", "DeepSeek", "deepseek-chat", "/v1"),
    openai("deepseek_reasoner", "DeepSeek", "deepseek-reasoner", "/v1"),
    openai("together_ai", "Together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "/v1"),
    openai("fireworks_ai", "Fireworks", "accounts/fireworks/models/llama-v3p3-70b-instruct", "/inference/v1"),
    openai("openrouter", "OpenRouter", "anthropic/claude-sonnet-4.5", "/api/v1"),
    openai("xai", "XAI", "grok-4.3", "/v1"),
    openai("perplexity", "Perplexity", "sonar-pro", ""),
    openai("hosted_vllm", "VLLM", "qwen2.5-7b-instruct", "/v1"),
    openai("cerebras", "Cerebras", "gpt-oss-120b", "/v1"),
    openai("sambanova", "SambaNova", "Meta-Llama-3.3-70B-Instruct", "/v1"),
    openai("huggingface", "HuggingFace", "tgi", "/v1"),
    openai("databricks", "Databricks", "databricks-claude-sonnet-4", "/serving-endpoints"),
    openai("databricks_llama", "Databricks", "databricks-meta-llama-3-3-70b-instruct", "/serving-endpoints"),
    openai("cloudflare", "Cloudflare", "@cf/meta/llama-3.1-8b-instruct", "/client/v4/accounts/acc/ai/v1"),
    openai("nvidia_nim", "NvidiaNim", "meta/llama3-70b-instruct", "/v1"),
    openai("deepinfra", "DeepInfra", "meta-llama/Meta-Llama-3.1-70B-Instruct", "/v1"),
    openai("moonshot", "Moonshot", "kimi-k2-0711-preview", "/v1"),
    openai("novita", "Novita", "deepseek/deepseek-v3", "/v1"),
    openai("openai_like", "OpenAICompatible", "any-model", "/v1"),
    openai("vllm_openai", "OpenAICompatible", "m", "/v1"),
];

pub(crate) fn subject(name: &str) -> Option<&'static Subject> {
    SUBJECTS.iter().find(|subject| subject.name == name)
}

impl Subject {
    /// The request as it would go out, with the model the recording used unless it names another.
    pub(crate) fn send(&self, api: Api, request: &Value, model: Option<&str>) -> Result<Outgoing, BadRequest> {
        let mut request = request.clone();
        request["model"] = "asked-for".into();
        let body = Body::parse(request.to_string().into())?;
        let need: Need = read(api, &body)?;
        let model = model.unwrap_or(self.model);
        let own = Speech { dialect: self.dialect, host: self.host, row: row(self.kind) };
        let Speech { dialect, host, row } = if self.host == Host::Vertex { Speech::at_vertex(model) } else { own };
        let (api_version, max_output_tokens) = (self.api_version, self.max_output_tokens);
        let abilities = known(self.kind, model);
        let target = Target { host, row, api_version, max_output_tokens, abilities, ..Target::new(dialect, model) };
        encode(api, &body, &need, &target)
    }
}
