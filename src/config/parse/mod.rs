//! Parsers of values: durations, sizes, counts, switches, choices, lists and keys.

pub(super) mod rate;

use super::diagnostic::{Problem, visible};
use super::schema::edits;
use crate::types::{OriginPattern, WordChoice};
use std::fmt;
use std::time::Duration;

/// The minimum and maximum of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds<T> {
    min: T,
    max: T,
    /// True if 0 disables the feature, even if it is below the minimum.
    is_off_at_zero: bool,
}

/// A quantity with bounds that is written with its unit.
pub(crate) trait Amount: Copy + PartialOrd {
    const ZERO: Self;
    fn text(self) -> String;
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) usize);

impl Amount for Duration {
    const ZERO: Self = Self::ZERO;
    fn text(self) -> String {
        if self.subsec_nanos() == 0 {
            format!("{}s", self.as_secs())
        } else {
            format!("{}ms", self.as_millis())
        }
    }
}

/// Unit suffixes of sizes, largest first.
const SIZES: [(char, usize); 3] = [('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

impl Amount for Size {
    const ZERO: Self = Self(0);
    fn text(self) -> String {
        let whole = |(_, bytes): &&(char, usize)| self.0 >= *bytes && self.0.is_multiple_of(*bytes);
        match SIZES.iter().find(whole) {
            Some((letter, bytes)) => format!("{}{letter}", self.0 / bytes),
            None => self.0.to_string(),
        }
    }
}

impl Amount for usize {
    const ZERO: Self = 0;
    fn text(self) -> String {
        self.to_string()
    }
}

impl<T: Amount> Bounds<T> {
    pub(crate) const fn new(min: T, max: T) -> Self {
        Self { min, max, is_off_at_zero: false }
    }

    /// Creates bounds; 0 is allowed too and disables the feature.
    pub(crate) const fn or_off(min: T, max: T) -> Self {
        Self { min, max, is_off_at_zero: true }
    }

    fn admit(&self, value: T, example: &str) -> Result<T, Problem> {
        let off = self.is_off_at_zero && value == T::ZERO;
        if off || (value >= self.min && value <= self.max) {
            return Ok(value);
        }
        Err(Problem::new("is out of range", format!("use {self}{example}")))
    }
}

impl<T: Amount> fmt::Display for Bounds<T> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let off = if self.is_off_at_zero { "0 (off) or " } else { "" };
        write!(to, "{off}{} to {}", self.min.text(), self.max.text())
    }
}

/// Parses `5s` or `1500ms`. A number without a unit is in seconds.
pub(crate) fn duration(text: &str, bounds: &Bounds<Duration>) -> Result<Duration, Problem> {
    const EXAMPLE: &str = ", like `5s` or `1500ms` (a number without a unit is seconds)";
    let lower = text.trim().to_ascii_lowercase();
    let read = |digits: &str| number(digits, bounds, EXAMPLE);
    let value = if let Some(digits) = lower.strip_suffix("ms") {
        Duration::from_millis(read(digits)?)
    } else {
        Duration::from_secs(read(lower.strip_suffix('s').unwrap_or(&lower))?)
    };
    bounds.admit(value, EXAMPLE)
}

/// Parses `64K`, `5M` or `1G` (powers of 1024). A number without a unit is in bytes.
pub(crate) fn size(text: &str, bounds: &Bounds<Size>) -> Result<usize, Problem> {
    const EXAMPLE: &str = ", like `65536`, `64K` or `5M`";
    let upper = text.trim().to_ascii_uppercase();
    let (digits, unit) = SIZES
        .iter()
        .find_map(|(letter, bytes)| upper.strip_suffix(*letter).map(|digits| (digits, *bytes)))
        .unwrap_or((&upper, 1));
    let count = number(digits, bounds, EXAMPLE)?;
    let bytes = usize::try_from(count).ok().and_then(|count| count.checked_mul(unit));
    let bytes = bytes.ok_or_else(|| too_large(bounds, EXAMPLE))?;
    Ok(bounds.admit(Size(bytes), EXAMPLE)?.0)
}

