//! `auth.yml`: Gomoob's file of applications, with additional optional members.
//!
//! An error text begins with Gomoob's text if Gomoob has one.

mod api_rights;
mod check;
pub(super) mod edit;
pub(super) mod edit_secrets;
mod expiry;
mod limits;
mod presence;
mod resume;
pub(super) mod scalar;
mod secret_sources;
#[cfg(test)]
mod secret_tests;
mod secrets;
mod tag_source;
#[cfg(test)]
mod tests;
mod token_keys;
mod tokens;
pub(super) mod tree;
mod value;
mod violation;

use std::path::{Path, PathBuf};

use self::check::{CheckedFile, NamedSchema};
pub(super) use self::secret_sources::SecretReading;
use self::secrets::NamedSecret;
use self::tokens::NamedTokenKey;
use self::tree::Broken;
use self::violation::{AuthFileViolation, Severity};
use super::diagnostic::{Diagnostic, Problem, ValueLocation};
use super::file_permissions;
use super::file_permissions::Keep;
use super::message_schema::load_schema;
use super::{UnreadFile, read};
use crate::auth::Applications;

/// Maximum findings shown per file.
const SHOWN_MAX: usize = 30;

/// The result of reading a file.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Applications. None if the file has errors.
    pub(super) applications: Option<Applications>,
    pub(super) findings: Vec<Diagnostic>,
    pub(super) warnings: Vec<Diagnostic>,
    /// True if the file is missing or cannot be read.
    pub(super) is_unread: bool,
}

/// Whether the file is named explicitly or is the default file, which may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileNeed {
    Named,
    IfThere,
}

/// The error of a file with findings, which say what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidAuthFile;

/// Reads and checks a file.
pub(super) fn load(path: &Path, wanted: FileNeed, with: SecretReading<'_>) -> Read {
    let shown = path.display();
    let alone = |what: String, right: &str| {
        let fault = Problem::new(what, right);
        let finding = Diagnostic::new(ValueLocation::File(path.to_owned()), "", fault);
        Read { findings: vec![finding], is_unread: true, ..Read::default() }
    };
    if path.is_dir() {
        let what = format!("The configuration file '{shown}' is not a valid file !");
        return alone(what, "name a file");
    }
    let text = match read(path) {
        Ok(text) => text,
        Err(UnreadFile::Absent) if wanted == FileNeed::IfThere => return Read::default(),
        Err(UnreadFile::Absent) => {
            let what = format!("The configuration file '{shown}' does not exist !");
            return alone(what, "name one that exists, or `authFile = none` for an open server");
        }
        Err(unread) => {
            let fault = unread.fault();
            let what = format!("Failed to open configuration file '{shown}' ! {}", fault.what);
            return alone(what, &fault.right);
        }
    };
    let (mut read, named) = checked(path, &text);
    take_schemas(&mut read, path, &named.schemas);
    secret_sources::take(&mut read, path, &named.secrets, with);
    token_keys::take(&mut read, path, &named.token_keys, with);
    read.warnings.truncate(SHOWN_MAX);
    // The secrets of the shipped example are public, which is reported elsewhere.
    let is_example =
        read.applications.as_ref().is_some_and(|all| all.with_public_secret().is_some());
    let keep = if is_example { Keep::FromWriters } else { Keep::FromReaders };
    read.warnings.extend(file_permissions::of(path, keep));
    read
}

/// Returns the files that a file names, with schemas and secrets, including missing ones.
pub(super) fn named_files(path: &Path) -> Vec<PathBuf> {
    let text = read(path).unwrap_or_default();
    let (_, named) = checked(path, &text);
    let mut files = secret_sources::files(path, &named.secrets);
    files.extend(token_keys::files(path, &named.token_keys));
    files.extend(named.schemas.iter().map(|schema| beside(path, schema.file.as_ref())));
    files
}

/// Resolves a path relative to the folder of the file that names it.
fn beside(path: &Path, file: &Path) -> PathBuf {
    path.parent().unwrap_or_else(|| Path::new("")).join(file)
}

