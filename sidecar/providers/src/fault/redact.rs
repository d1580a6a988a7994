//! A provider's words, fit for a log and for an application: one line, bounded, and without keys.
//!
//! Providers quote the key they refuse. They mask it, mostly; we do not rely on it.

use super::MAX_MESSAGE_BYTES;

/// Prefixes keys are known by. Compared in lower case.
const PREFIXES: &[&str] = &[
    "sk-", "sk_", "pk-", "rk-", "gsk_", "xai-", "hf_", "nvapi-", "pplx-", "fw_", "ghp_", "akia", "aiza", "eyj", "csk-",
];

/// Names whose value is a key.
const NAMES: &[&str] =
    &["key", "api_key", "apikey", "api-key", "x-api-key", "token", "access_token", "secret", "password"];

/// Longer runs of letters and digits mixed are keys or might as well be.
const LONG_RUN: usize = 32;

const BLANK: &str = "[redacted]";

/// The message as it may be shown: keys blanked out, white space collapsed, at most 512 bytes.
pub(super) fn message(text: &str) -> String {
    let mut out = String::new();
    let mut secret_next = false;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        if out.len() > MAX_MESSAGE_BYTES {
            break;
        }
        push_word(&mut out, word, &mut secret_next);
    }
    cut(out, MAX_MESSAGE_BYTES)
}

/// Cuts at a character.
pub(super) fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
    }
    text
}

/// Copies a word, its pieces judged one by one. `secret` carries "the next piece is a key" over pieces and words.
fn push_word(out: &mut String, word: &str, secret: &mut bool) {
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_key_char(c)).unwrap_or(rest.len());
        let (piece, tail) = rest.split_at(end);
        let gap = tail.find(is_key_char).unwrap_or(tail.len());
        let (gap, next) = tail.split_at(gap);
        push_piece(out, piece, gap, secret);
        out.push_str(gap);
        rest = next;
    }
}

fn push_piece(out: &mut String, piece: &str, gap: &str, secret: &mut bool) {
    if piece.is_empty() {
        return;
    }
    let lower = piece.to_ascii_lowercase();
    let bare = lower.trim_end_matches('.');
    if is_key(&lower) || (*secret && bare.len() >= 6) {
        out.push_str(BLANK);
        *secret = false;
        return;
    }
    out.push_str(piece);
    let names_value = gap.starts_with(['=', ':', '"', '\'']) && NAMES.contains(&bare);
    *secret = names_value || bare == "bearer" || bare == "basic" || (*secret && bare == "provided");
}

fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*' | '+' | '/')
}

fn is_key(lower: &str) -> bool {
    let known = PREFIXES.iter().any(|prefix| lower.starts_with(prefix) && lower.len() >= prefix.len() + 3);
    known && lower.len() >= 8 && lower.bytes().any(|byte| byte.is_ascii_digit() || byte == b'*' || byte == b'-')
        || lower.split(['.', '/', '-', '_']).any(is_long_run)
}

fn is_long_run(run: &str) -> bool {
    run.len() >= LONG_RUN
        && run.bytes().any(|byte| byte.is_ascii_digit())
        && run.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_blanked_out_and_words_are_not() {
        let rows = [
            ("Incorrect API key provided: sk-abc123. Find it.", "Incorrect API key provided: [redacted] Find it."),
            ("key provided: sk***st. You", "key provided: sk***st. You"),
            ("got Bearer abcdef123456, no", "got Bearer [redacted], no"),
            ("Authorization: Basic dXNlcjpwYXNz!", "Authorization: Basic [redacted]!"),
            ("GET /v1?key=AbCdEfGh&x=1", "GET /v1?key=[redacted]&x=1"),
            (r#"{"api_key":"plain-secret"}"#, r#"{"api_key":"[redacted]"}"#),
            ("id 0123456789abcdef0123456789abcdef.", "id [redacted]"),
            ("sk-ant-api03-AAAA_bbbb-1234", "[redacted]"),
            ("AIzaSyD-1234567890", "[redacted]"),
            ("the model `gpt-4o-mini-2024-07-18` is gone", "the model `gpt-4o-mini-2024-07-18` is gone"),
            ("accounts/fireworks/models/llama-v3p3-70b", "accounts/fireworks/models/llama-v3p3-70b"),
            ("too\nmany\r\n\t tokens: 9000 > 8192", "too many tokens: 9000 > 8192"),
            ("rate limit: token budget", "rate limit: token budget"),
        ];
        for (text, want) in rows {
            assert_eq!(message(text), want, "{text}");
        }
    }

    #[test]
    fn a_message_is_cut_at_a_character() {
        let cut = message(&"€".repeat(400));
        assert_eq!((cut.len(), cut.chars().all(|c| c == '€')), (510, true));
    }

    proptest! {
        #[test]
        fn no_message_panics_or_exceeds_its_bound(text in "\\PC{0,900}", key in "[a-z0-9]{8,40}") {
            let shown = message(&format!("{text} sk-0{key} {text}"));
            prop_assert!(shown.len() <= MAX_MESSAGE_BYTES);
            let leaked = format!("sk-0{key}");
            prop_assert!(!shown.contains(&leaked), "{}", shown);
        }
    }
}
