//! Value of one entry in a PHP session file. Other values are skipped without building them.
//!
//! The format is that of `session.serialize_handler = php`: a name, `|`, a value in the format of
//! PHP's `serialize()`, then the next name. In a malformed session the entries before the first
//! error count, as in PHP.

use crate::types::word_choices;

/// Deepest nesting of arrays and objects. Deeper nesting is an error.
const DEPTH_MAX: usize = 128;

word_choices! {
    /// Values of an entry that count as true.
    Truth {
        /// Values that PHP converts to true, such as `1` and the string `no`.
        Php = "php",
        /// Only `true`.
        Strict = "strict",
    }
}

/// Value of an entry, reduced to its truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// The boolean `true`.
    True,
    /// Another value that PHP converts to true.
    Truthy,
    /// A value that PHP converts to false.
    Falsy,
}

impl Flag {
    /// Returns true if the value counts as true.
    #[must_use]
    pub fn is_yes(self, truth: Truth) -> bool {
        match truth {
            Truth::Php => self != Self::Falsy,
            Truth::Strict => self == Self::True,
        }
    }
}

/// Returns the value of a session entry, or `None` if there is no such entry. If several entries have
/// this name, the last one counts, as in PHP.
///
/// ```
/// use tagcast::auth::php_session::{Flag, flag};
///
/// let session = br#"user|s:3:"bob";allowconnect|b:1;"#;
/// assert_eq!(flag(session, "allowconnect"), Some(Flag::True));
/// assert_eq!(flag(session, "other"), None);
/// ```
#[must_use]
pub fn flag(session: &[u8], name: &str) -> Option<Flag> {
    let mut reader = SessionReader { rest: session, values: SessionValues::default() };
    let mut found = None;
    while let Some((entry, value)) = reader.entry() {
        if entry == name.as_bytes() {
            found = Some(value);
        }
    }
    found
}

/// Reader of a session: the unread bytes and the values so far.
struct SessionReader<'a> {
    rest: &'a [u8],
    values: SessionValues,
}

/// Values so far, in PHP's order. References use their numbers, which start at 1.
#[derive(Default)]
struct SessionValues {
    flags: Vec<Flag>,
    /// The numbers of values are unknown after an object with its own serialization, because only
    /// its class knows how many values it contains.
    has_unknown_numbers: bool,
}

impl SessionValues {
    fn of(&self, number: usize) -> Option<Flag> {
        if self.has_unknown_numbers {
            // The value may be false, so it counts as false.
            return Some(Flag::Falsy);
        }
        self.flags.get(number.checked_sub(1)?).copied()
    }
}

impl<'a> SessionReader<'a> {
    /// Reads the next entry. Returns `None` at the end and at an error.
    fn entry(&mut self) -> Option<(&'a [u8], Flag)> {
        let name = self.until(b'|')?;
        let value = self.value(DEPTH_MAX)?;
        Some((name, value))
    }

    fn value(&mut self, depth: usize) -> Option<Flag> {
        let kind = self.byte()?;
        match kind {
            b'N' => return self.one_of(b";").map(|_| self.numbered(Flag::Falsy)),
            b'R' | b'r' => return self.reference(kind),
            _ => self.expect(b':')?,
        }
        let flag = match kind {
            b'b' => match self.one_of(b"01")? {
                b'1' => Flag::True,
                _ => Flag::Falsy,
            },
            b'i' => number_flag(self.integer()?),
            b'd' => return self.double(),
            b's' => self.text()?,
            b'S' => self.escaped_text()?,
            b'E' => self.text().map(|_| Flag::Truthy)?,
            b'a' => return self.array(depth),
            b'O' => return self.object(depth),
            b'C' => return self.custom(),
            _ => return None,
        };
        self.expect(b';')?;
        Some(self.numbered(flag))
    }

    fn numbered(&mut self, flag: Flag) -> Flag {
        self.values.flags.push(flag);
        flag
    }

    /// Reads a reference. `R:1;` is the value itself and has no number of its own. `r:1;` is the
    /// same object again, with a new number.
    fn reference(&mut self, kind: u8) -> Option<Flag> {
        self.expect(b':')?;
        let number = self.count()?;
        self.expect(b';')?;
        let flag = self.values.of(number)?;
        Some(if kind == b'r' { self.numbered(flag) } else { flag })
    }

