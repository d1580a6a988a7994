//! The table of each family, in the order it is asked, and the rules that are its own.

use super::Statuses::{Any, Only, Refusals, Unlimited};
use super::shared::{
    LIMIT, LIMIT_WORDS, NO_SUCH_MODEL, OVERLOADED, POLICY, REFUSED, SERVER, TOKENS_PER_MINUTE, WINDOW, WRONG_KEY,
};
use super::{Class, Rule};
use crate::Dialect;

/// The table for a dialect. Whoever speaks OpenAI's API has one table: what a member says is its own, and gateways that
/// pass it on (OpenRouter, LiteLLM, another Spillway) say the same.
pub(super) const fn table(dialect: Dialect) -> &'static [Rule] {
    match dialect {
        Dialect::OpenAi => OPENAI,
        Dialect::Anthropic => ANTHROPIC,
        Dialect::Gemini => GOOGLE,
        Dialect::Bedrock | Dialect::BedrockInvoke => BEDROCK,
        Dialect::Cohere => COHERE,
        Dialect::Ollama => OLLAMA,
    }
}

/// OpenAI and those who speak its API. Limits first: they name tokens and lengths, too.
const OPENAI: &[Rule] = &[
    REFUSED,
    LIMIT,
    TOKENS_PER_MINUTE,
    WINDOW,
    AZURE_POLICY,
    OPENROUTER_POLICY,
    XAI_POLICY,
    DEEPSEEK_POLICY,
    POLICY,
    WRONG_KEY,
    CLOUDFLARE_KEY,
    DATABRICKS_KEY,
    NO_SUCH_MODEL,
    SERVER,
    OVERLOADED,
    LIMIT_WORDS,
];

/// Anthropic, and Claude at Vertex AI: there, Google speaks before Claude does.
const ANTHROPIC: &[Rule] =
    &[REFUSED, LIMIT, WINDOW, GOOGLE_PAYLOAD, OVERLOADED, POLICY, WRONG_KEY, GOOGLE_FAILURE, GOOGLE_LIMIT];

/// Gemini, at Google AI Studio and at Vertex AI.
const GOOGLE: &[Rule] =
    &[REFUSED, LIMIT, WINDOW, GOOGLE_PAYLOAD, GOOGLE_FAILURE, WRONG_KEY, GOOGLE_POLICY, POLICY, GOOGLE_LIMIT];

/// Bedrock, and the models behind it, whose own words it quotes.
const BEDROCK: &[Rule] =
    &[REFUSED, BEDROCK_LIMIT, LIMIT, WINDOW, BEDROCK_WINDOW, BEDROCK_KEY, WRONG_KEY, POLICY, BEDROCK_TIMEOUT];

const COHERE: &[Rule] = &[REFUSED, COHERE_KEY, LIMIT, WINDOW, COHERE_WINDOW, POLICY, WRONG_KEY, COHERE_FAILURE];

const OLLAMA: &[Rule] = &[REFUSED, LIMIT, WINDOW, OLLAMA_MODEL, POLICY, WRONG_KEY];

/// Azure's filter, which says so in a code inside the error, or in words alone.
const AZURE_POLICY: Rule = Rule::new(Class::ContentPolicyViolation, Refusals)
    .codes(&["responsibleaipolicyviolation"])
    .words(&["responsibleaipolicyviolation", "content management policy", "content_filter_policy"]);

/// OpenRouter says what it found. Its other 403s are permissions.
const OPENROUTER_POLICY: Rule =
    Rule::new(Class::ContentPolicyViolation, Only(&[403])).words(&["\"reasons\":[\"", "flagged by moderation"]);

/// xAI has the words of a missing permission around it.
const XAI_POLICY: Rule = Rule::new(Class::ContentPolicyViolation, Refusals).words(&["violates usage guidelines"]);

const DEEPSEEK_POLICY: Rule = Rule::new(Class::ContentPolicyViolation, Only(&[400])).words(&["content exists risk"]);

/// Cloudflare has one sentence for it, and not always the status.
const CLOUDFLARE_KEY: Rule = Rule::new(Class::Authentication, Only(&[400, 403]))
    .words(&["\"message\":\"authentication error\"", "unable to authenticate request"]);

const DATABRICKS_KEY: Rule = Rule::new(Class::Authentication, Only(&[400, 403])).words(&["authorization denied for"]);

/// Google counts bytes before it counts tokens.
const GOOGLE_PAYLOAD: Rule =
    Rule::new(Class::ContextWindowExceeded, Only(&[400])).words(&["request payload size exceeds"]);

/// Google blames itself with the status of others.
const GOOGLE_FAILURE: Rule = Rule::new(Class::InternalServerError, Any).words(&[
    "the model is overloaded",
    "content has no parts",
    "none unknown error.",
]);

const GOOGLE_POLICY: Rule = Rule::new(Class::ContentPolicyViolation, Refusals).words(&["the response was blocked"]);

const GOOGLE_LIMIT: Rule =
    Rule::new(Class::RateLimited, Any).words(&["quota exceeded for", "429 quota exceeded", "resource exhausted"]);

/// A throttled token count is no overflow, even where the status got lost.
const BEDROCK_LIMIT: Rule = Rule::new(Class::RateLimited, Any)
    .codes(&["throttlingexception", "modelnotreadyexception"])
    .words(&["too many requests, please wait", "too many tokens, please wait", "too many tokens per day"]);

const BEDROCK_WINDOW: Rule = Rule::new(Class::ContextWindowExceeded, Unlimited)
    .words(&["too many tokens", "expected maxlength:"])
    .unless(COHERE_OUTPUT);

/// AWS refuses credentials with the status of a permission that is missing.
const BEDROCK_KEY: Rule = Rule::new(Class::Authentication, Only(&[400, 403]))
    .codes(&[
        "unrecognizedclientexception",
        "expiredtokenexception",
        "expiredtoken",
        "invalidsignatureexception",
        "signaturedoesnotmatch",
        "incompletesignatureexception",
        "missingauthenticationtokenexception",
        "missingauthenticationtoken",
        "invalidclienttokenid",
    ])
    .words(&[
        "security token included in the request is invalid",
        "security token included in the request is expired",
        "the request signature we calculated does not match",
        "signature expired",
        "signature not yet current",
        "missing authentication token",
        "make sure your api key is valid",
        "api key is not valid",
        "unable to locate credentials",
    ]);

const BEDROCK_TIMEOUT: Rule = Rule::new(Class::Timeout, Only(&[408, 424, 500, 503, 504]))
    .codes(&["modeltimeoutexception"])
    .words(&["model has timed out"]);

const COHERE_KEY: Rule =
    Rule::new(Class::Authentication, Any).words(&["invalid api token", "no api key provided", "no api key supplied"]);

/// Cohere has the same words for an answer that may be longer than the model's are: no shorter prompt changes that.
const COHERE_OUTPUT: &[&str] = &["too many tokens: max tokens must be"];

const COHERE_WINDOW: Rule =
    Rule::new(Class::ContextWindowExceeded, Unlimited).words(&["too many tokens:"]).unless(COHERE_OUTPUT);

const COHERE_FAILURE: Rule =
    Rule::new(Class::InternalServerError, Any).words(&["internal server error", "unexpected server error"]);

/// Ollama's errors are a sentence, in a stream without even a status.
const OLLAMA_MODEL: Rule =
    Rule::new(Class::NotFound, Only(&[400, 404, 500])).words(&["' not found", "try pulling it first"]);
