//! The rows, one for each method of each path.

use super::{
    Bill, Comes,
    Kept::{self, Batches, ChatCompletions, Files, Models, Responses},
    ModelIn, Pass,
};
use crate::Dialect;

const OPENAI: &[Dialect] = &[Dialect::OpenAi];

const fn post(operation: &'static str, path: &'static str, upstream: &'static str, model: ModelIn, bill: Bill) -> Pass {
    Pass { operation, method: "POST", path, upstream, model, comes: Comes::Labelled, bill, dialects: OPENAI }
}

/// About something the provider keeps.
const fn kept(
    what: Kept,
    method: &'static str,
    operation: &'static str,
    path: &'static str,
    upstream: &'static str,
) -> Pass {
    Pass { method, ..post(operation, path, upstream, ModelIn::Nowhere(what), Bill::Nothing) }
}

/// Cohere's own, which half the world has copied; its base URL ends in `/v2`, everyone else's in `/v1`.
const fn rerank(path: &'static str) -> Pass {
    let rerank = post("rerank", path, "/rerank", ModelIn::Json, Bill::Searches);
    Pass { dialects: &[Dialect::OpenAi, Dialect::Cohere], ..rerank }
}

/// One answer of the Responses API.
pub(super) const RESPONSE: Pass = kept(Responses, "GET", "response", "/v1/responses/{id}", "/responses/{id}");

pub(super) const PASSES: &[Pass] = &[
    post("moderations", "/v1/moderations", "/moderations", ModelIn::Json, Bill::Tokens),
    rerank("/v1/rerank"),
    rerank("/v2/rerank"),
    post("image_generation", "/v1/images/generations", "/images/generations", ModelIn::Json, Bill::Images),
    post("image_edit", "/v1/images/edits", "/images/edits", ModelIn::Form, Bill::Images),
    post("speech", "/v1/audio/speech", "/audio/speech", ModelIn::Json, Bill::Speech),
    post("transcription", "/v1/audio/transcriptions", "/audio/transcriptions", ModelIn::Form, Bill::Sound),
    post("translation", "/v1/audio/translations", "/audio/translations", ModelIn::Form, Bill::Sound),
    kept(Files, "POST", "file_upload", "/v1/files", "/files"),
    kept(Files, "GET", "file_list", "/v1/files", "/files"),
    kept(Files, "GET", "file", "/v1/files/{id}", "/files/{id}"),
    kept(Files, "DELETE", "file_delete", "/v1/files/{id}", "/files/{id}"),
    Pass { comes: Comes::Bytes, ..kept(Files, "GET", "file_content", "/v1/files/{id}/content", "/files/{id}/content") },
    // What its requests cost is known to the provider alone, a day later.
    Pass { bill: Bill::Later, ..kept(Batches, "POST", "batch_create", "/v1/batches", "/batches") },
    kept(Batches, "GET", "batch_list", "/v1/batches", "/batches"),
    kept(Batches, "GET", "batch", "/v1/batches/{id}", "/batches/{id}"),
    kept(Batches, "POST", "batch_cancel", "/v1/batches/{id}/cancel", "/batches/{id}/cancel"),
    post("compact", "/v1/responses/compact", "/responses/compact", ModelIn::Json, Bill::Tokens),
    post("input_tokens", "/v1/responses/input_tokens", "/responses/input_tokens", ModelIn::Json, Bill::Nothing),
    RESPONSE,
    kept(Responses, "DELETE", "response_delete", "/v1/responses/{id}", "/responses/{id}"),
    kept(Responses, "POST", "response_cancel", "/v1/responses/{id}/cancel", "/responses/{id}/cancel"),
    kept(Responses, "GET", "response_items", "/v1/responses/{id}/input_items", "/responses/{id}/input_items"),
    kept(ChatCompletions, "GET", "chat_list", "/v1/chat/completions", "/chat/completions"),
    kept(ChatCompletions, "GET", "chat", "/v1/chat/completions/{id}", "/chat/completions/{id}"),
    kept(ChatCompletions, "POST", "chat_update", "/v1/chat/completions/{id}", "/chat/completions/{id}"),
    kept(ChatCompletions, "DELETE", "chat_delete", "/v1/chat/completions/{id}", "/chat/completions/{id}"),
    kept(
        ChatCompletions,
        "GET",
        "chat_messages",
        "/v1/chat/completions/{id}/messages",
        "/chat/completions/{id}/messages",
    ),
    kept(Models, "DELETE", "model_delete", "/v1/models/{id}", "/models/{id}"),
];
