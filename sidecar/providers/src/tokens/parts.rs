//! What a message is made of.

use serde_json::Value;

use super::{attached, text::Counter};

/// What an image costs where its size is not looked at: OpenAI's price for low detail, and for one tile of four in high.
const IMAGE: u64 = 85;
const IMAGE_HIGH: u64 = 765;

/// A string, or parts in either dialect's words.
pub(super) fn add_content(content: &Value, counter: &mut Counter<'_>) {
    match content {
        Value::String(text) => counter.text(text),
        Value::Array(parts) => parts.iter().for_each(|part| add_part(part, counter)),
        Value::Null => {}
        // No content that is known: what its provider makes of it, nobody knows.
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => counter.guess_json(content.to_string().len()),
    }
}

fn add_part(part: &Value, counter: &mut Counter<'_>) {
    match part["type"].as_str() {
        Some("image_url" | "input_image" | "image") => {
            let high = part["image_url"]["detail"] == "high" || part["detail"] == "high";
            counter.guess(if high { IMAGE_HIGH } else { IMAGE });
        }
        Some("text" | "input_text" | "output_text") => counter.text(part["text"].as_str().unwrap_or_default()),
        Some("tool_use") => {
            counter.text(part["name"].as_str().unwrap_or_default());
            counter.text(&part["input"].to_string());
        }
        Some("tool_result") => add_content(&part["content"], counter),
        Some("thinking") => counter.text(part["thinking"].as_str().unwrap_or_default()),
        Some("document") if attached::has_text(part) => {
            for key in ["title", "context"] {
                counter.text(part[key].as_str().unwrap_or_default());
            }
            add_content(&part["source"]["data"], counter);
            add_content(&part["source"]["content"], counter);
        }
        Some("file" | "input_file" | "document" | "input_audio") => {
            // Three bytes of base64 text are two of the file, and a file is mostly not its text.
            counter.guess(IMAGE + part.to_string().len() as u64 / 16);
        }
        Some("refusal") => counter.text(part["refusal"].as_str().unwrap_or_default()),
        Some("summary_text" | "reasoning_text") => counter.text(part["text"].as_str().unwrap_or_default()),
        // Whatever it is, its text is read, and what else of it is read nobody knows.
        kind => {
            let text = part["text"].as_str().or_else(|| part.as_str());
            counter.text(text.unwrap_or_default());
            let rest = part.to_string().len().saturating_sub(text.unwrap_or_default().len());
            if kind.is_some() || text.is_none() {
                counter.guess_json(rest);
            }
        }
    }
}

/// Something that nothing is known of but what it says.
pub(super) fn add_other(value: &Value, counter: &mut Counter<'_>) {
    match value {
        Value::String(text) => counter.text(text),
        Value::Array(values) if values.is_empty() => {}
        Value::Array(_) | Value::Object(_) => counter.guess_json(value.to_string().len()),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
