//! One block of a message, from Anthropic's words to OpenAI's.
//!
//! Of documents the others know a name at most. What else is said of one stands in front of it as text, for the model to
//! read; that its answer is to cite it, nobody but Claude can be told, and the application hears of that.

use serde_json::{Value, json};

use crate::anthropic::part::marked;
use crate::openai::table::Files;
use crate::{BadRequest, Dialect, Target, Unsupported, bedrock};

/// The parts that a block becomes; mostly one.
pub(super) fn parts(mut block: Value, target: &Target<'_>, at: &str) -> Result<Vec<Value>, BadRequest> {
    if is_own(&block, target) {
        return Ok(vec![block]);
    }
    let mark = block.get_mut("cache_control").map(Value::take);
    let mut parts = match block["type"].as_str().unwrap_or_default() {
        "text" => vec![text(block["text"].take())],
        "image" => vec![json!({"type": "image_url", "image_url": {"url": url(&block["source"], at)?}})],
        "document" => document(block, target, at)?,
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

fn document(mut block: Value, target: &Target<'_>, at: &str) -> Result<Vec<Value>, BadRequest> {
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
                all.extend(parts(block, target, at)?);
            }
            Ok(all)
        }
        kind => {
            let file = if kind == Some("url") {
                if target.dialect != Dialect::Gemini && target.row.files != Files::ByUrl {
                    let message =
                        format!("{at} is a document by URL, which this backend does not fetch (send it as base64)");
                    return Err(BadRequest::at(at, message));
                }
                json!({"file_data": source["url"], "format": "application/pdf"})
            } else {
                json!({"filename": file_name(title, &source["media_type"]), "file_data": url(&source, at)?})
            };
            let context = heading(None, context).map(text);
            Ok(context.into_iter().chain([json!({"type": "file", "file": file})]).collect())
        }
    }
}

