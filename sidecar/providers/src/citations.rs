//! Where an answer's words come from, as OpenAI says it: `url_citation`s beside the content, whose places are counted in
//! characters. For callers of Anthropic's API they become its own again.

mod cited;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use serde_json::{Value, json};

pub(crate) use cited::Cited;

/// No answer cites a tenth as many.
pub(crate) const MAX_CITATIONS: usize = 1024;

/// What Anthropic quotes of a page.
const MAX_QUOTED_CHARS: usize = 150;

/// What a stream has cited so far. Whoever puts a list together from its parts goes by their numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    hashes: HashSet<u64>,
}

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

/// What Converse cites of the web, in Claude's words. Citations of documents have no URL.
pub(crate) fn of_converse(citation: &Value) -> Option<Value> {
    let page = &citation["location"]["web"];
    let title = if citation["title"].is_string() { &citation["title"] } else { &page["domain"] };
    Some(json!({"type": "web_search_result_location", "url": page["url"].as_str()?, "title": title}))
}

/// A chat's citations as Anthropic has them, of which each page is one. Where in the answer they belong it says by the block
/// that has them, and nobody else knows what it seals into `encrypted_index`.
pub(crate) fn for_messages(annotations: &[Value]) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for citation in annotations.iter().map(|annotation| &annotation["url_citation"]).take(MAX_CITATIONS) {
        let Some(url) = citation["url"].as_str() else { continue };
        if out.iter().all(|other| other["url"] != url) {
            let quoted = citation["content"].as_str().unwrap_or_default();
            let quoted: String = quoted.chars().take(MAX_QUOTED_CHARS).collect();
            let title = citation["title"].as_str().filter(|title| !title.is_empty());
            out.push(json!({"type": "web_search_result_location", "url": url, "title": title, "cited_text": quoted,
                "encrypted_index": ""}));
        }
    }
    out
}

/// Whether a citation is one of [`for_messages`], which Anthropic would not take back.
pub(crate) fn is_unsealed(citation: &Value) -> bool {
    is_of_the_web(citation) && citation["encrypted_index"] == ""
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
        let indices = support["groundingChunkIndices"].as_array().into_iter().flatten().take(MAX_CITATIONS);
        let cited = indices.filter_map(|index| {
            let page = &grounding["groundingChunks"][usize::try_from(index.as_u64()?).ok()?]["web"];
            Some(annotation(page["uri"].as_str()?, &page["title"], &place))
        });
        out.extend(cited.take(MAX_CITATIONS.saturating_sub(out.len())));
    }
    out
}

