//! Rules of more than one family.

use super::Statuses::{Any, Only, Refusals, Unlimited};
use super::{Class, Rule};

/// A key that is refused is refused, whatever type the body claims.
pub(super) const REFUSED: Rule = Rule::new(Class::Authentication, Only(&[401]));

/// Limits by their name, under whatever status.
pub(super) const LIMIT: Rule = Rule::new(Class::RateLimited, Any)
    .codes(&[
        "rate_limit_exceeded",
        "rate_limit",
        "rate_limit_error",
        "ratelimitreached",
        "token_quota_exceeded",
        "token_quota_reached",
        "capacity_exceeded",
    ])
    .words(&["service tier capacity exceeded"]);

/// Limits in words, under the statuses that some have for them. Not under 400 and its like, which quote the request.
pub(super) const LIMIT_WORDS: Rule = Rule::new(Class::RateLimited, Only(&[403, 413, 498, 500, 502, 503])).words(&[
    "rate limit",
    "rate-limit",
    "rate_limit",
    "ratelimit",
]);

/// One request above the tokens of a minute. It fits into the window, and will fit another provider's limit.
pub(super) const TOKENS_PER_MINUTE: Rule =
    Rule::new(Class::RateLimited, Only(&[413])).words(&["request too large for model", "tokens per min"]);

/// A prompt that is too long, by the codes and in the words of everyone: gateways pass on what others say.
pub(super) const WINDOW: Rule = Rule::new(Class::ContextWindowExceeded, Unlimited)
    .codes(&[
        "context_length_exceeded",
        "exceed_context_size_error",
        "model_context_window_exceeded",
        "model_max_prompt_tokens_exceeded",
        "tokens_limit_reached",
        "tokens_too_long",
    ])
    .words(&[
        "context_length_exceeded",
        "contextwindowexceedederror",
        "maximum context length",
        "maximum context limit",
        "maximum prompt length",
        "maximum input length is # tokens",
        "maximum input tokens is #",
        "current length is # while limit is",
        "exceed context limit",
        "exceed context window of #",
        "context length by #",
        "context window by #",
        "context size by #",
        "exceeded max context length",
        "exceeds the context limit",
        "exceeds the context window",
        "exceeds the context length",
        "exceeds the available context size",
        "exceeds maximum context size",
        "exceeds maximum input length",
        "exceeds the maximum input length",
        "exceeds the maximum allowed input length",
        "tokens) exceeds the maximum allowed length",
        "exceeds max_total_tokens",
        "max_total_tokens exceeded",
        "exceed max message tokens",
        "exceeded model token limit",
        "cannot exceed the total tokens limit",
        "configured context size is #",
        "context length exceeded",
        "context length is only #",
        "context window exceeded",
        "context window exceeds limit",
        "context window of this model",
        "model context window limit",
        "greater than the context length",
        "greater than max_model_len",
        "loaded with context length of only",
        "larger than the max context size",
        "longer than the context length",
        "longer than the model's context length",
        "longer than the maximum model length",
        "prompt is too long",
        "prompt too long",
        "prompt tokens too long",
        "prompt exceeds max length",
        "prompt sequence length is greater than #",
        "prompt token count exceeds the limit",
        "prompt token count of # exceeds the limit",
        "prompt tokens (#) exceed model maximum",
        "prompt: length",
        "sum of prompt length",
        "input is too long",
        "input token count is # but",
        "input token length too long",
        "reduce the length of the messages",
        "too many tokens in the prompt",
        "too many tokens: size limit exceeded",
        "too many tokens: total",
        "too many input tokens",
        "too large for model with",
        "input tokens exceed the configured limit",
        "number of input tokens exceeds maximum length",
        "exceeds the maximum number of tokens allowed",
        "but model only supports up to #",
        "must be less than max_seq_len",
        "must be less than the context length",
        "must have less than # tokens",
        "`inputs` tokens + `max_new_tokens` must be",
        "range of input length should be",
        "string too long. expected a string with maximum length",
        // GLM's number for it, in whatever language its words are.
        "\"code\":\"1261\"",
        "prompt 超长",
        "超过模型最大上下文",
        "超出了模型最大token",
    ])
    // One string above what a field takes, which no window changes.
    .unless(&["string_above_max_length", "invalid 'user'"]);

/// What a provider will not answer, by the codes and in the words of everyone.
pub(super) const POLICY: Rule = Rule::new(Class::ContentPolicyViolation, Refusals)
    .codes(&["content_policy_violation", "content_filter", "moderation_blocked"])
    .words(&[
        "content_policy_violation",
        "content filtering policy",
        "rejected as a result of our safety system",
        "rejected as a result of the safety system",
        "failed as a result of our safety system",
        "the model produced invalid content",
        "violating our usage policy",
    ]);

/// A wrong key as a bad request: the habit of xAI, of Google, and of whoever passes their answers on.
pub(super) const WRONG_KEY: Rule =
    Rule::new(Class::Authentication, Only(&[400, 403])).codes(&["invalid_api_key", "authentication_error"]).words(&[
        "incorrect api key provided",
        "api key not valid",
        "api_key_invalid",
        "invalid api key",
        "invalid x-api-key",
        "invalid api token",
    ]);

pub(super) const NO_SUCH_MODEL: Rule = Rule::new(Class::NotFound, Only(&[400, 404])).codes(&[
    "model_not_found",
    "model_not_available",
    "deploymentnotfound",
]);

/// A failure that says so, under a status of others.
pub(super) const SERVER: Rule = Rule::new(Class::InternalServerError, Any).words(&[
    "web server is returning an unknown error",
    "the server had an error processing your request",
    "the server received an invalid response from an upstream server",
]);

/// Anthropic's own status for it is 529, and those who pass it on have none.
pub(super) const OVERLOADED: Rule = Rule::new(Class::InternalServerError, Any).codes(&["overloaded_error"]);
