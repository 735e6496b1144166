//! JSON as PHP encodes it: the result of `json_encode(json_decode($text))`.
//!
//! The old servers decoded packets and encoded them again. Every JSON parser finds the same values in both
//! forms, but the bytes differ. Clients that compare bytes need the form of PHP.
//!
//! No tree is built. Each token is written as it is read. When a name is repeated, the change is recorded as
//! an edit of the output.

mod edits;
mod names;
mod number;
mod writer;

use std::fmt;

use self::writer::Writer;
use crate::json::is_json;

/// PHP type of a decoded JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objects {
    /// An object (phpWebSocketServer).
    Objects,
    /// An array (Gomoob): an empty one is encoded as `[]`, and one with the keys 0, 1, … as a list.
    Arrays,
}

/// Reason why PHP could not re-encode a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotForPhp {
    /// The text is not JSON.
    NotJson,
    /// PHP rejects this JSON because a name begins with U+0000.
    Name,
    /// The nesting is deeper than the limit of `json_decode`.
    TooDeep,
    /// This number is too large for a float.
    Number(Box<str>),
    /// More numbers than `LONG_NUMBERS_MAX` (4,096) are slow to parse.
    LongNumbers,
}

impl fmt::Display for NotForPhp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson | Self::Name => write!(f, "the message is no JSON"),
            Self::TooDeep => write!(f, "the message is nested too deeply"),
            Self::Number(number) => write!(f, "the number {number} is out of range"),
            Self::LongNumbers => {
                let (count, digits) = (number::LONG_NUMBERS_MAX, number::DIGITS_MAX);
                write!(f, "more than {count} numbers have more than {digits} digits")
            }
        }
    }
}

/// Returns the text as PHP would re-encode it.
///
/// # Errors
///
/// If the text is not JSON, or if PHP rejects it.
///
/// ```
/// use tagcast::protocol::php_json::{Objects, reencoded};
///
/// let text = reencoded(r#"{ "n": 1.0, "u": "é", "s": "a/b", "n": 2 }"#, Objects::Objects);
/// assert_eq!(text.as_deref(), Ok(r#"{"n":2,"u":"\u00e9","s":"a\/b"}"#));
/// ```
pub fn reencoded(text: &str, objects: Objects) -> Result<String, NotForPhp> {
    if is_json(text) { rewritten(text, objects) } else { Err(NotForPhp::NotJson) }
}

/// Does the same for a text that is known to be JSON.
pub(super) fn rewritten(text: &str, objects: Objects) -> Result<String, NotForPhp> {
    Writer::new(objects, text.len() + text.bytes().map(grows).sum::<usize>()).written(text)
}

/// Returns the number of additional bytes that PHP's encoding of a byte takes.
const fn grows(byte: u8) -> usize {
    match byte {
        b'/' => 1,
        // In UTF-8, two bytes become six, three become six, and four become twelve.
        0x80.. => 2,
        _ => 0,
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
        assert_eq!(reencoded(r#"{"\u0000k":1}"#, Objects::Objects), Err(NotForPhp::Name));
    }

    /// Expected values are the output of `php -r 'echo json_encode(json_decode($argv[1]));'` of PHP 8.
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

    #[test]
    fn of_repeated_names_the_last_value_takes_the_first_place() {
        for (text, written) in [
            (r#"{"a":1,"a":2,"a":3}"#, r#"{"a":3}"#),
            (
                r#"{"a":{"b":1,"b":2},"c":[{"d":1,"e":2,"d":{"f":0,"f":9}}],"a":{"b":3,"b":[4]}}"#,
                r#"{"a":{"b":[4]},"c":[{"d":{"f":9},"e":2}]}"#,
            ),
            (r#"{"x":0,"\u0061":1,"y":2,"a":3,"x":4}"#, r#"{"x":4,"a":3,"y":2}"#),
            (r#"{"":0,"":{"":1,"":2},"z":[]}"#, r#"{"":{"":2},"z":[]}"#),
        ] {
            assert_eq!(php(text), written, "{text}");
        }
        let of = |text| reencoded(text, Objects::Arrays).unwrap();
        assert_eq!(of(r#"{"0":1,"1":2,"0":{"0":{},"1":[]},"1":{"0":7,"0":8}}"#), "[[[],[]],[8]]");
        assert_eq!(of(r#"{"0":1,"2":2}"#), r#"{"0":1,"2":2}"#);
        assert_eq!(of(r#"{"a":{"0":1},"a":{"0":[{}]}}"#), r#"{"a":[[[]]]}"#);
        let names: Vec<_> = (0..20_000).map(|it| format!(r#""n{}":{it}"#, it % 10_000)).collect();
        let read: serde_json::Value =
            serde_json::from_str(&php(&format!("{{{}}}", names.join(",")))).unwrap();
        assert_eq!((read.as_object().unwrap().len(), &read["n7"]), (10_000, &10_007.into()));
    }

    #[test]
    fn what_no_text_and_no_float_can_hold_is_replaced_or_named() {
        assert_eq!(
            php(r#"["cut \ud83d","\udc00\ud83d\ude00"]"#),
            r#"["cut \ufffd","\ufffd\ud83d\ude00"]"#
        );
        for (number, why) in [
            ("1e400", "the number 1e400 is out of range"),
            ("-1.5e999", "the number -1.5e999 is out of range"),
        ] {
            let error = reencoded(&format!("[{number}]"), Objects::Objects).unwrap_err();
            assert_eq!(error.to_string(), why);
        }
        assert_eq!(php("[1e-400,-1e-400]"), "[0,-0]");
        let digits = "9".repeat(400);
        let error = reencoded(&digits, Objects::Arrays).unwrap_err().to_string();
        assert!(error.len() < 100 && error.contains("9999… is out of range"), "{error}");
        let halfway = "1.00000000000000011102230246251565404236316680908203125";
        let many = |count| {
            reencoded(&format!("[{}1]", format!("{halfway},").repeat(count)), Objects::Objects)
        };
        assert!(many(10).unwrap().starts_with("[1,1,"));
        assert_eq!(many(5000), Err(NotForPhp::LongNumbers));
    }

    #[test]
    fn what_php_nests_is_written_and_what_is_deeper_is_not() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(php(&nested(512)), nested(512));
        assert_eq!(reencoded(&nested(513), Objects::Objects), Err(NotForPhp::TooDeep));
    }

    /// The fast path for short numbers produces the same output as the slow path.
    #[test]
    fn short_numbers_are_written_as_floats_are() {
        let number = |(digits, point): (u64, i32)| format!("{digits}e{point}");
        for digits in [1, 9, 10, 15, 123, 999_999_999_999_999, 100_000_000_000_001] {
            for point in -40..40 {
                let short = number((digits, point));
                let long = format!("{}", short.parse::<f64>().unwrap());
                let padded = if long.contains('.') { long } else { format!("{long}.0") };
                assert_eq!(php(&short), php(&padded), "{short}");
            }
        }
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

    /// Compares two values. Numbers may lose a zero fraction; everything else must be equal.
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
