//! What is billed by the piece: what a request asks for of it, and what an answer says there was.

use serde_json::Value;

use super::Bill;
use crate::{Body, Dialect, Usage};

/// How many pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    /// Quality and size are None where nobody has said.
    Images {
        count: u64,
        quality: Option<&'static str>,
        size: Option<(u32, u32)>,
    },
    /// Of text that is read out.
    Characters(u64),
    /// Of sound that is listened to.
    Milliseconds(u64),
    Searches(u64),
}

/// How good images are asked to be, wherever that changes what they cost. Others are as good as not said.
pub const QUALITIES: [&str; 5] = ["low", "medium", "high", "standard", "hd"];

/// More of anything than one answer can be of.
const MOST: u64 = 1_000_000_000;

// === impl Pieces ===

impl Pieces {
    /// What a request asks for.
    pub(crate) fn asked(bill: Bill, body: &Body) -> Option<Self> {
        match bill {
            Bill::Images => {
                // A form's fields are texts.
                let count = body.get("n").and_then(|raw| raw.trim_matches('"').parse().ok()).unwrap_or(1);
                let (quality, size) = look(&|name| body.value(name));
                Some(Self::Images { count, quality, size })
            }
            Bill::Speech => {
                let Value::String(text) = body.value("input")? else { return None };
                Some(Self::Characters(text.chars().count() as u64))
            }
            Bill::Nothing | Bill::Tokens | Bill::Sound | Bill::Searches | Bill::Later => None,
        }
    }

    /// What an answer says of itself; what it does not say is as it was asked for.
    #[must_use]
    pub const fn or(self, asked: Option<Self>) -> Self {
        match (self, asked) {
            (Self::Images { count, quality, size }, Some(Self::Images { count: _, quality: wanted, size: wished })) => {
                Self::Images {
                    count,
                    quality: if quality.is_some() { quality } else { wanted },
                    size: if size.is_some() { size } else { wished },
                }
            }
            _ => self,
        }
    }
}

/// What an answer says was used; `images` is how many it has.
pub(super) fn usage(bill: Bill, field: &dyn Fn(&str) -> Option<Value>, images: Option<u64>) -> Option<Usage> {
    let told = field("usage");
    // Cohere tells it apart from its answer.
    let meta = || Usage::read(Dialect::Cohere, &field("meta")?);
    let tokens = told.as_ref().and_then(tokens).map(|usage| by_kind(bill, usage, told.as_ref()));
    let tokens = tokens.or_else(|| (bill == Bill::Searches).then(meta).flatten());
    let pieces = match bill {
        Bill::Images => images.map(|count| {
            let (quality, size) = look(field);
            Pieces::Images { count, quality, size }
        }),
        Bill::Sound => heard(told.as_ref(), field),
        Bill::Searches => searched(told.as_ref(), field),
        Bill::Nothing | Bill::Tokens | Bill::Speech | Bill::Later => None,
    };
    match (tokens, pieces) {
        (None, None) => None,
        (tokens, pieces) => Some(Usage { pieces, ..tokens.unwrap_or_default() }),
    }
}

/// Tokens that were billed. Seconds, images and searches are none.
fn tokens(usage: &Value) -> Option<Usage> {
    let total = || usage.get("total_tokens").and_then(Value::as_u64).filter(|_| usage.get("type").is_none());
    Usage::read(Dialect::OpenAi, usage).or_else(|| Some(Usage { input: total()?, ..Usage::default() }))
}

/// What comes out of a model that draws is images, and what comes out of one that speaks is sound: only what is neither is
/// told apart.
fn by_kind(bill: Bill, usage: Usage, told: Option<&Value>) -> Usage {
    let detail = |holder: &str, name: &str| told?.get(holder)?.get(name)?.as_u64();
    match bill {
        Bill::Images => {
            let text = detail("output_tokens_details", "text_tokens").unwrap_or(0);
            Usage { image_output: usage.image_output.max(usage.output.saturating_sub(text)), ..usage }
        }
        Bill::Speech => Usage { audio_output: usage.output, ..usage },
        Bill::Sound => {
            let heard = detail("input_token_details", "audio_tokens").filter(|heard| *heard <= usage.input);
            let told = heard.or(Some(usage.audio_input).filter(|heard| *heard > 0));
            Usage { audio_input: told.unwrap_or(usage.input), ..usage }
        }
        Bill::Nothing | Bill::Tokens | Bill::Searches | Bill::Later => usage,
    }
}

fn look(field: &dyn Fn(&str) -> Option<Value>) -> (Option<&'static str>, Option<(u32, u32)>) {
    let text = |name| field(name).and_then(|value| value.as_str().map(str::to_ascii_lowercase));
    let quality = text("quality").and_then(|word| QUALITIES.into_iter().find(|known| *known == word));
    let size = text("size").and_then(|size| {
        let (width, height) = size.split_once('x')?;
        Some((width.parse().ok()?, height.parse().ok()?))
    });
    (quality, size)
}

/// How long the sound was that was listened to: as it is billed, or else as long as it is.
fn heard(usage: Option<&Value>, field: &dyn Fn(&str) -> Option<Value>) -> Option<Pieces> {
    let billed = usage.and_then(|usage| number(usage.get("seconds")?));
    let seconds = billed.or_else(|| number(&field("duration")?))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within the bounds of `number`")]
    let milliseconds = (seconds * 1_000.0).ceil() as u64;
    Some(Pieces::Milliseconds(milliseconds))
}

