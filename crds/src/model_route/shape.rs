//! What is done to requests and answers on their way.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Duration;

/// What is done to the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestRules {
    /// Fields of the body added when the application did not send them: to chat completions, completions, messages and
    /// responses. Other requests (embeddings, images, audio, rerank, moderations) have other fields, and get none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::json_fields")]
    pub defaults: BTreeMap<String, Value>,
    /// Fields of the body that replace what the application sent, in every request that names a model.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::json_fields")]
    pub set: BTreeMap<String, Value>,
    /// What happens to a parameter, or a tool of a kind, that the provider's protocol cannot express. Default: `Drop`; the
    /// answer's header `x-spillway-dropped` names what was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<Unsupported>,
    /// The largest body taken from the application, in bytes. Default: 33554432 (32 MiB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 268_435_456))]
    pub max_body_bytes: Option<u64>,
    /// For the whole request, retries and fallbacks included; for a stream, until its first byte. Default: `2m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// What applications may decide for a single request, by a header. `Backend`: `x-spillway-backend: NAME` asks that backend
    /// first. `Timeout`: `x-spillway-timeout: 30s` is the timeout, where it is shorter than the route's. `Unsupported`:
    /// `x-spillway-unsupported: drop`, `reject` or `pass`. `NoFallback`: `x-spillway-no-fallback: true` asks no other backend
    /// than the first. A request with a header that is not allowed here is refused. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub hints: Vec<Hint>,
    /// What a provider keeps that applications may reach: `Files` (`/v1/files`), `Batches` (`/v1/batches`, whose input and
    /// results are files), `Responses` (`/v1/responses/…`, and what goes on from them: `previous_response_id`, `conversation`,
    /// `background`, `prompt`), `ChatCompletions` (those asked for with `store`) and `Models` (fine-tuned ones can be deleted).
    /// It is kept by the first Primary backend that speaks OpenAI's API.
    ///
    /// A provider knows its accounts, not your applications: every pod with this route, and whoever else has the key, can list,
    /// read and delete all files of the account, and so on. A batch may name any model of the account; its requests are no
    /// requests of this route's, so no limit, budget or rule sees them, and their cost is not counted. What a response goes on
    /// from is not seen either: it counts for no window and no limit before it is answered. Give such a route a provider with a
    /// key of a project of its own. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub pass_through: Vec<PassThrough>,
}

/// What a provider keeps for everybody who has its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum PassThrough {
    Files,
    Batches,
    Responses,
    ChatCompletions,
    Models,
}

/// What an application may decide for a single request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Hint {
    Backend,
    Timeout,
    Unsupported,
    NoFallback,
}

/// What happens to a parameter that cannot be expressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Unsupported {
    Drop,
    Reject,
    Pass,
}

/// Which requests belong together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Affinity {
    /// Requests with the same value of this header go to the same Primary backend, as long as it can serve them; when it
    /// cannot, only they move. Every pod chooses the same backend for a value, and nothing is remembered. Under strategy
    /// Weighted each backend has its share of the values. Requests without the header go where the strategy sends them.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9-]+$"))]
    pub header: String,
}

/// When strategy Cascade asks the next backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cascade {
    /// A CEL expression over the answer of a Primary backend; where it is true, the next Primary one is asked, and both are
    /// paid for. When nobody else answers, the application gets the answer after all. An expression that fails is as good
    /// as false. A stream is held back until it is complete, so its first content comes as late as its last; one of more
    /// than 1 MiB, or that is not complete when the request's time is over, is passed on as it is.
    ///
    /// Of `response` there are `text` (its first 64 KiB), `refusal` (the model or a filter refused), `finishReason` (in the
    /// words of the API that was called), `toolCalls` (how many), `outputTokens` and `schemaValid` (where the request asks
    /// for a JSON object or a JSON schema: the text is one that fits; else true). The functions are those of
    /// `backends[].when`.
    ///
    /// `response.refusal || response.text.size() < 20 || !response.schemaValid`.
    #[schemars(length(min = 1, max = 1024))]
    pub escalate_when: String,
}

