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

/// The line and the name that a finding is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct FindingSubject<'n> {
    /// Counted from 1; none for the file as a whole.
    pub(super) line: Option<usize>,
    pub(super) name: &'n str,
}

impl<'n> FindingSubject<'n> {
    pub(super) const FILE: Self = Self { line: None, name: "" };

    pub(super) fn at(line: usize, name: &'n str) -> Self {
        Self { line: Some(line), name }
    }
}
