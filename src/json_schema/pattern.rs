//! Regular expressions that take a time that is known: the length of the text times their size.

use regex_lite::{Regex, RegexBuilder};

use crate::types::limits::SCHEMA_PATTERN_BYTES_MAX;

/// A regular expression with its size.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// Steps for each byte of a text.
    steps: u64,
}

/// Bytes of a compiled expression that one step for each byte of a text pays for.
const BYTES_OF_A_STEP: usize = 64;

impl Pattern {
    /// Compiles an expression. Its size is the first of a few limits that it is within.
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

    /// What a look at so many bytes costs.
    pub(super) fn steps(&self, bytes: usize) -> u64 {
        self.steps.saturating_mul(u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(1))
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}
