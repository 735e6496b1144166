//! The meaning of unquoted scalars in symfony/yaml and in other YAML parsers.

/// The meaning of an unquoted scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Meaning {
    /// No value: empty, `~` or `null`.
    Nothing,
    Bool(bool),
    /// A whole number in canonical spelling, so that the number and the text are equivalent.
    Number,
    /// A value that some parser reads as something else than its text. The string completes "is …".
    Another(&'static str),
    Text,
}

/// Words that YAML 1.1 reads as booleans, and YAML 1.2 and symfony/yaml as texts.
const YES_OR_NO: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];

/// Returns the meaning of an unquoted scalar.
pub(in crate::config) fn meaning(plain: &str) -> Meaning {
    let lower = plain.to_ascii_lowercase();
    match lower.as_str() {
        "" | "~" | "null" => return Meaning::Nothing,
        "true" => return Meaning::Bool(true),
        "false" => return Meaning::Bool(false),
        _ => {}
    }
    if YES_OR_NO.contains(&lower.as_str()) {
        return Meaning::Another("is a boolean for some YAML parsers and a string for others");
    }
    if is_only_spelling(plain) {
        return Meaning::Number;
    }
    let bare = lower.strip_prefix(['+', '-']).unwrap_or(&lower);
    if is_number(bare) {
        return Meaning::Another("is a number in YAML, and its digits may change");
    }
    if is_date(bare) {
        return Meaning::Another("is a date in YAML, and its text may change");
    }
    Meaning::Text
}

/// Returns true for a whole number in canonical spelling: `7` and `-12`, but not `007` or `+7`.
fn is_only_spelling(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    is_of(digits, |byte| byte.is_ascii_digit()) && (text == "0" || !digits.starts_with('0'))
}

/// Returns true for every spelling that symfony/yaml (2 to 7), YAML 1.1 or YAML 1.2 reads as a
/// number. The text must be in lower case and without a sign.
fn is_number(bare: &str) -> bool {
    if matches!(bare, ".inf" | ".nan") {
        return true;
    }
    let with_base = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().any(|(prefix, base)| {
        bare.strip_prefix(prefix)
            .is_some_and(|rest| is_of(rest, |byte| byte == b'_' || char::from(byte).is_digit(base)))
    });
    with_base || is_decimal(bare) || is_sexagesimal(bare)
}

/// Returns true for `1_000`, `1,000`, `007`, `1.5`, `.5`, `1e3`, `1.e+3`.
fn is_decimal(bare: &str) -> bool {
    let (mantissa, exponent) = match bare.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (bare, None),
    };
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    if exponent.is_some_and(|exponent| !is_of(exponent, |byte| byte.is_ascii_digit())) {
        return false;
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b"_,".contains(&byte));
    is_digits(whole)
        && is_digits(fraction)
        && mantissa.bytes().any(|byte| byte.is_ascii_digit())
        && !whole.starts_with(['_', ','])
}

/// Returns true for `12:30:45`, a base-60 number in YAML 1.1.
fn is_sexagesimal(bare: &str) -> bool {
    let (bare, fraction) = bare.split_once('.').unwrap_or((bare, ""));
    let mut parts = bare.split(':');
    let is_digits = |text: &str| is_of(text, |byte| byte.is_ascii_digit() || byte == b'_');
    parts.next().is_some_and(is_digits)
        && bare.contains(':')
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        && parts.all(|part| is_digits(part) && part.len() <= 2)
}

/// Returns true for `2026-11-28`, with or without a time.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let is_digits = |text: &str| is_of(text, |byte| byte.is_ascii_digit());
    let year = parts.next().is_some_and(|year| year.len() == 4 && is_digits(year));
    let month = parts.next().is_some_and(|month| month.len() <= 2 && is_digits(month));
    let rest = parts.next().unwrap_or_default();
    let is_time = |byte: u8| byte.is_ascii_digit() || b" \t:.tz+-".contains(&byte);
    year && month && rest.starts_with(|first: char| first.is_ascii_digit()) && is_of(rest, is_time)
}

fn is_of(text: &str, is_one: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(is_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_reader_takes_alike_is_taken() {
        for text in ["shop", "a7", "1a", "7f3e", "0xg", "1.2.3", "e5", "12-34", "::1", "yesterday"]
        {
            assert_eq!(meaning(text), Meaning::Text, "{text}");
        }
        for text in ["10.0.0.1", "_1", "-", ".", "+", "2026-11", "1e", "0x", "08:00am", ".env"] {
            assert_eq!(meaning(text), Meaning::Text, "{text}");
        }
        for text in ["0", "7", "-12", "123456789012345678901234567890"] {
            assert_eq!(meaning(text), Meaning::Number, "{text}");
        }
        for (text, is) in [("true", true), ("TRUE", true), ("tRue", true), ("False", false)] {
            assert_eq!(meaning(text), Meaning::Bool(is), "{text}");
        }
        for text in ["", "~", "null", "NULL", "nuLl"] {
            assert_eq!(meaning(text), Meaning::Nothing, "{text}");
        }
    }

    #[test]
    fn what_readers_take_differently_is_neither_text_nor_number() {
        for text in ["y", "Y", "yes", "No", "ON", "off", "oN"] {
            assert!(matches!(meaning(text), Meaning::Another(_)), "{text}");
        }
        for text in [
            "007",
            "0755",
            "+7",
            "-0",
            "1_000",
            "1,000",
            "1.0",
            ".5",
            "5.",
            "1e3",
            "8123e4567",
            "1.5E-3",
            "0x1F",
            "0X1f",
            "0o17",
            "0b101",
            "-0x10",
            "12:30",
            "12:30:45.5",
            ".inf",
            "-.INF",
            ".NaN",
            "2026-11-28",
            "2026-1-2T03:04:05Z",
            "2026-11-28 03:04:05.6 +1",
        ] {
            assert!(matches!(meaning(text), Meaning::Another(_)), "{text}");
        }
    }
}
