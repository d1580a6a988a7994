//! What is enforced, what is refused, and that neither takes longer than it may.

use serde_json::{Value, json};

use super::*;

fn schema(schema: &Value) -> Form {
    Form::Schema(Schema::compile(&schema.to_string()).unwrap())
}

fn flaws(form: &Form, text: &str) -> Vec<String> {
    match form.check(text) {
        Verdict::Unfit(flaws) => flaws.iter().map(ToString::to_string).collect(),
        Verdict::Fits | Verdict::Fenced(_) => Vec::new(),
    }
}

/// As a class of Pydantic's writes it.
fn order() -> Value {
    json!({
        "$defs": {"Item": {"type": "object", "properties": {
            "name": {"type": "string"}, "price": {"type": "number", "minimum": 0},
            "amount": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$"}]},
        }, "required": ["name", "price"], "additionalProperties": false}},
        "type": "object",
        "properties": {"items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
            "state": {"enum": ["open", "paid"]}, "when": {"type": "string", "format": "date-time"}},
        "required": ["items", "state"],
    })
}

#[test]
fn a_fault_is_named_with_its_path_and_a_fitting_answer_with_nothing() {
    let form = schema(&order());
    let rows: [(&str, &[&str]); 8] = [
        (r#"{"items": [{"name": "a", "price": 1.5}], "state": "open"}"#, &[]),
        (r#"{"items": [], "state": "paid", "when": "tomorrow at noon"}"#, &[]),
        (r#"{"items": [{"name": "a", "price": "1.5"}], "state": "open"}"#, &["/items/0/price: \"1.5\"", "\"number\""]),
        (r#"{"items": [{"name": "a", "price": -1}], "state": "open"}"#, &["/items/0/price", "minimum of 0"]),
        (r#"{"items": [], "state": "lost"}"#, &["/state: \"lost\"", "\"open\""]),
        (r#"{"items": []}"#, &["the answer", "\"state\" is a required property"]),
        (r#"{"items": [{"name": "a", "price": 1, "amount": "-"}], "state": "open"}"#, &["/items/0/amount"]),
        ("[1, 2]", &["the answer: [1,2]", "\"object\""]),
    ];
    for (text, want) in rows {
        let got = flaws(&form, text).join("; ");
        assert_eq!(got.is_empty(), want.is_empty(), "{text}: {got}");
        for want in want {
            assert!(got.contains(want), "{text}: {got} has no {want}");
        }
    }
    assert_eq!(flaws(&form, r#"{"items": [{}, {"price": 1}], "state": 7}"#).len(), 4);
}

#[test]
fn an_object_of_any_kind_is_an_object_and_nothing_else_is() {
    for (text, fits) in [("{}", true), ("[]", false), ("7", false), ("null", false), ("", false), ("{} hi", false)] {
        assert_eq!(Form::Object.check(text) == Verdict::Fits, fits, "{text}");
    }
    assert_eq!(Form::Object.check("```json\n{}\n```"), Verdict::Fenced("{}".into()));
}

#[test]
fn a_fault_says_no_more_than_helps() {
    let many: Vec<String> = (0..5_000).map(|n| format!("value {n}")).collect();
    let form = schema(&json!({"properties": {"a": {"enum": many}}}));
    let [flaw] = &flaws(&form, &json!({"a": "x".repeat(100_000)}).to_string())[..] else { panic!("one fault") };
    assert!(flaw.starts_with("/a: \"xxx") && flaw.chars().count() < 320, "{flaw}");
    let form = schema(&json!({"items": {"type": "string"}}));
    assert_eq!(flaws(&form, &json!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]).to_string()).len(), MAX_FLAWS);
}

#[test]
fn what_cannot_be_enforced_is_refused_by_name_and_nothing_is_fetched() {
    let deep = (0..100).fold(json!({}), |inner, _| json!({"not": inner}));
    let chain: Value = (0..60).map(|n| (n.to_string(), in_each(&deep, &format!("#/$defs/{}", (n + 1) % 60)))).collect();
    let rows = [
        (json!({"$ref": "https://example.com/s.json"}), "", "nothing is fetched"),
        (json!({"properties": {"a/b": {"$ref": "file:///etc/passwd"}}}), "/properties/a~1b", "nothing is fetched"),
        (json!({"items": {"$ref": "#/$defs/Gone"}}), "/items", "points to nothing"),
        (json!({"items": {"$ref": "#name"}, "$defs": {"a": {"$anchor": "name"}}}), "/items", "points to nothing"),
        (json!({"items": {"$dynamicRef": "#node"}}), "/items", "$dynamicRef is not followed"),
        (json!({"$defs": {"a": {"$id": "https://a.b/c"}}}), "/$defs/a", "$id"),
        (json!({"anyOf": [{"unevaluatedProperties": false}]}), "/anyOf/0", "use additionalProperties"),
        (json!({"unevaluatedItems": {}}), "", "use items"),
        (
            json!({"$ref": "#/x/a", "x": {"a": {"$ref": "#/x/b"}, "b": {"unevaluatedItems": true}}}),
            "",
            "unevaluatedItems may take any amount",
        ),
        (json!({"$schema": "https://example.com/own", "type": "object"}), "", "schema"),
        (json!({"type": "strnig"}), "/type", "no valid JSON schema"),
        (json!({"properties": {"a": {"pattern": "("}}}), "", "no valid JSON schema"),
        (json!({"properties": {"a": {"pattern": "a".repeat(2_000)}}}), "/properties/a", "2000 characters"),
        (json!({"properties": {"a": {"pattern": "((((\\w{100}){100}){100}){100})"}}}), "", "no valid JSON schema"),
        (json!({"enum": ["x".repeat(300_000)]}), "", "at most 262144"),
        (json!({"prefixItems": vec![true; 20_001]}), "", "more than 20000 parts"),
        (json!({"$ref": "#/$defs/0", "$defs": chain}), "", "deeper than 2000"),
        (json!([]), "", "must be an object"),
    ];
    for (given, path, want) in rows {
        let shown = flaw::excerpt(&given);
        let refused = Schema::compile(&given.to_string()).expect_err(&shown);
        assert!(refused.message.contains(want), "{shown}: {refused}");
        assert!(path.is_empty() || refused.path == path, "{shown}: {:?}", refused.path);
    }
}

#[test]
fn what_nobody_could_ever_follow_is_refused_before_anybody_is_asked() {
    let leads_back = "leads back to where it stands";
    let laughs: Value = (0..40)
        .map(|n| (n.to_string(), json!({"allOf": vec![json!({"$ref": format!("#/$defs/{}", n + 1)}); 3]})))
        .chain([("40".to_owned(), json!(true))])
        .collect();
    let rows = [
        (json!({"$ref": "#"}), leads_back),
        (json!({"not": {"$ref": "#"}}), leads_back),
        (json!({"anyOf": [{"type": "object"}, {"$ref": "#"}]}), leads_back),
        (json!({"allOf": [{"oneOf": [{"$ref": "#/allOf/0"}]}]}), leads_back),
        (json!({"if": true, "then": {"$ref": "#"}}), leads_back),
        (json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}), leads_back),
        (json!({"properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}, {"type": "null"}]}}}), leads_back),
        (json!({"$ref": "#/$defs/0", "$defs": laughs}), "more than 250000 steps"),
    ];
    for (given, want) in rows {
        let refused = Schema::compile(&given.to_string()).expect_err(&given.to_string());
        assert!(refused.message.contains(want), "{given}: {refused}");
    }
    let rows = [
        json!({"properties": {"$ref": {"type": "string"}}}),
        json!({"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"type": "null"}]}),
        json!({"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#/properties/a"}}}),
        json!({"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "object"}}}),
    ];
    for given in rows {
        assert!(Schema::compile(&given.to_string()).is_ok(), "{given}");
    }
}

/// A hundred levels down there is a reference.
fn in_each(deep: &Value, reference: &str) -> Value {
    let text = deep.to_string().replacen("{}", &json!({"$ref": reference}).to_string(), 1);
    serde_json::from_str(&text).unwrap()
}

fn nested(depth: usize, inner: &str) -> String {
    format!("{}{inner}{}", "[".repeat(depth), "]".repeat(depth))
}

#[test]
fn a_hostile_schema_costs_no_more_than_it_may() {
    let both = json!({"anyOf": [
        {"type": "array", "items": {"$ref": "#"}, "minItems": 0}, {"type": "array", "items": {"$ref": "#"}, "maxItems": 9},
    ]});
    let names = 0..40;
    let laughs: Value = names
        .map(|n| {
            let next = json!({"$ref": format!("#/$defs/{}", n + 1)});
            (n.to_string(), json!({"allOf": [next, next, next]}))
        })
        .chain([("40".to_owned(), json!({"type": "string"}))])
        .collect();
    let refs: Vec<Value> = (0..40).map(|n| json!({"$ref": format!("#/$defs/{n}")})).collect();
    let all: Value = (0..40).map(|n| (n.to_string(), json!({"properties": {"a": {"anyOf": refs}}}))).collect();
    let far: Value = (0..50).fold(json!({"items": {"$ref": "#"}}), |inner, _| json!({"allOf": [inner]}));
    let rows = [
        ("two ways down", both, nested(60, "7"), "more than 250000 steps"),
        (
            "a billion laughs",
            json!({"items": {"$ref": "#/$defs/0"}, "$defs": laughs}),
            "[\"a\"]".into(),
            "more than 250000 steps",
        ),
        (
            "everything refers to everything",
            json!({"$ref": "#/$defs/0", "$defs": all}),
            json!({"a": {"a": {"a": {"a": {"a": 1}}}}}).to_string(),
            "more than 250000 steps",
        ),
        ("as far down as may be", far.clone(), nested(4, "7"), ""),
        ("a long way down", far, nested(100, ""), "256 levels"),
        ("a tree", json!({"type": ["array", "integer"], "items": {"$ref": "#"}}), nested(100, "\"a\""), "/0/0/0"),
        ("steps back", json!({"pattern": "^(?=(a+)+$)b"}), format!("\"{}!\"", "a".repeat(5_000)), "the answer"),
        (
            "a pattern of the linear kind",
            json!({"pattern": "^(a+)+$"}),
            format!("\"{}!\"", "a".repeat(50_000)),
            "the answer",
        ),
    ];
    for (row, given, text, want) in rows {
        let got = flaws(&schema(&given), &text).join("; ");
        assert!(got.contains(want), "{row}: {got}");
    }
}

#[test]
fn long_texts_cost_what_they_are_long() {
    let again = vec![json!({"$ref": "#/$defs/a"}); 1_000];
    let rows = [
        (
            "a long string read again and again",
            json!({"allOf": again, "$defs": {"a": {"pattern": "^(a|b)*$"}}}),
            format!("\"{}\"", "ab".repeat(500_000)),
        ),
        (
            "a long name read again and again",
            json!({"allOf": again, "$defs": {"a": {"patternProperties": {"^(a|b)*$": {}}}}}),
            format!("{{\"{}\": 1}}", "ab".repeat(500_000)),
        ),
        (
            "a long name checked as a string, again and again",
            json!({"allOf": again, "$defs": {"a": {"propertyNames": {"pattern": "^(a|b)*$"}}}}),
            format!("{{\"{}\": 1}}", "ab".repeat(500_000)),
        ),
    ];
    for (row, given, text) in rows {
        let got = flaws(&schema(&given), &text).join("; ");
        assert!(got.contains("more than 250000 steps"), "{row}: {got:.300}");
    }
}

#[test]
fn schemas_that_people_write_are_checked_whole() {
    let node = json!({"$ref": "#/$defs/Node", "$defs": {"Node": {"type": "object", "properties": {
        "left": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
        "right": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
    }, "required": ["left", "right"]}}});
    let mut tree = json!({"left": null, "right": null});
    for _ in 0..12 {
        tree = json!({"left": tree, "right": tree});
    }
    assert_eq!(schema(&node).check(&tree.to_string()), Verdict::Fits, "8191 nodes");
    let item = json!({"name": "a", "price": 1, "amount": 2});
    let items: Vec<&Value> = std::iter::repeat_n(&item, 8_000).collect();
    let document = json!({"items": items, "state": "open"}).to_string();
    assert!(document.len() > 250_000);
    assert_eq!(schema(&order()).check(&document), Verdict::Fits);
    let broken = document.replacen("\"price\":1", "\"price\":\"1\"", 1);
    assert_eq!(flaws(&schema(&order()), &broken).len(), 1, "the first fault of a large document");
    let long = json!({"text": "word ".repeat(200_000)}).to_string();
    let text = json!({"properties": {"text": {"type": "string", "pattern": "^\\w", "maxLength": 2_000_000}}});
    assert_eq!(schema(&text).check(&long), Verdict::Fits, "a megabyte of text");
}
