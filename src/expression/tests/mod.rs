//! The two forms against tables and against a naive reader.

mod naive;
mod table;

use super::*;
use crate::types::limits::EXPRESSION_BYTES_MAX;
use crate::types::{Tag, TagCondition, TagTerm, ValueTest};

/// Creates tags from names and values.
fn tags(pairs: &[(&str, &str)]) -> Tags {
    Tags::new(pairs.iter().map(|(name, value)| Tag::new(name, value).unwrap())).unwrap()
}

/// Returns the JSON form of a condition, with values as texts.
fn json_of(condition: &TagCondition) -> String {
    let list =
        |operands: &[TagCondition]| operands.iter().map(json_of).collect::<Vec<_>>().join(",");
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    match condition {
        TagCondition::All(operands) => format!("{{\"and\":[{}]}}", list(operands)),
        TagCondition::Any(operands) => format!("{{\"or\":[{}]}}", list(operands)),
        TagCondition::Not(operand) => format!("{{\"not\":{}}}", json_of(operand)),
        TagCondition::Term(term) => {
            let test = match term.test() {
                ValueTest::Is(value) => format!("\"is\":{}", quoted(value)),
                ValueTest::Prefix(value) => format!("\"prefix\":{}", quoted(value)),
                ValueTest::In(values) => {
                    let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
                    format!("\"in\":[{}]", values.join(","))
                }
                ValueTest::Exists => "\"exists\":true".to_owned(),
            };
            format!("{{\"tag\":{},{test}}}", quoted(term.name()))
        }
    }
}

fn byte_of(text: &str) -> usize {
    match Expression::parse(text).unwrap_err().place() {
        ExpressionPlace::Byte(at) => *at,
        ExpressionPlace::Pointer(pointer) => panic!("{pointer}"),
    }
}

fn message_of(text: &str) -> String {
    Expression::parse(text).unwrap_err().to_string()
}

/// Returns the pointer of the error in a JSON form, and whether it is about a duplicate member.
fn pointer_of(raw: &str) -> (String, bool) {
    let error = Expression::from_json(raw).unwrap_err();
    match error.place() {
        ExpressionPlace::Pointer(pointer) => (pointer.to_string(), error.is_duplicate_member()),
        ExpressionPlace::Byte(at) => panic!("{at}"),
    }
}

/// Cases A163 to A169.
#[test]
fn what_the_grammar_does_not_have_is_refused_at_its_byte() {
    for (text, at) in [
        ("role!=admin", 4),
        ("role not in (a)", 5),
        ("role=*", 5),
        ("role=\"\"*", 7),
        ("role=ad *", 8),
        ("role", 4),
        ("role=", 5),
        ("=admin", 0),
        ("()", 1),
        ("role=admin &", 12),
        ("role=admin region=eu", 11),
        ("in=x", 0),
        ("45=x", 0),
        ("\"45\"=x", 0),
        ("-3=x", 0),
        ("é=ü", 0),
        ("role='admin'", 5),
        ("role=\"a", 5),
        ("role==admin", 5),
        ("(a=1", 4),
        ("a=1)", 3),
        ("a in (b,)", 8),
        ("a in ()", 6),
        ("a in b", 5),
        ("a=1 | | b=2", 6),
        ("a=1 &&& b=2", 6),
        ("", 0),
        (" ", 1),
        ("\"\"=x", 0),
        ("a=1\u{a0}", 3),
        ("a=\"\t\"", 3),
    ] {
        assert_eq!(byte_of(text), at, "{text}: {}", message_of(text));
    }
    for text in ["\"in\"=x", "role=and", "012=x", "\"\\u0000\"=x", "a=1and|b=2", "not a?and b?"] {
        assert!(Expression::parse(text).is_ok(), "{text}");
    }
    assert!(Expression::parse("a=\"\\ud800\"").is_err());
    assert_eq!(Expression::parse("a=\"\\ud83d\\ude00\"").unwrap().canonical(), "a=\"\u{1f600}\"");
}

#[test]
fn error_texts_name_the_valid_form_and_repeat_little_input() {
    for (text, message) in [
        ("role=admin region=eu", "expected & or | or the end at byte 11: role=admin ‸region=eu"),
        (
            "role!=admin",
            "there is no != and no not in; write !role=…, which clients without the tag match too, \
             or role? & !role=… (at byte 4)",
        ),
        ("role=*", "a prefix needs at least one byte; use role? (at byte 5)"),
        ("role=ad *", "the * of a prefix must come directly after the value at byte 8: role=ad ‸*"),
        ("in=x", "in is an operator; write \"in\" as a tag name (at byte 0)"),
        ("45=x", "a tag name must not be an integer at byte 0: ‸45=x"),
        (
            "a=1 & bbbbbbbbbbbbbbbbbbbbbb='x\ny'&zzzzzzzzzz=1",
            "expected a value: a word, or a text in double quotes at byte 29: \
             …bbbbbbbbbbb=‸'x y'&zzzzzz…",
        ),
    ] {
        assert_eq!(message_of(text), message);
    }
    let long = "n".repeat(100);
    assert!(message_of(&format!("{long}=*")).contains("use name?"));
}

