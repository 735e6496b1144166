//! The members of an application about clients that come back: `resumeFor`, `mailbox`, `history`, `historyBytes`,
//! `historyAge` and `rewind`.

use std::time::Duration;

use super::check::{ApplicationEntry, CheckedFile};
use super::secrets::scalar;
use super::violation::FindingSubject;
use crate::auth::ResumeSettings;
use crate::config::diagnostic::Problem;
use crate::config::parse::{Bounds, Size, count, duration, size};
use crate::types::HistorySettings;
use crate::types::limits::{HISTORY_AGE_MAX, HISTORY_MAX, MAILBOX_MAX, RESUME_FOR_MAX};

/// Names of the members.
pub(super) const RESUME_FOR: &str = "resumeFor";
pub(super) const MAILBOX: &str = "mailbox";
pub(super) const HISTORY: &str = "history";
pub(super) const HISTORY_BYTES: &str = "historyBytes";
pub(super) const HISTORY_AGE: &str = "historyAge";
pub(super) const REWIND: &str = "rewind";

const TIMES: Bounds<Duration> = Bounds::new(Duration::ZERO, RESUME_FOR_MAX);
const COUNTS: Bounds<usize> = Bounds::new(0, MAILBOX_MAX as usize);
const ENTRIES: Bounds<usize> = Bounds::new(0, HISTORY_MAX);
const BYTES: Bounds<Size> = Bounds::new(Size(1024), Size(512 * 1024 * 1024));
const AGES: Bounds<Duration> = Bounds::new(Duration::from_millis(100), HISTORY_AGE_MAX);

/// Reads how clients of an application resume.
pub(super) fn read(check: &mut CheckedFile, entry: ApplicationEntry<'_>) -> ResumeSettings {
    let usual = ResumeSettings::default();
    let grace = one(check, entry, RESUME_FOR, |text| duration(text, &TIMES));
    let grace_ms = grace.and_then(|it| u32::try_from(it.as_millis()).ok());
    let mailbox = one(check, entry, MAILBOX, |text| count(text, &COUNTS));
    let mailbox = mailbox.and_then(|it| u16::try_from(it).ok());
    let rewind = one(check, entry, REWIND, |text| count(text, &ENTRIES));
    let rewind = rewind.and_then(|it| u32::try_from(it).ok());
    ResumeSettings {
        grace_ms: grace_ms.unwrap_or(usual.grace_ms),
        mailbox: mailbox.unwrap_or(usual.mailbox),
        rewind: rewind.unwrap_or(usual.rewind),
    }
}

/// Reads how many publications of its space an application has stored.
pub(super) fn history(check: &mut CheckedFile, entry: ApplicationEntry<'_>) -> HistorySettings {
    let usual = HistorySettings::default();
    HistorySettings {
        entries: one(check, entry, HISTORY, |text| count(text, &ENTRIES)).unwrap_or(usual.entries),
        bytes: one(check, entry, HISTORY_BYTES, |text| size(text, &BYTES)),
        age: one(check, entry, HISTORY_AGE, |text| duration(text, &AGES)).unwrap_or(usual.age),
    }
}

/// Reads one member.
pub(super) fn one<T>(
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
        assert_eq!(read(""), Ok(ResumeSettings { grace_ms: 60_000, mailbox: 100, rewind: 0 }));
        let both = read("    resumeFor: 1500ms\n    mailbox: 0\n");
        assert_eq!(both, Ok(ResumeSettings { grace_ms: 1500, mailbox: 0, rewind: 0 }));
        assert_eq!(read("    resumeFor: 0\n").map(|it| it.grace_ms), Ok(0));
    }

    #[test]
    fn stored_publications_have_limits_and_defaults() {
        let read = |members: &str| {
            let text = format!(
                "applications:\n  - key: a\n    secret: s3cret-for-tests-0123456789\n    \
                 authorizeOpen: true\n{members}"
            );
            let applications = check_text(Path::new("auth.yml"), &text).applications.unwrap();
            applications.list[0].history.terms(3 * 1024 * 1024)
        };
        let usual = read("    history: 10\n");
        assert_eq!((usual.entries, usual.bytes, usual.age.as_secs()), (10, 3 << 19, 120));
        let own = read("    history: 5\n    historyBytes: 64K\n    historyAge: 1500ms\n");
        assert_eq!((own.entries, own.bytes, own.age.as_millis()), (5, 65_536, 1500));
        assert!(!read("").is_on());
    }

    #[test]
    fn a_wrong_value_is_named_with_what_is_right() {
        for (members, words) in [
            ("    resumeFor: 11m\n", "like `5s`"),
            ("    resumeFor: 601s\n", "out of range"),
            ("    mailbox: 1001\n", "out of range"),
            ("    mailbox: []\n", "is not a valid number"),
            ("    history: 100001\n", "out of range"),
            ("    historyBytes: 1\n", "out of range"),
            ("    historyAge: 0\n", "out of range"),
            ("    rewind: -1\n", "is negative"),
            ("    resumefor: 5s\n", "did you mean `resumeFor`?"),
        ] {
            let error = read(members).unwrap_err();
            assert!(error.contains(words), "{members}: {error}");
        }
    }
}
