//! How many tokens a prompt has.

use serde_json::{Value, json};
use spillway_providers::tokens::{self, Encoding};
use spillway_providers::{Api, Body};

use crate::data::{rows, text};
use crate::normal::Difference;
use crate::score::Verdict;

pub(crate) fn verdicts() -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for row in rows("tokens_messages") {
        let Some(theirs) = row["litellm_token_counter"].as_u64() else { continue };
        let model = text(&row, "model");
        // Theirs: OpenAI's newer encoding for its newer models, the older one for everyone else.
        let newer =
            ["gpt-4o", "gpt-5", "o3"].iter().any(|name| model.rsplit('/').next().unwrap_or(model).starts_with(name));
        let encoding = if newer { Encoding::O200k } else { Encoding::Cl100k };
        let mut request = json!({"model": model, "messages": row["messages"]});
        for key in ["tools", "tool_choice"] {
            if !row[key].is_null() {
                request[key] = row[key].clone();
            }
        }
        let body = Body::parse(Value::to_string(&request).into()).expect("a row is a request");
        let ours = tokens::count(Api::ChatCompletions, &body, encoding).tokens;
        let bounds = tokens::bounds(Api::ChatCompletions, &body);
        let mut differences = Vec::new();
        if ours != theirs {
            differences.push(Difference::new("$tokens", ours, theirs));
        }
        if !(bounds.lower..=bounds.upper).contains(&theirs) {
            differences.push(Difference::new("$bounds", json!([bounds.lower, bounds.upper]), theirs));
        }
        verdicts.push(Verdict { id: text(&row, "id").to_owned(), provider: model.to_owned(), differences });
    }
    verdicts
}
