//! Where an answer's words come from, as OpenAI says it: `url_citation`s beside the content, whose places are counted in
//! characters.

use std::ops::Range;

use serde_json::{Value, json};

/// No answer cites a tenth as many.
pub(crate) const MAX_CITATIONS: usize = 1024;

/// A citation as a chat has it. `place`: the words it is for.
fn annotation(url: &str, title: &Value, place: &Range<usize>) -> Value {
    let citation = json!({"start_index": place.start, "end_index": place.end, "title": title.as_str().unwrap_or_default(),
        "url": url});
    json!({"type": "url_citation", "url_citation": citation})
}

/// What Claude cites of the web in a block, each page once. Citations of documents have no URL.
pub(crate) fn of_claude<'a>(citations: impl IntoIterator<Item = &'a Value>, place: &Range<usize>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for citation in citations.into_iter().take(MAX_CITATIONS) {
        let Some(url) = citation["url"].as_str().filter(|_| is_of_the_web(citation)) else { continue };
        if out.iter().all(|other| other["url_citation"]["url"] != url) {
            out.push(annotation(url, &citation["title"], place));
        }
    }
    out
}

/// Whether a citation is of a page that Claude found.
pub(crate) fn is_of_the_web(citation: &Value) -> bool {
    citation["type"] == "web_search_result_location"
}

/// What Gemini found for parts of its answer. It counts bytes, of a part or of all; what it quotes says which.
pub(crate) fn of_gemini(grounding: &Value, text: &str) -> Vec<Value> {
    let mut out = Vec::new();
    let supports = grounding["groundingSupports"].as_array().into_iter().flatten();
    for support in supports.take(MAX_CITATIONS) {
        let Some(bytes) = segment(&support["segment"], text) else { continue };
        let start = text.get(..bytes.start).unwrap_or_default().chars().count();
        let place = start..start + text.get(bytes).unwrap_or_default().chars().count();
        for index in support["groundingChunkIndices"].as_array().into_iter().flatten().take(MAX_CITATIONS) {
            let index = index.as_u64().and_then(|index| usize::try_from(index).ok());
            let page = index.map_or(&Value::Null, |index| &grounding["groundingChunks"][index]["web"]);
            if let Some(url) = page["uri"].as_str() {
                out.push(annotation(url, &page["title"], &place));
            }
        }
    }
    out.truncate(MAX_CITATIONS);
    out
}

/// The bytes of a text that a segment of it is.
fn segment(segment: &Value, text: &str) -> Option<Range<usize>> {
    let number = |key: &str| usize::try_from(segment[key].as_u64().unwrap_or(0)).ok();
    let told = number("startIndex")?..number("endIndex")?;
    let quoted = segment["text"].as_str().filter(|quoted| !quoted.is_empty());
    match (text.get(told.clone()), quoted) {
        (Some(found), Some(quoted)) if found != quoted => {}
        (Some(found), _) if !found.is_empty() => return Some(told),
        _ => {}
    }
    let start = text.find(quoted?)?;
    Some(start..start + quoted?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters_whoever_counts_bytes() {
        let chunks = json!([{"web": {"uri": "https://a", "title": "A"}}, {"retrievedContext": {}}]);
        let rows = [
            (json!({"startIndex": 8, "endIndex": 13, "text": "warm."}), Some((5, 10))),
            (json!({"startIndex": 0, "endIndex": 5, "text": "warm."}), Some((5, 10))),
            (json!({"endIndex": 2}), Some((0, 1))),
            (json!({"startIndex": 1, "endIndex": 9}), None),
            (json!({"startIndex": 90, "endIndex": 99, "text": "cold"}), None),
            (json!({}), None),
        ];
        for (segment, want) in rows {
            let support = json!({"segment": segment, "groundingChunkIndices": [0, 1, 7, -1]});
            let got = of_gemini(&json!({"groundingChunks": chunks, "groundingSupports": [support]}), "ça – warm.");
            let places: Vec<_> = got.iter().map(|one| &one["url_citation"]).collect();
            let want: Vec<_> = want
                .iter()
                .map(|(start, end)| json!({"start_index": start, "end_index": end, "title": "A", "url": "https://a"}))
                .collect();
            assert_eq!(places, want.iter().collect::<Vec<_>>(), "{segment}");
        }
    }
}
