//! Regular expressions with predictable time: the length of the text times the size of the
//! expression.

use regex_lite::{Regex, RegexBuilder};

use crate::types::limits::SCHEMA_PATTERN_BYTES_MAX;

/// A compiled regular expression with its cost.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// Steps per byte of text.
    steps: u64,
}

/// Bytes of a compiled expression that count as one step per byte of text.
const BYTES_OF_A_STEP: usize = 64;

impl Pattern {
    /// Compiles an expression. Its cost comes from the smallest of several size limits that it fits
    /// in.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let mut limit = BYTES_OF_A_STEP;
        loop {
            match RegexBuilder::new(text).size_limit(limit).build() {
                Ok(regex) => {
                    let steps = u64::try_from(limit / BYTES_OF_A_STEP).unwrap_or(u64::MAX);
                    return Ok(Self { regex, steps });
                }
                Err(error) if limit >= SCHEMA_PATTERN_BYTES_MAX => return Err(error.to_string()),
                Err(_) => limit *= 2,
            }
        }
    }

    pub(super) fn as_str(&self) -> &str {
        self.regex.as_str()
    }

    /// Returns the steps to match a text of this many bytes.
    pub(super) fn steps(&self, bytes: usize) -> u64 {
        self.steps.saturating_mul(u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(1))
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}
