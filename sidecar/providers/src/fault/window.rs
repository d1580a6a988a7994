//! The numbers an overflow message names: the context window, and how long the prompt is.
//!
//! A window nobody configured is learnt from the first prompt that does not fit, so that the next one goes elsewhere at
//! once. A prompt whose length was only estimated is shortened by what the provider counted.

use memchr::memmem;

use super::{Length, parse::Report, rules::places};
use crate::Body;

/// Phrases with the window behind them. `#` is a number.
const BEFORE: &[&str] = &[
    "maximum context length is",
    "maximum context length of",
    "context length is only",
    "context length of only",
    "current context length is",
    "maximum prompt length is",
    "model maximum context length:",
    "exceed model maximum",
    "maximum input tokens is",
    "`max_new_tokens` must be <=",
    "limit for this model is",
    "maximum model length of",
    "available context size (",
    "larger than the max context size",
    "must have less than",
    "maximum input length is",
    "maximum context limit is",
    "maximum context length (",
    "longer than the model's context length",
    "greater than the context length",
    "prompt sequence length is greater than",
    "exceeds maximum context size",
    "exceeds maximum input length",
    "exceeds the maximum input length",
    "exceeds the maximum allowed length",
    "exceed context window of",
    "configured context size is",
    "total tokens limit",
    "max_num_tokens",
    "must be less than max_seq_len",
    "exceeds max_total_tokens",
    "greater than max_model_len=",
    "max size:",
    "exceeds the context window of",
    "max input tokens:",
    "maximum number of tokens allowed",
    "model only supports up to",
    "tokens in the prompt cannot exceed",
    "(prompt and prediction) cannot exceed",
    "while limit is",
    "model context window limit (",
    "exceeded model token limit:",
    "context length is",
];

/// Phrases with the longest prompt behind them, whatever room there is for an answer.
const LONGEST_BEFORE: &[&str] = &[
    "configured limit of",
    "range of input length should be [1,",
    "exceeds the maximum allowed input length of",
    "prompt token count of # exceeds the limit of",
    "prompt token count exceeds the limit of",
];

/// Phrases with the window in front of them.
const BEHIND: &[&str] = &[" maximum context length", " tokens maximum", " maximum"];

/// Phrases with the length of the prompt behind them, the answer not included.
const PROMPT_BEFORE: &[&str] = &[
    "your messages resulted in",
    "prompt is too long:",
    "prompt contains",
    "prompt has",
    "prompt (length",
    "prompt tokens (",
    "prompt_tokens (",
    "prompt token count of",
    "prompt cannot exceed # - received",
    "your request has",
    "the request contains",
    "request (",
    "requested tokens (",
    "input length",
    "input (",
    "sum of prompt length",
    "input token count (",
    "input token count is",
    "number of input tokens",
    "exceed context limit:",
    "given:",
];

/// Phrases with it in front of them.
const PROMPT_BEHIND: &[&str] =
    &[" in the messages", " tokens in the messages", " tokens from the input messages", " in your prompt"];

/// Phrases with a number behind them that the prompt has reached. Whoever says so has not counted on.
const AT_LEAST: &[&str] =
    &["prompt contains at least", "you passed", "keep the first", "tokens to keep from the initial prompt"];

/// Phrases with the tokens behind them that the prompt has too many.
const OVER_BEFORE: &[&str] = &[
    "context length by",
    "context window by",
    "context size by",
    "context limit by",
    "token limit by",
    "too long by",
    "size limit exceeded by",
];

/// Behind a number: it counts no tokens.
const NO_TOKENS: &[&str] = &[" characters", " input characters", " bytes"];

/// Below and above, a number is something else.
const PLAUSIBLE: std::ops::RangeInclusive<u64> = 128..=100_000_000;

pub(super) fn learn(report: &Report) -> Option<u64> {
    let stated = report.window.or_else(|| BEFORE.iter().find_map(|phrase| number_behind(report, phrase)));
    let sum = || sum_over(&report.text);
    let window = stated.or_else(sum).or_else(|| BEHIND.iter().find_map(|phrase| number_before(report, phrase)));
    window.filter(|window| PLAUSIBLE.contains(window))
}

/// The longest prompt that is taken.
pub(super) fn longest(report: &Report) -> Option<u64> {
    let said = LONGEST_BEFORE.iter().find_map(|phrase| number_behind(report, phrase));
    said.filter(|longest| PLAUSIBLE.contains(longest))
}

