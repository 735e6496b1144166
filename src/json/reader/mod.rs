//! Reads a JSON text in one pass, without a tree and without copying.

use memchr::memchr2;
use smallvec::SmallVec;

use super::text;

/// Error: the text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson;

/// The name of a member, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberName<'a> {
    /// The name with its quotes.
    pub raw: &'a str,
    /// Whether the name contains no escapes, so that the bytes between the quotes are the name itself.
    is_plain: bool,
}

/// Bytes of the longest encoding of one byte of a string: `\u0041`.
const ESCAPE_BYTES: usize = 6;

impl MemberName<'_> {
    /// Returns whether this is the given name.
    #[inline]
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        if self.is_plain {
            // Most names differ in their length already.
            return self.raw.len() == name.len() + 2
                && self.raw.as_bytes().get(1..=name.len()) == Some(name.as_bytes());
        }
        self.equals_escaped(name)
    }

    /// Compares a name with escapes. A longer encoding cannot be equal, so it is not decoded.
    #[cold]
    fn equals_escaped(&self, name: &str) -> bool {
        self.raw.len() <= name.len() * ESCAPE_BYTES + 2 && text(self.raw) == name
    }
}

/// Passes each member of the object in `text` to `each`, in their order, names and values as they are
/// written, until `each` returns an error. Members before a syntax error have already been passed when the
/// error is found.
///
/// # Errors
///
/// If the text is not JSON or not an object, or if `each` returns an error.
///
/// ```
/// let mut seen = Vec::new();
/// let read = tagcast::json::members(r#"{"a":1.50, "b":[{}]}"#, |name, value| {
///     seen.push((name.raw, value));
///     Ok(())
/// });
/// assert_eq!((read, seen), (Ok(()), vec![("\"a\"", "1.50"), ("\"b\"", "[{}]")]));
/// ```
pub fn members<'a>(
    text: &'a str,
    mut each: impl FnMut(MemberName<'a>, &'a str) -> Result<(), NotJson>,
) -> Result<(), NotJson> {
    let mut reader = Reader::of(text);
    reader.white();
    reader.expect(b'{')?;
    reader.white();
    if !reader.takes(b'}') {
        loop {
            let (name, value) = reader.member()?;
            each(name, value)?;
            reader.white();
            if !reader.takes(b',') {
                break;
            }
            reader.white();
        }
        reader.expect(b'}')?;
    }
    reader.end()
}

/// Returns the value in a text as it is written, without the white space around it.
///
/// # Errors
///
/// If the text is not JSON.
pub(super) fn value(text: &str) -> Result<&str, NotJson> {
    let mut reader = Reader::of(text);
    reader.white();
    let value = reader.raw_value()?;
    reader.end()?;
    Ok(value)
}

/// Returns the number of values and member names in a JSON text.
///
/// # Errors
///
/// If the text is not JSON.
pub fn count_values(text: &str) -> Result<usize, NotJson> {
    let mut reader = Reader::of(text);
    reader.white();
    reader.raw_value()?;
    reader.end()?;
    Ok(reader.inner + 1)
}

/// The position in a text. A shrinking slice needs no index arithmetic, which would be overflow-checked.
struct Reader<'a> {
    text: &'a str,
    rest: &'a [u8],
    /// Whether the text has control characters. In strings they are not allowed, and where there are none
    /// a string needs no search for them.
    has_controls: bool,
    /// Number of values and names read inside other values.
    inner: usize,
}

impl<'a> Reader<'a> {
    fn of(text: &'a str) -> Self {
        // Without an early exit, so that the compiler uses vector instructions.
        let has_controls = text.bytes().fold(false, |found, byte| found | (byte < b' '));
        Self { text, rest: text.as_bytes(), has_controls, inner: 0 }
    }

