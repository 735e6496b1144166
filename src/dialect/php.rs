//! JSON as PHP writes it: what `json_encode(json_decode($text))` makes of a text.
//!
//! The old servers decoded packets and encoded them again. Every reader of JSON finds the same
//! values in both; the bytes differ, and who compares bytes can have PHP's.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// What PHP makes of a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objects {
    /// An object (phpWebSocketServer).
    Objects,
    /// An array (Gomoob): an empty one is written `[]`, and one with the keys 0, 1, … as a list.
    Arrays,
}

/// A text that PHP cannot decode, though it is JSON: a name that begins with U+0000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotForPhp;

/// The text as PHP writes it again.
///
/// # Errors
///
/// When it is no JSON, or none for PHP.
///
/// ```
/// use tagcast::dialect::php::{Objects, reencoded};
///
/// let text = reencoded(r#"{ "n": 1.0, "u": "é", "s": "a/b", "n": 2 }"#, Objects::Objects);
/// assert_eq!(text.as_deref(), Ok(r#"{"n":2,"u":"\u00e9","s":"a\/b"}"#));
/// ```
pub fn reencoded(text: &str, objects: Objects) -> Result<String, NotForPhp> {
    let tree: Tree = serde_json::from_str(text).map_err(|_| NotForPhp)?;
    tree.encoded(objects)
}

/// JSON with its members in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number that fits an integer of 64 bits.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// An object: of one name given twice the last value stands at the first place.
    Object(Vec<(String, Self)>),
}

impl Tree {
    /// Its text.
    ///
    /// # Errors
    ///
    /// When PHP would not have read it.
    pub fn encoded(&self, objects: Objects) -> Result<String, NotForPhp> {
        let mut out = String::new();
        self.write(objects, &mut out)?;
        Ok(out)
    }

    /// What a member is; nothing for what is no object.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn write(&self, objects: Objects, out: &mut String) -> Result<(), NotForPhp> {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Integer(number) => out.push_str(&number.to_string()),
            Self::Float(number) => write_float(*number, out),
            Self::Text(text) => write_text(text, out),
            Self::List(items) => return write_list(items.iter(), objects, out),
            Self::Object(members) if objects == Objects::Arrays && is_list(members) => {
                return write_list(members.iter().map(|(_, value)| value), objects, out);
            }
            Self::Object(members) => return write_object(members, objects, out),
        }
        Ok(())
    }
}

/// Whether a PHP array with these keys is a list; an empty one is.
fn is_list(members: &[(String, Tree)]) -> bool {
    members.iter().enumerate().all(|(place, (name, _))| *name == place.to_string())
}

fn write_list<'t>(
    items: impl Iterator<Item = &'t Tree>,
    objects: Objects,
    out: &mut String,
) -> Result<(), NotForPhp> {
    out.push('[');
    for (place, item) in items.enumerate() {
        if place > 0 {
            out.push(',');
        }
        item.write(objects, out)?;
    }
    out.push(']');
    Ok(())
}

