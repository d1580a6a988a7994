use serde_json::json;

use super::*;

#[test]
fn every_shape_gives_its_words_its_code_and_its_type() {
    let rows = [
        (json!({"error": {"message": "a", "type": "t", "param": null, "code": "c"}}), "a", "c", "t"),
        (json!({"error": {"code": "429", "message": "a"}}), "a", "", ""),
        (
            json!({"error": {"code": "content_filter", "innererror": {"code": "x"}, "message": "a"}}),
            "a",
            "content_filter",
            "",
        ),
        (json!({"error": {"code": null, "innererror": {"code": "x"}, "message": "a"}}), "a", "x", ""),
        (json!({"type": "error", "error": {"type": "t", "message": "a"}, "request_id": "r"}), "a", "", "t"),
        (json!({"error": {"code": 400, "message": "a", "status": "INVALID_ARGUMENT"}}), "a", "", "INVALID_ARGUMENT"),
        (json!([{"error": {"code": 400, "message": "a", "status": "INTERNAL"}}]), "a", "", "INTERNAL"),
        (json!({"message": "a"}), "a", "", ""),
        (json!({"Message": "a", "__type": "com.amazon.coral.service#XException"}), "a", "", "XException"),
        (json!({"object": "error", "message": "a", "type": "invalid_model", "code": "1500"}), "a", "", "invalid_model"),
        (
            json!({"object": "error", "message": {"detail": [{"type": "missing", "loc": ["body", "messages", 0], "msg": "Field required"}]}}),
            "body.messages.0: Field required",
            "",
            "",
        ),
        (json!({"detail": "Unauthorized"}), "Unauthorized", "", ""),
        (json!({"detail": [{"msg": "a"}, {"msg": "b"}]}), "a; b", "", ""),
        (json!({"type": "urn:x:bad", "title": "Bad Request", "status": 400, "detail": "a"}), "a", "", "urn:x:bad"),
        (
            json!({"error": {"message": "Provider returned error", "code": 400, "metadata":
                {"provider_name": "Anthropic", "raw": "{\"error\":{\"type\":\"t\",\"message\":\"a\"}}"}}}),
            "Provider returned error (Anthropic): a",
            "",
            "t",
        ),
        (json!({"error": {"message": "m", "metadata": {"raw": "no JSON"}}}), "m: no JSON", "", ""),
        (json!({"code": "Client specified an invalid argument", "error": "a"}), "a", "", ""),
        (json!({"message": "a", "type": "t", "param": "quota", "code": "c"}), "a", "c", "t"),
        (json!({"error": "a", "error_type": "validation"}), "a", "", "validation"),
        (json!({"error": ["a", "b"]}), "a; b", "", ""),
        (json!({"error_code": "PERMISSION_DENIED", "message": "a"}), "a", "PERMISSION_DENIED", ""),
        (json!({"success": false, "errors": [{"code": 10000, "message": "a"}], "messages": []}), "a", "", ""),
        (json!({"error": "a"}), "a", "", ""),
    ];
    for (body, message, code, kind) in rows {
        let report = Report::from_text(&body.to_string());
        assert_eq!((&*report.message, &*report.code, &*report.kind), (message, code, kind), "{body}");
        assert!(report.text.contains(&message[message.len() - 1..].to_lowercase()), "{body}");
    }
}

#[test]
fn a_body_may_say_its_status_itself() {
    let rows = [
        (json!({"error": {"code": 429}}), Some(429)),
        (json!({"error": {"code": "503"}}), Some(503)),
        (json!({"error": {"http_status_code": 404}}), Some(404)),
        (json!({"error": "a", "status_code": 400}), Some(400)),
        (json!({"statusCode": 401, "message": "a"}), Some(401)),
        (json!({"error_code": "403", "message": "a"}), Some(403)),
        (json!({"error": {"code": 10000}}), None),
        (json!({"error": {"code": 200}}), None),
    ];
    for (body, want) in rows {
        assert_eq!(Report::from_text(&body.to_string()).status, want, "{body}");
    }
}

#[test]
fn what_is_quoted_is_not_said() {
    let body = json!({"error": {"message": "no", "failed_generation": "one", "metadata": {"flagged_input": "two"}}});
    let text = Report::from_text(&body.to_string()).text;
    assert!(text.contains("no") && !text.contains("one") && !text.contains("two"), "{text}");
}

#[test]
fn a_type_in_a_header_is_the_type() {
    let rows = [("", "t"), ("AException", "AException"), ("AException:http://internal.amazon.com/x/", "AException")];
    for (header, want) in rows {
        let report = Report::from_text(r#"{"type": "t", "message": "a"}"#).of_type(header);
        assert_eq!(report.kind, want, "{header}");
    }
}

#[test]
fn an_answer_is_no_error() {
    let rows = [
        (json!({"choices": []}), false),
        (json!({"error": null, "errors": [], "choices": []}), false),
        (json!({"error": ""}), false),
        (json!({"error": "a"}), true),
        (json!({"error_code": "INTERNAL_ERROR", "message": "a"}), true),
        (json!({"success": false, "errors": [{"message": "a"}]}), true),
        (json!({"object": "error", "message": "a"}), true),
    ];
    for (value, want) in rows {
        assert_eq!(Report::from_error(&value).is_some(), want, "{value}");
    }
}
