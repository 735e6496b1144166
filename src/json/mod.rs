//! JSON that is looked at and not kept: what is wanted is picked out as it was written, and the rest is
//! skipped without a tree, whatever is in it.
//!
//! JSON can say what a text and a number cannot. Where a value goes on as it came, this does not
//! matter. Where it is decoded, one rule holds: half of a surrogate pair becomes U+FFFD
//! ([`text`]), and a number is compared by its digits ([`Decimal`]) so that none is out of range.

mod decimal;
mod hashed;
mod reader;
mod text;
mod tokens;

use std::borrow::Cow;

pub use self::decimal::Decimal;
pub use self::hashed::Hashed;
pub use self::reader::{MemberName, NotJson, count_values, members};
pub use self::text::{push_text, text, write_text};
pub use self::tokens::{JsonToken, Tokens};

/// What a JSON text is, with those of its members that were asked for.
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

/// Members of an object as they were written; of one name given twice the last holds, as in PHP.
#[derive(Debug, PartialEq, Eq)]
pub struct JsonMembers<'a, const N: usize> {
    /// The values, in the order in which they were asked for.
    pub named: [Option<&'a str>; N],
    /// The first name that was not asked for, with its quotes.
    pub other: Option<&'a str>,
}

/// Picks members out of a JSON text. It takes the time of one look at the text and no memory.
///
/// # Errors
///
/// When it is not JSON.
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

/// Whether a text is JSON.
#[must_use]
pub fn is_json(text: &str) -> bool {
    reader::value(text).is_ok()
}

/// Whether a list or an object, as it was written, has nothing in it.
#[must_use]
pub fn is_empty_inside(raw: &str) -> bool {
    let inside = raw.get(1..).unwrap_or_default().trim_start_matches(WHITE);
    inside.starts_with([']', '}'])
}

/// RFC 8259 §2.
const WHITE: [char; 4] = [' ', '\t', '\n', '\r'];

impl<const N: usize> Default for JsonMembers<'_, N> {
    fn default() -> Self {
        Self { named: [None; N], other: None }
    }
}

/// A value that is neither a list nor an object, as far as it can name something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// An integer of 64 bits, with or without a sign: its digits.
    Integer(&'a str),
    /// Any other number, also one that no float can hold: its digits.
    Number(&'a str),
    /// `true`.
    True,
    /// `false`, `null`, a list or an object.
    Other,
}

impl<'a> Scalar<'a> {
    /// What a value is, as it was written.
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

    /// The text that it is.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text that it is, or the digits of an integer.
    #[must_use]
    pub fn decimal_or_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Integer(digits) => Some(Cow::Borrowed(digits)),
            other => other.text(),
        }
    }
}

/// A negative zero is a float, to PHP as well.
fn is_integer(raw: &str) -> bool {
    raw != "-0" && (raw.parse::<i64>().is_ok() || raw.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_picked_as_they_were_written_and_the_last_of_a_name_holds() {
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
