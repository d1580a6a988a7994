//! OpenAI's Responses API in front of every backend.
//!
//! Where a backend has the API itself, bytes pass through ([`native`]); everywhere else a request becomes a chat, and what
//! comes back becomes a response. Either way nothing is kept between two requests: a conversation is what its request
//! says it is, so that any backend can give the next answer.

pub(crate) mod echo;
mod events;
mod foreign;
mod input;
pub(crate) mod native;
mod output;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod state;
pub(crate) mod stream;
mod tools;
pub(crate) mod translate;

/// OpenAI takes ids of 64 characters, with a prefix that says what they are of.
const MAX_ID_BYTES: usize = 48;

/// Why an answer is not complete, in this API's words. None: it is.
fn incomplete(finish_reason: &str) -> Option<&'static str> {
    match finish_reason {
        "length" | "model_length" | "max_tokens" => Some("max_output_tokens"),
        "content_filter" => Some("content_filter"),
        _ => None,
    }
}

/// An id made of another one, with the prefix that clients look for. It may come back as part of a conversation, to OpenAI
/// even, which is strict about letters and length.
fn id(prefix: &str, of: &str) -> String {
    let of = of.strip_prefix("chatcmpl-").unwrap_or(of);
    let mut id = format!("{prefix}_");
    id.extend(of.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).take(MAX_ID_BYTES));
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_that_openai_takes_back() {
        let long = "x".repeat(100);
        let rows = [
            ("chatcmpl-1", "resp_1".to_owned()),
            ("toolu_01:a/b", "resp_toolu_01ab".to_owned()),
            (&long, format!("resp_{}", "x".repeat(48))),
            ("", "resp_".to_owned()),
        ];
        for (of, want) in rows {
            assert_eq!(id("resp", of), want, "{of}");
        }
    }
}
