//! The tables: codes and words first, the status where they say nothing.
//!
//! First match wins. Where providers' habits differ from what their status claims (a wrong key as a 400, an overflow as a
//! 422), the rule says so; all else is one rule for every provider.

use super::{Class, parse::Report};
use crate::Dialect;

/// A rule matches when its status does, none of `unless` is in the text, and one of its codes or words is.
struct Rule {
    status: Statuses,
    /// Compared with the provider's code and type, whole.
    codes: &'static [&'static str],
    /// Looked for in everything the provider said, in lower case.
    words: &'static [&'static str],
    unless: &'static [&'static str],
    class: Class,
}

enum Statuses {
    Any,
    Only(&'static [u16]),
    /// 4xx but 429: a rate limit counts tokens too, and its words must not be taken for an overflow.
    Refusals,
}

/// Of every provider.
const COMMON: &[Rule] = &[
    Rule {
        status: Statuses::Any,
        codes: &["context_length_exceeded", "exceed_context_size_error", "model_context_window_exceeded"],
        words: &[],
        unless: &[],
        class: Class::ContextWindowExceeded,
    },
    Rule {
        status: Statuses::Any,
        codes: &["rate_limit_exceeded", "rate_limit", "rate_limit_error", "token_quota_exceeded", "capacity_exceeded"],
        words: &["service tier capacity exceeded"],
        unless: &[],
        class: Class::RateLimited,
    },
    Rule {
        status: Statuses::Only(&[413]),
        codes: &[],
        words: &["request too large for model", "tokens per minute"],
        unless: &[],
        class: Class::RateLimited,
    },
    Rule {
        status: Statuses::Refusals,
        codes: &[],
        words: OVERFLOW,
        unless: &["string_above_max_length", "invalid 'user'"],
        class: Class::ContextWindowExceeded,
    },
    Rule {
        status: Statuses::Refusals,
        codes: &["content_policy_violation", "content_filter", "moderation_blocked", "responsibleaipolicyviolation"],
        words: POLICY,
        unless: &[],
        class: Class::ContentPolicyViolation,
    },
    Rule {
        status: Statuses::Only(&[400, 403]),
        codes: &["invalid_api_key", "authentication_error"],
        words: &["incorrect api key provided", "api key not valid", "invalid api key"],
        unless: &[],
        class: Class::Authentication,
    },
];

/// Of the OpenAI family alone.
const OPENAI: &[Rule] = &[
    Rule {
        status: Statuses::Only(&[400, 404]),
        codes: &["model_not_found", "model_not_available", "deploymentnotfound"],
        words: &[],
        unless: &[],
        class: Class::NotFound,
    },
    Rule {
        status: Statuses::Any,
        codes: &[],
        words: &["web server is returning an unknown error", "the server had an error processing your request"],
        unless: &[],
        class: Class::InternalServerError,
    },
];

/// Of Anthropic alone: it has a status of its own for what others call a server's failure.
const ANTHROPIC: &[Rule] = &[Rule {
    status: Statuses::Any,
    codes: &["overloaded_error"],
    words: &[],
    unless: &[],
    class: Class::InternalServerError,
}];

/// Of Google alone: it blames itself with the status of others.
const GEMINI: &[Rule] = &[
    Rule {
        status: Statuses::Any,
        codes: &[],
        words: &["the model is overloaded", "content has no parts"],
        unless: &[],
        class: Class::InternalServerError,
    },
    Rule {
        status: Statuses::Any,
        codes: &[],
        words: &["quota exceeded for", "resource exhausted"],
        unless: &[],
        class: Class::RateLimited,
    },
    Rule {
        status: Statuses::Only(&[400]),
        codes: &[],
        words: &["request payload size exceeds"],
        unless: &[],
        class: Class::ContextWindowExceeded,
    },
];

/// Of Cohere alone.
const COHERE: &[Rule] = &[
    Rule {
        status: Statuses::Any,
        codes: &[],
        words: &["invalid api token", "no api key provided"],
        unless: &[],
        class: Class::Authentication,
    },
    Rule {
        status: Statuses::Refusals,
        codes: &[],
        words: &["too many tokens"],
        unless: &[],
        class: Class::ContextWindowExceeded,
    },
];

/// Of Bedrock alone: AWS refuses credentials with the status of a permission that is missing.
const BEDROCK: &[Rule] = &[
    Rule {
        status: Statuses::Only(&[400, 403]),
        codes: &[
            "unrecognizedclientexception",
            "expiredtokenexception",
            "invalidsignatureexception",
            "incompletesignatureexception",
            "missingauthenticationtokenexception",
        ],
        words: &[
            "security token included in the request is invalid",
            "security token included in the request is expired",
            "the request signature we calculated does not match",
            "signature expired",
            "signature not yet current",
            "missing authentication token",
            "make sure your api key is valid",
            "api key is not valid",
            "unable to locate credentials",
        ],
        unless: &[],
        class: Class::Authentication,
    },
    Rule {
        status: Statuses::Refusals,
        codes: &[],
        words: &["too many input tokens", "expected maxlength:"],
        unless: &[],
        class: Class::ContextWindowExceeded,
    },
];
/// Of Ollama alone: its errors are a sentence, in a stream without even a status.
const OLLAMA: &[Rule] = &[Rule {
    status: Statuses::Only(&[400, 404, 500]),
    codes: &[],
    words: &["' not found", "try pulling it first"],
    unless: &[],
    class: Class::NotFound,
}];

/// How providers say that a prompt does not fit.
const OVERFLOW: &[&str] = &[
    "context_length_exceeded",
    "maximum context length",
    "maximum context limit",
    "maximum prompt length",
    "maximum input length",
    "exceed context limit",
    "exceeds the context window",
    "exceeds the context length",
    "exceeds the available context size",
    "context window of this model",
    "longer than the model's context length",
    "longer than the maximum model length",
    "prompt is too long",
    "prompt: length",
    "input is too long",
    "too many tokens in the prompt",
    "too large for model with",
    "input tokens exceed the configured limit",
    "exceeds the maximum number of tokens allowed",
    "must have less than",
    "`inputs` tokens + `max_new_tokens` must be",
    "string too long. expected a string with maximum length",
];

/// How providers say that they will not answer this.
const POLICY: &[&str] = &[
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "content management policy",
    "content filtering policy",
    "content_filter_policy",
    "rejected as a result of our safety system",
    "rejected as a result of the safety system",
    "failed as a result of our safety system",
    "the model produced invalid content",
    "violating our usage policy",
    "violates usage guidelines",
    "flagged by moderation",
];

/// The class of what was said under a status.
pub(super) fn class(dialect: Dialect, status: u16, report: &Report) -> Class {
    // A gateway's failure around the limit of the provider behind it.
    if status >= 500 && report.status == Some(429) {
        return Class::RateLimited;
    }
    // A key that is refused is refused, whatever type the body claims.
    if status == 401 {
        return Class::Authentication;
    }
    let own = match dialect {
        Dialect::OpenAi => OPENAI,
        Dialect::Anthropic => ANTHROPIC,
        Dialect::Gemini => GEMINI,
        Dialect::Cohere => COHERE,
        Dialect::Bedrock | Dialect::BedrockInvoke => BEDROCK,
        Dialect::Ollama => OLLAMA,
    };
    let rules = COMMON.iter().chain(own);
    let rule = rules.into_iter().find(|rule| rule.matches(status, report));
    rule.map_or_else(|| by_status(status), |rule| rule.class)
}

// === impl Rule ===

impl Rule {
    fn matches(&self, status: u16, report: &Report) -> bool {
        let status = match self.status {
            Statuses::Any => true,
            Statuses::Only(only) => only.contains(&status),
            Statuses::Refusals => (400..500).contains(&status) && status != 429,
        };
        status && !contains(report, self.unless) && (self.has_code(report) || contains(report, self.words))
    }