/// Parses a whole number.
pub(crate) fn count(text: &str, bounds: &Bounds<usize>) -> Result<usize, Problem> {
    let value = number(text, bounds, "")?;
    let value = usize::try_from(value).map_err(|_| too_large(bounds, ""))?;
    bounds.admit(value, "")
}

fn number<T: Amount>(text: &str, bounds: &Bounds<T>, example: &str) -> Result<u64, Problem> {
    let text = text.trim();
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::new("is not a valid number", format!("use {bounds}{example}")));
    }
    if text.starts_with('-') {
        return Err(Problem::new("is negative", format!("use {bounds}{example}")));
    }
    text.parse().map_err(|_| too_large(bounds, example))
}

fn too_large<T: Amount>(bounds: &Bounds<T>, example: &str) -> Problem {
    Problem::new("is too large", format!("use {bounds}{example}"))
}

/// Parses `on`, `true`, `yes`, `1` and their opposites, ignoring case. As in phpWebSocketServer,
/// `none` means off and a flag without a value means on.
pub(crate) fn switch(text: &str) -> Result<bool, Problem> {
    match text.trim().to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "none" | "0" => Ok(false),
        _ => Err(Problem::new("is not a switch", "use on or off (or true, false, yes, no)")),
    }
}

/// Parses one of the words of a choice, ignoring case.
pub(crate) fn choice<T: WordChoice>(text: &str) -> Result<T, Problem> {
    let fault = || Problem::new("is not known", format!("use {}", T::words()));
    T::from_word(text.trim()).ok_or_else(fault)
}

/// Splits a comma-separated list. Items are trimmed, and empty ones are skipped.
pub(crate) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Returns true if a value means absence: empty, `none` or `null`.
pub(crate) fn is_absent(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || ["none", "null"].iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// Parses origins as browsers send them: `https://host` with a port if it is not the default of the
/// scheme, `file://`, or `null`. A label and the port may be `*`.
pub(crate) fn origins(text: &str) -> Result<Vec<String>, Problem> {
    let right = "use origins like https://example.org, https://*.example.org, http://localhost:*, \
        file:// or null, with commas; `none` allows every origin";
    let origin = |item: &str| {
        let wrong =
            |what: &str| Problem::new(format!("holds `{}`, which {what}", visible(item)), right);
        OriginPattern::parse(item).map_err(|why| wrong(why.text()))?;
        let scheme = item.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
        match scheme_meant(&scheme) {
            Some(meant) => Err(wrong(&format!("has an unknown scheme; did you mean `{meant}://`"))),
            None => Ok(item.to_lowercase()),
        }
    };
    let is_none = text.trim().eq_ignore_ascii_case("none");
    list(if is_none { "" } else { text }).map(origin).collect()
}

/// Returns the page scheme that a misspelled one is similar to. Unknown schemes are allowed,
/// because apps have schemes of their own.
fn scheme_meant(scheme: &str) -> Option<&'static str> {
    let is_near = |known: &&str| edits(scheme, known) <= 1 + usize::from(scheme.len() > 4);
    let is_one = ["http", "https", "file", "null", ""].contains(&scheme);
    ["https", "http"].into_iter().find(is_near).filter(|_| !is_one)
}

/// Parses 32 bytes in 64 hexadecimal characters. The error repeats none of them.
pub(crate) fn key(text: &str) -> Result<[u8; 32], Problem> {
    let fault =
        || Problem::new("the key is not 64 hexadecimal characters", "use `openssl rand -hex 32`");
    let text = text.trim().as_bytes();
    let mut key = [0; 32];
    if text.len() != 2 * key.len() {
        return Err(fault());
    }
    for (byte, pair) in key.iter_mut().zip(text.chunks_exact(2)) {
        let nibbles = pair.iter().try_fold(0, |sum, digit| Some(sum * 16 + nibble(*digit)?));
        *byte = nibbles.ok_or_else(fault)?;
    }
    Ok(key)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
