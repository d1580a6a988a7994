//! What nobody may read, in the spellings in which somebody who was sent it may repeat it.

use std::cmp::Reverse;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use memchr::memmem;
use secrecy::{ExposeSecret, SecretString};

use crate::percent;

/// The longest ones first: one may be part of another.
#[derive(Default)]
pub(crate) struct Secrets(Vec<SecretString>);

/// A shorter one is no secret, and part of any text.
const SHORTEST: usize = 6;

const BLANK: &str = "[redacted]";

/// The text without the secrets of all of these. None: there is none in it.
pub(crate) fn taken_out_of<T>(
    text: &str,
    holders: impl IntoIterator<Item = T>,
    of: impl Fn(T, &str) -> Option<String>,
) -> Option<String> {
    holders.into_iter().fold(None, |out: Option<String>, holder| of(holder, out.as_deref().unwrap_or(text)).or(out))
}

// === impl Secrets ===

impl Secrets {
    /// Each as it is, in JSON, in a URL and in base64. Of one that has lines, each line is one.
    pub(crate) fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let lines = texts.into_iter().flat_map(str::lines).filter(|line| !line.starts_with("-----"));
        let spelt = lines.filter(|line| line.len() >= SHORTEST).flat_map(|line| {
            let in_json = serde_json::Value::from(line).to_string().trim_matches('"').to_owned();
            [line.to_owned(), in_json, percent::encoded(line).to_string(), STANDARD_NO_PAD.encode(line)]
        });
        let mut spelt: Vec<String> = spelt.collect();
        spelt.sort_unstable_by(|a, b| (Reverse(a.len()), a).cmp(&(Reverse(b.len()), b)));
        spelt.dedup();
        Self(spelt.into_iter().map(SecretString::from).collect())
    }

    /// The text without them. None: there is none in it.
    pub(crate) fn taken_out_of(&self, text: &str) -> Option<String> {
        let secrets = self.0.iter().map(ExposeSecret::expose_secret);
        let holds = |secret: &str, text: &str| memmem::find(text.as_bytes(), secret.as_bytes()).is_some();
        taken_out_of(text, secrets, |secret, text| holds(secret, text).then(|| text.replace(secret, BLANK)))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Secrets").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_spelling_and_what_is_too_short_is_none() {
        let secrets = Secrets::of(["pass\"word+1", "short", "-----BEGIN KEY-----\nMIIEvQ/first\nlast+line\n"]);
        let rows = [
            ("no pass\"word+1 here", "no [redacted] here"),
            (r#"{"key":"pass\"word+1"}"#, r#"{"key":"[redacted]"}"#),
            ("?key=pass%22word%2B1&x=1", "?key=[redacted]&x=1"),
            ("Basic cGFzcyJ3b3JkKzE=", "Basic [redacted]="),
            ("MIIEvQ/first\\nlast+line", "[redacted]\\n[redacted]"),
            ("last%2Bline", "[redacted]"),
        ];
        for (text, want) in rows {
            assert_eq!(secrets.taken_out_of(text).as_deref(), Some(want), "{text}");
        }
        for text in ["short words", "-----BEGIN KEY-----", ""] {
            assert_eq!(secrets.taken_out_of(text), None, "{text}");
        }
        assert!(!format!("{secrets:?}").contains("word"));
    }
}
