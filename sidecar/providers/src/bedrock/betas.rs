//! Anthropic's betas at Bedrock. They are a header at Anthropic's own door, and a member of the body at this one, which refuses
//! a request for one that it does not know: tools written for Anthropic name many.

use serde_json::Value;

use crate::{Body, Outgoing};

/// Those that are known, whatever their date.
const KNOWN: [&str; 10] = [
    "computer-use-",
    "context-1m-",
    "context-management-",
    "dev-full-thinking-",
    "effort-",
    "interleaved-thinking-",
    "output-128k-",
    "token-efficient-tools-",
    "tool-examples-",
    "tool-search-tool-",
];

impl Outgoing {
    /// With what a header `anthropic-beta` names, beside what is in the body.
    #[must_use]
    pub fn with_betas(mut self, header: &str) -> Self {
        let is_known = |beta: &&str| KNOWN.iter().any(|known| beta.starts_with(known));
        let Ok(mut body) = Body::parse(self.body.clone()) else { return self };
        let mut betas = match body.value("anthropic_beta") {
            Some(Value::Array(betas)) => betas,
            _ => Vec::new(),
        };
        for beta in header.split(',').map(str::trim).filter(is_known) {
            if !betas.iter().any(|other| other == beta) {
                betas.push(beta.into());
            }
        }
        if !betas.is_empty() {
            body.set("anthropic_beta", &betas.into());
            self.body = body.to_bytes();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde_json::json;

    use super::*;

    #[test]
    fn betas_of_a_header_are_in_the_body_where_bedrock_knows_them() {
        let rows = [
            ("context-1m-2025-08-07", json!({}), json!({"anthropic_beta": ["context-1m-2025-08-07"]})),
            (
                "claude-code-20250219, interleaved-thinking-2025-05-14,effort-2025-11-24",
                json!({"anthropic_beta": ["effort-2025-11-24", "x"]}),
                json!({"anthropic_beta": ["effort-2025-11-24", "x", "interleaved-thinking-2025-05-14"]}),
            ),
            ("claude-code-20250219", json!({"max_tokens": 1}), json!({"max_tokens": 1})),
            ("", json!({}), json!({})),
        ];
        for (header, body, want) in rows {
            let headers = Cow::Borrowed([].as_slice());
            let body = body.to_string().into();
            let out = Outgoing { path: "/".into(), headers, body, dropped: Vec::new() }.with_betas(header);
            assert_eq!(serde_json::from_slice::<Value>(&out.body).unwrap(), want, "{header}");
        }
    }
}