    #[inline]
    fn place(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    #[inline]
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.place()).unwrap_or_default()
    }

    /// Skips white space (RFC 8259 §2).
    #[inline]
    fn white(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    #[inline]
    fn takes(&mut self, byte: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.takes(byte) { Ok(()) } else { Err(NotJson) }
    }

    fn end(&mut self) -> Result<(), NotJson> {
        self.white();
        if self.rest.is_empty() { Ok(()) } else { Err(NotJson) }
    }

    #[inline]
    fn member(&mut self) -> Result<(MemberName<'a>, &'a str), NotJson> {
        let start = self.place();
        self.expect(b'"')?;
        let is_plain = self.string()?;
        let name = MemberName { raw: self.since(start), is_plain };
        self.colon()?;
        Ok((name, self.raw_value()?))
    }

    /// Reads a colon and the white space around it.
    #[inline]
    fn colon(&mut self) -> Result<(), NotJson> {
        self.white();
        self.expect(b':')?;
        self.white();
        Ok(())
    }

    #[inline]
    fn raw_value(&mut self) -> Result<&'a str, NotJson> {
        let start = self.place();
        match self.rest {
            [b'"', rest @ ..] => {
                self.rest = rest;
                self.string()?;
            }
            [open @ (b'{' | b'['), rest @ ..] => {
                self.rest = rest;
                self.nested(*open)?;
            }
            _ => self.word()?,
        }
        Ok(self.since(start))
    }

    /// Reads the rest of a string after its opening quote, including the closing quote. Returns true if the
    /// string has no escapes.
    #[inline]
    fn string(&mut self) -> Result<bool, NotJson> {
        if self.has_controls {
            return self.string_near_controls();
        }
        let mut is_plain = true;
        loop {
            // A search costs more than an escape, and escapes often follow each other.
            while let [b'\\', rest @ ..] = self.rest {
                self.rest = escape(rest)?;
                is_plain = false;
            }
            let at = memchr2(b'"', b'\\', self.rest).ok_or(NotJson)?;
            match self.rest.get(at..) {
                Some([b'"', rest @ ..]) => {
                    self.rest = rest;
                    return Ok(is_plain);
                }
                Some([_, rest @ ..]) => self.rest = escape(rest)?,
                _ => return Err(NotJson),
            }
            is_plain = false;
        }
    }

    /// Reads the same in a text with control characters, which may stand between values only.
    fn string_near_controls(&mut self) -> Result<bool, NotJson> {
        let mut is_plain = true;
        loop {
            let mut rest = self.rest.get(plain_bytes(self.rest)..).unwrap_or_default();
            rest = loop {
                match rest {
                    [b'"', rest @ ..] => {
                        self.rest = rest;
                        return Ok(is_plain);
                    }
                    [b'\\', rest @ ..] => break escape(rest)?,
                    [0..b' ', ..] | [] => return Err(NotJson),
                    [_, behind @ ..] => rest = behind,
                }
            };
            self.rest = rest;
            is_plain = false;
        }
    }

    /// Reads the rest of a list or an object after its opening bracket, including the closing bracket. The
    /// depth is not limited, because the open brackets are kept in a list and not on the stack.
    fn nested(&mut self, open: u8) -> Result<(), NotJson> {
        let mut around = SmallVec::<[u8; 32]>::new();
        let mut inside = open;
        let mut is_first = true;
        loop {
            self.white();
            if self.takes(if inside == b'{' { b'}' } else { b']' }) {
                let Some(outside) = around.pop() else { return Ok(()) };
                inside = outside;
                is_first = false;
                continue;
            }
            if !is_first {
                self.expect(b',')?;
                self.white();
            }
            is_first = false;
            if inside == b'{' {
                self.expect(b'"')?;
                self.string()?;
                self.colon()?;
                self.inner += 1;
            }
            self.inner += 1;
            match self.rest {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    self.string()?;
                }
                [open @ (b'{' | b'['), rest @ ..] => {
                    self.rest = rest;
                    around.push(inside);
                    inside = *open;
                    is_first = true;
                }
                _ => self.word()?,
            }
        }
    }

    /// Reads a number, `true`, `false` or `null`.
    #[inline]
    fn word(&mut self) -> Result<(), NotJson> {
        let rest = match self.rest {
            [b't', b'r', b'u', b'e', rest @ ..]
            | [b'n', b'u', b'l', b'l', rest @ ..]
            | [b'f', b'a', b'l', b's', b'e', rest @ ..] => rest,
            [b'-', rest @ ..] | rest => number(rest)?,
        };
        self.rest = rest;
        Ok(())
    }
}

/// Returns the number of bytes at the start that are neither a quote, a backslash nor a control character.
/// Eight bytes are examined at a time; a remainder of fewer than eight is not counted.
#[inline]
pub(super) fn plain_bytes(rest: &[u8]) -> usize {
    let mut count = 0;
    for word in rest.as_chunks().0 {
        let found = special(u64::from_le_bytes(*word));
        if found != 0 {
            return count + (found.trailing_zeros() / u8::BITS) as usize;
        }
        count += size_of::<u64>();
    }
    count
}

/// Returns a mask whose lowest set bit marks the first byte that is `"`, `\` or a control character. Bits of
/// later bytes are not reliable. The mask is zero if there is no such byte.
const fn special(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xFF;
    let quote = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let escape = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    let control = word.wrapping_sub(ONES * b' ' as u64);
    (quote | escape | control) & !word & (ONES << 7)
}

/// Returns the input after an escape, given the input after the backslash.
fn escape(rest: &[u8]) -> Result<&[u8], NotJson> {
    match rest {
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest @ ..] => Ok(rest),
        [b'u', a, b, c, d, rest @ ..] if [a, b, c, d].iter().all(|it| it.is_ascii_hexdigit()) => {
            Ok(rest)
        }
        _ => Err(NotJson),
    }
}

/// Returns the input after a number, given the input after the sign.
#[inline]
fn number(rest: &[u8]) -> Result<&[u8], NotJson> {
    let mut rest = match rest {
        [b'0', rest @ ..] => rest,
        rest => digits(rest)?,
    };
    if let [b'.', fraction @ ..] = rest {
        rest = digits(fraction)?;
    }
    match rest {
        [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] => {
            digits(exponent)
        }
        rest => Ok(rest),
    }
}

