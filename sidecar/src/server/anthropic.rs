//! `/v1/models` as Anthropic's SDKs read it.

use serde_json::{Value, json};

use crate::runtime::Generation;

/// All names on one page.
pub(super) fn models(generation: &Generation) -> Value {
    let names: Vec<&str> = generation.exact_names().collect();
    let models: Vec<Value> = names.iter().filter_map(|name| model(generation, name)).collect();
    json!({"data": models, "has_more": false, "first_id": names.first(), "last_id": names.last()})
}

/// One name, which a glob may match. `created_at` is required and means nothing here.
pub(super) fn model(generation: &Generation, name: &str) -> Option<Value> {
    let owner = generation.route_name(name)?;
    let display = format!("{name} ({owner})");
    Some(json!({"type": "model", "id": name, "display_name": display, "created_at": "1970-01-01T00:00:00Z"}))
}