/// A document's title as the name of a file. Some tell by its end what it is.
fn file_name(title: Option<&str>, media_type: &Value) -> String {
    let title = title.map(str::trim).filter(|title| !title.is_empty()).unwrap_or("document");
    let named = title.len().checked_sub(4).and_then(|end| title.get(end..)).unwrap_or_default();
    let is_pdf = media_type == "application/pdf" && !named.eq_ignore_ascii_case(".pdf");
    if is_pdf { format!("{title}.pdf") } else { title.to_owned() }
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

/// Tells of what nobody but Anthropic takes of a turn: what its own tools did in it, and that blocks are to be cited.
pub(super) fn untold(turn: &Value, at: &str, target: &Target<'_>, dropped: &mut Vec<String>) -> Result<(), BadRequest> {
    if turn["role"] == "assistant" {
        for (index, block) in turn["content"].as_array().into_iter().flatten().enumerate() {
            let kind = block["type"].as_str().unwrap_or_default();
            if !matches!(kind, "text" | "thinking" | "redacted_thinking" | "tool_use") {
                leave_out(format!("{at}[{index}]"), &format!("be shown a {kind:?}"), target, dropped)?;
            }
        }
    }
    uncited(&turn["content"], at, target, dropped)
}

fn leave_out(at: String, what: &str, target: &Target<'_>, dropped: &mut Vec<String>) -> Result<(), BadRequest> {
    if target.unsupported == Unsupported::Reject {
        let model = target.model;
        let message = format!("{at}: model {model:?} cannot {what} (leave it out, or set request.unsupported: Drop)");
        return Err(BadRequest::at(at, message));
    }
    dropped.push(at);
    Ok(())
}

/// Whether a block goes on in Anthropic's own words.
fn is_own(block: &Value, target: &Target<'_>) -> bool {
    target.dialect == Dialect::Bedrock && bedrock::takes_cited(block, target)
}

/// Tells of the blocks whose citations are asked for, where nobody gives them.
fn uncited(content: &Value, at: &str, target: &Target<'_>, dropped: &mut Vec<String>) -> Result<(), BadRequest> {
    for (index, block) in content.as_array().into_iter().flatten().enumerate() {
        let at = format!("{at}[{index}]");
        match block["type"].as_str() {
            Some("tool_result") => uncited(&block["content"], &format!("{at}.content"), target, dropped)?,
            Some("document" | "search_result") if block["citations"]["enabled"] == true && !is_own(block, target) => {
                leave_out(format!("{at}.citations"), "be told to cite a document", target, dropped)?;
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
                (Dialect::Ollama, "/messages/0/content"),
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
    fn claude_at_bedrock_cites_what_it_is_shown() {
        let cited = json!({"enabled": true});
        let parts = json!([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]);
        let several = json!([{"text": "one"}, {"text": "two"}]);
        let document = |source: Value| json!({"type": "document", "source": source, "title": "T.pdf", "context": "C", "citations": cited});
        let shown = |format: &str, source: Value| json!({"document": {"format": format, "name": "T", "source": source, "context": "C", "citations": cited}});
        let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "QUJD"});
        let search =
            json!({"type": "search_result", "title": "T", "source": "https://x", "content": parts, "citations": cited});
        let found = json!({"source": "https://x", "title": "T", "content": several, "citations": cited});
        let rows = [
            (
                document(json!({"type": "text", "media_type": "text/plain", "data": "body"})),
                shown("txt", json!({"text": "body"})),
            ),
            (
                document(json!({"type": "content", "content": "body"})),
                shown("txt", json!({"content": [{"text": "body"}]})),
            ),
            (document(json!({"type": "content", "content": parts})), shown("txt", json!({"content": several}))),
            (document(pdf.clone()), shown("pdf", json!({"bytes": "QUJD"}))),
            (search, json!({"searchResult": found})),
        ];
        for (mut block, want) in rows {
            block["cache_control"] = json!({"type": "ephemeral"});
            for unsupported in [Unsupported::Drop, Unsupported::Reject] {
                let (sent, told) = sent(Dialect::Bedrock, unsupported, &json!([block])).unwrap();
                let content = &sent["messages"][0]["content"];
                assert_eq!((&content[0], told), (&want, Vec::new()), "{block}");
                assert_eq!(content[1], json!({"cachePoint": {"type": "default"}}), "{block}");
            }
        }
        let text = json!({"type": "text", "media_type": "text/plain", "data": "body"});
        let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}});
        let mixed = document(json!({"type": "content", "content": [image]}));
        let (sent, told) = sent(Dialect::Bedrock, Unsupported::Drop, &json!([mixed])).unwrap();
        assert_eq!(told, ["messages[0].content[0].citations"], "{sent}");
        // Nova knows no citations.
        let request =
            json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [document(text)]}]});
        let body = Body::parse(request.to_string().into()).unwrap();
        let need = read(Api::Messages, &body).unwrap();
        let nova = Target::new(Dialect::Bedrock, "amazon.nova-pro-v1:0");
        let out = encode(Api::Messages, &body, &need, &nova).unwrap();
        assert_eq!(out.dropped, ["messages[0].content[0].citations"]);
    }

    #[test]
    fn a_file_has_its_title_for_a_name_and_its_context_in_front() {
        let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "QUJD"});
        let rows = [
            (json!("T.pdf"), "T.pdf", "T"),
            (json!("T.PDF"), "T.PDF", "T"),
            (json!("Annual report"), "Annual report.pdf", "Annual report"),
            (json!("Dr. Who, minutes vs. plan"), "Dr. Who, minutes vs. plan.pdf", "Dr Who minutes vs plan"),
            (json!("é"), "é.pdf", "document"),
            (json!(""), "document.pdf", "document"),
            (json!(null), "document.pdf", "document"),
        ];
        for (title, name, at_bedrock) in rows {
            let block = json!({"type": "document", "source": pdf, "title": title, "context": "C", "cache_control": {"type": "ephemeral"}});
            let (openai, _) = sent(Dialect::OpenAi, Unsupported::Drop, &json!([block])).unwrap();
            let file = json!({"filename": name, "file_data": "data:application/pdf;base64,QUJD"});
            let content = &openai["messages"][0]["content"];
            assert_eq!((&content[0], &content[1]["file"]), (&json!({"type": "text", "text": "C"}), &file));
            let (bedrock, _) = sent(Dialect::Bedrock, Unsupported::Drop, &json!([block])).unwrap();
            assert_eq!(bedrock.pointer("/messages/0/content/1/document/name"), Some(&at_bedrock.into()), "{title}");
        }
    }

    #[test]
    fn what_anthropics_own_tools_did_is_told_to_be_left_out() {
        let kinds = ["server_tool_use", "web_search_tool_result", "mcp_tool_use", "container_upload"];
        for dialect in [Dialect::OpenAi, Dialect::Gemini, Dialect::Bedrock, Dialect::Cohere, Dialect::Ollama] {
            for kind in kinds {
                let said = json!([{"type": "text", "text": "let me see"}, {"type": kind, "id": "s"}]);
                let turns = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": said},
                    {"role": "user", "content": "b"}]);
                let request = json!({"model": "m", "max_tokens": 9, "messages": turns});
                let body = Body::parse(request.to_string().into()).unwrap();
                let need = read(Api::Messages, &body).unwrap();
                let target = Target::new(dialect, "amazon.nova-pro-v1:0");
                let out = encode(Api::Messages, &body, &need, &target).unwrap();
                assert_eq!(out.dropped, ["messages[1].content[1]"], "{dialect:?} {kind}");
                let target = Target { unsupported: Unsupported::Reject, ..target };
                let refused = encode(Api::Messages, &body, &need, &target).unwrap_err();
                assert_eq!(refused.param.as_deref(), Some("messages[1].content[1]"), "{dialect:?} {kind}");
            }
        }
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
