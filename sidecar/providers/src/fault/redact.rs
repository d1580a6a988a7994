//! A provider's words, fit for a log and for an application: one line, bounded, and without keys.
//!
//! Providers quote the key they refuse. They mask it, mostly; we do not rely on it.

use std::borrow::Cow;

use super::MAX_MESSAGE_BYTES;

/// Prefixes keys are known by. Compared in lower case.
const PREFIXES: &[&str] = &[
    "sk-",
    "sk_",
    "pk-",
    "rk-",
    "gsk_",
    "xai-",
    "hf_",
    "nvapi-",
    "pplx-",
    "fw_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "aiza",
    "ya29.",
    "eyj",
    "csk-",
    "dapi",
    "absk",
    "bedrock-api-key-",
];

/// What an AWS access key's id starts with. In capitals only: `asia-east1` is a place.
const AWS_IDS: &[&str] = &["AKIA", "ASIA"];

/// The length of an AWS secret, which is base64 and has nothing else to know it by.
const AWS_SECRET: usize = 40;

/// Names whose value is a key, by how they end: `x-api-key`, `client_secret`, `X-Amz-Security-Token`.
const NAMES: &[&str] = &["key", "token", "secret", "password", "signature", "credential"];

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
        push_plain(&mut out, word, &mut secret_next);
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

/// Copies a word. One that hides a key behind percent signs is shown without them, and without the key.
fn push_plain(out: &mut String, word: &str, secret: &mut bool) {
    let plain = unescaped(word);
    if plain != word {
        let (mut shown, mut next) = (String::new(), *secret);
        push_word(&mut shown, &plain, &mut next);
        if shown.contains(BLANK) {
            out.push_str(&shown);
            *secret = next;
            return;
        }
    }
    push_word(out, word, secret);
}

/// A URL's escapes of what keys are made of and quoted by, undone as often as anybody does them.
fn unescaped(word: &str) -> Cow<'_, str> {
    let mut plain = Cow::Borrowed(word);
    for _ in 0..3 {
        let mut parts = plain.split('%');
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let code = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok()).map(char::from);
            match code.filter(|c| is_token_char(*c) || matches!(c, '"' | '\'')) {
                Some(c) => out.extend([c.encode_utf8(&mut [0; 4]), part.get(2..).unwrap_or_default()]),
                None => out.extend(["%", part]),
            }
        }
        if out == plain {
            break;
        }
        plain = out.into();
    }
    plain
}

/// Copies a word, its pieces judged one by one. `secret` carries "the next piece is a key" over pieces and words.
fn push_word(out: &mut String, word: &str, secret: &mut bool) {
    let word = without_login(word);
    let mut rest = &*word;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_key_char(c)).unwrap_or(rest.len());
        let (piece, tail) = rest.split_at(end);
        let gap = tail.find(is_key_char).unwrap_or(tail.len());
        let (gap, next) = tail.split_at(gap);
        let (token, behind) = rest.split_at(rest.find(|c| !is_token_char(c)).unwrap_or(rest.len()));
        if !piece.is_empty() && is_secret(piece, token, *secret) {
            // All of it: what stands behind a key's `=` is the rest of the key, and nothing could find it any more.
            out.push_str(BLANK);
            *secret = false;
            rest = behind;
            continue;
        }
        push_piece(out, piece, gap, secret);
        out.push_str(gap);
        rest = next;
    }
}

/// A URL without the `user:password@` in it.
fn without_login(word: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = word.split_once("://") else { return word.into() };
    let host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest.get(..host).and_then(|host| host.rfind('@')) {
        Some(at) => format!("{scheme}://{BLANK}{}", rest.get(at..).unwrap_or_default()).into(),
        None => word.into(),
    }
}

/// `token`: the piece, and what may belong to it.
fn is_secret(piece: &str, token: &str, expected: bool) -> bool {
    let lower = piece.to_ascii_lowercase();
    has_prefix(&token.to_ascii_lowercase())
        || is_aws(piece)
        || lower.split(['.', '/', '-', '_']).any(is_long_run)
        || (expected && lower.trim_end_matches('.').len() >= 6)
}

fn push_piece(out: &mut String, piece: &str, gap: &str, secret: &mut bool) {
    if piece.is_empty() {
        return;
    }
    let lower = piece.to_ascii_lowercase();
    let bare = lower.trim_end_matches('.');
    out.push_str(piece);
    let names_value = gap.starts_with(['=', ':', '"', '\'']) && NAMES.iter().any(|name| bare.ends_with(name));
    *secret = names_value || bare == "bearer" || bare == "basic" || (*secret && bare == "provided");
}

fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*' | '+' | '/')
}

/// What base64 and URLs make of a key's characters is still the key.
fn is_token_char(c: char) -> bool {
    is_key_char(c) || matches!(c, '=' | '%' | '~')
}

