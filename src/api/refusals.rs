//! Counts the requests of each application that were refused.

use std::collections::HashMap;

use super::error::ErrorCode;

/// Refused requests of one application, and refused publications of its batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RefusalCounts {
    /// Not permitted, or not a message of the application: permission, schema, size.
    pub(super) denied: u64,
    /// Too many at a time.
    pub(super) rate_limited: u64,
}

/// The counts of all applications since the process started. They are in auth.yml, which bounds them.
#[derive(Debug, Default)]
pub(super) struct Refusals(HashMap<Box<str>, RefusalCounts>);

impl Refusals {
    /// Counts an error of an application.
    pub(super) fn note(&mut self, application: &str, code: ErrorCode) {
        let one = match code {
            ErrorCode::PermissionDenied
            | ErrorCode::SignatureRequired
            | ErrorCode::SchemaViolation
            | ErrorCode::PayloadTooLarge => RefusalCounts { denied: 1, rate_limited: 0 },
            ErrorCode::RateLimited => RefusalCounts { denied: 0, rate_limited: 1 },
            _ => return,
        };
        let counts = match self.0.get_mut(application) {
            Some(counts) => counts,
            None => self.0.entry(application.into()).or_default(),
        };
        counts.denied += one.denied;
        counts.rate_limited += one.rate_limited;
    }

    /// Returns the counts of an application.
    pub(super) fn of(&self, application: &str) -> RefusalCounts {
        self.0.get(application).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_application_and_kind() {
        let mut refusals = Refusals::default();
        let codes = [
            ErrorCode::PermissionDenied,
            ErrorCode::RateLimited,
            ErrorCode::SchemaViolation,
            ErrorCode::NotFound,
        ];
        codes.into_iter().for_each(|code| refusals.note("shop", code));
        assert_eq!(refusals.of("shop"), RefusalCounts { denied: 2, rate_limited: 1 });
        assert_eq!(refusals.of("other"), RefusalCounts::default());
    }
}
