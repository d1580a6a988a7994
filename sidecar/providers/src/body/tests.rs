use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Body;

fn parse(text: &str) -> Result<Body, String> {
    Body::parse(Bytes::copy_from_slice(text.as_bytes())).map_err(|error| error.message)
}

#[test]
fn what_is_no_request_is_refused_and_the_reason_named() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(128), "]".repeat(128));
    let wide = format!("{{{}}}", (0..257).map(|index| format!("\"k{index}\":0")).collect::<Vec<_>>().join(","));
    let rows = [
        ("", "ends after 0 bytes"),
        ("   ", "ends after 3 bytes"),
        ("[1]", "expected an object, '{' at byte 0"),
        ("\u{feff}{}", "expected an object"),
        ("{", "ends after 1 bytes"),
        (r#"{"a""#, "ends after 4 bytes"),
        (r#"{"a":1,}"#, "expected '\"' at byte 7"),
        (r#"{"a" 1}"#, "expected ':'"),
        (r#"{"a":1 "b":2}"#, "expected ',' or '}'"),
        (r#"{"a":[1 2]}"#, "expected ',' or ']'"),
        (r#"{"a":tru}"#, "expected a value at byte 5"),
        (r#"{"a":01}"#, "expected ',' or '}'"),
        (r#"{"a":1.}"#, "expected a digit"),
        (r#"{"a":-}"#, "expected a digit"),
        (r#"{"a":NaN}"#, "expected a value"),
        ("{\"a\":\"x\ny\"}", "no raw control character"),
        (r#"{"a":"\x"}"#, "an escape that JSON knows"),
        (r#"{"a":"\u12g4"}"#, "four hex digits"),
        (r#"{"a":1}{}"#, "nothing after the object"),
        (r#"{"a":1e400}"#, "number 1e400 does not fit a double"),
        (r#"{"a":[{"b":-1E+999}]}"#, "number -1E+999 does not fit"),
        (r#"{"model":"a","model":"b"}"#, "key \"model\" is given twice"),
        (r#"{"model":"a","m\u006fdel":"b"}"#, "key \"model\" is given twice"),
        (&deep, "deeper than 128"),
        (&wide, "more than 256"),
    ];
    for (text, want) in rows {
        let got = parse(text).map(|_| ()).expect_err(text);
        assert!(got.contains(want), "{text:.60}: {got}");
    }
    let broken = Body::parse(Bytes::from_static(b"{\"a\":\"\xf0\x9f\"}")).unwrap_err();
    assert!(broken.message.contains("not UTF-8"), "{}", broken.message);
}

#[test]
fn what_serde_json_takes_is_taken() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(127), "]".repeat(127));
    let rows = ["{}", " { } ", r#"{"":0}"#, r#"{"a":-0.0e-5,"b":"\u00e9\ud83d\ude00\/","c":[{},[],""]}"#, &deep];
    for text in rows {
        let body = parse(text).expect(text);
        // The parsers behind us see one field at a time, hence one level less.
        for key in body.keys() {
            assert!(serde_json::from_str::<Value>(body.get(key).unwrap()).is_ok(), "{text:.60}: {key}");
        }
    }
}

#[test]
fn values_stay_as_they_were_written() {
    let text = r#"{ "model" : "a" , "x" : [ 1.0 , 1e2 , {"k": "\u0041"} ] ,"n":null}"#;
    let mut body = parse(text).unwrap();
    assert_eq!(body.get("x"), Some(r#"[ 1.0 , 1e2 , {"k": "\u0041"} ]"#));
    assert_eq!(body.array_len("x"), Some(3));
    assert_eq!(body.array_len("model"), None);
    assert_eq!(body.value("n"), None);
    assert_eq!(body.to_bytes(), text.as_bytes(), "nothing was edited");
    body.set("model", &json!("b"));
    body.set("stream", &json!(true));
    body.remove("n");
    body.rename("x", "y");
    assert_eq!(body.to_bytes(), r#"{"model":"b","y":[ 1.0 , 1e2 , {"k": "\u0041"} ],"stream":true}"#.as_bytes());
}

#[test]
fn an_unedited_body_shares_its_bytes() {
    let bytes = Bytes::from_static(br#"{"model":"a"}"#);
    assert_eq!(Body::parse(bytes.clone()).unwrap().to_bytes().as_ptr(), bytes.as_ptr());
}

#[test]
fn a_providers_duplicate_key_is_not_refused() {
    let body = Body::parse_answer(Bytes::from_static(br#"{"id":"a","id":"b"}"#)).unwrap();
    assert_eq!(body.get("id"), Some("\"a\""));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn half_of_a_surrogate_pair_is_found_and_both_halves_are_text() {
    let rows = [
        (r#"{"messages":[{"content":"a"},{"content":"\ud800"}]}"#, Some("messages[1]")),
        (r#"{"messages":[{"content":"\udc00"}]}"#, Some("messages[0]")),
        (r#"{"input":"x \ud83dy"}"#, Some("input")),
        (r#"{"a":"\ud83d\ude00","metadata":{"k":"\ud83d\n"}}"#, Some("metadata")),
        (r#"{"messages":[{"content":"\ud83d\ude00 \uFFFD"}]}"#, None),
        (r#"{"messages":[{"content":"\\ud800"}]}"#, None),
    ];
    for (text, want) in rows {
        let bad = Body::parse(Bytes::from_static(text.as_bytes())).unwrap().half_pair();
        assert_eq!(bad.as_ref().and_then(|bad| bad.param.as_deref()), want, "{text}: {bad:?}");
        assert!(bad.is_none_or(|bad| bad.message.contains("half of a surrogate pair")), "{text}");
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Body::parse(bytes.into());
    }

    #[test]
    fn almost_json_is_judged_as_serde_json_judges_it(
        tokens in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"a\"", "\"b\\n\"", "1", "-2.5e3", "true", "null", " ", "\"", "\\", "0",
        ]), 0..12),
    ) {
        let text = tokens.concat();
        let ours = Body::parse(Bytes::from(text.clone())).is_ok();
        let theirs = serde_json::from_str::<serde_json::Map<String, Value>>(&text);
        // serde_json keeps the last of two equal keys; we refuse them.
        prop_assert!(ours == theirs.is_ok() || (!ours && text.matches("\"a\"").count() > 1), "{}", text);
    }

    #[test]
    fn any_object_survives(fields in prop::collection::btree_map(any::<String>(), any_json(), 0..8), key in ".{0,4}") {
        let value = Value::Object(fields.into_iter().collect());
        let mut body = Body::parse(Bytes::from(value.to_string())).unwrap();
        prop_assert_eq!(&serde_json::from_slice::<Value>(&body.to_bytes()).unwrap(), &value);
        body.set(&key, &json!([1]));
        let mut want = value;
        want[&key] = json!([1]);
        prop_assert_eq!(serde_json::from_slice::<Value>(&body.to_bytes()).unwrap(), want);
    }
}
