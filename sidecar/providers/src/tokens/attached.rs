//! What a prompt has beside its text: images, which cost what their model makes of them, and what has no length that shows.

use serde_json::{Map, Value};

use crate::{Api, Body};

/// Fields of a response's request that stand for what the provider has kept.
const KEPT: [&str; 3] = ["previous_response_id", "conversation", "prompt"];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    pub images: u64,
    /// How many of them are asked for in low detail.
    pub low: u64,
    /// There is sound, which has fewer tokens than bytes.
    pub sound: bool,
    /// There is something that no length bounds: a file, a video, or what the provider has kept.
    pub unbounded: bool,
    /// What the images take of the request's bytes.
    pub(super) bytes: u64,
}

/// What Gemini has kept of a prompt.
const CACHED: [&str; 2] = ["cachedContent", "cached_content"];

/// Looks for it where a word says that there may be some.
pub(super) fn find(api: Api, body: &Body) -> Attached {
    let unbounded = api == Api::Responses && is_kept(body) || CACHED.iter().any(|key| body.get_bytes(key).is_some());
    let mut found = Attached { unbounded, ..Attached::default() };
    if body.may_have_images() || body.may_have_files() {
        for key in ["messages", "system", "input"] {
            match body.value(key) {
                Some(value) => found.look(&value),
                // Half a surrogate pair, say: whatever is in it.
                None => found.unbounded |= body.get_bytes(key).is_some(),
            }
        }
    }
    found
}

/// Whether a response is asked for that goes on from something its provider has kept.
pub(super) fn is_kept(body: &Body) -> bool {
    KEPT.into_iter().any(|key| body.get_bytes(key).is_some_and(|raw| raw != b"null"))
}

// === impl Attached ===

impl Attached {
    fn look(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.look(item)),
            Value::Object(part) => self.part(part),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn part(&mut self, part: &Map<String, Value>) {
        match part.get("type").and_then(Value::as_str) {
            Some("image_url" | "input_image" | "image") => self.image(part),
            Some("input_audio") => self.sound = true,
            // What a tool is called with is text, whatever words are in it.
            Some("tool_use" | "server_tool_use" | "mcp_tool_use") => {}
            Some("document") if part.get("source").is_some_and(is_text) => {
                part.values().for_each(|value| self.look(value))
            }
            Some(
                "file" | "input_file" | "document" | "container_upload" | "video" | "video_url" | "input_video"
                | "audio_url" | "item_reference",
            ) => self.unbounded = true,
            _ if part.contains_key("image_url") => self.image(part),
            _ => part.values().for_each(|value| self.look(value)),
        }
    }

    fn image(&mut self, part: &Map<String, Value>) {
        let field = |key: &str| part.get(key).unwrap_or(&Value::Null);
        let url = field("image_url");
        self.images += 1;
        self.low += u64::from(field("detail") == "low" || url["detail"] == "low");
        let data = url.as_str().or_else(|| url["url"].as_str()).or_else(|| field("source")["data"].as_str());
        let data = data.unwrap_or_default();
        self.bytes += data.len() as u64;
        // Some providers take any file for an image.
        self.unbounded |= data.starts_with("data:") && !data.starts_with("data:image/");
    }
}

/// Whether a document's text stands in the request.
pub(super) fn has_text(document: &Value) -> bool {
    is_text(&document["source"])
}

fn is_text(source: &Value) -> bool {
    source["type"] == "text" || source["type"] == "content"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(api: Api, body: &Value) -> Attached {
        Attached { bytes: 0, ..find(api, &Body::parse(body.to_string().into()).unwrap()) }
    }

    #[test]
    fn images_are_counted_one_by_one_and_what_has_no_length_is_seen() {
        let none = Attached::default();
        let images = |images, low| Attached { images, low, ..none };
        let unbounded = Attached { unbounded: true, ..none };
        let image = |detail: &str| json!({"type": "image_url", "image_url": {"url": "https://x", "detail": detail}});
        let source =
            |kind: &str| json!({"type": "document", "source": {"type": kind, "data": "x", "url": "https://x"}});
        let png = json!({"type": "image", "source": {"type": "base64", "data": "AAAA"}});
        let pdf = json!({"type": "image_url", "image_url": {"url": "data:application/pdf;base64,AAAA"}});
        let rows = [
            ("text", json!([{"type": "text", "text": "an image, a file"}]), none),
            ("two, one of them small", json!([image("high"), image("low")]), images(2, 1)),
            ("without its type", json!([{"image_url": {"url": "https://x"}}]), images(1, 0)),
            ("in a tool's result", json!([{"type": "tool_result", "content": [png, png]}]), images(2, 0)),
            ("a PDF for an image", json!([pdf]), Attached { images: 1, ..unbounded }),
            ("a file", json!([{"type": "file", "file": {"file_id": "f"}}]), unbounded),
            ("a document elsewhere", json!([source("url")]), unbounded),
            ("a document that is here", json!([source("text")]), none),
            ("a tool that is called with a file", json!([{"type": "tool_use", "input": {"type": "file"}}]), none),
            (
                "sound",
                json!([{"type": "input_audio", "input_audio": {"data": "AA"}}]),
                Attached { sound: true, ..none },
            ),
        ];
        for (row, content, want) in rows {
            let body = json!({"messages": [{"role": "user", "content": content}]});
            assert_eq!(found(Api::ChatCompletions, &body), want, "{row}");
        }
        let kept = json!({"input": "hi", "previous_response_id": "r"});
        assert_eq!(found(Api::Responses, &kept), unbounded);
        assert_eq!(found(Api::Responses, &json!({"input": "hi", "previous_response_id": null})), none);
        let item = json!({"input": [{"type": "message", "content": [{"type": "input_image", "image_url": "u", "detail": "low"}]}]});
        assert_eq!(found(Api::Responses, &item), images(1, 1));
    }
}
