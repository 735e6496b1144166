//! Reads the secrets that are in files and variables, and checks all secrets of the applications.

use std::path::{Path, PathBuf};

use super::secrets::{NamedSecret, SecretSource};
use super::{Read, beside};
use crate::auth::{Application, ApplicationSecret};
use crate::config::diagnostic::{Diagnostic, Problem, ValueLocation, visible};
use crate::config::env_application::without_last_break;
use crate::config::file_permissions::{self, Keep};
use crate::config::{UnreadFile, read};
use crate::types::Secret;

/// What the secrets of a file are read with.
#[derive(Clone, Copy)]
pub(in crate::config) struct SecretReading<'a> {
    /// Value of an environment variable.
    pub(in crate::config) variable: &'a dyn Fn(&str) -> Option<&'a str>,
    /// Unix seconds.
    pub(in crate::config) now: u64,
}

/// Puts the secrets of files and variables into the applications, and reports secrets that are
/// unusable, weak or expired.
pub(super) fn take(read: &mut Read, path: &Path, named: &[NamedSecret], with: SecretReading<'_>) {
    for NamedSecret { application, at, line, subject, source } in named {
        let place = || ValueLocation::Line(path.to_owned(), *line);
        let text = match text_of(path, source, with) {
            Ok(text) => text,
            Err(fault) => {
                read.findings.push(Diagnostic::new(place(), subject, fault));
                continue;
            }
        };
        if let SecretSource::File(file) = source {
            read.warnings.extend(file_permissions::of(&beside(path, file), Keep::FromReaders));
        }
        let mut list = read.applications.iter_mut().flat_map(|all| &mut all.list);
        let Some(application) = list.nth(*application) else { continue };
        if let (Some(text), Some(one)) = (text, application.secrets.get_mut(*at)) {
            one.secret = text;
        }
        if let Some(fault) = repeated(application, *at) {
            read.findings.push(Diagnostic::new(place(), subject, fault));
        }
        let Some(one) = application.secrets.get(*at) else { continue };
        let weak = one
            .weakness(&application.key)
            .map(|what| Problem::new(what, "use a long random one: tagcast app rotate"));
        let faults = weak.into_iter().chain(expired(one, with.now));
        read.warnings.extend(faults.map(|fault| Diagnostic::new(place(), subject, fault)));
    }
    if !read.findings.is_empty() {
        read.applications = None;
    }
}

/// Returns the files that have secrets, including missing ones.
pub(super) fn files(path: &Path, named: &[NamedSecret]) -> Vec<PathBuf> {
    let file = |named: &NamedSecret| match &named.source {
        SecretSource::File(file) => Some(beside(path, file)),
        SecretSource::Value | SecretSource::Variable(_) => None,
    };
    named.iter().filter_map(file).collect()
}

/// Returns the secret of a file or variable; None if it is in the file of the applications itself.
pub(super) fn text_of(
    path: &Path,
    source: &SecretSource,
    with: SecretReading<'_>,
) -> Result<Option<Secret>, Problem> {
    match source {
        SecretSource::Value => Ok(None),
        SecretSource::Variable(name) => {
            let value = (with.variable)(name).ok_or_else(|| {
                let what = format!("names the variable {}, which is not set", visible(name));
                Problem::new(what, "set it for `tagcast serve`, or remove the secret")
            })?;
            Ok(Some(Secret::new(value.to_owned())))
        }
        SecretSource::File(file) => {
            let shown = visible(&file.to_string_lossy());
            let text = read(&beside(path, file)).map_err(|unread| match unread {
                UnreadFile::Absent => Problem::new(
                    format!("the file `{shown}` does not exist"),
                    "name one that exists; a relative path starts at this file's folder",
                ),
                unread => {
                    let fault = unread.fault();
                    Problem::new(format!("the file `{shown}`: {}", fault.what), fault.right)
                }
            })?;
            let secret = without_last_break(&text);
            let is_line = !secret.is_empty() && !secret.contains(char::is_control);
            if !is_line {
                let what = match secret.is_empty() {
                    true => format!("the file `{shown}` is empty"),
                    false => format!("the file `{shown}` has more than one line"),
                };
                return Err(Problem::new(what, "write the secret into it, on one line"));
            }
            Ok(Some(Secret::new(secret.to_owned())))
        }
    }
}

/// A secret that is there twice would stay valid after one of the two was removed.
fn repeated(application: &Application, at: usize) -> Option<Problem> {
    let (before, rest) = application.secrets.split_at_checked(at)?;
    let one = rest.first().filter(|one| !one.secret.expose().is_empty())?;
    let same = before.iter().find(|earlier| earlier.secret == one.secret)?;
    let what = format!("has the value of the secret `{}` too", same.id);
    Some(Problem::new(what, "give each its own value, or remove one"))
}

fn expired(one: &ApplicationSecret, now: u64) -> Option<Problem> {
    let what = "has expired and is not accepted";
    one.is_expired(now).then(|| Problem::new(what, "remove it, or give it a later day"))
}