/// What Cohere cites that has a URL: documents and what tools said may have one or not.
pub(crate) fn of_cohere(citation: &Value) -> Vec<Value> {
    // Others are of its thoughts.
    if citation["type"].as_str().is_some_and(|kind| kind != "TEXT_CONTENT") {
        return Vec::new();
    }
    let number = |key: &str| usize::try_from(citation[key].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
    let place = number("start")..number("end");
    let sources = citation["sources"].as_array().into_iter().flatten().take(MAX_CITATIONS);
    let cited = sources.filter_map(|source| {
        let page =
            ["document", "tool_output"].iter().map(|kind| &source[*kind]).find(|page| page["url"].is_string())?;
        Some(annotation(page["url"].as_str()?, &page["title"], &place))
    });
    cited.collect()
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

// === impl Told ===

impl Told {
    /// Notes a citation. False: it has been told, or there were too many.
    pub(crate) fn is_new(&mut self, citation: &Value) -> bool {
        let mut hasher = DefaultHasher::new();
        citation.to_string().hash(&mut hasher);
        self.hashes.len() < MAX_CITATIONS && self.hashes.insert(hasher.finish())
    }

    /// Those that have not been told yet, each with its number.
    pub(crate) fn new_of(&mut self, annotations: Vec<Value>) -> Vec<Value> {
        let mut out = Vec::new();
        for annotation in annotations {
            let number = self.hashes.len();
            if !self.is_new(&annotation) {
                continue;
            }
            let mut numbered = json!({"index": number});
            if let (Some(all), Value::Object(fields)) = (numbered.as_object_mut(), annotation) {
                all.extend(fields);
            }
            out.push(numbered);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Api, Dialect, StreamDecoder};

    /// The choices of a stream's chunks.
    fn choices(dialect: Dialect, events: &[Value]) -> Vec<Value> {
        let text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        let mut decoder = StreamDecoder::new(Api::ChatCompletions, dialect, "m", false);
        let mut out = Vec::new();
        decoder.push(text.into(), &mut out).unwrap();
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes.strip_prefix(b"data: ").unwrap()).ok();
        out.iter().filter_map(|frame| read(&frame.bytes)).map(|chunk| chunk["choices"][0].clone()).collect()
    }

    /// What is at this key of all deltas, as their numbers and what they are.
    fn told(choices: &[Value], key: &str) -> Vec<(u64, Value)> {
        let lists = choices.iter().filter_map(|choice| choice["delta"][key].as_array());
        lists.flatten().map(|one| (one["index"].as_u64().unwrap(), one["url_citation"].clone())).collect()
    }

    fn gemini(text: &str, supports: &[&str], more: &Value) -> Value {
        let supports = supports.iter().map(|text| {
            json!({"segment": {"startIndex": 0, "endIndex": text.len(), "text": text}, "groundingChunkIndices": [0]})
        });
        let mut candidate = json!({"index": 0, "content": {"parts": [{"text": text}]}, "groundingMetadata": {
            "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}],
            "groundingSupports": supports.collect::<Vec<_>>()}});
        candidate.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"responseId": "r", "candidates": [candidate]})
    }

    #[test]
    fn what_a_stream_of_gemini_cites_is_numbered_and_said_once() {
        let events = [
            gemini("warm. ", &["warm."], &json!({})),
            gemini("dry. ", &["warm."], &json!({})),
            gemini("bye", &["warm.", "dry."], &json!({"finishReason": "STOP"})),
        ];
        let cited = told(&choices(Dialect::Gemini, &events), "annotations");
        let places: Vec<_> = cited.iter().map(|(n, one)| (*n, one["start_index"].clone())).collect();
        assert_eq!(places, [(0, json!(0)), (1, json!(6))]);
    }

    #[test]
    fn what_claude_cites_is_numbered_across_its_blocks() {
        let citation = json!({"type": "web_search_result_location", "url": "https://a", "title": "A"});
        let mut events = vec![json!({"type": "message_start", "message": {"id": "1"}})];
        for index in 0..2 {
            let delta = |delta| json!({"type": "content_block_delta", "index": index, "delta": delta});
            events.push(
                json!({"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}),
            );
            events.push(delta(json!({"type": "citations_delta", "citation": citation})));
            events.push(delta(json!({"type": "text_delta", "text": "warm"})));
            events.push(json!({"type": "content_block_stop", "index": index}));
        }
        let cited = told(&choices(Dialect::Anthropic, &events), "annotations");
        let places: Vec<_> = cited.iter().map(|(n, one)| (*n, one["start_index"].clone())).collect();
        assert_eq!(places, [(0, json!(0)), (1, json!(4))]);
    }

    /// The citations of a message's only text, told at once and piece by piece.
    fn of_messages(dialect: Dialect, whole: &Value, events: &[Value]) -> [Value; 2] {
        let answer = crate::decode(Api::Messages, dialect, "m", whole.to_string().into()).unwrap();
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        let text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        let (mut decoder, mut out) = (StreamDecoder::new(Api::Messages, dialect, "m", false), Vec::new());
        decoder.push(text.into(), &mut out).unwrap();
        let read = |frame: &crate::Frame| {
            let text = std::str::from_utf8(&frame.bytes).unwrap().to_owned();
            serde_json::from_str::<Value>(text.split_once("data: ").unwrap().1).unwrap()
        };
        let told: Vec<_> = out.iter().map(read).filter(|event| event["delta"]["type"] == "citations_delta").collect();
        assert!(told.iter().all(|event| event["index"] == 0), "{told:?}");
        [
            answer["content"][0]["citations"].clone(),
            told.iter().map(|event| event["delta"]["citation"].clone()).collect(),
        ]
    }

    #[test]
    fn callers_of_messages_read_what_others_cite_plain_and_streamed() {
        let cited = |title: Value, quoted: &str| {
            json!([{"type": "web_search_result_location", "url": "https://a",
            "title": title, "cited_text": quoted, "encrypted_index": ""}])
        };
        let place = |start: u64| {
            json!({"type": "url_citation", "url_citation":
            {"url": "https://a", "title": "A", "content": "é".repeat(200), "start_index": start, "end_index": start + 4}})
        };
        let file = json!({"type": "file_citation", "file_citation": {"file_id": "f"}});
        let message = json!({"content": "warm warm", "annotations": [place(0), file, place(5)]});
        let chunk = |delta: Value, reason: Value| json!({"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
        let chunks = [
            chunk(json!({"content": "warm warm"}), Value::Null),
            chunk(json!({"annotations": [place(0), file]}), Value::Null),
            chunk(json!({"annotations": [place(5)]}), "stop".into()),
        ];
        let whole = json!({"id": "1", "choices": [{"message": message, "finish_reason": "stop"}]});
        let want = cited("A".into(), &"é".repeat(150));
        assert_eq!(of_messages(Dialect::OpenAi, &whole, &chunks), [want.clone(), want.clone()]);
        let early = [
            chunk(json!({"annotations": [place(0), file]}), Value::Null),
            chunk(json!({"annotations": [place(5)]}), Value::Null),
            chunk(json!({"content": "warm warm"}), "stop".into()),
        ];
        assert_eq!(of_messages(Dialect::OpenAi, &whole, &early), [want.clone(), want]);
        let whole = gemini("warm. ", &["warm."], &json!({"finishReason": "STOP"}));
        let want = cited("A".into(), "");
        assert_eq!(of_messages(Dialect::Gemini, &whole, std::slice::from_ref(&whole)), [want.clone(), want]);
        let page = json!({"type": "document", "id": "d", "document": {"url": "https://a"}});
        let citation = json!({"start": 0, "end": 4, "text": "warm", "sources": [page], "type": "TEXT_CONTENT"});
        let content = json!([{"type": "text", "text": "warm"}]);
        let whole =
            json!({"id": "1", "finish_reason": "COMPLETE", "message": {"content": content, "citations": [citation]}});
        let events = [
            json!({"type": "message-start", "id": "1"}),
            json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "warm"}}}}),
            json!({"type": "citation-start", "index": 0, "delta": {"message": {"citations": citation}}}),
        ];
        let want = cited(Value::Null, "");
        assert_eq!(of_messages(Dialect::Cohere, &whole, &events), [want.clone(), want]);
    }

    #[test]
    fn nothing_is_cited_once_the_text_has_been_let_go() {
        let long = "x".repeat(200 << 10);
        let events = [
            gemini(&long, &[], &json!({})),
            gemini(&long, &[], &json!({})),
            gemini("warm.", &["warm."], &json!({"finishReason": "STOP"})),
        ];
        assert!(told(&choices(Dialect::Gemini, &events), "annotations").is_empty());
    }

    #[test]
    fn no_more_is_cited_than_an_answer_can_have() {
        let support = json!({"segment": {"endIndex": 4}, "groundingChunkIndices": vec![0; 900]});
        let grounding =
            json!({"groundingChunks": [{"web": {"uri": "https://a"}}], "groundingSupports": vec![support; 5]});
        assert_eq!(of_gemini(&grounding, "warm").len(), MAX_CITATIONS);
    }

    #[test]
    fn how_likely_a_word_was_is_told_in_a_stream_of_geminis() {
        let result =
            |word: &str| json!({"logprobsResult": {"chosenCandidates": [{"token": word, "logProbability": -0.5}]}});
        let mut last = result("");
        last["finishReason"] = "STOP".into();
        let chunks = choices(Dialect::Gemini, &[gemini("hi", &[], &result("hi")), gemini("", &[], &last)]);
        let likely: Vec<_> = chunks.iter().filter(|choice| !choice["logprobs"].is_null()).collect();
        assert_eq!(likely.len(), 2, "{chunks:?}");
        assert_eq!(
            (&likely[0]["delta"]["content"], &likely[0]["logprobs"]["content"][0]["token"]),
            (&json!("hi"), &json!("hi"))
        );
        assert_eq!(likely[1]["delta"], json!({}));
    }

    #[test]
    fn what_cohere_cites_is_told_by_the_piece_as_at_once() {
        let citation = |start: u64, source: Value| json!({"start": start, "end": start + 4, "text": "warm", "sources": [source], "type": "TEXT_CONTENT"});
        let page = json!({"type": "document", "id": "d", "document": {"title": "A", "url": "https://a"}});
        let given =
            [citation(0, page), citation(5, json!({"type": "document", "id": "e", "document": {"title": "B"}}))];
        let content = json!([{"type": "text", "text": "warm warm"}]);
        let body = json!({"id": "1", "finish_reason": "COMPLETE", "message": {"content": content, "citations": given}});
        let whole = crate::decode(Api::ChatCompletions, Dialect::Cohere, "m", body.to_string().into()).unwrap();
        let whole: Value = serde_json::from_slice(&whole.body).unwrap();
        let mut events = vec![json!({"type": "message-start", "id": "1"})];
        events.extend(given.iter().enumerate().map(|(index, citation)| {
            json!({"type": "citation-start", "index": index, "delta": {"message": {"citations": citation}}})
        }));
        let chunks = choices(Dialect::Cohere, &events);
        let [told] = <[_; 1]>::try_from(told(&chunks, "annotations")).unwrap();
        let place = json!({"start_index": 0, "end_index": 4, "title": "A", "url": "https://a"});
        assert_eq!((told.0, &told.1), (0, &place));
        let message = &whole["choices"][0]["message"];
        assert_eq!(message["annotations"], json!([{"type": "url_citation", "url_citation": place}]));
        let pieces: Vec<_> =
            chunks.iter().filter_map(|choice| choice["delta"]["citations"].as_array()).flatten().collect();
        assert_eq!(pieces.len(), 2);
        for (number, piece) in pieces.into_iter().enumerate() {
            let mut piece = piece.clone();
            assert_eq!(piece.as_object_mut().unwrap().remove("index"), Some(number.into()));
            assert_eq!(piece, message["citations"][number]);
        }
    }

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