/// What prompts and answers are checked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// The built-in checks. Default: `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<ValidationLevel>,
    /// What happens to an answer that has not the form its request asked for: a JSON object (`json_object`), or what fits
    /// a JSON schema (`response_format` of OpenAI's chat API, `text.format` of its Responses API, `output_config.format` of
    /// Anthropic's). Default: `None`.
    ///
    /// `None`: the application gets it. `Report`: it gets it, with the header `x-spillway-schema: unfit` unless it is a
    /// stream, and it is counted. `Enforce`: the same backend is asked once more, with its answer and what is wrong with it,
    /// which is paid for; if that does not help, the backends of a FallbackPolicy's rule for UnprocessableEntity; and then
    /// the application gets the error `invalid_structured_output` (502), which names what is wrong and where. An answer
    /// that was cut off by its limit of tokens is not asked for again. Refusals and calls of tools are passed on as they
    /// are. The text has to be the document alone; only a code fence around all of it is taken off.
    ///
    /// A stream is checked at its end. An application has read it by then, and gets an error in the place of the last
    /// event: what was streamed is not to be used. Where `streaming.hold` is large enough to hold all of it back, it is
    /// corrected like any other answer, but for code fences.
    ///
    /// Nothing a schema refers to is fetched, and `format` is not checked. A schema with references to other documents,
    /// with more than 256 KiB or 20000 parts is refused with a 400, and so is what is no JSON schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaCheck>,
    /// Further rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub rules: Vec<ValidationRule>,
}

/// How much the built-in checks look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ValidationLevel {
    None,
    Basic,
    Moderate,
    Strict,
}

/// What happens to an answer that has not the form its request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SchemaCheck {
    None,
    Report,
    Enforce,
}

/// A pattern that is looked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValidationRule {
    /// The name that errors and metrics use for this rule.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Where it is looked for.
    pub phase: RulePhase,
    /// A regular expression without look-around.
    #[schemars(length(min = 1, max = 512))]
    pub pattern: String,
    /// What happens when it is found.
    pub action: RuleAction,
}

/// Where a pattern is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RulePhase {
    Request,
    Response,
}

/// What happens when a pattern is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RuleAction {
    Block,
    Redact,
    Report,
}

/// Answers that may be given again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cache {
    /// How long an answer may be given again.
    pub ttl: Duration,
    /// `Pod` (default): in the sidecar's memory. `Shared`: in the store the operator is set up with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<CacheScope>,
    /// Request headers whose values have answers of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9-]+$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub vary: Vec<String>,
}

/// Where answers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CacheScope {
    Pod,
    Shared,
}

/// Identical requests that share one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deduplicate {
    /// How long after its start a call may be shared.
    pub ttl: Duration,
}

/// Small embedding calls that become one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Batching {
    /// The most inputs in one call. Default: 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2048))]
    pub max_size: Option<u32>,
    /// The longest a call waits for others. Default: `20ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_delay: Option<Duration>,
}

/// How long a stream may be silent, and how much of it is held back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Streaming {
    /// From sending the request to the first content of the answer; reasoning counts where the provider streams it. A
    /// stream that is silent for so long is left for the next backend. Default: `10s` where a FallbackPolicy names a
    /// backend for Timeout, `60s` where there is nobody else to ask. Give a route to a model that thinks in silence
    /// more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_timeout: Option<Duration>,
    /// Between two pieces of content. Default: `60s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
    /// How much of a stream is held back so that a failure can still be answered by another backend. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The stream of a model that repeats the same piece of content so many times in a row is ended with an
    /// InternalServerError. Pieces of one or two characters, or without a letter, may come ten times as often: tables and
    /// indentation are made of them. 0: never. Default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_repeats: Option<u32>,
}

/// How much of a stream is held back: until either is reached, or the request's `timeout`, or the sidecar is short of
/// memory. What fails until then is thrown away, which is paid for, and answered by another backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Bytes of content; the largest value holds any usual answer back as a whole. Default: no bound by content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_048_576))]
    pub bytes: Option<u32>,
    /// Time since the first content. Default: no bound by time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
}
