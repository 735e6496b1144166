//! The member `secrets` of an application: further secrets, each with an id.

use std::path::PathBuf;

use super::check::{ApplicationEntry, CheckedFile};
use super::expiry::end_of_day;
use super::tree::{NodeKind, YamlMember, YamlNode};
use super::violation::FindingSubject;
use crate::auth::{ApplicationSecret, OWN_SECRET};
use crate::config::diagnostic::visible;
use crate::config::schema::nearest_of;
use crate::types::Secret;
use crate::types::limits::SECRETS_MAX;

/// Allowed members of a secret.
const MEMBERS: [&str; 6] = ["id", "value", "file", "env", "permissions", "expires"];
/// Members that say what the secret is.
const SOURCES: [&str; 3] = ["value", "file", "env"];
/// Maximum characters of an id, which is shown in statistics.
const ID_CHARACTERS_MAX: usize = 64;
const ID_RIGHT: &str = "use 1 to 64 letters, digits, dots, dashes and underscores";

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SecretSource {
    /// The file of the applications itself.
    Value,
    /// A file, relative to the file of the applications.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
}

/// A secret of the file, and where it is.
#[derive(Debug)]
pub(super) struct NamedSecret {
    /// Index of the application, from 0.
    pub(super) application: usize,
    /// Index of the secret in the application, from 0.
    pub(super) at: usize,
    pub(super) line: usize,
    /// The subject of findings about it, such as `application 1: secret`.
    pub(super) subject: String,
    pub(super) source: SecretSource,
}

/// Returns the secrets of an application: the one of `secret`, then those of `secrets`. Values of files
/// and variables are still empty.
pub(super) fn read(check: &mut CheckedFile, entry: ApplicationEntry<'_>) -> Vec<ApplicationSecret> {
    let node = entry.node;
    let mut all = Vec::new();
    // Without further secrets, the own one is required, as in Gomoob's file.
    if node.get("secret").is_some() || node.get("secrets").is_none() {
        let text = check.text(entry, "secret");
        let line = node.get("secret").map_or(node.line, |value| value.line);
        let (application, at, subject) = (entry.at, all.len(), entry.member("secret"));
        let source = SecretSource::Value;
        check.secrets.push(NamedSecret { application, at, line, subject, source });
        all.push(ApplicationSecret::own(Secret::new(text.unwrap_or_default())));
    }
    let Some(list) = node.get("secrets") else { return all };
    let member = entry.member("secrets");
    let about = FindingSubject::at(list.line, &member);
    let items = list.items().filter(|items| !items.is_empty() && list.construct.is_none());
    let Some(items) = items else {
        let right = "write a list, such as `[{id: …, value: …}]`, or leave it out";
        check.error(about, "is not a list of secrets", right);
        return all;
    };
    let room = SECRETS_MAX - 1;
    if items.len() > room {
        let what = format!("has {} secrets", items.len());
        check.error(about, what, format!("use {room} at most, and remove those of no use"));
        return all;
    }
    for (index, node) in items.iter().enumerate() {
        let part = Some(("secrets", index));
        let entry = ApplicationEntry { node, part, ..entry };
        let Some(found) = one(check, entry) else { continue };
        if all.iter().any(|known: &ApplicationSecret| known.id == found.secret.id) {
            let line = node.get("id").map_or(node.line, |id| id.line);
            let what = format!("`{}` is the id of another secret too", visible(&found.secret.id));
            check.error(FindingSubject::at(line, &entry.member("id")), what, "give each its own");
        }
        let (application, at, subject) = (entry.at, all.len(), entry.member(found.member));
        let (line, source) = (found.line, found.source);
        check.secrets.push(NamedSecret { application, at, line, subject, source });
        all.push(found.secret);
    }
    all
}

/// A secret of the list.
struct FoundSecret {
    secret: ApplicationSecret,
    /// The member that says what it is.
    member: &'static str,
    line: usize,
    source: SecretSource,
}

