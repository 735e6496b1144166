//! What is wrong with a file, before it is known how the file is called.

use crate::config::diagnostic::Problem;

/// Something that is wrong, or odd.
#[derive(Debug)]
pub(super) struct AuthFileViolation {
    /// Counted from 1; none for the file as a whole.
    pub(super) line: Option<usize>,
    /// What it is about: `application 2: key`.
    pub(super) name: String,
    pub(super) severity: Severity,
    pub(super) fault: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Error,
    Warning,
}