/// Case A170.
#[test]
fn each_limit_is_reached_and_not_exceeded() {
    let nested = |sign: &str, end: &str, count: usize| {
        format!("{}a=1{}", sign.repeat(count), end.repeat(count))
    };
    let terms = |count: usize| vec!["a=1"; count].join("|");
    let list = |count: usize| format!("a in ({})", vec!["b"; count].join(","));
    let padded = |bytes: usize| format!("{:bytes$}", "a=1");
    let lists = |count: usize| {
        let whole = vec![list(256); 4].join("|");
        if count > 1024 { format!("{whole}|{}", list(count - 1024)) } else { whole }
    };
    let fits = EXPRESSION_BYTES_MAX;
    for (valid, beyond, at) in [
        (nested("(", ")", 16), nested("(", ")", 17), 16),
        (nested("!", "", 16), nested("!", "", 17), 16),
        (terms(64), terms(65), 64 * 4),
        (list(256), list(257), 0),
        (lists(1024), lists(1025), 4 * list(256).len() + 4),
        (padded(fits), padded(fits + 1), fits),
        (format!("{}=1", "n".repeat(255)), format!("{}=1", "n".repeat(256)), 0),
        (format!("a={}", "v".repeat(255)), format!("a={}", "v".repeat(256)), 0),
    ] {
        assert!(Expression::parse(&valid).is_ok(), "{}", message_of(&valid));
        assert_eq!(byte_of(&beyond), at, "{}", message_of(&beyond));
    }
    let json = |count: usize| {
        format!("{}{}{}", "{\"not\":".repeat(count), r#"{"tag":"a","is":1}"#, "}".repeat(count))
    };
    assert!(Expression::from_json(&json(16)).is_ok());
    assert_eq!(pointer_of(&json(17)).0, "/not".repeat(16));
    assert_eq!(pointer_of(&format!("{{\"and\":[{}]}}", "[".repeat(20_000))).0, "");
}

#[test]
fn a_canonical_form_that_is_too_long_is_refused() {
    // The canonical form has a blank before each list.
    let list = |length: usize| format!("a in(b,{})", "v".repeat(length));
    let mut text = (0..63).map(|_| list(250)).collect::<Vec<_>>().join("|");
    text.push('|');
    let rest = EXPRESSION_BYTES_MAX - text.len();
    assert!(rest < 255, "{rest}");
    // Each list is already in canonical form, so its length does not change.
    let text: String = (0..63)
        .map(|at| format!("a in(b,{at:0>250})|"))
        .chain([format!("a={}", "v".repeat(rest - 2))])
        .collect();
    assert_eq!(text.len(), EXPRESSION_BYTES_MAX);
    assert!(
        message_of(&text).starts_with("the expression has 16447 bytes"),
        "{}",
        message_of(&text)
    );
}

/// Case A171.
#[test]
fn json_that_has_another_shape_is_refused_at_its_pointer() {
    for (raw, pointer) in [
        (r#"{"and":[]}"#, "/and"),
        ("{}", ""),
        ("true", ""),
        (r#"{"and":["role=admin"]}"#, "/and/0"),
        (r#"{"tag":"a","is":"1","in":["1"]}"#, "/in"),
        (r#"{"tag":"a","exists":false}"#, "/exists"),
        (r#"{"tag":"a","is":1.5}"#, "/is"),
        (r#"{"tag":"a","is":null}"#, "/is"),
        (r#"{"tag":"a","prefix":""}"#, "/prefix"),
        (r#"{"tag":"a","in":[]}"#, "/in"),
        (r#"{"tag":"a","in":["b",true]}"#, "/in/1"),
        (r#"{"tag":"a"}"#, ""),
        (r#"{"tag":7,"is":"1"}"#, "/tag"),
        (r#"{"tag":"45","is":"1"}"#, "/tag"),
        (r#"{"tag":"","is":"1"}"#, "/tag"),
        (r#"{"tag":"a","is":"\ud800"}"#, "/is"),
        (r#"{"tag":"a","is":9223372036854775808}"#, "/is"),
        (r#"{"tag":"a","is":"1","more":1}"#, "/more"),
        (r#"{"or":[{"tag":"a","is":"1"},{"xor":[]}]}"#, "/or/1/xor"),
        (r#"{"and":[{"tag":"a","is":"1"}],"or":[]}"#, "/or"),
        (r#"{"not":[]}"#, "/not"),
        (r#"{"a/b~c":1}"#, "/a~1b~0c"),
        ("", ""),
        ("{\"and\":[", ""),
    ] {
        assert_eq!(pointer_of(raw), (pointer.to_owned(), false), "{raw}");
    }
    let error = Expression::from_json(r#"{"and":[]}"#).unwrap_err();
    assert_eq!(error.to_string(), "expected a list that is not empty at /and");
}

#[test]
fn an_error_in_deep_nesting_is_short() {
    for depth in [40, 8_000] {
        let raw = format!("{}{{\"a\":1,\"a\":1}}{}", "[".repeat(depth), "]".repeat(depth));
        let error = Expression::from_json(&raw).unwrap_err();
        assert!(error.to_string().len() < 200, "{}", error.to_string().len());
    }
}

#[test]
fn a_duplicate_member_is_found_before_what_else_is_wrong() {
    for (raw, pointer) in [
        (r#"{"tag":"a","is":"1","is":"1"}"#, "/is"),
        (r#"{"and":[{"tag":"a","is":"1"},{"tag":"a","t\u0061g":"b","is":"1"}]}"#, "/and/1/tag"),
        (r#"{"and":true,"x":[[1],{"y":{},"y":2}]}"#, "/x/1/y"),
        (r#"{"not":{"tag":"a","is":"1"},"not":{"tag":"a","is":"2"}}"#, "/not"),
    ] {
        assert_eq!(pointer_of(raw), (pointer.to_owned(), true), "{raw}");
    }
}

#[test]
fn a_parameter_is_json_where_it_begins_like_an_object() {
    let json = Expression::from_parameter(r#" {"tag":"room","is":1}"#).unwrap();
    assert_eq!(Expression::from_parameter("room = 1").unwrap(), json);
    assert_eq!(json.canonical(), "room=1");
}

#[test]
fn the_canonical_form_of_an_expression_is_unique() {
    for (text, canonical) in [
        ("!(!a=1 & !a=1)", "a=1"),
        ("a=1&(b=1&c=1|c=1&b=1)", "a=1&b=1&c=1"),
        ("!(a in (x,x))", "!a=x"),
        ("!(a=1|(b=1|(c=1)))", "!(a=1|b=1|c=1)"),
        ("a=\"\\/\\u0041\\u001f\\b\\f\\n\\r\\t\\\"\\\\\"", r#"a="/A\u001f\b\f\n\r\t\"\\""#),
        ("\"or\"=or & \"not\"?", "\"not\"?&\"or\"=or"),
        ("a=\"x y\"*", "a=\"x y\"*"),
        ("a in (\"\",b)", "a in (\"\",b)"),
    ] {
        let expression = Expression::parse(text).unwrap();
        assert_eq!(expression.canonical(), canonical, "{text}");
        assert_eq!(Expression::parse(canonical).unwrap(), expression);
    }
}

/// Case A176.
#[test]
fn an_explanation_names_what_decides() {
    let expression = Expression::parse("role=admin & !(region=eu | region=us)").unwrap();
    let explanation = expression.explain(&tags(&[("role", "admin"), ("region", "us")]));
    let expected = serde_json::json!({
        "matches": false,
        "path": ["!(region=eu|region=us)&role=admin","!(region=eu|region=us)","region=eu|region=us","region=us"],
        "tree": {"op":"and","matches":false,"operands":[
            {"op":"not","matches":false,"operands":[{"op":"or","matches":true,"operands":[
                {"op":"term","text":"region=eu","matches":false,"actual":"us"},
                {"op":"term","text":"region=us","matches":true,"actual":"us"}]}]},
            {"op":"term","text":"role=admin","matches":true,"actual":"admin"}]}
    });
    assert_eq!(serde_json::to_value(&explanation).unwrap(), expected);
    let all = expression.explain(&tags(&[("role", "admin")]));
    assert_eq!(all.path, [expression.canonical()], "of a true AND no operand decides alone");
}

#[test]
fn counts_go_to_the_parts_in_their_order() {
    let expression = Expression::parse("a=1 & !(b? | c=1)").unwrap();
    let parts = expression.parts();
    let texts: Vec<&str> = parts.iter().map(Expression::canonical).collect();
    assert_eq!(texts, ["!(b?|c=1)&a=1", "!(b?|c=1)", "b?|c=1", "b?", "c=1", "a=1"]);
    let mut explanation = expression.explain(&Tags::default());
    explanation.tree.count(&mut (1..));
    let json = serde_json::to_value(&explanation.tree).unwrap();
    assert_eq!(json["matched"], 1);
    assert_eq!(json["operands"][0]["operands"][0]["operands"][1]["matched"], 5);
    assert_eq!(json["operands"][1]["matched"], 6);
}

#[test]
fn a_term_that_is_built_is_held_to_the_limits() {
    assert!(TagTerm::new("a", ValueTest::In(Box::new([]))).is_err());
    let term = |name: &str| TagCondition::Term(TagTerm::new(name, ValueTest::Exists).unwrap());
    assert!(Expression::new(TagCondition::All(Box::new([]))).is_err());
    let names: Vec<String> = (0..65).map(|it| format!("n{it}")).collect();
    let many = |count: usize| TagCondition::Any(names[..count].iter().map(|it| term(it)).collect());
    assert!(Expression::new(many(64)).is_ok());
    assert!(Expression::new(many(65)).is_err());
}
