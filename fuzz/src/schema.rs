//! Message schemas: the check agrees with one on a JSON tree for any message, and any schema is
//! accepted or refused without a panic.

use serde_json::Value;
use tagcast::json_schema::Schema;

/// Schema, and the same check on a JSON tree.
type Naive = (&'static str, fn(&Value) -> bool);

/// The text is a message, and also a schema.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Schema::read(text) {
        Ok(schema) => {
            for message in ["null", "[1,1.0]", r#"{"a":"b","a":1}"#, r#""text""#] {
                let _fits = schema.check(message);
            }
            let _fits = schema.check(text);
        }
        Err(why) => assert!(!why.is_empty() && !why.contains(char::is_control)),
    }
    let Ok(json) = serde_json::from_str::<Value>(text) else { return };
    // A float represents many decimal numbers, which a schema distinguishes.
    if has_float(&json) {
        return;
    }
    let naive: [Naive; 4] = [
        (r#"{"uniqueItems":true}"#, is_unique),
        (r#"{"required":["a"],"properties":{"a":{"type":"string"}}}"#, has_text),
        (r#"{"additionalProperties":false,"patternProperties":{"^a":{"maxLength":2}}}"#, is_short),
        (r#"{"items":{"enum":["a",null,[1,{"b":2}]]}}"#, is_listed),
    ];
    for (schema, fits) in naive {
        let checked = Schema::read(schema).expect("a schema").check(text);
        assert_eq!(checked.is_ok(), fits(&json), "{schema} {text}: {checked:?}");
        assert!(checked.err().is_none_or(|why| why.len() <= 123));
    }
}

fn is_unique(json: &Value) -> bool {
    let is_first =
        |list: &[Value]| list.iter().enumerate().all(|(at, one)| !list[..at].contains(one));
    json.as_array().is_none_or(|list| is_first(list))
}

fn has_text(json: &Value) -> bool {
    json.as_object().is_none_or(|members| members.get("a").is_some_and(Value::is_string))
}

fn is_short(json: &Value) -> bool {
    let fits = |(name, value): (&String, &Value)| {
        name.starts_with('a') && value.as_str().is_none_or(|text| text.chars().count() <= 2)
    };
    json.as_object().is_none_or(|members| members.iter().all(fits))
}

fn is_listed(json: &Value) -> bool {
    let choices = serde_json::json!(["a", null, [1, { "b": 2 }]]);
    let known = choices.as_array().expect("a list");
    let is_known = |item: &Value| known.contains(item);
    json.as_array().is_none_or(|list| list.iter().all(is_known))
}

fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(list) => list.iter().any(has_float),
        Value::Object(members) => members.values().any(has_float),
        _ => false,
    }
}
