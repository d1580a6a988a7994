//! What an error is called.

use spillway_providers::{Api, decode, fault};

use crate::data::{rows, text};
use crate::normal::Difference;
use crate::score::Verdict;
use crate::subject::subject;

/// Their classes in our twelve. What they call a bad gateway or just an error is a server's failure; a bill that is due is a
/// refusal that no retry changes.
pub(crate) fn class_of(name: &str) -> &'static str {
    match name {
        "APIConnectionError" => "Connection",
        "Timeout" => "Timeout",
        "ContextWindowExceededError" => "ContextWindowExceeded",
        "BadRequestError" | "PaymentRequiredError" | "UnsupportedParamsError" => "BadRequest",
        "NotFoundError" => "NotFound",
        "ContentPolicyViolationError" => "ContentPolicyViolation",
        "AuthenticationError" => "Authentication",
        "APIError" | "InternalServerError" | "BadGatewayError" => "InternalServerError",
        "RateLimitError" => "RateLimited",
        "ServiceUnavailableError" => "ServiceUnavailable",
        "PermissionDeniedError" => "PermissionDenied",
        "UnprocessableEntityError" => "UnprocessableEntity",
        _ => "none",
    }
}

pub(crate) fn verdicts() -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for row in rows("errors") {
        let Some(dialect) = subject(text(&row, "provider")).map(|subject| subject.dialect) else { continue };
        let body = text(&row, "upstream_body").as_bytes();
        let fault = match (row["upstream_status"].as_u64(), text(&row, "fault")) {
            (Some(200), _) => decode(Api::ChatCompletions, dialect, "", body.to_vec().into()).err(),
            (Some(status), _) => {
                let kind = row["upstream_headers"][fault::TYPE_HEADER].as_str().unwrap_or_default();
                Some(fault::classify(dialect, u16::try_from(status).expect("a status is small"), kind, body))
            }
            // Connections are the sidecar's business; what to make of a 200 that is no answer is ours.
            (None, "garbage_200") => decode(Api::ChatCompletions, dialect, "", "<html>not json".into()).err(),
            (None, "empty_200") => decode(Api::ChatCompletions, dialect, "", "".into()).err(),
            (None, _) => continue,
        };
        let ours = fault.map_or("none".to_owned(), |fault| format!("{:?}", fault.class));
        let theirs = class_of(match text(&row["result"], "class") {
            // What their own fallback would have been asked for.
            "MidStreamFallbackError" => text(&row["result"], "original_class"),
            class => class,
        });
        let status = row["upstream_status"].as_u64().unwrap_or(200);
        let at = format!("{status} {ours} {theirs}");
        let same = ours == theirs;
        let mut differences = Vec::new();
        if !same {
            differences.push(Difference::new(at, ours, text(&row, "upstream_body")));
        }
        verdicts.push(Verdict {
            id: text(&row, "id").to_owned(),
            provider: text(&row, "provider").to_owned(),
            differences,
        });
    }
    verdicts
}
