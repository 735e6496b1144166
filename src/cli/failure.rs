//! The reason and exit code of a failed command. `docs/operations.md` has the table of exit codes.

use std::process::ExitCode;

use super::print_error;
use crate::client::{ClientError, ClientErrorKind};

/// The message or its recipient is invalid (`EX_DATAERR` of sysexits.h).
pub(super) const EXIT_DATA: u8 = 65;
/// The server is not running, or temporarily accepts nothing (`EX_UNAVAILABLE`).
pub(super) const EXIT_UNAVAILABLE: u8 = 69;
/// The server denies the action, or belongs to another user (`EX_NOPERM`).
pub(super) const EXIT_NOT_PERMITTED: u8 = 77;
/// A configuration, file or URL is wrong (`EX_CONFIG`).
pub(super) const EXIT_CONFIG: u8 = 78;

#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    pub(super) why: String,
}

impl Failure {
    pub(super) fn data(why: impl Into<String>) -> Self {
        Self { code: EXIT_DATA, why: why.into() }
    }

    pub(super) fn unavailable(why: impl Into<String>) -> Self {
        Self { code: EXIT_UNAVAILABLE, why: why.into() }
    }

    pub(super) fn not_permitted(why: impl Into<String>) -> Self {
        Self { code: EXIT_NOT_PERMITTED, why: why.into() }
    }

    pub(super) fn configuration(why: impl Into<String>) -> Self {
        Self { code: EXIT_CONFIG, why: why.into() }
    }

    /// Prints `meaning` and the reason, and returns the exit code.
    pub(super) fn end(&self, meaning: &str) -> ExitCode {
        print_error(&format!("tagcast: {meaning}{}", self.why));
        ExitCode::from(self.code)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let code = match error.kind() {
            ClientErrorKind::Data => EXIT_DATA,
            ClientErrorKind::Unavailable => EXIT_UNAVAILABLE,
            ClientErrorKind::NotPermitted => EXIT_NOT_PERMITTED,
            ClientErrorKind::Configuration => EXIT_CONFIG,
        };
        Self { code, why: error.to_string() }
    }
}