    fn double(&mut self) -> Option<Flag> {
        let text = std::str::from_utf8(self.until(b';')?).ok()?;
        let is_number = text.bytes().all(|byte| b"0123456789+-.eE".contains(&byte));
        let value = match text {
            "NAN" | "INF" | "-INF" => f64::INFINITY,
            text if is_number => text.parse().ok()?,
            _ => return None,
        };
        let flag = number_flag(value);
        Some(self.numbered(flag))
    }

    /// Reads a string such as `3:"yes"`. It may contain any byte, including quotes.
    fn text(&mut self) -> Option<Flag> {
        let length = self.count()?;
        self.expect(b':')?;
        self.quoted(length).map(text_flag)
    }

    /// Reads an escaped string such as `3:"\79es"`. The length counts unescaped bytes.
    fn escaped_text(&mut self) -> Option<Flag> {
        let length = self.count()?;
        self.expect(b':')?;
        self.expect(b'"')?;
        let mut last = 0;
        for _ in 0..length {
            last = match self.byte()? {
                b'\\' => self.hex_digit()? << 4 | self.hex_digit()?,
                byte => byte,
            };
        }
        self.expect(b'"')?;
        Some(match length {
            0 => Flag::Falsy,
            1 if last == b'0' => Flag::Falsy,
            _ => Flag::Truthy,
        })
    }

    fn array(&mut self, depth: usize) -> Option<Flag> {
        let count = self.count()?;
        self.expect(b':')?;
        let flag = self.numbered(number_flag(count));
        self.members(count, depth)?;
        Some(flag)
    }

    /// Reads an object such as `8:"stdClass":1:{…}`.
    fn object(&mut self, depth: usize) -> Option<Flag> {
        self.text()?;
        self.expect(b':')?;
        let count = self.count()?;
        self.expect(b':')?;
        let flag = self.numbered(Flag::Truthy);
        self.members(count, depth)?;
        Some(flag)
    }

    /// Reads an object such as `5:"Class":4:{…}`, whose content only its class can interpret.
    fn custom(&mut self) -> Option<Flag> {
        self.text()?;
        self.expect(b':')?;
        let length = self.count()?;
        self.expect(b':')?;
        self.expect(b'{')?;
        self.take(length)?;
        self.expect(b'}')?;
        self.values.has_unknown_numbers = true;
        Some(Flag::Truthy)
    }

    /// Reads the names and values between braces. Names have no number.
    fn members(&mut self, count: usize, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.expect(b'{')?;
        for _ in 0..count {
            let kind = self.byte()?;
            self.expect(b':')?;
            match kind {
                b'i' => drop(self.integer()?),
                b's' => drop(self.text()?),
                b'S' => drop(self.escaped_text()?),
                _ => return None,
            }
            self.expect(b';')?;
            self.value(depth)?;
        }
        self.expect(b'}')
    }

    // ------------------------------------------------------------------ bytes

    fn quoted(&mut self, length: usize) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let text = self.take(length)?;
        self.expect(b'"')?;
        Some(text)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// Returns the bytes before `end` and skips `end`.
    fn until(&mut self, end: u8) -> Option<&'a [u8]> {
        let length = self.rest.iter().position(|byte| *byte == end)?;
        let taken = self.take(length)?;
        self.expect(end)?;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.byte()? == wanted).then_some(())
    }

    fn one_of(&mut self, wanted: &[u8]) -> Option<u8> {
        self.byte().filter(|byte| wanted.contains(byte))
    }

    fn hex_digit(&mut self) -> Option<u8> {
        let digit = char::from(self.byte()?).to_digit(16)?;
        u8::try_from(digit).ok()
    }

    fn count(&mut self) -> Option<usize> {
        std::str::from_utf8(self.digits()?).ok()?.parse().ok()
    }

    fn integer(&mut self) -> Option<i64> {
        let is_negative = match self.rest.first()? {
            b'-' => self.byte().is_some(),
            b'+' => self.byte().is_none(),
            _ => false,
        };
        let digits: i128 = std::str::from_utf8(self.digits()?).ok()?.parse().ok()?;
        i64::try_from(if is_negative { -digits } else { digits }).ok()
    }

    fn digits(&mut self) -> Option<&'a [u8]> {
        let length = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.take(length)
    }
}

/// PHP converts zero and an empty array to false.
fn number_flag<T: Copy + PartialEq + Default>(number: T) -> Flag {
    if number == T::default() { Flag::Falsy } else { Flag::Truthy }
}

/// PHP converts two strings to false: the empty string and `0`.
const fn text_flag(text: &[u8]) -> Flag {
    match text {
        b"" | b"0" => Flag::Falsy,
        _ => Flag::Truthy,
    }
}

#[cfg(test)]
mod tests;
