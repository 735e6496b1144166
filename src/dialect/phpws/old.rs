//! What only old clients say, and what old servers made of it. Read in a second look at a packet,
//! so that nobody else pays for it.

use serde_json::Value;

/// What a packet with the opcode `uuid` registers: its `message`, a text or an integer.
#[must_use]
pub fn registered(packet: &str) -> Option<String> {
    let Ok(Value::Object(mut members)) = serde_json::from_str(packet) else { return None };
    match members.remove("message")? {
        Value::String(text) => Some(text),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

/// A name in a feedback, as PHP compares it: `==`.
#[derive(Clone, Debug, PartialEq)]
pub enum LooseName {
    /// None, or one that equals no name.
    Nobody,
    /// `true`, which equals every text that is not empty.
    Anybody,
    /// A text, or a number by its digits.
    Text(String),
}

/// `uuid` and `ident` of a feedback.
#[must_use]
pub fn loose_names(packet: &str) -> (LooseName, LooseName) {
    let Ok(Value::Object(members)) = serde_json::from_str(packet) else {
        return (LooseName::Nobody, LooseName::Nobody);
    };
    let name = |member| match members.get(member) {
        Some(Value::Bool(true)) => LooseName::Anybody,
        Some(Value::String(text)) if !text.is_empty() => LooseName::Text(text.clone()),
        Some(Value::Number(number)) if number.as_f64() != Some(0.0) => {
            LooseName::Text(number.to_string())
        }
        _ => LooseName::Nobody,
    };
    (name("uuid"), name("ident"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_or_an_integer_is_registered() {
        let of = |message: &str| registered(&format!(r#"{{"opcode":"uuid","message":{message}}}"#));
        assert_eq!(of(r#""u1""#).as_deref(), Some("u1"));
        assert_eq!(of("5").as_deref(), Some("5"));
        assert_eq!(of(r#""u1","message":"u2""#).as_deref(), Some("u2"));
        for none in ["1.5", "null", "true", "[]", "{}"] {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(registered(r#"{"opcode":"uuid"}"#), None);
        assert_eq!(registered("[1]"), None);
    }

    #[test]
    fn names_are_read_as_php_compares_them() {
        let of = |uuid, ident| loose_names(&format!(r#"{{"uuid":{uuid},"ident":{ident}}}"#));
        let text = |text: &str| LooseName::Text(text.to_owned());
        assert_eq!(of("true", "false"), (LooseName::Anybody, LooseName::Nobody));
        assert_eq!(of("5", "5.5"), (text("5"), text("5.5")));
        assert_eq!(of("0", r#""""#), (LooseName::Nobody, LooseName::Nobody));
        assert_eq!(of("null", r#""5.0""#), (LooseName::Nobody, text("5.0")));
    }
}
