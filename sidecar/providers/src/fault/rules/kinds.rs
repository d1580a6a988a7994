//! The status an error inside a 200 would have had, by its type or code.

/// None: neither word is known, and the error's text has to do.
pub(in crate::fault) fn status(kind: &str, code: &str) -> Option<u16> {
    of(&kind.to_lowercase()).or_else(|| of(&code.to_lowercase()))
}

fn of(word: &str) -> Option<u16> {
    let status = match word {
        "invalid_request_error" | "badrequesterror" | "bad_request" | "tool_use_failed" => 400,
        "invalid_argument" | "failed_precondition" | "out_of_range" | "invalid_parameter_value" => 400,
        "validationexception" | "servicequotaexceededexception" => 400,
        "authentication_error" | "authenticationerror" | "invalid_api_key" | "unauthenticated" => 401,
        "billing_error" | "insufficient_credits" => 402,
        "permission_error" | "permission_denied" | "permissiondeniederror" => 403,
        "accessdeniedexception" | "unrecognizedclientexception" | "expiredtokenexception" => 403,
        "not_found_error" | "notfounderror" | "not_found" | "model_not_found" => 404,
        "resourcenotfoundexception" | "resource_does_not_exist" | "endpoint_not_found" => 404,
        "modeltimeoutexception" => 408,
        "request_too_large" => 413,
        "unprocessableentityerror" | "validation" => 422,
        "modelerrorexception" | "modelstreamerrorexception" | "generation" => 424,
        "rate_limit_error" | "rate_limit_exceeded" | "rate_limit" | "ratelimiterror" => 429,
        "requests" | "tokens" | "insufficient_quota" | "resource_exhausted" | "request_limit_exceeded" => 429,
        "throttlingexception" | "modelnotreadyexception" => 429,
        "service_unavailable" | "unavailable_error" | "serviceunavailableerror" | "unavailable" => 503,
        "serviceunavailableexception" | "temporarily_unavailable" => 503,
        "timeout_error" | "deadline_exceeded" => 504,
        "server_error" | "api_error" | "internal" | "internal_error" | "internal_server_error" => 500,
        "internalservererror" | "internalserverexception" | "incomplete_generation" => 500,
        _ => return None,
    };
    Some(status)
}