/// Reads the schemas of the applications.
fn take_schemas(read: &mut Read, path: &Path, schemas: &[NamedSchema]) {
    for NamedSchema { at, line, file } in schemas {
        match load_schema(&beside(path, file.as_ref())) {
            Ok(schema) => {
                let list = read.applications.iter_mut().flat_map(|all| &mut all.list);
                list.skip(*at).take(1).for_each(|it| it.schema = Some(schema.clone()));
            }
            Err(fault) => {
                let place = ValueLocation::Line(path.to_owned(), *line);
                let about = format!("application {}: schema", at + 1);
                read.findings.push(Diagnostic::new(place, &about, fault));
            }
        }
    }
    if !read.findings.is_empty() {
        read.applications = None;
    }
}

/// Checks the text of a file, without the files and variables that it names.
pub(super) fn check_text(path: &Path, text: &str) -> Read {
    checked(path, text).0
}

/// Additional results of a check.
#[derive(Default)]
struct OtherNames {
    schemas: Vec<NamedSchema>,
    secrets: Vec<NamedSecret>,
    token_keys: Vec<NamedTokenKey>,
}

/// Like [`check_text`], with the additional results.
fn checked(path: &Path, text: &str) -> (Read, OtherNames) {
    // If the text ends too early, the parser reports the line after the last one.
    let last = text.lines().count().max(1);
    let place = |line: Option<usize>| match line {
        Some(line) => ValueLocation::Line(path.to_owned(), line.min(last)),
        None => ValueLocation::File(path.to_owned()),
    };
    let root = match tree::parse(text) {
        Ok(root) => root,
        Err(Broken { line, why }) => {
            let what = format!("Invalid configuration provided in configuration file ! {why}");
            let fault = Problem::new(what.trim_end(), "write it as in the shipped auth.yml");
            let finding = Diagnostic::new(place(Some(line)), "", fault);
            return (Read { findings: vec![finding], ..Read::default() }, OtherNames::default());
        }
    };
    let CheckedFile { applications, mut violations, schemas, secrets, token_keys } =
        check::check(root.as_ref());
    // Errors come first, so that many warnings cannot hide an error.
    violations.sort_by_key(|violation| violation.severity == Severity::Warning);
    let is_error = |violation: &&AuthFileViolation| violation.severity == Severity::Error;
    let errors = violations.iter().filter(is_error).count();
    violations.truncate(SHOWN_MAX);
    let mut read = Read::default();
    for AuthFileViolation { line, name, severity, fault } in violations {
        let finding = Diagnostic::new(place(line), &name, fault);
        match severity {
            Severity::Error => read.findings.push(finding),
            Severity::Warning => read.warnings.push(finding),
        }
    }
    for found in [&mut read.findings, &mut read.warnings] {
        found.sort_by_key(|finding| finding.place.line());
    }
    if errors > SHOWN_MAX {
        let what = format!("{} more findings are not shown", errors - SHOWN_MAX);
        read.findings.push(Diagnostic::new(place(None), "", Problem::new(what, "fix these first")));
    }
    if errors == 0 {
        read.applications = Some(applications);
    }
    (read, OtherNames { schemas, secrets, token_keys })
}

/// Returns the column of the first application, from 0, if each application has lines of its own.
pub(super) fn first_application(text: &str) -> Option<usize> {
    let is_item = |line: &&str| line.trim_start().starts_with("- ") || line.trim() == "-";
    let list = text.lines().skip_while(|line| !line.starts_with("applications:")).skip(1);
    let first = list.take_while(|line| is_indented(line)).find(is_item)?;
    Some(first.len() - first.trim_start().len())
}

fn is_indented(line: &str) -> bool {
    line.is_empty() || line.starts_with([' ', '\t', '-', '#'])
}

/// Returns true if the file has a list of applications in any form.
pub(super) fn has_list(text: &str) -> bool {
    let root = tree::parse(text).ok().flatten();
    root.is_some_and(|root| root.get("applications").is_some_and(|list| list.items().is_some()))
}
