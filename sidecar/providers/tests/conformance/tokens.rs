//! How many tokens a prompt has.

use serde_json::{Value, json};
use spillway_providers::tokens::{self, Encoding};
use spillway_providers::{Api, Body};

use crate::data::{rows, text};
use crate::normal::Difference;
use crate::score::Verdict;

pub(crate) fn verdicts() -> Vec<Verdict> {
    let messages = rows("tokens_messages");
    let chats = messages.iter().filter_map(|row| Some(chat(row, row["litellm_token_counter"].as_u64()?)));
    let recipes = messages.iter().flat_map(|row| by_encoding(row, "cookbook", Api::ChatCompletions, "messages"));
    let texts = rows("tokens_text");
    let texts = texts.iter().flat_map(|row| by_encoding(row, "tiktoken", Api::Embeddings, "text"));
    chats.chain(recipes).chain(texts).collect()
}

/// A prompt as LiteLLM counts it: with OpenAI's newer encoding for its newer models at its own door, and the older one for
/// everyone else.
fn chat(row: &Value, theirs: u64) -> Verdict {
    let model = text(row, "model");
    let newer = ["gpt-4o", "gpt-5", "o3"].iter().any(|name| model.starts_with(name));
    let encoding = if newer { Encoding::O200k } else { Encoding::Cl100k };
    let mut request = json!({"model": model, "messages": row["messages"]});
    for key in ["tools", "tool_choice"] {
        if !row[key].is_null() {
            request[key] = row[key].clone();
        }
    }
    verdict(text(row, "id"), model, (Api::ChatCompletions, &request, encoding), theirs)
}

/// What a row says of both encodings, in this field of it.
fn by_encoding(row: &Value, field: &str, api: Api, from: &str) -> Vec<Verdict> {
    let key = if api == Api::Embeddings { "input" } else { "messages" };
    let request = json!({"model": "m", key: row[from]});
    let encodings = [("o200k_base", Encoding::O200k), ("cl100k_base", Encoding::Cl100k)];
    let of = |(name, encoding): (&str, Encoding)| {
        let theirs = row[field][name].as_u64()?;
        let id = format!("{field}/{name}/{}", text(row, "id"));
        Some(verdict(&id, &format!("{field}/{name}"), (api, &request, encoding), theirs))
    };
    encodings.into_iter().filter_map(of).collect()
}

fn verdict(id: &str, provider: &str, (api, request, encoding): (Api, &Value, Encoding), theirs: u64) -> Verdict {
    let body = Body::parse(Value::to_string(request).into()).expect("a row is a request");
    let ours = tokens::count(api, &body, encoding).tokens;
    let bounds = tokens::bounds(api, &body);
    let mut differences = Vec::new();
    if ours != theirs {
        differences.push(Difference::new("$tokens", ours, theirs));
    }
    // What an image comes to is its model's to say.
    let upper = bounds.upper + bounds.attached.images * 1_445;
    if !(bounds.lower..=upper).contains(&theirs) {
        differences.push(Difference::new("$bounds", json!([bounds.lower, upper]), theirs));
    }
    Verdict { id: id.to_owned(), provider: provider.to_owned(), differences }
}
