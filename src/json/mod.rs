//! JSON reading without a tree: the wanted parts are returned as they are written, and everything else is
//! skipped.
//!
//! JSON can express strings and numbers that Rust types cannot. This does not matter where a value is
//! forwarded as it is written. Where a value is decoded, half of a surrogate pair becomes U+FFFD ([`text()`]),
//! and numbers are compared by their digits ([`Decimal`]), so that no number is out of range.

mod decimal;
mod hashed;
mod reader;
mod text;
mod tokens;

use std::borrow::Cow;

pub use self::decimal::Decimal;
pub use self::hashed::Hashed;
pub use self::reader::{MemberName, NotJson, count_values, members};
pub use self::text::{push_text, text, unescaped, write_text};
pub use self::tokens::{JsonToken, Tokens};

/// The kind of a JSON text, with the requested members if it is an object.
#[derive(Debug, PartialEq, Eq)]
pub enum JsonShape<'a, const N: usize> {
    /// An object.
    Object(JsonMembers<'a, N>),
    /// A list without items.
    Empty,
    /// A list with items.
    List,
    /// A text, a number, `true` or `false`.
    Scalar,
    /// `null`.
    Null,
}

/// Requested members of an object, as they are written. If a name occurs twice, the last one counts, as in
/// PHP.
#[derive(Debug, PartialEq, Eq)]
pub struct JsonMembers<'a, const N: usize> {
    /// The values, in the order of the requested names.
    pub named: [Option<&'a str>; N],
    /// The first name that was not requested, with its quotes.
    pub other: Option<&'a str>,
}

/// Picks members out of a JSON text in one pass, without allocating.
///
/// # Errors
///
/// If the text is not JSON.
///
/// ```
/// use tagcast::json::{JsonShape, pick};
///
/// let Ok(JsonShape::Object(members)) = pick(r#"{"x":[{}],"a":1.50}"#, ["a", "b"]) else { panic!() };
/// assert_eq!(members.named, [Some("1.50"), None]);
/// assert_eq!(members.other, Some("\"x\""));
/// ```
pub fn pick<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> Result<JsonShape<'a, N>, NotJson> {
    if text.trim_ascii_start().starts_with('{') {
        return pick_members(text, names).map(JsonShape::Object);
    }
    let value = reader::value(text)?;
    Ok(match value.as_bytes() {
        [b'[', ..] if is_empty_inside(value) => JsonShape::Empty,
        [b'[', ..] => JsonShape::List,
        [b'n', ..] => JsonShape::Null,
        _ => JsonShape::Scalar,
    })
}

fn pick_members<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> Result<JsonMembers<'a, N>, NotJson> {
    let mut picked = JsonMembers::default();
    members(text, |name, value| {
        let wanted = names.iter().zip(&mut picked.named).find(|(wanted, _)| name.is(wanted));
        match wanted {
            Some((_, named)) => *named = Some(value),
            None => _ = picked.other.get_or_insert(name.raw),
        }
        Ok(())
    })?;
    Ok(picked)
}

/// Returns whether a text is JSON.
#[must_use]
pub fn is_json(text: &str) -> bool {
    reader::value(text).is_ok()
}

/// Returns whether a list or an object, as it is written, is empty.
#[must_use]
pub fn is_empty_inside(raw: &str) -> bool {
    let inside = raw.get(1..).unwrap_or_default().trim_start_matches(WHITE);
    inside.starts_with([']', '}'])
}

/// White space of RFC 8259 §2.
const WHITE: [char; 4] = [' ', '\t', '\n', '\r'];

impl<const N: usize> Default for JsonMembers<'_, N> {
    fn default() -> Self {
        Self { named: [None; N], other: None }
    }
}

/// A value that may serve as a name, such as an ident. Lists and objects cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// A string, decoded.
    Text(Cow<'a, str>),
    /// An integer that fits in 64 bits, signed or unsigned: its digits.
    Integer(&'a str),
    /// Any other number, including numbers that no float can represent: its digits.
    Number(&'a str),
    /// `true`.
    True,
    /// `false`, `null`, a list or an object.
    Other,
}

impl<'a> Scalar<'a> {
    /// Classifies a value, given as it is written.
    #[must_use]
    pub fn of(raw: &'a str) -> Self {
        match raw.as_bytes() {
            [b'"', ..] => Self::Text(text(raw)),
            [b'-' | b'0'..=b'9', ..] if is_integer(raw) => Self::Integer(raw),
            [b'-' | b'0'..=b'9', ..] => Self::Number(raw),
            b"true" => Self::True,
            _ => Self::Other,
        }
    }

    /// Returns the string, if the value is a string.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the string, or the digits of an integer.
    #[must_use]
    pub fn decimal_or_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Integer(digits) => Some(Cow::Borrowed(digits)),
            other => other.text(),
        }
    }
}

/// Returns whether a number is a 64-bit integer. `-0` is not: PHP also treats it as a float.
fn is_integer(raw: &str) -> bool {
    raw != "-0" && (raw.parse::<i64>().is_ok() || raw.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_returned_as_written_and_the_last_of_a_name_wins() {
        let of = |text| match pick(text, ["a", "é"]) {
            Ok(JsonShape::Object(members)) => Some((members.named, members.other)),
            _ => None,
        };
        let text = r#" {"a":1,"\u0061": [ 1 ] ,"b":{},"\u00e9":"\ud800"} "#;
        assert_eq!(of(text), Some(([Some("[ 1 ]"), Some(r#""\ud800""#)], Some("\"b\""))));
        assert_eq!(of(r#"{"a\ud800":1e999}"#), Some(([None, None], Some(r#""a\ud800""#))));
        assert_eq!(of("{}"), Some(([None, None], None)));
        for (text, shape) in [
            ("[ ]", Ok(JsonShape::Empty)),
            ("[[]]", Ok(JsonShape::List)),
            ("null", Ok(JsonShape::Null)),
            ("1e999", Ok(JsonShape::Scalar)),
            ("\"\\udc00\"", Ok(JsonShape::Scalar)),
            ("", Err(NotJson)),
            ("{} x", Err(NotJson)),
            ("{\"a\":01}", Err(NotJson)),
            ("[1,]", Err(NotJson)),
            ("\"a\nb\"", Err(NotJson)),
            ("{\"a\nb\":1}", Err(NotJson)),
            ("\u{a0}1", Err(NotJson)),
        ] {
            assert_eq!(pick::<0>(text, []), shape, "{text}");
        }
        let deep = "{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000);
        assert!(is_json(&deep));
    }

    #[test]
    fn a_scalar_is_what_can_name_something() {
        for (raw, scalar) in [
            (r#""a\n""#, Scalar::Text("a\n".into())),
            ("18446744073709551615", Scalar::Integer("18446744073709551615")),
            ("-9223372036854775808", Scalar::Integer("-9223372036854775808")),
            ("18446744073709551616", Scalar::Number("18446744073709551616")),
            ("-0", Scalar::Number("-0")),
            ("1e400", Scalar::Number("1e400")),
            ("5.0", Scalar::Number("5.0")),
            ("true", Scalar::True),
            ("false", Scalar::Other),
            ("[1]", Scalar::Other),
        ] {
            assert_eq!(Scalar::of(raw), scalar, "{raw}");
        }
    }
}
