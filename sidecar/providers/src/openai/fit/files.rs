//! Files in a chat's messages, for those who have another word for them, or none.
//!
//! What is an image or a text goes as one. A file that nobody can read is never left out: the answer would be about nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::anthropic::part::data_url;
use crate::openai::table::Files;
use crate::{BadRequest, Body, Target, Unsupported};

/// Files as the provider's row has them.
pub(crate) fn files(out: &mut Body, target: &Target<'_>) -> Result<(), BadRequest> {
    if target.row.files == Files::Parts || !out.may_have_files() {
        return Ok(());
    }
    let (mut number, mut refused) = (0, None);
    out.edit("messages", |message| {
        let parts = message.get_mut("content").and_then(Value::as_array_mut);
        for (index, part) in parts.into_iter().flatten().enumerate().filter(|(_, part)| part["type"] == "file") {
            if let Err(bad) = file(part, target, &format!("messages[{number}].content[{index}]")) {
                refused.get_or_insert(bad);
            }
        }
        number += 1;
        true
    });
    refused.map_or(Ok(()), Err)
}

fn file(part: &mut Value, target: &Target<'_>, at: &str) -> Result<(), BadRequest> {
    let parsed = part["file"]["file_data"].as_str().and_then(data_url);
    let told = match parsed {
        Some((media_type, _)) if media_type.starts_with("image/") => {
            Some(json!({"type": "image_url", "image_url": {"url": part["file"]["file_data"]}}))
        }
        _ => match parsed.and_then(text) {
            Some(text) => Some(json!({"type": "text", "text": titled(part["file"]["filename"].as_str(), &text)})),
            None if target.row.files == Files::ByUrl => document(&part["file"]),
            None => None,
        },
    };
    match told {
        Some(told) => *part = told,
        None if target.unsupported == Unsupported::Pass => {}
        None => {
            let (kind, model) = (parsed.map_or("file", |(media_type, _)| media_type), target.model);
            let message = format!(
                "{at} is a {kind:?}, and model {model:?} reads no files (send its text as a text part, or ask a backend that \
                 reads files)"
            );
            return Err(BadRequest::at(at, message));
        }
    }
    Ok(())
}

/// One that is sent, fetched, or has been uploaded.
fn document(file: &Value) -> Option<Value> {
    let Some(url) = file["file_data"].as_str() else {
        return file["file_id"].as_str().map(|id| json!({"type": "file", "file_id": id}));
    };
    let mut document = json!({"type": "document_url", "document_url": url});
    if let Some(name) = file["filename"].as_str() {
        document["document_name"] = name.into();
    }
    Some(document)
}

/// A text file's text.
fn text((media_type, data): (&str, &str)) -> Option<String> {
    let is_text = media_type.starts_with("text/") || media_type == "application/json";
    String::from_utf8(STANDARD.decode(data).ok().filter(|_| is_text)?).ok()
}

fn titled(name: Option<&str>, text: &str) -> String {
    match name.filter(|name| !name.trim().is_empty()) {
        Some(name) => format!("# {name}\n\n{text}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Api, Dialect, encode, read, row};

    fn sent(kind: &str, unsupported: Unsupported, api: Api, part: &Value) -> Result<Value, BadRequest> {
        let content = json!([{"type": "text", "text": "what?"}, part]);
        let request = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": content}]});
        let body = Body::parse(request.to_string().into()).unwrap();
        let need = read(api, &body).unwrap();
        let dialect = if kind == "Cohere" { Dialect::Cohere } else { Dialect::OpenAi };
        let target = Target { row: row(kind), unsupported, ..Target::new(dialect, "m") };
        let out = encode(api, &body, &need, &target)?;
        Ok(serde_json::from_slice::<Value>(&out.body).unwrap()["messages"][0]["content"].take())
    }

    #[test]
    fn a_file_goes_in_the_words_of_whoever_reads_it() {
        let file = |file: Value| json!({"type": "file", "file": file});
        let pdf = file(json!({"filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"}));
        let shown = json!({"type": "document_url", "document_url": "data:application/pdf;base64,QUJD", "document_name": "a.pdf"});
        let png = file(json!({"file_data": "data:image/png;base64,QUJD"}));
        let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}});
        let by_url = file(json!({"file_data": "https://x/a.pdf"}));
        let fetched = json!({"type": "document_url", "document_url": "https://x/a.pdf"});
        let by_id = file(json!({"file_id": "f1"}));
        let rows = [
            ("Mistral", &pdf, Some(&shown)),
            ("Mistral", &png, Some(&image)),
            ("Mistral", &by_url, Some(&fetched)),
            ("Mistral", &by_id, Some(&json!({"type": "file", "file_id": "f1"}))),
            ("Cohere", &png, Some(&image)),
            ("Cohere", &pdf, None),
            ("Cohere", &by_url, None),
            ("Cohere", &by_id, None),
            ("OpenAI", &pdf, Some(&pdf)),
            ("OpenAICompatible", &by_id, Some(&by_id)),
        ]
        .map(|(kind, part, want)| (kind, part.clone(), want.cloned()));
        for (kind, part, want) in rows {
            for unsupported in [Unsupported::Drop, Unsupported::Reject] {
                let got = sent(kind, unsupported, Api::ChatCompletions, &part);
                match (got, &want) {
                    (Ok(got), Some(want)) => assert_eq!(got[1], *want, "{kind} {part}"),
                    (Err(bad), None) => {
                        assert_eq!(bad.param.as_deref(), Some("messages[0].content[1]"), "{kind} {part}");
                        assert!(bad.message.contains("text part"), "{}", bad.message);
                    }
                    (got, _) => panic!("{kind} {part}: {got:?}"),
                }
            }
            let passed = sent(kind, Unsupported::Pass, Api::ChatCompletions, &part).unwrap();
            assert_eq!(passed[1], want.unwrap_or(part), "{kind}");
        }
        let text = file(json!({"filename": "a.md", "file_data": "data:text/markdown;base64,QUJD"}));
        assert_eq!(sent("Mistral", Unsupported::Drop, Api::ChatCompletions, &text).unwrap(), "what?# a.md\n\nABC");
        let told = sent("Cohere", Unsupported::Drop, Api::ChatCompletions, &text).unwrap();
        assert_eq!(told[1], json!({"type": "text", "text": "# a.md\n\nABC"}));
    }

    #[test]
    fn a_document_of_anthropics_goes_on_as_mistrals() {
        let document = |source: Value| json!({"type": "document", "source": source});
        let source = json!({"type": "base64", "media_type": "application/pdf", "data": "QUJD"});
        let got = sent("Mistral", Unsupported::Drop, Api::Messages, &document(source)).unwrap();
        let name = "document.pdf";
        let shown =
            json!({"type": "document_url", "document_url": "data:application/pdf;base64,QUJD", "document_name": name});
        assert_eq!(got[1], shown);
        let by_url = document(json!({"type": "url", "url": "https://x/a.pdf"}));
        let got = sent("Mistral", Unsupported::Drop, Api::Messages, &by_url).unwrap();
        assert_eq!(got[1], json!({"type": "document_url", "document_url": "https://x/a.pdf"}));
        assert!(sent("OpenAI", Unsupported::Drop, Api::Messages, &by_url).is_err());
    }
}
