//! Whose words an error's words are.
//!
//! Providers quote what they refuse: `Invalid value: 'maximum context length is 10 tokens'`. A class decides who is asked
//! next and which key is set aside, so words that the request put there must not decide one. Words count as the caller's
//! where the request says them too and they stand in the error as a quotation does: behind a quotation mark, between a
//! colon and the sentence's end, or with more around them that the request says as well. A sentence that begins with
//! them is the provider's own, even if the caller knows it: people ask models about errors.

use std::ops::Range;

use memchr::memmem;

use crate::Body;

/// What is looked at on each side of some words. A quotation of more is one.
const REACH: usize = 256;

/// How often the words are looked for in a request. One that is full of them has written them.
const MAX_PLACES: usize = 1_000;

/// So much more than the words themselves is no coincidence.
const COINCIDENCE: usize = 24;

/// Where a JSON error begins to speak.
const OPENINGS: &[&str] = &["\"message\":\"", "\"error\":\"", "\"detail\":\"", "\"msg\":\"", "\"title\":\""];

const MARKS: &[char] = &['\'', '"', '`', '‘', '’', '“', '”', '«', '»', '…'];

/// What a request says, in the form in which it is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked(String);

// === impl Asked ===

impl Asked {
    pub(super) fn of(body: &Body) -> Self {
        let mut text = String::new();
        for key in body.keys() {
            plain(key, &mut text);
            text.push(':');
            plain(body.get(key).unwrap_or_default(), &mut text);
            text.push(',');
        }
        Self(text)
    }

    /// Whether the words at `at` in a provider's text are the caller's.
    pub(super) fn wrote(&self, text: &str, at: Range<usize>) -> bool {
        let Some(words) = text.get(at.clone()).filter(|_| !self.0.is_empty()) else { return false };
        let (left, right) = (in_front(text, at.start), behind(text, at.end));
        let words = read(words);
        let places = memmem::find_iter(self.0.as_bytes(), words.as_bytes());
        let mut found = 0;
        for place in places.take(MAX_PLACES) {
            found += 1;
            let before = common(self.0[..place].bytes().rev(), left.bytes().rev());
            let after = common(self.0[place + words.len()..].bytes(), right.bytes());
            if is_quoted(&left, &right, (before, after)) {
                return true;
            }
        }
        found == MAX_PLACES
    }
}

/// Whether words stand as a quotation does: `before` and `after`, so many bytes around them are the request's as well.
fn is_quoted(left: &str, right: &str, (before, after): (usize, usize)) -> bool {
    let start = left.ceil_char_boundary(left.len() - before);
    let end = right.floor_char_boundary(after);
    let (lead, tail) = (&left[..start], &right[end..]);
    if begins_sentence(lead) {
        return false;
    }
    let has_number = right[..end].bytes().any(|byte| byte.is_ascii_digit())
        && !tail.starts_with(|next: char| next.is_ascii_digit() || next == ',');
    let opened = lead.trim_end().ends_with([':', '=', '(', '[']) || left[start..].starts_with([':', '=']);
    let closed = tail.trim_start().is_empty() || tail.trim_start().starts_with([')', ']', '}', '.', ',', ';']);
    is_mark(lead)
        || left[start..].trim_start().starts_with(MARKS)
        || (opened && (closed || tail.starts_with(MARKS)))
        || has_number
        || before + after >= COINCIDENCE
}

/// A quotation mark at the end. One inside of a word is an apostrophe.
fn is_mark(lead: &str) -> bool {
    let before = lead.strip_suffix(MARKS);
    before.map_or_else(|| lead.ends_with(".."), |before| !before.ends_with(char::is_alphanumeric))
}

fn begins_sentence(lead: &str) -> bool {
    let lead_in = lead.trim_end();
    let ended = lead.ends_with(' ') && lead_in.ends_with(['.', '!', '?']) && !lead_in.ends_with("..");
    lead_in.is_empty() || ended
}

fn common<'a>(ours: impl Iterator<Item = u8> + 'a, theirs: impl Iterator<Item = u8> + 'a) -> usize {
    ours.zip(theirs).take_while(|(our, their)| our == their).count()
}

/// What stands in front of a place in a text, as far as the same words of the error go.
fn in_front(text: &str, at: usize) -> String {
    let near = &text[text.ceil_char_boundary(at.saturating_sub(REACH))..at];
    let begun = OPENINGS.iter().filter_map(|opening| Some(near.rfind(opening)? + opening.len())).max();
    read(&near[begun.unwrap_or(0)..])
}

fn behind(text: &str, at: usize) -> String {
    read(&text[at..text.floor_char_boundary(at + REACH)])
}

fn read(text: &str) -> String {
    let mut out = String::new();
    plain(text, &mut out);
    out
}

/// A text in lower case with its escapes undone and its white space made one space, so that what was written in one way
/// and is quoted in another is the same.
fn plain(text: &str, out: &mut String) {
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        let said = if next == '\\' { unescaped(&mut rest) } else { next };
        if !said.is_whitespace() {
            out.extend(said.to_lowercase());
        } else if !out.ends_with(' ') {
            out.push(' ');
        }
    }
}