fn searched(usage: Option<&Value>, field: &dyn Fn(&str) -> Option<Value>) -> Option<Pieces> {
    let own = usage.and_then(|usage| number(usage.get("search_units")?));
    let count = own.or_else(|| number(field("meta")?.pointer("/billed_units/search_units")?))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within the bounds of `number`")]
    let count = count.ceil() as u64;
    Some(Pieces::Searches(count))
}

/// A count that can be, as a number or as a text.
fn number(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
    #[expect(clippy::cast_precision_loss, reason = "the bound is exact")]
    let most = MOST as f64;
    (0.0..=most).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn images(count: u64, quality: Option<&'static str>, size: Option<(u32, u32)>) -> Option<Pieces> {
        Some(Pieces::Images { count, quality, size })
    }

    #[test]
    fn a_request_says_how_much_it_asks_for_where_that_is_billed() {
        let rows = [
            (Bill::Images, json!({"prompt": "x"}), images(1, None, None)),
            (Bill::Images, json!({"n": null, "size": "auto", "quality": "auto"}), images(1, None, None)),
            (
                Bill::Images,
                json!({"n": 3, "size": "1024x1536", "quality": "high"}),
                images(3, Some("high"), Some((1024, 1536))),
            ),
            (Bill::Images, json!({"n": "2", "quality": "HD", "size": 7}), images(2, Some("hd"), None)),
            (Bill::Images, json!({"n": -1, "quality": "superb", "size": "x9"}), images(1, None, None)),
            (Bill::Speech, json!({"input": "grüße 👋"}), Some(Pieces::Characters(7))),
            (Bill::Speech, json!({"input": 7}), None),
            (Bill::Speech, json!({}), None),
            (Bill::Sound, json!({"duration": 7}), None),
            (Bill::Searches, json!({"query": "q"}), None),
            (Bill::Later, json!({"n": 3}), None),
        ];
        for (bill, body, want) in rows {
            let read = Body::parse(Bytes::from(body.to_string())).unwrap();
            assert_eq!(Pieces::asked(bill, &read), want, "{bill:?} {body}");
        }
    }

    /// An answer; tokens read, of them no text, and written that are none; pieces.
    type Row = (Bill, Value, (u64, u64, u64), Option<Pieces>);

    fn are_read(rows: &[Row]) {
        for (bill, answer, counts, pieces) in rows {
            let found = usage(*bill, &|name| answer.get(name).cloned(), (*bill == Bill::Images).then_some(1));
            let found = found.unwrap_or_default();
            let special = (found.input, found.audio_input + found.image_input, found.audio_output + found.image_output);
            assert_eq!((special, found.pieces), (*counts, *pieces), "{bill:?} {answer}");
        }
    }

    #[test]
    fn tokens_of_images_and_sound_are_told_apart_from_text() {
        let drawn = json!({"usage": {"total_tokens": 4_270, "input_tokens": 60, "output_tokens": 4_210,
            "input_tokens_details": {"text_tokens": 20, "image_tokens": 40},
            "output_tokens_details": {"text_tokens": 50}}, "quality": "low", "size": "1024x1024"});
        let heard = json!({"usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59,
            "input_token_details": {"text_tokens": 4, "audio_tokens": 10}}});
        let spoken = json!({"usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}});
        let judged = json!({"usage": {"total_tokens": 7}, "meta": {"tokens": {"input_tokens": 8}}});
        are_read(&[
            (Bill::Images, drawn, (60, 40, 4_160), images(1, Some("low"), Some((1024, 1024)))),
            (Bill::Images, json!({}), (0, 0, 0), images(1, None, None)),
            (Bill::Sound, heard, (14, 10, 0), None),
            (Bill::Sound, json!({"usage": {"type": "tokens", "input_tokens": 5}}), (5, 5, 0), None),
            (Bill::Speech, spoken, (14, 0, 101), None),
            (Bill::Tokens, judged, (7, 0, 0), None),
        ]);
    }

    #[test]
    fn seconds_and_searches_are_read_where_providers_write_them() {
        let sound = |answer, milliseconds: Option<u64>| {
            (Bill::Sound, answer, (0, 0, 0), milliseconds.map(Pieces::Milliseconds))
        };
        let searches =
            |answer, input, count: Option<u64>| (Bill::Searches, answer, (input, 0, 0), count.map(Pieces::Searches));
        are_read(&[
            sound(json!({"usage": {"type": "duration", "seconds": 3}, "duration": 2.4}), Some(3_000)),
            sound(json!({"duration": "2.4001"}), Some(2_401)),
            sound(json!({"duration": -1}), None),
            sound(json!({"duration": 1e300}), None),
            searches(json!({"meta": {"billed_units": {"search_units": 1.0}}}), 0, Some(1)),
            searches(json!({"usage": {"search_units": 2, "total_tokens": 9}}), 9, Some(2)),
            searches(json!({"meta": {"tokens": {"input_tokens": 8}}}), 8, None),
            (Bill::Later, json!({"usage": {"type": "duration", "seconds": 3}}), (0, 0, 0), None),
        ]);
    }

    #[test]
    fn an_answer_is_believed_before_the_request_on_how_its_images_look() {
        let (asked, said) = (images(3, Some("high"), Some((9, 9))), images(1, Some("low"), None).unwrap());
        assert_eq!(Some(said.or(asked)), images(1, Some("low"), Some((9, 9))));
        assert_eq!(said.or(Some(Pieces::Characters(1))), said);
        assert_eq!(Pieces::Searches(2).or(asked), Pieces::Searches(2));
    }
}
