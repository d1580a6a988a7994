//! What goes out.

use serde_json::Value;
use spillway_providers::{Api, Outgoing};

use crate::data::{rows, text};
use crate::normal::{Difference, differences, request};
use crate::score::Verdict;
use crate::subject::{Subject, subject};

pub(crate) fn verdicts() -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for row in rows("requests") {
        let Some(subject) = subject(text(&row, "provider")) else {
            verdicts.push(unknown(&row));
            continue;
        };
        let sent = subject.send(Api::ChatCompletions, &row["openai_request"], None);
        verdicts.push(verdict(&row, subject, subject.name.to_owned(), sent.map_err(|refusal| refusal.message)));
    }
    for row in rows("requests_other") {
        let api = match text(&row, "endpoint") {
            "messages" => Api::Messages,
            "completions" => Api::Completions,
            "embeddings" => Api::Embeddings,
            "responses" => Api::Responses,
            _ => continue,
        };
        let Some(subject) = subject(text(&row, "provider")) else {
            verdicts.push(unknown(&row));
            continue;
        };
        // Some name it in the path alone.
        let named = text(&row, "litellm_model").split_once('/').map(|(_, model)| model);
        let model = row["upstream"]["body"]["model"].as_str().or(named);
        let sent = subject.send(api, &row["inbound_request"], model);
        let provider = format!("{}/{}", text(&row, "endpoint"), subject.name);
        verdicts.push(verdict(&row, subject, provider, sent.map_err(|refusal| refusal.message)));
    }
    verdicts
}

/// A provider that none of ours is: `explained.json` says why.
fn unknown(row: &Value) -> Verdict {
    let provider = text(row, "provider");
    let differences = vec![Difference::new("$provider", Value::Null, provider)];
    Verdict { id: text(row, "id").to_owned(), provider: provider.to_owned(), differences }
}

fn verdict(row: &Value, subject: &Subject, provider: String, sent: Result<Outgoing, String>) -> Verdict {
    let theirs = &row["upstream"];
    let differences = match (sent, theirs.is_null()) {
        (Ok(sent), false) => compare(subject, &sent, theirs),
        (Err(_), true) => Vec::new(),
        (Ok(sent), true) => vec![Difference::new("$sent", String::from_utf8_lossy(&sent.body).as_ref(), Value::Null)],
        (Err(refusal), false) => vec![Difference::new("$refused", refusal, theirs["body"].clone())],
    };
    Verdict { id: text(row, "id").to_owned(), provider, differences }
}

fn compare(subject: &Subject, sent: &Outgoing, theirs: &Value) -> Vec<Difference> {
    let ours: Value = serde_json::from_slice(&sent.body).expect("what goes out is JSON");
    let mut found = differences(&request(subject.name, &ours), &request(subject.name, &theirs["body"]));
    let our_path = format!("{}{}", subject.prefix, sent.path);
    let mut their_path = text(theirs, "path").to_owned();
    if !text(theirs, "query").is_empty() {
        their_path = format!("{their_path}?{}", text(theirs, "query"));
    }
    // A colon may be written either way in a path.
    let (our_path, their_path) = (our_path.replace("%3A", ":"), their_path.replace("%3A", ":"));
    if our_path != their_path {
        found.push(Difference::new("$path", our_path, their_path));
    }
    for name in ["anthropic-version", "anthropic-beta"] {
        let ours = sent.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| *value);
        let theirs = theirs["headers"][name].as_str();
        if ours != theirs {
            found.push(Difference::new(format!("${name}"), ours, theirs));
        }
    }
    found
}
