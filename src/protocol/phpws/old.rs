//! Features of old clients, as the old servers treated them.

use std::borrow::Cow;

use super::PhpwsPacket;
use crate::json::{Decimal, Scalar};

impl<'a> PhpwsPacket<'a> {
    /// Returns the alias that a packet with the opcode `uuid` registers: its `message`, a string or an
    /// integer.
    #[must_use]
    pub fn registered(&self) -> Option<Cow<'a, str>> {
        Scalar::of(self.message?).decimal_or_text()
    }

    /// Returns `uuid` and `ident` of a feedback for comparison as in PHP.
    #[must_use]
    pub fn loose_names(&self) -> (LooseName, LooseName) {
        let [uuid, ident] = self.names;
        (LooseName::of(uuid), LooseName::of(ident))
    }
}

/// A name in a feedback, for comparison with PHP's `==`.
#[derive(Clone, Debug, PartialEq)]
pub enum LooseName {
    /// Missing, or a value that equals no name.
    None,
    /// `true`, which equals every string that is not empty.
    AnyName,
    /// A string, or the digits of a number.
    Text(String),
}

impl LooseName {
    fn of(raw: Option<&str>) -> Self {
        match raw.map(Scalar::of) {
            Some(Scalar::True) => Self::AnyName,
            Some(Scalar::Text(text)) if !text.is_empty() => Self::Text(text.into_owned()),
            Some(Scalar::Integer(digits)) if digits != "0" => Self::Text(digits.to_owned()),
            Some(Scalar::Number(digits)) => Self::of_number(digits),
            _ => Self::None,
        }
    }

    /// Converts a number to a float as PHP does. A number that is too large for a float matches no client.
    fn of_number(digits: &str) -> Self {
        match serde_json::from_str::<f64>(digits) {
            Ok(number) if number != 0.0 && !Decimal::of(digits).is_empty() => {
                Self::Text(serde_json::Value::from(number).to_string())
            }
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::protocol::phpws::parse;
    use super::*;

    fn registered(packet: &str) -> Option<String> {
        parse(packet).unwrap().registered().map(Cow::into_owned)
    }

    #[test]
    fn a_text_or_an_integer_is_registered() {
        let of = |message: &str| registered(&format!(r#"{{"opcode":"uuid","message":{message}}}"#));
        assert_eq!(of(r#""u1""#).as_deref(), Some("u1"));
        assert_eq!(of(r#""u\ud83d""#).as_deref(), Some("u\u{fffd}"));
        assert_eq!(of("5").as_deref(), Some("5"));
        assert_eq!(of(r#""u1","message":"u2""#).as_deref(), Some("u2"));
        for none in ["1.5", "null", "true", "[]", "{}", "1e400"] {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(registered(r#"{"opcode":"uuid"}"#), None);
        assert_eq!(registered("[1]"), None);
    }

    #[test]
    fn names_are_read_as_php_compares_them() {
        let of = |uuid, ident| {
            let packet = format!(r#"{{"uuid":{uuid},"ident":{ident}}}"#);
            parse(&packet).unwrap().loose_names()
        };
        let text = |text: &str| LooseName::Text(text.to_owned());
        assert_eq!(of("true", "false"), (LooseName::AnyName, LooseName::None));
        assert_eq!(of("5", "5.5"), (text("5"), text("5.5")));
        assert_eq!(of("0", r#""""#), (LooseName::None, LooseName::None));
        assert_eq!(of("null", r#""5.0""#), (LooseName::None, text("5.0")));
        assert_eq!(of("1e400", "-0.0"), (LooseName::None, LooseName::None));
        assert_eq!(of("5e1", r#""\ud83d""#), (text("50.0"), text("\u{fffd}")));
    }
}
