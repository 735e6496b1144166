//! What an expression may cost the broker.

use std::fmt;

/// An expression whose prefixes would scan more values than `exprScanMax`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooExpensive {
    /// Values of the tag names that its prefixes are for; each prefix counts all of them.
    pub values: u64,
    /// The limit.
    pub limit: u64,
}

impl fmt::Display for TooExpensive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { values, limit } = self;
        write!(
            f,
            "the prefixes of the expression would scan {values} values, the limit is {limit} (exprScanMax)"
        )
    }
}

impl std::error::Error for TooExpensive {}
