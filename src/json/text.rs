//! Decodes and encodes JSON strings.

use std::borrow::Cow;
use std::io;

use memchr::memchr;

/// Decodes a string, given as it is written; does not copy if the string has no escapes. Half of a surrogate
/// pair becomes U+FFFD: browsers write such a half when a text was cut within a character. `raw` must be
/// valid JSON; otherwise the result is unspecified but safe.
#[must_use]
pub fn text(raw: &str) -> Cow<'_, str> {
    let inside = raw.strip_prefix('"').unwrap_or(raw);
    let inside = inside.strip_suffix('"').unwrap_or(inside);
    if memchr(b'\\', inside.as_bytes()).is_none() {
        return Cow::Borrowed(inside);
    }
    let mut out = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.push_str(plain);
        let (letter, behind) = unescaped(escaped);
        out.push(letter);
        rest = behind;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Returns the character of an escape, given the input after the backslash, and the input after the escape.
#[must_use]
pub fn unescaped(escaped: &str) -> (char, &str) {
    let mut rest = escaped.chars();
    let letter = match rest.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => return by_number(rest.as_str()),
        Some(letter) => letter,
        None => char::REPLACEMENT_CHARACTER,
    };
    (letter, rest.as_str())
}

/// Returns the character of a `\u` escape, given the input after `\u`, which may be a surrogate pair, and the
/// input after the escape.
fn by_number(digits: &str) -> (char, &str) {
    let Some((first, rest)) = unit(digits) else { return (char::REPLACEMENT_CHARACTER, digits) };
    let second = rest.strip_prefix("\\u").and_then(unit);
    match (first, second) {
        (0xD800..=0xDBFF, Some((second @ 0xDC00..=0xDFFF, behind))) => {
            let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), behind)
        }
        // An unpaired surrogate is not a character.
        _ => (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), rest),
    }
}

fn unit(digits: &str) -> Option<(u32, &str)> {
    let (digits, rest) = digits.split_at_checked(4)?;
    u32::from_str_radix(digits, 16).ok().map(|unit| (unit, rest))
}

/// Appends a text to `out` as a JSON string.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    // Two quotes, and one byte for the bracket or comma that callers append.
    out.reserve_exact(text.len() + text.bytes().map(grows).sum::<usize>() + 2 + 1);
    // Neither encoding a string nor writing to a `Vec` can fail.
    let _written = serde_json::to_writer(out, text);
}

/// Appends a text to a `String` as a JSON string.
pub fn push_text(text: &str, out: &mut String) {
    struct TextEnd<'s>(&'s mut String);

    impl io::Write for TextEnd<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push_str(str::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData)?);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    out.reserve(text.len() + text.bytes().map(grows).sum::<usize>() + 2);
    let _written = serde_json::to_writer(TextEnd(out), text);
}

/// Returns the number of additional bytes that a byte of a text takes in JSON.
const fn grows(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | 8 | b'\t' | b'\n' | 12 | b'\r' => 1,
        0..b' ' => 5,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_decoded_as_json_defines_them() {
        let raw = r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 a""#;
        assert_eq!(text(raw), "\"\\/\u{8}\u{c}\n\r\t\u{e9}\u{1f600} a");
        assert!(matches!(text("\"plain é\""), Cow::Borrowed("plain é")));
    }

    #[test]
    fn half_of_a_pair_is_the_replacement_character() {
        for (raw, expected) in [
            (r#""cut \ud83d""#, "cut \u{fffd}"),
            (r#""\udc00x""#, "\u{fffd}x"),
            (r#""\ud83dx""#, "\u{fffd}x"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(text(raw), expected, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn decoding_agrees_with_another_json_reader(expected in "(?s).{0,20}") {
            let mut raw = Vec::new();
            write_text(&expected, &mut raw);
            let mut pushed = String::new();
            push_text(&expected, &mut pushed);
            prop_assert_eq!(pushed.as_bytes(), &*raw);
            prop_assert_eq!(text(&pushed), expected);
        }

        #[test]
        fn nothing_panics(raw in r#"(?s)(\\|u|[dD][89c]|"|.){0,20}"#) {
            let _said = text(&raw);
        }
    }
}