fn one(check: &mut CheckedFile, entry: ApplicationEntry<'_>) -> Option<FoundSecret> {
    let node = entry.node;
    check.constructs(node, &entry.name());
    if !matches!(node.kind, NodeKind::Mapping(_)) {
        let right = "write `id`, and one of `value`, `file` and `env`";
        check.error(FindingSubject::at(node.line, &entry.name()), "is not a secret", right);
        return None;
    }
    node.members().iter().for_each(|member| known_member(check, entry, member, &MEMBERS));
    check.duplicate_members(node, &format!("{}: ", entry.name()), &MEMBERS);
    let (id, expires) = (id_of_secret(check, entry), expires(check, entry));
    let permissions = check.permissions(entry);
    let given: Vec<&'static str> =
        SOURCES.iter().copied().filter(|name| node.get(name).is_some()).collect();
    let [member] = given.as_slice() else {
        let what = if given.is_empty() { "has no value" } else { "has more than one value" };
        let right = "write one of `value`, `file` and `env`";
        check.error(FindingSubject::at(node.line, &entry.name()), what, right);
        return None;
    };
    let text = check.text(entry, member)?;
    let line = node.get(member).map_or(node.line, |value| value.line);
    let (value, source) = match *member {
        "file" => (String::new(), SecretSource::File(PathBuf::from(text))),
        "env" => (String::new(), SecretSource::Variable(text)),
        _ => (text, SecretSource::Value),
    };
    let secret = ApplicationSecret { id: id?, secret: Secret::new(value), permissions, expires };
    Some(FoundSecret { secret, member, line, source })
}

/// An unknown member may be a misspelled restriction, so it is an error.
pub(super) fn known_member(
    check: &mut CheckedFile,
    entry: ApplicationEntry<'_>,
    member: &YamlMember,
    known: &[&str],
) {
    let YamlMember { name: node, .. } = member;
    let name = node.scalar().unwrap_or_default();
    let subject = entry.member(&visible(name));
    let about = FindingSubject::at(node.line, &subject);
    if node.construct.is_some() {
        return check.constructs(node, about.name);
    }
    if !known.contains(&name) {
        let right = match nearest_of(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("remove it: the members are {}", known.join(", ")),
        };
        check.error(about, "is not known here", right);
    }
}

fn id_of_secret(check: &mut CheckedFile, entry: ApplicationEntry<'_>) -> Option<String> {
    let id = id(check, entry)?;
    if id == OWN_SECRET {
        let line = entry.node.get("id").map_or(entry.node.line, |node| node.line);
        let what = format!("`{OWN_SECRET}` is the id of the secret in the member `secret`");
        check.error(FindingSubject::at(line, &entry.member("id")), what, "choose another id");
        return None;
    }
    Some(id)
}

/// Reads the id of a secret or key.
pub(super) fn id(check: &mut CheckedFile, entry: ApplicationEntry<'_>) -> Option<String> {
    let Some(node) = entry.node.get("id") else {
        let (line, right) =
            (entry.node.line, "give it one, such as a month or the name of its user");
        check.error(FindingSubject::at(line, &entry.name()), "has no `id`", right);
        return None;
    };
    let subject = entry.member("id");
    let about = FindingSubject::at(node.line, &subject);
    // A date is a good id, although other YAML parsers would read it as one.
    let id = scalar(node).unwrap_or_default();
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !(1..=ID_CHARACTERS_MAX).contains(&id.len()) || !id.bytes().all(is_known) {
        check.error(about, "is not an id", ID_RIGHT);
        return None;
    }
    Some(id.to_owned())
}

/// The time at which the secret expires. A wrong day is an error, so the time does not matter then.
fn expires(check: &mut CheckedFile, entry: ApplicationEntry<'_>) -> Option<u64> {
    let node = entry.node.get("expires")?;
    let end = scalar(node).and_then(end_of_day);
    if end.is_none() {
        let subject = entry.member("expires");
        let right = "write the last day of the secret as year-month-day, such as 2026-12-31";
        check.error(FindingSubject::at(node.line, &subject), "is not a day", right);
    }
    end
}

pub(super) fn scalar(node: &YamlNode) -> Option<&str> {
    node.scalar().filter(|_| node.construct.is_none())
}
