//! Tag expressions: any text is either an expression with one canonical form and one meaning, or an
//! error with a position.

use serde_json::{Value, json};
use tagcast::expression::{ExpressionError, ExpressionPlace};
use tagcast::types::{Expression, Tag, TagCondition, Tags, ValueTest};

/// Parses the text as an expression in both forms.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Expression::parse(text) {
        Ok(expression) => admitted(&expression),
        Err(error) => refused(&error, text),
    }
    match Expression::from_json(text) {
        Ok(expression) => admitted(&expression),
        Err(error) => refused(&error, text),
    }
}

fn admitted(expression: &Expression) {
    let canonical = expression.canonical();
    let again = Expression::parse(canonical).expect("a canonical form is an expression");
    assert_eq!(again.canonical(), canonical);
    assert_eq!(again.root(), expression.root());
    let json = json_of(expression.root());
    // The JSON form is longer, so it may exceed the byte limit. No other error is possible.
    match Expression::from_json(&json.to_string()) {
        Ok(same) => assert_eq!(same.canonical(), canonical),
        Err(why) => assert!(why.to_string().contains(" bytes, the limit is "), "{why}"),
    }
    assert_eq!(expression.is_open(), holds(&json, &Tags::default()));
    for tags in clients(expression) {
        let matches = holds(&json, &tags);
        assert_eq!(expression.matches(&tags), matches, "{canonical}");
        let explanation = expression.explain(&tags);
        assert_eq!(explanation.matches, matches);
        assert_eq!(explanation.path.first().map(String::as_str), Some(canonical));
    }
    assert_eq!(expression.parts().first(), Some(expression));
}

fn refused(error: &ExpressionError, text: &str) {
    let message = error.to_string();
    assert!(!message.is_empty() && message.len() < 400 && !message.contains(char::is_control));
    match error.place() {
        ExpressionPlace::Byte(at) => assert!(*at <= text.len(), "{at}"),
        ExpressionPlace::Pointer(pointer) => {
            assert!(pointer.is_empty() || pointer.starts_with('/'), "{pointer}");
        }
    }
}

fn json_of(condition: &TagCondition) -> Value {
    match condition {
        TagCondition::All(operands) => {
            json!({"and": operands.iter().map(json_of).collect::<Vec<_>>()})
        }
        TagCondition::Any(operands) => {
            json!({"or": operands.iter().map(json_of).collect::<Vec<_>>()})
        }
        TagCondition::Not(operand) => json!({"not": json_of(operand)}),
        TagCondition::Term(term) => match term.test() {
            ValueTest::Is(value) => json!({"tag": term.name(), "is": value}),
            ValueTest::In(values) => json!({"tag": term.name(), "in": values}),
            ValueTest::Prefix(value) => json!({"tag": term.name(), "prefix": value}),
            ValueTest::Exists => json!({"tag": term.name(), "exists": true}),
        },
    }
}

/// Evaluates an expression by its JSON form.
fn holds(json: &Value, tags: &Tags) -> bool {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    if let Some(operands) = json.get("and") {
        return list(operands).iter().all(|operand| holds(operand, tags));
    }
    if let Some(operands) = json.get("or") {
        return list(operands).iter().any(|operand| holds(operand, tags));
    }
    if let Some(operand) = json.get("not") {
        return !holds(operand, tags);
    }
    let Some(tag) = tags.iter().find(|tag| json["tag"] == tag.name()) else { return false };
    json["is"] == tag.value()
        || list(&json["in"]).iter().any(|value| value == tag.value())
        || json["prefix"].as_str().is_some_and(|prefix| tag.value().starts_with(prefix))
        || json["exists"] == true
}

/// Returns clients for the terms of an expression: one client per tag, and one with all names.
fn clients(expression: &Expression) -> Vec<Tags> {
    let tag = |part: &Expression| match part.root() {
        TagCondition::Term(term) => {
            let value = term.test().values().first().map_or("v", |value| value);
            Some(Tag::new(term.name(), value).expect("terms have names of tags"))
        }
        _ => None,
    };
    let tags: Vec<Tag> = expression.parts().iter().filter_map(tag).collect();
    let mut clients: Vec<Tags> =
        tags.iter().map(|tag| Tags::new([tag.clone()]).expect("one tag")).collect();
    clients.push(Tags::new(tags).expect("no more than terms"));
    clients
}
