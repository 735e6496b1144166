//! JSON that is looked at and not kept: what is wanted is picked out as it was written, and the rest is
//! skipped without a tree, whatever is in it.
//!
//! JSON can say what a text and a number cannot. Where a value goes on as it came, this does not
//! matter. Where it is decoded, one rule holds: half of a surrogate pair becomes U+FFFD
//! ([`text`]), and a number is compared by its digits ([`Decimal`]) so that none is out of range.

mod decimal;
mod text;
mod tokens;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

pub use self::decimal::Decimal;
pub use self::text::{push_text, text, write_text};
pub use self::tokens::{Token, Tokens};

/// A text that is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson;

/// What a JSON text is, with those of its members that were asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Shape<'a, const N: usize> {
    /// An object.
    Object(Members<'a, N>),
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
pub struct Members<'a, const N: usize> {
    /// The values, in the order in which they were asked for.
    pub named: [Option<&'a str>; N],
    /// The first name that was not asked for, with its quotes.
    pub other: Option<&'a str>,
}

/// Picks members out of a JSON text. It takes the time of one look at the text and no memory.
///
/// # Errors
///
/// When it is no JSON.
///
/// ```
/// use tagcast::json::{Shape, pick};
///
/// let Ok(Shape::Object(members)) = pick(r#"{"x":[{}],"a":1.50}"#, ["a", "b"]) else { panic!() };
/// assert_eq!(members.named, [Some("1.50"), None]);
/// assert_eq!(members.other, Some("\"x\""));
/// ```
pub fn pick<'a, const N: usize>(text: &'a str, names: [&str; N]) -> Result<Shape<'a, N>, NotJson> {
    let start = text.trim_start_matches(WHITE);
    let mut json = serde_json::Deserializer::from_str(start);
    let shape = match start.as_bytes() {
        [b'{', ..] => json.deserialize_map(Pick(&names)).map(Shape::Object),
        first => IgnoredAny::deserialize(&mut json).map(|_| match first {
            [b'[', ..] if is_empty_inside(start) => Shape::Empty,
            [b'[', ..] => Shape::List,
            [b'n', ..] => Shape::Null,
            _ => Shape::Scalar,
        }),
    };
    json.end().and(shape).map_err(|_| NotJson)
}

/// Whether a text is JSON.
#[must_use]
pub fn is_json(text: &str) -> bool {
    pick(text, []).is_ok()
}

/// Whether a list or an object, as it was written, has nothing in it.
#[must_use]
pub fn is_empty_inside(raw: &str) -> bool {
    let inside = raw.get(1..).unwrap_or_default().trim_start_matches(WHITE);
    inside.starts_with([']', '}'])
}

/// RFC 8259 §2.
const WHITE: [char; 4] = [' ', '\t', '\n', '\r'];

/// A name, or a value, as it was written.
pub struct Raw<'a>(pub &'a str);

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(json).map(|raw| Self(raw.get()))
    }
}

impl fmt::Debug for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({} bytes)", self.0.len())
    }
}

impl<const N: usize> Default for Members<'_, N> {
    fn default() -> Self {
        Self { named: [None; N], other: None }
    }
}

struct Pick<'n, const N: usize>(&'n [&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Pick<'_, N> {
    type Value = Members<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members::default();
        while let Some(Raw(name)) = map.next_key::<Raw<'de>>()? {
            let place = self.0.iter().position(|wanted| is_name(name, wanted));
            match place.and_then(|place| members.named.get_mut(place)) {
                Some(value) => *value = Some(map.next_value::<Raw<'de>>()?.0),
                None => {
                    members.other.get_or_insert(name);
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(members)
    }
}

/// The longest way to write one byte of a text: `\u0041`.
const ESCAPE_BYTES: usize = 6;

/// Whether a name, as it was written, is this one.
#[must_use]
pub fn is_name(raw: &str, name: &str) -> bool {
    let inside = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    if inside == name {
        return !name.contains('\\');
    }
    // No name is shorter when it is written, so most are not looked at any further.
    let may_be = (name.len() + 1..=name.len() * ESCAPE_BYTES).contains(&inside.len());
    may_be && inside.contains('\\') && text(raw) == name
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
            Ok(Shape::Object(members)) => Some((members.named, members.other)),
            _ => None,
        };
        let text = r#" {"a":1,"\u0061": [ 1 ] ,"b":{},"\u00e9":"\ud800"} "#;
        assert_eq!(of(text), Some(([Some("[ 1 ]"), Some(r#""\ud800""#)], Some("\"b\""))));
        assert_eq!(of(r#"{"a\ud800":1e999}"#), Some(([None, None], Some(r#""a\ud800""#))));
        assert_eq!(of("{}"), Some(([None, None], None)));
        for (text, shape) in [
            ("[ ]", Ok(Shape::Empty)),
            ("[[]]", Ok(Shape::List)),
            ("null", Ok(Shape::Null)),
            ("1e999", Ok(Shape::Scalar)),
            ("\"\\udc00\"", Ok(Shape::Scalar)),
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
    fn names_are_compared_as_what_they_say() {
        for raw in [r#""ab""#, r#""a\u0062""#, r#""\u0061\u0062""#] {
            assert!(is_name(raw, "ab"), "{raw}");
        }
        for raw in [r#""abc""#, r#""a\u0063""#, r#""""#, r#""\\u0061\u0062""#] {
            assert!(!is_name(raw, "ab"), "{raw}");
        }
        assert!(is_name(r#""\\""#, "\\") && !is_name(r#""\"""#, "\\\""));
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
