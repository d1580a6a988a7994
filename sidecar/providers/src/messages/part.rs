//! One block of a message, from Anthropic's words to OpenAI's.
//!
//! Of documents the others know a name at most. What else is said of one stands in front of it as text, for the model to
//! read; that its answer is to cite it, nobody else can be told, and the application hears of that.

use serde_json::{Value, json};

use crate::anthropic::part::marked;
use crate::{BadRequest, Dialect, Target, Unsupported};

/// The parts that a block becomes; mostly one.
pub(super) fn parts(mut block: Value, dialect: Dialect, at: &str) -> Result<Vec<Value>, BadRequest> {
    let mark = block.get_mut("cache_control").map(Value::take);
    let mut parts = match block["type"].as_str().unwrap_or_default() {
        "text" => vec![text(block["text"].take())],
        "image" => vec![json!({"type": "image_url", "image_url": {"url": url(&block["source"], at)?}})],
        "document" => document(block, dialect, at)?,
        "search_result" => vec![found(&block)],
        "" => return Err(BadRequest::at(at, format!("{at} has no \"type\""))),
        other => {
            return Err(BadRequest::at(at, format!("{at} is a {other:?}, which nobody but Anthropic can take")));
        }
    };
    if let Some(last) = parts.pop() {
        parts.push(marked(last, mark));
    }
    Ok(parts)
}

fn text(text: impl Into<Value>) -> Value {
    json!({"type": "text", "text": text.into()})
}

fn url(source: &Value, at: &str) -> Result<String, BadRequest> {
    let text = |key: &str| source[key].as_str();
    match (text("type"), text("media_type"), text("data"), text("url")) {
        (Some("url"), _, _, Some(url)) => Ok(url.to_owned()),
        (Some("base64"), Some(media_type), Some(data), _) => Ok(format!("data:{media_type};base64,{data}")),
        _ => Err(BadRequest::at(at, format!("{at}.source is neither base64 nor a URL (files stay at their provider)"))),
    }
}

fn document(mut block: Value, dialect: Dialect, at: &str) -> Result<Vec<Value>, BadRequest> {
    let mut source = block["source"].take();
    let (title, context) = (block["title"].as_str(), block["context"].as_str());
    match source["type"].as_str() {
        Some("text") => Ok(vec![headed(title, context, source["data"].as_str().unwrap_or_default())]),
        Some("content") => {
            let content = match source["content"].take() {
                Value::Array(blocks) => blocks,
                text => vec![json!({"type": "text", "text": text})],
            };
            let mut all = heading(title, context).map(text).into_iter().collect::<Vec<_>>();
            for block in content.into_iter().filter(|block| block["type"] == "text" || block["type"] == "image") {
                all.extend(parts(block, dialect, at)?);
            }
            Ok(all)
        }
        kind => {
            let file = if kind == Some("url") {
                if dialect != Dialect::Gemini {
                    let message =
                        format!("{at} is a document by URL, which this backend does not fetch (send it as base64)");
                    return Err(BadRequest::at(at, message));
                }
                json!({"file_data": source["url"], "format": "application/pdf"})
            } else {
                json!({"filename": title.unwrap_or("document.pdf"), "file_data": url(&source, at)?})
            };
            let context = heading(None, context).map(text);
            Ok(context.into_iter().chain([json!({"type": "file", "file": file})]).collect())
        }
    }
}

/// A search result with its title and where it was found.
fn found(block: &Value) -> Value {
    let parts = block["content"].as_array().into_iter().flatten();
    let texts: Vec<_> = parts.filter_map(|part| part["text"].as_str()).collect();
    headed(block["title"].as_str(), block["source"].as_str(), &texts.join("\n"))
}

fn headed(title: Option<&str>, context: Option<&str>, body: &str) -> Value {
    text(heading(title, context).map_or_else(|| body.to_owned(), |heading| format!("{heading}\n\n{body}")))
}