    fn has_code(&self, report: &Report) -> bool {
        let is = |said: &str| self.codes.iter().any(|code| code.eq_ignore_ascii_case(said));
        is(&report.code) || is(&report.kind)
    }
}

fn contains(report: &Report, words: &[&str]) -> bool {
    words.iter().any(|words| report.text.contains(words))
}

/// One rule for every provider. 402 is a refusal no retry changes; what LiteLLM calls `APIError` is a server's failure.
fn by_status(status: u16) -> Class {
    match status {
        401 => Class::Authentication,
        403 => Class::PermissionDenied,
        404 => Class::NotFound,
        408 | 504 => Class::Timeout,
        422 => Class::UnprocessableEntity,
        429 => Class::RateLimited,
        // The generation failed, not the request.
        409 | 424 => Class::InternalServerError,
        503 => Class::ServiceUnavailable,
        400..=499 => Class::BadRequest,
        _ => Class::InternalServerError,
    }
}

/// The status an error inside a 200 would have had.
pub(super) fn status_of_kind(kind: &str, code: &str) -> u16 {
    let known = |word: &str| match word {
        "invalid_request_error" | "badrequesterror" | "bad_request" | "tool_use_failed" => Some(400),
        "validationexception" | "servicequotaexceededexception" => Some(400),
        "accessdeniedexception" | "unrecognizedclientexception" | "expiredtokenexception" => Some(403),
        "resourcenotfoundexception" => Some(404),
        "modeltimeoutexception" => Some(408),
        "modelerrorexception" | "modelstreamerrorexception" => Some(424),
        "throttlingexception" | "modelnotreadyexception" => Some(429),
        "serviceunavailableexception" => Some(503),
        "authentication_error" | "invalid_api_key" => Some(401),
        "permission_error" | "permission_denied" => Some(403),
        "not_found_error" | "model_not_found" => Some(404),
        "request_too_large" => Some(413),
        "rate_limit_error" | "rate_limit_exceeded" | "requests" | "tokens" | "insufficient_quota" => Some(429),
        "service_unavailable" | "unavailable_error" => Some(503),
        "timeout_error" => Some(504),
        _ => None,
    };
    known(&kind.to_lowercase()).or_else(|| known(&code.to_lowercase())).unwrap_or(500)
}