/// What an escape stands for. Half of a surrogate pair is nothing that anybody looks for.
fn unescaped(rest: &mut std::str::Chars<'_>) -> char {
    match rest.next() {
        Some('u') => {
            let code = rest.as_str().get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
            let Some(code) = code else { return 'u' };
            *rest = rest.as_str()[4..].chars();
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        Some('n' | 't' | 'r' | 'b' | 'f') | None => ' ',
        Some(other) => other,
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Body, Dialect,
        fault::{Class, classify},
    };

    fn class(status: u16, error: &str, request: &str) -> Class {
        let request = Body::parse(request.to_owned().into()).unwrap();
        let fault = classify(Dialect::OpenAi, status, "", error.as_bytes());
        fault.without_quotes(&request).class
    }

    fn chat(content: &str) -> String {
        serde_json::json!({"model": "m", "messages": [{"role": "user", "content": content}]}).to_string()
    }

    fn error(message: &str) -> String {
        serde_json::json!({"error": {"message": message, "type": "invalid_request_error", "code": "invalid_value"}})
            .to_string()
    }

    #[test]
    fn words_that_the_request_put_into_an_error_decide_no_class() {
        let said = "maximum context length is 10 tokens";
        let rows = [
            (said, format!("Invalid value: '{said}'. Supported values are: 'user'.")),
            (said, format!("'{said}' is not one of ['system', 'user']")),
            (said, format!("unknown variant `{said}`, expected `user`")),
            (said, format!("Unknown parameter: {said}.")),
            (said, format!("Unknown parameter {said} was given")),
            (said, format!("1 validation error: [type=enum, input_value={said}, input_type=str]")),
            (said, format!("Invalid value: '... {said}'")),
            ("Hi. Maximum context length is 10.", "Invalid: 'Hi. Maximum context length is 10.' is no role".into()),
            ("maximum\ncontext\tlength is 10", "Invalid value: 'maximum context length is 10'".into()),
            ("prompt is too long", "Invalid value: \"prompt is too long\"".into()),
            ("prompt is too long", "messages[0].role: prompt is too long".into()),
            ("context length exceeded", "Invalid value: 'context length exceeded'".into()),
            ("why: prompt exceeds max length", "Invalid value: 'why: prompt exceeds max length'".into()),
            ("Incorrect API key provided", "Invalid value: 'Incorrect API key provided'".into()),
            ("content management policy", "Invalid value: 'content management policy'".into()),
        ];
        for (said, told) in rows {
            assert_eq!(class(400, &error(&told), &chat(said)), Class::BadRequest, "{told}");
            assert_ne!(class(400, &error(&told), &chat("hi")), Class::BadRequest, "without the request: {told}");
        }
        let input = r#"{"detail":[{"loc":["body"],"msg":"no role","input":"maximum context length is 10 tokens"}]}"#;
        assert_eq!(class(422, input, &chat(said)), Class::UnprocessableEntity);
        let escaped = r#"{"messages": [{"role": "m\u0061ximum context length is 10 tokens"}]}"#;
        assert_eq!(class(400, &error(&format!("Invalid value: '{said}'")), escaped), Class::BadRequest);
    }

    #[test]
    fn whoever_asks_about_an_error_may_still_run_into_it() {
        let told =
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9012 tokens.";
        let rows = [
            (told, told),
            ("This model's maximum context length is 4096 tokens", told),
            ("what does maximum context length mean?", told),
            ("is \"prompt is too long\" an error?", "prompt is too long: 9000 tokens > 8000 maximum"),
            (
                "the maximum context length of a model",
                "Requested 9000 tokens exceed the model's maximum context length of 8192",
            ),
            ("prompt is too long", "Sorry. Prompt is too long. Shorten it."),
        ];
        for (said, told) in rows {
            assert_eq!(class(400, &error(told), &chat(said)), Class::ContextWindowExceeded, "{said} {told}");
        }
        let coded = r#"{"error": {"message": "'prompt is too long'", "code": "context_length_exceeded"}}"#;
        assert_eq!(
            class(400, coded, &chat("prompt is too long")),
            Class::ContextWindowExceeded,
            "a code is nobody's words"
        );
    }

    #[test]
    fn a_window_is_not_read_from_a_quotation() {
        let request = Body::parse(chat("maximum context length is 300 tokens").into()).unwrap();
        let told = "Bad 'maximum context length is 300 tokens'. This model's maximum context length is 8192 tokens.";
        let fault = classify(Dialect::OpenAi, 400, "", error(told).as_bytes());
        assert_eq!((fault.window, fault.without_quotes(&request).window), (Some(300), Some(8192)));
    }

    /// 8 MB of the words, quoted in 64 KB of them.
    #[test]
    fn a_request_full_of_the_words_is_soon_found_to_have_written_them() {
        let words = "maximum context length ";
        let request = chat(&words.repeat(8 << 20 >> 4));
        let said = error(&format!("x {}", words.repeat(2_000)));
        assert_eq!(class(400, &said, &request), Class::BadRequest);
    }
}
