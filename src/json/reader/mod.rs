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
mod tests;