/// How long the prompt is, as the provider counts.
pub(super) fn prompt(report: &Report) -> Option<Length> {
    let plausible = |said: Option<u64>| said.filter(|prompt| PLAUSIBLE.contains(prompt));
    let behind = || PROMPT_BEHIND.iter().find_map(|phrase| number_before(report, phrase));
    let before = || PROMPT_BEFORE.iter().find_map(|phrase| number_behind(report, phrase));
    let said = report.prompt.or_else(|| inputs(report)).or_else(behind).or_else(before);
    let reached = || AT_LEAST.iter().find_map(|phrase| number_behind(report, phrase));
    let beyond = || {
        let over = over(report)?;
        Some(learn(report).map_or(Length::Over(over), |window| Length::Tokens(window.saturating_add(over))))
    };
    let counted = plausible(said).map(Length::Tokens);
    counted.or_else(|| plausible(reached()).map(Length::AtLeast)).or_else(beyond)
}

/// `(358454 of text input, 56529 of tool input, 10000 in the output)`
fn inputs(report: &Report) -> Option<u64> {
    let text = number_before(report, " of text input").or_else(|| number_before(report, " tokens of text input"))?;
    Some(text.saturating_add(number_before(report, " of tool input").unwrap_or(0)))
}

/// By how many tokens the prompt is too long.
fn over(report: &Report) -> Option<u64> {
    let said = OVER_BEFORE.iter().find_map(|phrase| number_behind(report, phrase));
    said.filter(|over| (1..=*PLAUSIBLE.end()).contains(over))
}

/// `prompt 199200 + answer 8192 > 200000`
fn sum_over(text: &str) -> Option<u64> {
    text.split(" > ").skip(1).find_map(leading_number)
}

/// The first place where the provider itself says something.
fn said(report: &Report, phrase: &str) -> Option<(usize, usize)> {
    let place = places(&report.text, phrase).find(|place| !report.asked.wrote(&report.text, place.clone()))?;
    Some((place.start, place.end))
}

fn number_behind(report: &Report, phrase: &str) -> Option<u64> {
    let (_, end) = said(report, phrase)?;
    leading_number(report.text.get(end..)?.trim_start_matches([' ', '(', ':']))
}

fn number_before(report: &Report, phrase: &str) -> Option<u64> {
    let (start, _) = said(report, phrase)?;
    let front = report.text.get(..start)?;
    let digits = front.len() - front.trim_end_matches(is_digit).len();
    parse(front.get(front.len() - digits..)?)
}

fn leading_number(text: &str) -> Option<u64> {
    let (digits, rest) = text.split_at(text.find(|c| !is_digit(c)).unwrap_or(text.len()));
    if NO_TOKENS.iter().any(|unit| rest.starts_with(unit)) { None } else { parse(digits) }
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || c == ','
}

fn parse(digits: &str) -> Option<u64> {
    digits.replace(',', "").parse().ok()
}

/// Whether a request says this number, in whatever of it an error may quote.
#[must_use]
pub fn is_named(body: &Body, number: u64) -> bool {
    // What is quoted may be cut, and what is left of a number is one too.
    let said = number.to_string();
    let is_number = |raw: &str| raw.starts_with(|first: char| first.is_ascii_digit());
    let says = |text: &str| {
        // A digit that is written as its code.
        let escaped = memmem::find(text.as_bytes(), b"\\u003").is_some();
        escaped
            || text.split(|c| !is_digit(c)).any(|run| run.replace(',', "").trim_start_matches('0').starts_with(&said))
    };
    body.keys().filter(|key| *key != "model").any(|key| {
        let raw = body.get(key).unwrap_or_default();
        says(key) || (!is_number(raw) && says(raw))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_that_the_request_names_however_it_is_written() {
        let rows = [
            (r#"{"model": "fits-200", "max_tokens": 200, "messages": []}"#, false),
            (r#"{"messages": [{"role": "maximum context length is 200 tokens", "content": ""}]}"#, true),
            (r#"{"messages": [{"role": "user", "content": "2,00"}]}"#, true),
            (r#"{"messages": [{"role": "user", "content": "\u00320\u0030"}]}"#, true),
            (r#"{"maximum context length is 200": true}"#, true),
            (r#"{"messages": [{"role": "user", "content": "1200 and 32000"}]}"#, false),
            (r#"{"messages": [{"role": "user", "content": "maximum context length is 20045"}]}"#, true),
            (r#"{"messages": [{"role": "user", "content": "99999999999999999999999"}]}"#, false),
        ];
        for (text, want) in rows {
            let body = Body::parse(text.into()).unwrap();
            assert_eq!(is_named(&body, 200), want, "{text}");
        }
    }
}
