//! Which class an error is: one ordered table per family, first match wins, the status where no rule does.
//!
//! A table is made of rules that hold everywhere ([`shared`]) and of the family's own ([`families`]), in the order they
//! are asked. Where a provider's habits differ from what its status claims (a wrong key as a 400, an overflow as a 422),
//! a rule says so; all else is one rule for every provider.

mod families;
mod kinds;
mod shared;

use std::ops::Range;

use super::{Class, parse::Report};
use crate::Dialect;

pub(super) use kinds::status as status_of_kind;

/// A rule matches when its status does, none of `unless` is in the text, and one of its codes or words is. One without
/// codes and words is about the status alone.
#[derive(Clone, Copy)]
struct Rule {
    class: Class,
    status: Statuses,
    /// Compared with the provider's codes and type, whole.
    codes: &'static [&'static str],
    /// Looked for in everything the provider said, in lower case. `#` is a number.
    words: &'static [&'static str],
    unless: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Statuses {
    Any,
    Only(&'static [u16]),
    /// Not 429: a rate limit counts tokens too, and its words must not be taken for an overflow.
    Unlimited,
    /// 4xx but 429.
    Refusals,
}

/// The class of what was said under a status. Without one, inside a 200, words are all there is.
pub(super) fn class(dialect: Dialect, status: Option<u16>, report: &Report) -> Class {
    let rule = families::table(dialect).iter().find(|rule| rule.matches(status, report));
    rule.map_or_else(|| by_status(status.unwrap_or(500)), |rule| rule.class)
}

/// Whether that class rests on words, in which whoever is quoted has a say.
pub(super) fn rests_on_words(dialect: Dialect, status: Option<u16>, report: &Report) -> bool {
    let rule = families::table(dialect).iter().find(|rule| rule.matches(status, report));
    rule.is_some_and(|rule| !rule.words.is_empty() && !rule.has_code(report))
}

/// The end of every table. 402 is a refusal no retry changes; what others call an API error is a server's failure.
fn by_status(status: u16) -> Class {
    match status {
        401 => Class::Authentication,
        403 => Class::PermissionDenied,
        404 => Class::NotFound,
        408 | 504 => Class::Timeout,
        422 => Class::UnprocessableEntity,
        429 => Class::RateLimited,
        // The generation failed, not the request.
        409 | 424 => Class::InternalServerError,
        503 => Class::ServiceUnavailable,
        400..=499 => Class::BadRequest,
        _ => Class::InternalServerError,
    }
}

// === impl Rule ===

impl Rule {
    const fn new(class: Class, status: Statuses) -> Self {
        Self { class, status, codes: &[], words: &[], unless: &[] }
    }

    const fn codes(self, codes: &'static [&'static str]) -> Self {
        Self { codes, ..self }
    }

    const fn words(self, words: &'static [&'static str]) -> Self {
        Self { words, ..self }
    }

    const fn unless(self, unless: &'static [&'static str]) -> Self {
        Self { unless, ..self }
    }

    fn matches(&self, status: Option<u16>, report: &Report) -> bool {
        if self.codes.is_empty() && self.words.is_empty() {
            return status.is_some_and(|status| self.status.has(status));
        }
        status.is_none_or(|status| self.status.has(status))
            && !contains(report, self.unless)
            && (self.has_code(report) || contains(report, self.words))
    }

    fn has_code(&self, report: &Report) -> bool {
        let is = |said: &str| self.codes.iter().any(|code| code.eq_ignore_ascii_case(said));
        is(&report.code) || is(&report.kind) || is(&report.inner_code)
    }
}

// === impl Statuses ===

impl Statuses {
    fn has(self, status: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Only(only) => only.contains(&status),
            Self::Unlimited => status != 429,
            Self::Refusals => (400..500).contains(&status) && status != 429,
        }
    }
}

fn contains(report: &Report, words: &[&str]) -> bool {
    words.iter().any(|words| places(&report.text, words).any(|at| !report.asked.wrote(&report.text, at)))
}

/// Where a text holds a phrase. `#` in the phrase is a number in the text.
pub(super) fn places<'a>(text: &'a str, phrase: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    let (head, tail) = phrase.split_once('#').map_or((phrase, None), |(head, tail)| (head, Some(tail)));
    text.match_indices(head).filter_map(move |(at, _)| {
        let end = at + head.len();
        let Some(tail) = tail else { return Some(at..end) };
        let rest = text.get(end..).unwrap_or_default();
        let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ',');
        let numbered = behind.len() < rest.len() && behind.starts_with(tail);
        numbered.then(|| at..text.len() - behind.len() + tail.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_in_a_phrase_is_a_number() {
        let rows = [
            ("inputs must have less than 4,096 tokens", "must have less than # tokens", true),
            ("must have less than x. must have less than 4 tokens", "must have less than # tokens", true),
            ("must have less than 4 stop sequences", "must have less than # tokens", false),
            ("must have less than  tokens", "must have less than # tokens", false),
            ("must have less than 4", "must have less than #", true),
            ("prompt is too long", "prompt is too long", true),
        ];
        for (text, phrase, want) in rows {
            assert_eq!(places(text, phrase).next().is_some(), want, "{text}");
        }
    }

    /// A phrase in capitals would never match, and an empty one always.
    #[test]
    fn phrases_are_lower_case_and_not_empty() {
        use Dialect as D;
        let dialects = [D::OpenAi, D::Anthropic, D::Gemini, D::Cohere, D::Bedrock, D::BedrockInvoke, D::Ollama];
        for rule in dialects.into_iter().flat_map(families::table) {
            for phrase in rule.words.iter().chain(rule.unless) {
                assert!(!phrase.trim().is_empty() && *phrase == phrase.to_lowercase(), "{phrase:?}");
            }
        }
    }
}
