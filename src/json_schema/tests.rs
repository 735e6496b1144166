//! Tests of valid and invalid messages, of costs, and of rejected schemas.

use super::*;
use crate::types::limits::{SCHEMA_DEPTH_MAX, SCHEMA_STEPS_MAX};

fn error_of(schema: &str, message: &str) -> String {
    Schema::read(schema).unwrap().check(message).err().unwrap_or_default()
}

fn wrong(schema: &str) -> String {
    Schema::read(schema).err().unwrap_or_default()
}

/// A schema with valid and with invalid messages.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

const VALUES: [Row; 14] = [
    (r#"{"type":"integer"}"#, &["1", "1.0", "1e400", "-0"], &["1.5", "\"1\"", "null", "1e-1"]),
    (r#"{"type":["string","null"]}"#, &["\"\"", "null"], &["1", "[]", "{}", "true"]),
    (r#"{"type":"boolean"}"#, &["true", "false"], &["null", "0"]),
    (
        r#"{"enum":["a",1,{"b":[1.0,null]}]}"#,
        &["\"\\u0061\"", "1.0", r#"{"b":[1,null]}"#],
        &["\"b\"", "true", r#"{"b":[1]}"#],
    ),
    (r#"{"const":{"a":1,"b":2}}"#, &[r#"{"b":2,"a":1e0}"#, r#"{"a":9,"b":2,"a":1}"#], &["{}", "1"]),
    (
        r#"{"maximum":3,"exclusiveMinimum":-0.5}"#,
        &["3.0", "0", "\"x\""],
        &["3.0000001", "-0.5", "1e400"],
    ),
    (r#"{"multipleOf":0.01}"#, &["9e99", "1e308", "0.07", "1e400"], &["0.075", "1e-3"]),
    (
        r#"{"maxLength":2,"minLength":1}"#,
        &["\"éé\"", "\"\\ud83d\\ude00\"", "5"],
        &["\"\"", "\"abc\""],
    ),
    (r#"{"pattern":"^a\\d+$"}"#, &["\"a12\"", "12"], &["\"a\"", "\"ba1\"", "\"a\u{663}\""]),
    (r#"{"anyOf":[{"type":"string"},{"minimum":5}]}"#, &["\"\"", "5", "null"], &["4"]),
    (r#"{"oneOf":[{"multipleOf":2},{"multipleOf":3}]}"#, &["2", "9"], &["6", "5"]),
    (r#"{"not":{"type":"null"}}"#, &["1"], &["null"]),
    (
        r#"{"if":{"type":"string"},"then":{"maxLength":1},"else":{"type":"null"}}"#,
        &["\"a\"", "null"],
        &["\"ab\"", "1"],
    ),
    (r##"{"$ref":"#/$defs/a~1b","$defs":{"a/b":{"type":"string"}}}"##, &["\"\""], &["1"]),
];

const LISTS: [Row; 7] = [
    (
        r#"{"items":{"type":"null"},"maxItems":2}"#,
        &["[]", "[null]", "{}"],
        &["[1]", "[null,null,null]"],
    ),
    (r#"{"prefixItems":[{"type":"null"}],"items":false}"#, &["[]", "[null]"], &["[1]", "[null,1]"]),
    (
        r#"{"$schema":"http://json-schema.org/draft-07/schema#","items":[true],"additionalItems":{"type":"null"}}"#,
        &["[1,null]"],
        &["[1,1]"],
    ),
    (r#"{"contains":{"type":"null"}}"#, &["[1,null]"], &["[]", "[1]"]),
    (
        r#"{"contains":{"type":"null"},"minContains":2,"maxContains":3}"#,
        &["[null,null]"],
        &["[null]", "[null,null,null,null]"],
    ),
    (
        r#"{"uniqueItems":true}"#,
        &["[1,\"1\",[1],{\"a\":1},{\"a\":2}]", "[[],{}]"],
        &["[1,1.0]", "[0,-0.0]", "[\"a\",\"\\u0061\"]", r#"[{"a":1,"b":2},{"b":2,"a":1}]"#],
    ),
    (r#"{"minItems":1}"#, &["[0]"], &["[]"]),
];

const OBJECTS: [Row; 9] = [
    (r#"{"required":["a","b"]}"#, &[r#"{"b":1,"a":2}"#, "[]"], &["{}", r#"{"a":1}"#]),
    (
        r#"{"properties":{"a":{"type":"null"}},"additionalProperties":false}"#,
        &["{}", r#"{"\u0061":null}"#, r#"{"a":1,"a":null}"#],
        &[r#"{"a":1}"#, r#"{"b":null}"#, r#"{"a":null,"a":1}"#],
    ),
    (
        r#"{"patternProperties":{"^x":{"type":"null"},"y$":{"type":["null","string"]}},"additionalProperties":{"type":"number"}}"#,
        &[r#"{"xy":null,"a":1,"y":""}"#],
        &[r#"{"xy":""}"#, r#"{"a":null}"#],
    ),
    (r#"{"propertyNames":{"maxLength":2}}"#, &[r#"{"ab":1}"#], &[r#"{"abc":1}"#]),
    (
        r#"{"minProperties":1,"maxProperties":1}"#,
        &[r#"{"a":1,"a":2}"#],
        &["{}", r#"{"a":1,"b":2}"#],
    ),
    (
        r#"{"dependentRequired":{"a":["b"]}}"#,
        &["{}", r#"{"a":1,"b":1}"#, r#"{"b":1}"#],
        &[r#"{"a":1}"#],
    ),
    (r#"{"dependentSchemas":{"a":{"maxProperties":1}}}"#, &[r#"{"a":1}"#], &[r#"{"a":1,"b":2}"#]),
    (
        r#"{"$schema":"http://json-schema.org/draft-04/schema#","dependencies":{"a":["b"],"c":{"maxProperties":1}}}"#,
        &[r#"{"c":1}"#],
        &[r#"{"a":1}"#, r#"{"c":1,"b":1}"#],
    ),
    (
        r#"{"$schema":"http://json-schema.org/draft-04/schema#","additionalProperties":{"maximum":3,"exclusiveMaximum":true}}"#,
        &[r#"{"a":2.9}"#],
        &[r#"{"a":3}"#],
    ),
];

#[test]
fn every_keyword_means_what_json_schema_defines() {
    for (schema, fits, misfits) in VALUES.iter().chain(&LISTS).chain(&OBJECTS) {
        for message in *fits {
            assert_eq!(error_of(schema, message), "", "{schema} {message}");
        }
        for message in *misfits {
            let error = error_of(schema, message);
            let is_error = error.starts_with("the message does not fit its schema");
            assert!(is_error && error.len() <= 123, "{schema} {message}: {error}");
        }
    }
}

#[test]
fn errors_are_reported_with_their_place() {
    for (schema, message, expected) in [
        (
            r#"{"items":{"required":["a"]}}"#,
            r#"[{"a":1},{}]"#,
            r#" at /1: "a" is a required property"#,
        ),
        (
            r#"{"additionalProperties":false}"#,
            r#"{"b":1}"#,
            ": Additional properties are not allowed ('b' was unexpected)",
        ),
        (
            r#"{"properties":{"a":{"additionalProperties":false}}}"#,
            r#"{"a":{"b/~":1}}"#,
            " at /a: Additional properties are not allowed ('b/~' was unexpected)",
        ),
        (
            r#"{"additionalProperties":{"minimum":2}}"#,
            r#"{"b/~":1}"#,
            " at /b~1~0: 1 is less than the minimum of 2",
        ),
        (r#"{"enum":["a","b",3,4]}"#, "5", r#": 5 is not one of "a", "b" or 2 other candidates"#),
        (r#"{"type":["string","null"]}"#, "5", r#": 5 is not of types "null", "string""#),
        (r#"{"multipleOf":2}"#, "[5]", ""),
        (r#"{"items":{"multipleOf":2}}"#, "[5]", " at /0: 5 is not a multiple of 2"),
        ("false", "[5]", ": False schema does not allow [5]"),
        (
            r#"{"propertyNames":{"maxLength":1}}"#,
            r#"{"ab":1}"#,
            " at /ab: \"ab\" is longer than 1 character",
        ),
    ] {
        let error = error_of(schema, message);
        assert_eq!(
            error.strip_prefix("the message does not fit its schema").unwrap_or_default(),
            expected,
            "{error}"
        );
    }
}

#[test]
fn two_names_of_one_message_are_not_taken_for_each_other() {
    let schema =
        r#"{"properties":{"price":{"type":"number"}},"additionalProperties":{"type":"string"}}"#;
    for number in 0..100_000 {
        let message = format!(r#"{{"price":null,"n{number}":"","m{number}":""}}"#);
        if number % 10_000 == 0 {
            assert!(error_of(schema, &message).contains("/price"), "{message}");
        }
    }
    let names: String = (0..200_000).map(|it| format!(r#""n{it}":"","#)).collect();
    let message = format!(r#"{{{names}"price":1}}"#);
    assert_eq!(error_of(r#"{"minProperties":200001}"#, &message), "");
}

/// A message that would take too many steps is denied with a reason, after the same number of steps
/// each time.
#[test]
fn what_would_take_too_long_is_denied() {
    let too_long =
        format!("too long to hold against its schema: more than {SCHEMA_STEPS_MAX} steps");
    let list = |item: &str, count: usize| format!("[{}0]", format!("{item},").repeat(count));
    let many = vec![r#"{"type":"null"}"#; 60].join(",");
    for (schema, message) in [
        (
            r#"{"items":{"multipleOf":0.01,"minimum":1,"maximum":9e999}}"#.replace("9e999", "9e99"),
            list("9e99", 1_000_000),
        ),
        (r#"{"uniqueItems":true}"#.to_owned(), list("[]", 1_000_000)),
        (format!(r#"{{"items":{{"anyOf":[{many},true]}}}}"#), list("1", 500_000)),
        (r#"{"contains":{"enum":[[1],[2],[3]]}}"#.to_owned(), list("[4]", 500_000)),
        (
            r#"{"pattern":"^(a|b|ab)*c(a{100}){5}$"}"#.to_owned(),
            format!("\"{}\"", "ab".repeat(500_000)),
        ),
        (r#"{"multipleOf":3}"#.to_owned(), "9".repeat(5_000_000)),
        (r#"{"propertyNames":{"pattern":"^[a-z0-9]{1,200}$"}}"#.to_owned(), {
            let names: String = (0..300_000).map(|it| format!(r#""n{it}":0,"#)).collect();
            format!(r#"{{{names}"n":0}}"#)
        }),
    ] {
        let error = Schema::read(&schema).unwrap().check(&message).unwrap_err();
        assert!(error.ends_with(&too_long) || error.contains("does not fit"), "{schema}: {error}");
        assert!(error.ends_with(&too_long), "{schema}: {error}");
    }
}

#[test]
fn costly_and_unknown_schemas_are_refused_with_the_place() {
    let many = vec![r#"{"pattern":"^(a{100}){5}$"}"#; 100].join(",");
    let deep = "{\"not\":".repeat(100) + "true" + &"}".repeat(100);
    let values: Vec<String> = (0..2000).map(|it| format!("[{it}]")).collect();
    for (schema, expected) in [
        (
            format!(r#"{{"properties":{{"a":{{"anyOf":[{many}]}}}}}}"#),
            "at /properties/a: a check of it can take",
        ),
        (
            format!(r#"{{"items":{{"enum":[{}]}}}}"#, values.join(",")),
            "at /items: a check of it can take",
        ),
        (r#"{"multipleOf":0}"#.to_owned(), "at /multipleOf: 0 is not above 0"),
        (r#"{"multipleOf":-1}"#.to_owned(), "at /multipleOf: -1 is not above 0"),
        (
            r#"{"unevaluatedProperties":false}"#.to_owned(),
            "at /unevaluatedProperties: it is not supported",
        ),
        (r#"{"requird":["a"]}"#.to_owned(), "at /requird: it is unknown; did you mean `required`?"),
        (r#"{"Type":"null"}"#.to_owned(), "did you mean `type`?"),
        (r#"{"maxLenght":5}"#.to_owned(), "did you mean `maxLength`?"),
        (r#"{"items":[true]}"#.to_owned(), "`prefixItems`"),
        (
            r#"{"$schema":"http://json-schema.org/draft-07/schema#","format":"date"}"#.to_owned(),
            "at /format: it is not checked here",
        ),
        (r#"{"maxLength":-1}"#.to_owned(), "at /maxLength: -1 is not a whole number"),
        (r#"{"required":"a"}"#.to_owned(), "at /required: \"a\" is not a list of names"),
        (r#"{"allOf":[]}"#.to_owned(), "at /allOf: [] is not a list of schemas"),
        (r#"{"enum":["a"],"const":"a"}"#.to_owned(), "use either `enum` or `const`"),
        (r#"{"pattern":"\\p{L}"}"#.to_owned(), "is wrong at /pattern"),
        (r#"{"$defs":{"a":{"type":"nubmer"}}}"#.to_owned(), "at /$defs/a/type: \"nubmer\""),
    ] {
        assert!(wrong(&schema).contains(expected), "{expected}: {}", wrong(&schema));
    }
    for right in [
        deep.as_str(),
        r#"{"format":"date","x-note":1,"title":"t","nullable":true,"xml":{}}"#,
        r#"{"maxLength":5.0,"examples":[1]}"#,
    ] {
        assert_eq!(wrong(right), "", "{right}");
    }
}

#[test]
fn a_message_may_be_nested_as_deep_as_a_comparison_goes() {
    let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(error_of(r#"{"uniqueItems":true}"#, &nested(SCHEMA_DEPTH_MAX)), "");
    let error = error_of("true", &nested(SCHEMA_DEPTH_MAX + 1));
    assert_eq!(error, "the message cannot be held against its schema: it is nested too deeply");
}
