//! The members `resumeFor` and `mailbox` of an application.

use std::time::Duration;

use super::check::{ApplicationEntry, CheckedFile};
use super::secrets::scalar;
use super::violation::FindingSubject;
use crate::auth::ResumeSettings;
use crate::config::diagnostic::Problem;
use crate::config::parse::{Bounds, count, duration};
use crate::types::limits::{MAILBOX_MAX, RESUME_FOR_MAX};

/// Names of the members.
pub(super) const RESUME_FOR: &str = "resumeFor";
pub(super) const MAILBOX: &str = "mailbox";

const TIMES: Bounds<Duration> = Bounds::new(Duration::ZERO, RESUME_FOR_MAX);
const COUNTS: Bounds<usize> = Bounds::new(0, MAILBOX_MAX as usize);

/// Reads how clients of an application resume.
pub(super) fn read(check: &mut CheckedFile, entry: ApplicationEntry<'_>) -> ResumeSettings {
    let usual = ResumeSettings::default();
    let grace = one(check, entry, RESUME_FOR, |text| duration(text, &TIMES));
    let grace_ms = grace.and_then(|it| u32::try_from(it.as_millis()).ok());
    let mailbox = one(check, entry, MAILBOX, |text| count(text, &COUNTS));
    let mailbox = mailbox.and_then(|it| u16::try_from(it).ok());
    ResumeSettings {
        grace_ms: grace_ms.unwrap_or(usual.grace_ms),
        mailbox: mailbox.unwrap_or(usual.mailbox),
    }
}

fn one<T>(
    check: &mut CheckedFile,
    entry: ApplicationEntry<'_>,
    name: &str,
    parse: impl Fn(&str) -> Result<T, Problem>,
) -> Option<T> {
    let node = entry.node.get(name)?;
    match parse(scalar(node).unwrap_or_default()) {
        Ok(value) => Some(value),
        Err(Problem { what, right }) => {
            let member = entry.member(name);
            check.error(FindingSubject::at(node.line, &member), what, right);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::auth_file::check_text;

    fn read(members: &str) -> Result<ResumeSettings, String> {
        let text = format!(
            "applications:\n  - key: a\n    secret: s3cret-for-tests-0123456789\n    \
             authorizeOpen: true\n{members}"
        );
        let read = check_text(Path::new("auth.yml"), &text);
        match read.applications {
            Some(applications) => Ok(applications.list[0].resume),
            None => Err(read.findings.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn times_and_counts_are_read_and_have_defaults() {
        assert_eq!(read(""), Ok(ResumeSettings { grace_ms: 60_000, mailbox: 100 }));
        let both = read("    resumeFor: 1500ms\n    mailbox: 0\n");
        assert_eq!(both, Ok(ResumeSettings { grace_ms: 1500, mailbox: 0 }));
        assert_eq!(read("    resumeFor: 0\n").map(|it| it.grace_ms), Ok(0));
    }

    #[test]
    fn a_wrong_value_is_named_with_what_is_right() {
        for (members, words) in [
            ("    resumeFor: 11m\n", "like `5s`"),
            ("    resumeFor: 601s\n", "out of range"),
            ("    mailbox: 1001\n", "out of range"),
            ("    mailbox: []\n", "is not a valid number"),
            ("    resumefor: 5s\n", "did you mean `resumeFor`?"),
        ] {
            let error = read(members).unwrap_err();
            assert!(error.contains(words), "{members}: {error}");
        }
    }
}