/// Returns the input after one or more digits.
#[inline]
fn digits(rest: &[u8]) -> Result<&[u8], NotJson> {
    let [b'0'..=b'9', rest @ ..] = rest else { return Err(NotJson) };
    let mut behind = rest;
    while let [b'0'..=b'9', rest @ ..] = behind {
        behind = rest;
    }
    Ok(behind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    #[test]
    fn member_names_are_compared_after_decoding() {
        let is = |raw: &str, name: &str| {
            let mut is = None;
            let read = |it: MemberName<'_>, _: &str| {
                is = Some(it.is(name));
                Ok(())
            };
            members(&format!("{{{raw}:0}}"), read).unwrap();
            is.unwrap()
        };
        for raw in [r#""ab""#, r#""a\u0062""#, r#""\u0061\u0062""#] {
            assert!(is(raw, "ab"), "{raw}");
        }
        for raw in [r#""abc""#, r#""a\u0063""#, r#""""#, r#""\\u0061\u0062""#] {
            assert!(!is(raw, "ab"), "{raw}");
        }
        assert!(is(r#""\\""#, "\\") && !is(r#""\"""#, "\\\""));
        assert!(is(r#""\u00e9""#, "é") && is(r#""\ud83d\ude00""#, "\u{1f600}"));
    }

    #[test]
    fn only_an_object_has_members() {
        for text in
            ["", "1", "[]", "{", "{}}", "{\"a\":1,}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "{,}"]
        {
            assert_eq!(members(text, |_, _| Ok(())), Err(NotJson), "{text}");
        }
        let mut values = Vec::new();
        let read = members(" { \"a\" : { } , \"b\":-0.5e+1} \n", |_, value| {
            values.push(value);
            Ok(())
        });
        assert_eq!((read, values), (Ok(()), vec!["{ }", "-0.5e+1"]));
        let mut count = 0;
        let read = members("{\"a\":1,\"b\":2,\"c\":3}", |name, _| {
            count += 1;
            if name.is("b") { Err(NotJson) } else { Ok(()) }
        });
        assert_eq!((read, count), (Err(NotJson), 2), "nothing follows one that is refused");
    }

    #[test]
    fn a_fault_in_any_place_of_a_long_text_is_found() {
        for length in 0..70 {
            for place in 0..length {
                for (bad, is_json) in [("\u{1f}", false), ("\\", false), ("\\n", true), ("é", true)]
                {
                    let text =
                        format!("\"{}{bad}é{}\"", "a".repeat(place), "b".repeat(length - place));
                    let raw = value(&text);
                    assert_eq!(raw, if is_json { Ok(&*text) } else { Err(NotJson) }, "{text}");
                }
            }
        }
    }

    #[test]
    fn names_and_values_are_counted_at_any_depth() {
        for (text, count) in
            [("1", 1), ("[]", 1), ("[1,[2,\"a\"]]", 5), (r#"{"a":{"b":[{}]},"c":0}"#, 8), ("[", 0)]
        {
            assert_eq!(count_values(text).unwrap_or(0), count, "{text}");
        }
    }

    proptest! {
        /// This reader accepts the same texts as `serde_json` and finds the same members.
        #[test]
        fn it_agrees_with_another_reader(
            text in r#"(?s)( |[\[\]{}]|,|:|"[a-c]{0,3}"|"a":|\{"b":|"[^"]{0,20}"|\\|\\u00e9|-|0|1|\.5|e[+-]?|true|null|fals|e|.){0,12}"#,
        ) {
            let known = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            prop_assert_eq!(value(&text).is_ok(), known, "{}", text);
            let mut last = Vec::new();
            let read = members(&text, |name, value| {
                last.push((super::text(name.raw).into_owned(), value));
                Ok(())
            });
            prop_assert_eq!(read.is_ok(), known && text.trim_start().starts_with('{'));
            if read.is_ok() && let Ok(tree) = serde_json::from_str::<serde_json::Map<_, _>>(&text) {
                for (name, tree) in &tree {
                    let found = last.iter().rev().find(|it| it.0 == *name).unwrap();
                    prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(found.1).unwrap(), tree);
                }
            }
        }

        #[test]
        fn valid_json_is_read(tree in json(), indent in any::<bool>()) {
            let text = if indent { format!("{tree:#}") } else { tree.to_string() };
            prop_assert_eq!(value(&text), Ok(&*text));
            // A text without its last character is invalid, unless that character was a digit.
            let cut = text.floor_char_boundary(text.len() - 1);
            let part = text.get(..cut).unwrap();
            prop_assert_eq!(value(part).is_ok(), serde_json::from_str::<IgnoredAny>(part).is_ok());
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "(?s).{0,40}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::vec(("(?s).{0,20}", inner), 0..5)
                    .prop_map(|it| serde_json::Value::Object(it.into_iter().collect())),
            ]
        })
    }
}
