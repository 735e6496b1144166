//! Errors of expressions: the reason and the place.

use std::fmt;

/// Bytes before and after the wrong byte that a message quotes. Together they fit into the part of
/// a request that an answer may quote.
const EXCERPT_BYTES: usize = 12;

/// The reason why a text or a JSON value is not an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    place: ExpressionPlace,
    is_duplicate_member: bool,
    message: Box<str>,
}

/// The place of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpressionPlace {
    /// A byte offset in the text form.
    Byte(usize),
    /// A JSON pointer (RFC 6901) relative to the expression. It is empty for the expression itself.
    Pointer(Box<str>),
}

impl ExpressionError {
    /// Creates an error of the text form. The message ends with the byte offset and the text around
    /// it.
    pub(super) fn in_text(text: &str, at: usize, what: impl fmt::Display) -> Self {
        Self::new(
            ExpressionPlace::Byte(at),
            format!("{what} at byte {at}: {}", Excerpt { text, at }),
        )
    }

    /// Creates an error of the text form whose message already names the valid form.
    pub(super) fn with_advice(at: usize, advice: impl fmt::Display) -> Self {
        Self::new(ExpressionPlace::Byte(at), format!("{advice} (at byte {at})"))
    }

    /// Creates an error of the JSON form.
    pub(super) fn in_json(pointer: &str, what: impl fmt::Display) -> Self {
        let at = if pointer.is_empty() { "the expression" } else { pointer };
        // Member names may contain Unicode control characters.
        let message: String = format!("{what} at {at}").chars().map(printable).collect();
        Self::new(ExpressionPlace::Pointer(pointer.into()), message)
    }

    /// Creates the error for a duplicate member of a JSON object.
    pub(super) fn duplicate_member(pointer: &str) -> Self {
        Self { is_duplicate_member: true, ..Self::in_json(pointer, "duplicate member") }
    }

    fn new(place: ExpressionPlace, message: String) -> Self {
        Self { place, is_duplicate_member: false, message: message.into() }
    }

    /// Returns the place of the error.
    #[must_use]
    pub fn place(&self) -> &ExpressionPlace {
        &self.place
    }

    /// Returns the byte offset of an error of the text form.
    #[must_use]
    pub fn byte(&self) -> Option<usize> {
        match self.place {
            ExpressionPlace::Byte(at) => Some(at),
            ExpressionPlace::Pointer(_) => None,
        }
    }

    /// Returns true if a member of a JSON object occurs twice. Otherwise the expression breaks the grammar or
    /// exceeds a limit.
    #[must_use]
    pub fn is_duplicate_member(&self) -> bool {
        self.is_duplicate_member
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExpressionError {}

/// Returns the text around a byte, with a mark before the byte.
struct Excerpt<'a> {
    text: &'a str,
    at: usize,
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.text.floor_char_boundary(self.at);
        let start = self.text.ceil_char_boundary(at.saturating_sub(EXCERPT_BYTES));
        let end = self.text.floor_char_boundary(at.saturating_add(EXCERPT_BYTES));
        f.write_str(if start > 0 { "…" } else { "" })?;
        write_printable(self.text.get(start..at), f)?;
        f.write_str("‸")?;
        write_printable(self.text.get(at..end), f)?;
        f.write_str(if end < self.text.len() { "…" } else { "" })
    }
}

/// The message may also become one line of a log.
fn printable(letter: char) -> char {
    if letter.is_control() { ' ' } else { letter }
}

fn write_printable(part: Option<&str>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    part.unwrap_or_default().chars().try_for_each(|it| fmt::Write::write_char(f, printable(it)))
}
