//! What a request may not ask for, because it would have to be kept somewhere between two requests.

use memchr::memmem;
use serde_json::Value;

use crate::{BadRequest, Body};

/// Each names something that only one provider has, and the way to do without it.
const KEPT: [(&str, &str); 3] = [
    (
        "previous_response_id",
        "answers are not kept here, and the next one may come from another backend (send the whole conversation as \
         \"input\", the output items of earlier answers included; or let the provider keep them, by Responses in \
         spec.request.passThrough of the ModelRoute)",
    ),
    ("conversation", "conversations are not kept here (send all of it as \"input\", or see spec.request.passThrough)"),
    (
        "prompt",
        "prompt templates are kept at their provider and not here (send their text as \"instructions\", or see \
         spec.request.passThrough)",
    ),
];

/// Refuses what needs a memory.
pub(crate) fn refuse(body: &Body) -> Result<(), BadRequest> {
    for (key, why) in KEPT {
        if body.value(key).is_some() {
            return Err(BadRequest::at(key, format!("\"{key}\" cannot be served: {why}")));
        }
    }
    if body.get_bytes("background") == Some(b"true") {
        let message = "\"background\" cannot be served: answers are not kept here, so nobody could fetch it later (leave it \
                       out, and set \"stream\": true for an answer that takes long)";
        return Err(BadRequest::at("background", message));
    }
    references(body)
}

/// Items that stand for others which a provider keeps.
fn references(body: &Body) -> Result<(), BadRequest> {
    if body.get_bytes("input").is_none_or(|raw| memmem::find(raw, b"\"item_reference\"").is_none()) {
        return Ok(());
    }
    let input = body.value("input").unwrap_or_default();
    match input.as_array().into_iter().flatten().position(|item| item["type"] == "item_reference") {
        Some(index) => {
            let at = format!("input[{index}]");
            let message = format!(
                "{at} refers to an item that is kept elsewhere, if at all: of answers only the newest are here, and none with \
                 \"store\": false (send the item itself; SDKs do if told \"store\": false)"
            );
            Err(BadRequest::at(at, message))
        }
        None => Ok(()),
    }
}

/// A tool that the provider itself runs, and that only a backend with this very API can be asked for.
pub(crate) fn hosted_tool(body: &Body) -> Option<String> {
    let tools = body.value("tools")?;
    let tool = tools.as_array()?.iter().find(|tool| is_hosted(tool))?;
    tool["type"].as_str().map(str::to_owned)
}

pub(super) fn is_hosted(tool: &Value) -> bool {
    tool["type"].as_str().is_some_and(|kind| kind != "function")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_needs_a_memory_is_refused_by_name() {
        let rows = [
            (json!({"previous_response_id": "resp_1"}), Some("previous_response_id")),
            (json!({"previous_response_id": null}), None),
            (json!({"conversation": {"id": "c"}}), Some("conversation")),
            (json!({"prompt": {"id": "p"}}), Some("prompt")),
            (json!({"background": true}), Some("background")),
            (json!({"background": false, "store": true}), None),
            (json!({"input": [{"role": "user", "content": "item_reference"}]}), None),
            (json!({"input": [{}, {"type": "item_reference", "id": "rs_1"}]}), Some("input[1]")),
        ];
        for (value, want) in rows {
            let body = Body::parse(value.to_string().into()).unwrap();
            assert_eq!(refuse(&body).err().and_then(|bad| bad.param).as_deref(), want, "{value}");
        }
    }
}
