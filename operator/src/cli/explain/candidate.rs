//! A compiled backend as whoever chooses sees it: what sidecars make of it when they load a config.

use spillway_lower::Manner;
use spillway_policy::fallback::Candidate;
use spillway_wire as wire;

/// Types of provider that hold an answer to a schema whatever the model, or tell the model of it in words.
const ANY_MODEL: [&str; 8] = ["DeepSeek", "LMStudio", "LlamaCpp", "Ollama", "Perplexity", "SGLang", "VLLM", "ZAI"];

/// The candidate that a backend at a provider of this type is.
pub(super) fn candidate(given: &wire::Backend, kind: &str) -> Candidate {
    // Nobody asks about hosted tools and images by URL here, and what estimates are off by only sidecars know.
    let manner =
        Manner { any_schema: ANY_MODEL.contains(&kind), hosted_tools: true, image_urls: true, calibration: None };
    spillway_lower::candidate(given, manner)
}

#[cfg(test)]
mod tests {
    use spillway_providers::{Schemas, row, rows};

    use super::*;

    #[test]
    fn who_takes_a_schema_whatever_the_model_is_what_sidecars_know() {
        for kind in rows().iter().map(|row| row.kind).chain(["Anthropic", "Bedrock", "Gemini", "VertexAI"]) {
            assert_eq!(row(kind).schemas != Schemas::ByModel, ANY_MODEL.contains(&kind), "{kind}");
        }
    }
}
