//! `/v1/models` as OpenAI's SDKs read it.

use serde_json::{Value, json};

use crate::runtime::Generation;

/// Names an application may ask for. Globs are left out: nobody can ask for `gpt-4o*`.
pub(super) fn models(generation: &Generation) -> Value {
    let models: Vec<Value> = generation.exact_names().filter_map(|name| model(generation, name)).collect();
    json!({"object": "list", "data": models})
}

/// One name, which a glob may match. `created` is required and means nothing here.
pub(super) fn model(generation: &Generation, name: &str) -> Option<Value> {
    let owner = generation.route_name(name)?;
    Some(json!({"id": name, "object": "model", "created": 0, "owned_by": owner}))
}