fn write_object(
    members: &[(String, Tree)],
    objects: Objects,
    out: &mut String,
) -> Result<(), NotForPhp> {
    out.push('{');
    for (place, (name, value)) in members.iter().enumerate() {
        if objects == Objects::Objects && name.starts_with('\0') {
            return Err(NotForPhp);
        }
        if place > 0 {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        value.write(objects, out)?;
    }
    out.push('}');
    Ok(())
}

/// Everything beyond ASCII as `\u` with four digits in lower case, and the slash behind a
/// backslash.
fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '/' => out.push_str("\\/"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='\u{7f}' => out.push(letter),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

/// The largest and the smallest place of the decimal point that PHP writes without an exponent.
const POINT_MAX: i32 = 17;
const POINT_MIN: i32 = -3;

/// The shortest digits that read as the same number; a whole number has no fraction.
fn write_float(number: f64, out: &mut String) {
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", mantissa),
    };
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // The number is 0.digits times ten to the power of this.
    let point = if number == 0.0 { 1 } else { exponent + 1 };
    out.push_str(sign);
    if !(POINT_MIN..=POINT_MAX).contains(&point) {
        let (first, rest) = digits.split_at(1.min(digits.len()));
        let rest = if rest.is_empty() { "0" } else { rest };
        let sign = if exponent < 0 { '-' } else { '+' };
        out.push_str(&format!("{first}.{rest}e{sign}{}", exponent.abs()));
    } else if let Ok(whole @ 1..) = usize::try_from(point) {
        let (before, after) = digits.split_at(whole.min(digits.len()));
        out.push_str(before);
        out.extend(std::iter::repeat_n('0', whole.saturating_sub(before.len())));
        if !after.is_empty() {
            out.push('.');
            out.push_str(after);
        }
    } else {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', usize::try_from(-point).unwrap_or(0)));
        out.push_str(&digits);
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Integer(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Tree, E> {
        #[expect(clippy::cast_precision_loss, reason = "PHP makes a float of it too")]
        let float = number as f64;
        Ok(i64::try_from(number).map_or(Tree::Float(float), Tree::Integer))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Float(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members: Vec<(String, Tree)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        while let Some((name, value)) = map.next_entry::<String, Tree>()? {
            match places.get(&name).and_then(|place| members.get_mut(*place)) {
                Some(first) => first.1 = value,
                None => {
                    places.insert(name.clone(), members.len());
                    members.push((name, value));
                }
            }
        }
        Ok(Tree::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn php(text: &str) -> String {
        reencoded(text, Objects::Objects).unwrap()
    }

    #[test]
    fn the_recorded_texts_come_out_as_recorded() {
        for (text, written) in [
            (r#"{"n":1.0,"u":"é","s":"a/b","e":{}}"#, r#"{"n":1,"u":"\u00e9","s":"a\/b","e":{}}"#),
            (
                r#"{"opcode":"echo","opcode":"echo","a":1,"b":2,"a":3}"#,
                r#"{"opcode":"echo","a":3,"b":2}"#,
            ),
            ("12345678901234567890", "1.2345678901234567e+19"),
            ("\"\\u2028\\u0001\u{7f}\\b\\f\\n\\r\\t\"", "\"\\u2028\\u0001\u{7f}\\b\\f\\n\\r\\t\""),
            (r#"{"":"empty key"}"#, r#"{"":"empty key"}"#),
            (r#" [ 1 , "😀" ] "#, r#"[1,"\ud83d\ude00"]"#),
        ] {
            assert_eq!(php(text), written);
        }
        assert_eq!(reencoded(r#"{"\u0000k":1}"#, Objects::Objects), Err(NotForPhp));
    }

    /// As `php -r 'echo json_encode(json_decode($argv[1]));'` of PHP 8 prints them.
    #[test]
    fn numbers_are_written_as_php_writes_them() {
        for (text, written) in [
            ("0.1", "0.1"),
            ("100.0", "100"),
            ("-1.50", "-1.5"),
            ("1e2", "100"),
            ("0.0001", "0.0001"),
            ("0.00001", "1.0e-5"),
            ("0.000012", "1.2e-5"),
            ("1e16", "10000000000000000"),
            ("1e17", "1.0e+17"),
            ("1.5e300", "1.5e+300"),
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "9.223372036854776e+18"),
            ("-9223372036854775809", "-9.223372036854776e+18"),
            ("123456789.125", "123456789.125"),
            ("0.0", "0"),
            ("-0.0", "-0"),
        ] {
            assert_eq!(php(text), written, "{text}");
        }
    }

    #[test]
    fn gomoobs_server_makes_arrays_of_objects() {
        let of = |text| reencoded(text, Objects::Arrays).unwrap();
        assert_eq!(
            of(r#"{"a":{},"b":{"0":1,"1":2},"c":{"1":1}}"#),
            r#"{"a":[],"b":[1,2],"c":{"1":1}}"#
        );
        assert_eq!(of("{}"), "[]");
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>()
                .prop_filter("JSON has no infinity", |n| n.is_finite())
                .prop_map(Into::into),
            ".{0,9}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map("[^\0].{0,4}", inner, 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// Numbers may lose their fraction, and nothing else.
    fn is_same(one: &serde_json::Value, other: &serde_json::Value) -> bool {
        use serde_json::Value;
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(a, b)| is_same(a, b))
            }
            (Value::Object(one), Value::Object(other)) => {
                one.len() == other.len()
                    && one.iter().all(|(name, a)| other.get(name).is_some_and(|b| is_same(a, b)))
            }
            _ => one == other,
        }
    }

    proptest! {
        #[test]
        fn the_values_stay_and_the_bytes_are_ascii(json in any_json()) {
            let written = php(&json.to_string());
            prop_assert!(written.bytes().all(|byte| byte.is_ascii() && byte >= b' '), "{}", written);
            prop_assert!(is_same(&serde_json::from_str(&written).unwrap(), &json), "{}", written);
            prop_assert_eq!(php(&written), written);
        }
    }
}