/// What stands in front of a document.
fn heading(title: Option<&str>, context: Option<&str>) -> Option<String> {
    let given = |text: &&str| !text.trim().is_empty();
    let title = title.filter(given).map(|title| format!("# {title}"));
    let lines: Vec<_> = title.into_iter().chain(context.filter(given).map(str::to_owned)).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Tells of the blocks whose citations are asked for: nobody but Anthropic gives them.
pub(super) fn uncited(
    content: &Value,
    at: &str,
    target: &Target<'_>,
    dropped: &mut Vec<String>,
) -> Result<(), BadRequest> {
    for (index, block) in content.as_array().into_iter().flatten().enumerate() {
        let at = format!("{at}[{index}]");
        match block["type"].as_str() {
            Some("tool_result") => uncited(&block["content"], &format!("{at}.content"), target, dropped)?,
            Some("document" | "search_result") if block["citations"]["enabled"] == true => {
                let at = format!("{at}.citations");
                if target.unsupported == Unsupported::Reject {
                    let message = format!(
                        "{at}: model {:?} cannot be told to cite a document (leave it out, or set request.unsupported: \
                         Drop)",
                        target.model
                    );
                    return Err(BadRequest::at(at, message));
                }
                dropped.push(at);
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Api, Body, encode, read};

    fn sent(dialect: Dialect, unsupported: Unsupported, content: &Value) -> Result<(Value, Vec<String>), BadRequest> {
        let request = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": content}]});
        let body = Body::parse(request.to_string().into()).unwrap();
        let need = read(Api::Messages, &body).unwrap();
        let target = Target { unsupported, ..Target::new(dialect, "anthropic.claude-sonnet-4-5-v1:0") };
        let out = encode(Api::Messages, &body, &need, &target)?;
        Ok((serde_json::from_slice(&out.body).unwrap(), out.dropped))
    }

    #[test]
    fn what_is_said_of_a_document_goes_with_it_and_lost_citations_are_told() {
        let plain = json!({"type": "text", "media_type": "text/plain", "data": "body"});
        let parts = json!([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]);
        let cited = json!({"enabled": true});
        let rows = [
            (json!({"type": "document", "source": plain}), "body", false),
            (json!({"type": "document", "source": plain, "title": "", "context": null}), "body", false),
            (
                json!({"type": "document", "source": plain, "title": "T", "context": "C", "citations": cited}),
                "# T\nC\n\nbody",
                true,
            ),
            (
                json!({"type": "document", "source": {"type": "content", "content": "body"}, "citations": {"enabled": false}}),
                "body",
                false,
            ),
            (
                json!({"type": "search_result", "title": "T", "source": "https://x", "content": parts, "citations": cited}),
                "# T\nhttps://x\n\none\ntwo",
                true,
            ),
        ];
        for (block, want, lost) in rows {
            for (dialect, place) in [
                (Dialect::OpenAi, "/messages/0/content"),
                (Dialect::Cohere, "/messages/0/content"),
                (Dialect::Gemini, "/contents/0/parts/0/text"),
                (Dialect::Bedrock, "/messages/0/content/0/text"),
            ] {
                let dropped = if lost { vec!["messages[0].content[0].citations".to_owned()] } else { Vec::new() };
                for unsupported in [Unsupported::Drop, Unsupported::Pass] {
                    let (sent, told) = sent(dialect, unsupported, &json!([block])).unwrap();
                    assert_eq!((sent.pointer(place), &told), (Some(&want.into()), &dropped), "{dialect:?} {block}");
                }
                let refused = sent(dialect, Unsupported::Reject, &json!([block]));
                assert_eq!(refused.is_err(), lost, "{dialect:?} {block}");
            }
        }
    }

    #[test]
    fn a_file_has_its_title_for_a_name_and_its_context_in_front() {
        let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "QUJD"});
        let block = json!({"type": "document", "source": pdf, "title": "T.pdf", "context": "C", "cache_control": {"type": "ephemeral"}});
        let (sent, _) = sent(Dialect::OpenAi, Unsupported::Drop, &json!([block])).unwrap();
        let file = json!({"filename": "T.pdf", "file_data": "data:application/pdf;base64,QUJD"});
        let content = &sent["messages"][0]["content"];
        assert_eq!((&content[0], &content[1]["file"]), (&json!({"type": "text", "text": "C"}), &file));
    }

    #[test]
    fn what_a_tool_found_stays_in_its_result() {
        let found = json!({"type": "search_result", "title": "T", "source": "S", "content": [{"type": "text", "text": "body"}]});
        let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}});
        let result = json!({"type": "tool_result", "tool_use_id": "c1", "content": [found, image]});
        let (sent, _) = sent(Dialect::OpenAi, Unsupported::Drop, &json!([result])).unwrap();
        assert_eq!(sent["messages"][0]["content"], "# T\nS\n\nbody");
        assert_eq!(sent["messages"][1]["content"][0]["type"], "image_url");
    }
}
