//! Findings of a file before its path is known.

use crate::config::diagnostic::Problem;

/// An error or a warning.
#[derive(Debug)]
pub(super) struct AuthFileViolation {
    /// Line, from 1. None for the whole file.
    pub(super) line: Option<usize>,
    /// The subject of the finding, such as `application 2: key`.
    pub(super) name: String,
    pub(super) severity: Severity,
    pub(super) fault: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Error,
    Warning,
}

/// Line and name that a finding is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct FindingSubject<'n> {
    /// Line, from 1. None for the whole file.
    pub(super) line: Option<usize>,
    pub(super) name: &'n str,
}

impl<'n> FindingSubject<'n> {
    pub(super) const FILE: Self = Self { line: None, name: "" };

    pub(super) fn at(line: usize, name: &'n str) -> Self {
        Self { line: Some(line), name }
    }
}
