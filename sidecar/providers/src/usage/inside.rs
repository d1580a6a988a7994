//! The usage in a whole answer that is of no other use: it does not say why it ended, or the model failed in it.

use bytes::Bytes;
use serde_json::Value;

use crate::{Body, Dialect, Usage, bedrock, cohere, gemini, ollama};

/// Where an answer says it, in the words of all dialects.
const USAGE: [&str; 5] = ["usage", "usageMetadata", "serviceTier", "prompt_eval_count", "eval_count"];
/// A usage is a handful of numbers.
const MAX_USAGE_BYTES: usize = 16 << 10;

/// What a whole answer says it used, for one that is of no other use.
#[must_use]
pub fn usage_in(dialect: Dialect, answer: Bytes) -> Option<Usage> {
    let body = Body::parse_answer(answer).ok()?;
    let small = |name: &&str| body.get_bytes(name).is_some_and(|raw| raw.len() <= MAX_USAGE_BYTES);
    let named = USAGE.into_iter().filter(small).filter_map(|name| Some((name.to_owned(), body.value(name)?)));
    let answer = Value::Object(named.collect());
    match dialect {
        Dialect::OpenAi | Dialect::Anthropic | Dialect::BedrockInvoke => Usage::read(dialect, answer.get("usage")?),
        Dialect::Gemini => gemini::usage(&answer),
        Dialect::Cohere => cohere::usage(&answer),
        Dialect::Bedrock => bedrock::usage(&answer),
        Dialect::Ollama => ollama::usage(&answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_says_what_an_answer_used_whatever_became_of_it() {
        let rows = [
            (Dialect::OpenAi, r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#),
            (Dialect::Anthropic, r#"{"content":[],"usage":{"input_tokens":3,"output_tokens":2}}"#),
            (
                Dialect::Gemini,
                r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}"#,
            ),
            (Dialect::Cohere, r#"{"finish_reason":"ERROR","usage":{"tokens":{"input_tokens":3,"output_tokens":2}}}"#),
            (
                Dialect::Bedrock,
                r#"{"stopReason":"malformed_tool_use","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}"#,
            ),
            (Dialect::Ollama, r#"{"message":{},"prompt_eval_count":3,"eval_count":2}"#),
        ];
        for (dialect, text) in rows {
            let usage = usage_in(dialect, Bytes::from_static(text.as_bytes())).map(|usage| (usage.input, usage.output));
            assert_eq!(usage, Some((3, 2)), "{dialect:?}");
        }
        let none = [r#"{"error":{"message":"no"}}"#, "<html>", r#"{"usage":{"prompt_"#, ""];
        for text in none {
            assert_eq!(usage_in(Dialect::OpenAi, Bytes::from_static(text.as_bytes())), None, "{text}");
        }
    }
}
