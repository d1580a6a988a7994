use super::*;

fn request(source: &str) -> Result<Expression, Invalid> {
    Expression::compile(Subject::Request, source)
}

/// A request of 5,000 tokens with tools, a header and a question.
fn of_request(name: &'static str) -> Value {
    match name {
        "tokens" => Value::Int(5_000),
        "hasTools" => Value::Bool(true),
        "hour" => Value::Int(9),
        "weekday" => Value::Int(0),
        "text" => Value::Text("Please write Rust code, ok?".into()),
        "headers" => Value::Headers(vec![("x-tier".into(), "gold".into())]),
        "model" | "user" => Value::Text("chat".into()),
        "maxTokens" | "messages" => Value::Int(0),
        _ => Value::Bool(false),
    }
}

#[test]
fn an_expression_is_true_or_false_of_a_request() {
    let rows = [
        ("request.tokens > 4000 || request.hasTools", true),
        ("request.tokens > 5000 && request.hasTools", false),
        ("!request.stream", true),
        ("request.headers['x-tier'] == 'gold'", true),
        ("request.headers['x-other'] == 'gold'", false),
        ("'x-tier' in request.headers", true),
        ("'x-other' in request.headers", false),
        ("'x-other' in request.headers ? request.headers['x-other'] == 'a' : true", true),
        ("has(request.headers.host)", false),
        ("request.text.contains('Rust') && request.text.size() < 100", true),
        ("request.text.matches('(?i)\\\\bRUST\\\\b')", true),
        ("request.text.matches(r'^rust')", false),
        ("['rust', 'Rust'].exists(word, request.text.contains(word))", true),
        ("request.hour >= 8 && request.hour < 18 && request.weekday in [0, 6]", true),
        ("request.model.startsWith('ch') && request.user != ''", true),
        ("request.maxTokens == 0 ? request.tokens / 2 > 2000 : false", true),
        ("true", true),
    ];
    for (source, want) in rows {
        let expression = request(source).unwrap_or_else(|invalid| panic!("{source}: {invalid}"));
        assert_eq!(expression.is_true(of_request), Ok(want), "{source}");
    }
}

#[test]
fn only_what_an_expression_looks_at_is_asked_for() {
    let expression = request("request.tokens > 1 && request.tokens < 9 && request.headers['x-a'] == 'b'").unwrap();
    let mut asked = Vec::new();
    let answer = expression.is_true(|name| {
        asked.push(name);
        of_request(name)
    });
    assert_eq!((answer, asked), (Ok(false), vec!["tokens", "headers"]));
    assert_eq!(expression.headers(), ["x-a"]);
}

#[test]
fn what_is_wrong_is_named_to_the_person_who_wrote_it() {
    let rows = [
        ("request.token > 1", "request.token does not exist: there are tokens, maxTokens"),
        ("tokens > 1", "there is no \"tokens\": fields are written as request.name"),
        ("response.text == ''", "there is no \"response\""),
        ("request == 1", "request as a whole is no value"),
        ("request.tokens >", "column 17: "),
        ("request.tokens", "the result is not true or false"),
        ("request.tokens > 'many'", "types that do not fit"),
        ("request.hasTools > 1 ", "types that do not fit"),
        ("request.hasTools && request.tokens > 'many'", "types that do not fit"),
        ("request.text.reverse() == ''", "there is no function \"reverse\""),
        ("request.text.matches('(')", "pattern \"(\": unclosed group"),
        ("request.text.matches(request.user)", "have to be written out"),
        ("request.text.matches('(\\\\w{100}){100}')", "pattern"),
        ("request.headers['authorization'] == ''", "carries credentials"),
        ("request.headers['X-Tier'] == ''", "lower case"),
        ("request.headers[request.user] == ''", "have to be written out"),
        ("request.headers.size() > 1 || 'cookie' in request.headers", "carries credentials"),
        ("request.text.length > 1", "no fields"),
        ("request.headers[?'x-a'] == 'b'", ""),
        ("is_weekend(request.weekday)", "there is no function \"is_weekend\""),
        ("[1].exists(x, [2].exists(y, x == y))", "inside of a loop"),
        ("Thing{a: 1} == 1", "not supported"),
        ("", "column"),
    ];
    for (source, part) in rows {
        let invalid = request(source).expect_err(source);
        assert!(invalid.to_string().contains(part), "{source}: {invalid}");
    }
}

#[test]
fn a_failure_is_an_answer_and_repeats_nothing_of_the_request() {
    let rows = [
        ("int(request.text) > 1", Failed::Conversion),
        ("request.tokens / request.messages > 1", Failed::Arithmetic),
        ("request.tokens * 9223372036854775807 > 1", Failed::Arithmetic),
        ("'x-other' in request.headers || request.headers['x-other'] == ''", Failed::NoSuchKey),
        ("[1][request.tokens] == 1", Failed::OutOfBounds),
    ];
    for (source, want) in rows {
        let expression = request(source).unwrap_or_else(|invalid| panic!("{source}: {invalid}"));
        assert_eq!(expression.is_true(of_request), Err(want), "{source}");
        assert!(!want.to_string().contains("Rust"), "{source}");
    }
}

#[test]
fn nothing_that_fits_into_the_bound_breaks_the_stack() {
    let nested = |open: &str, middle: &str, close: &str| {
        let count = (MAX_BYTES - middle.len()) / (open.len() + close.len());
        format!("{}{middle}{}", open.repeat(count), close.repeat(count))
    };
    let rows = [
        nested("(", "true", ")"),
        nested("[", "", "]"),
        nested("!", "true", ""),
        nested("-", "1", ""),
        nested("1+", "1", ""),
        nested("true&&", "true", ""),
        nested("true?", "true", ":1"),
        nested("true?true:", "true", ""),
        nested("int(", "1", ")"),
        nested("{1:", "1", "}"),
        nested("", "request.text", ".a"),
        nested("", "request.text", ".size()"),
        nested("", "[1]", "[0]"),
        nested("[1].all(x,", "true", ")"),
        nested("", "[1]", ".map(x,x)"),
        nested("'", "", "'"),
        nested("(", "", ""),
        nested("\"\\", "", ""),
        nested("\u{1F389}", "", ""),
        "1".repeat(MAX_BYTES),
        "(".repeat(MAX_BYTES + 1),
    ];
    for source in rows {
        if let Ok(expression) = request(&source) {
            _ = expression.is_true(of_request);
        }
    }
}

#[test]
fn a_chain_as_long_as_the_bound_is_evaluated_on_an_ordinary_stack() {
    let chain = vec!["request.hasTools"; MAX_BYTES / 20].join(" && ");
    assert_eq!(request(&chain).unwrap().is_true(of_request), Ok(true));
    let deep = format!("{}true{}", "(true ? ".repeat(15), " : false)".repeat(15));
    assert_eq!(request(&deep).unwrap().is_true(of_request), Ok(true));
}

#[test]
fn an_expression_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Expression>();
}