fn has_prefix(lower: &str) -> bool {
    let known = PREFIXES.iter().any(|prefix| lower.starts_with(prefix) && lower.len() >= prefix.len() + 3);
    known && lower.len() >= 8 && lower.bytes().any(|byte| byte.is_ascii_digit() || byte == b'*' || byte == b'-')
}

/// The id of an AWS access key, alone or in front of its scope, or a secret by its looks.
fn is_aws(piece: &str) -> bool {
    let piece = piece.trim_end_matches('.');
    let id = piece.split('/').next().unwrap_or_default();
    let is_id = id.len() >= 16
        && AWS_IDS.iter().any(|prefix| id.starts_with(prefix))
        && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let is_secret = piece.len() == AWS_SECRET
        && piece.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+'))
        && piece.bytes().any(|byte| byte.is_ascii_digit())
        && piece.bytes().any(|byte| byte.is_ascii_lowercase())
        && piece.bytes().any(|byte| byte.is_ascii_uppercase());
    is_id || is_secret
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
            ("no: sk-LEAK=secretpart.", "no: [redacted]"),
            ("\"sk-LEAK/a+b%3D~c=d==\" is wrong", "\"[redacted]\" is wrong"),
            ("sk%2Dabc123%2D4, no", "[redacted], no"),
            ("%22sk%252Dabc123%22", "\"[redacted]\""),
            ("wJalrXUtnFEMI%2FK7MDENG%2FbPxRfiCYEXAMPLEKEY", "[redacted]"),
            ("https://x.example/a?api_key%3Dplain-secret", "https://x.example/a?api_key=[redacted]"),
            ("100% of 50%20 at%2Fon%zz%", "100% of 50%20 at%2Fon%zz%"),
            ("api_key=gsk_abcdef=1&x=2", "api_key=[redacted]&x=2"),
            ("Bearer abcdef123456=xyz, no", "Bearer [redacted], no"),
            ("the model `gpt-4o-mini-2024-07-18` is gone", "the model `gpt-4o-mini-2024-07-18` is gone"),
            ("accounts/fireworks/models/llama-v3p3-70b", "accounts/fireworks/models/llama-v3p3-70b"),
            ("too\nmany\r\n\t tokens: 9000 > 8192", "too many tokens: 9000 > 8192"),
            ("rate limit: token budget", "rate limit: token budget"),
            ("asia-southeast1-aiplatform.googleapis.com", "asia-southeast1-aiplatform.googleapis.com"),
            ("https://host:8443/v1/models?alt=sse", "https://host:8443/v1/models?alt=sse"),
        ];
        for (text, want) in rows {
            assert_eq!(message(text), want, "{text}");
        }
    }

    #[test]
    fn no_key_of_any_provider_is_passed_on() {
        let rows = [
            // Azure, in a body and in a header's words.
            "Access denied due to invalid subscription key KEY or wrong API endpoint",
            r#"{"api-key": "KEY"}"#,
            "Ocp-Apim-Subscription-Key: KEY",
            // Google: in the text, and in the URL it quotes.
            "API key not valid: KEY. Please pass a valid API key.",
            "POST https://generativelanguage.googleapis.com/v1beta/models/x:generateContent?key=KEY",
            "https://x.example/v1?alt=sse&access_token=KEY&x=1",
            "Invalid OAuth token KEY",
            // AWS: the id, the scope it stands in, the session, the signature.
            "Credential=KEY/20260101/us-east-1/bedrock/aws4_request",
            "Credential 'KEY' is not valid",
            "X-Amz-Security-Token=KEY",
            "X-Amz-Signature=KEY&X-Amz-Date=1",
            "Authorization: Bearer KEY",
            "authorization='bearer KEY'",
            "Authorization: AWS4-HMAC-SHA256 Credential=KEY, Signature=KEY",
            "proxy http://user:KEY@proxy.example:3128/ said no",
            "invalid token=KEY, token: KEY, client_secret=KEY, x-api-key: KEY, refresh_token\":\"KEY\"",
        ];
        let keys = [
            "AIzaSyD4k2nVbX8mQw7Lp9sTzR1uYc3eFgH5jK0",
            "AKIAIOSFODNN7EXAMPLE",
            "ASIAIOSFODNN7EXAMPLE",
            "ya29.a0AfB_byC3xkQ1mZ7wT9",
            "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
            "sk-proj-abc123_DEF-456",
            "sk-or-v1-0123456789abcdef",
            "0123456789abcdef0123456789ABCDEF",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "dapi0123456789abcdef0123456789abcd",
            "bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t",
            "ABSKQmVkcm9ja0FQSUtleS1hYmMxMjM=",
        ];
        for text in rows {
            for key in keys {
                let shown = message(&text.replace("KEY", key));
                assert!(!shown.contains(key), "{shown}");
            }
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
