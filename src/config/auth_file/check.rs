//! Checks the contents of `auth.yml` and collects all errors.

use std::collections::{HashMap, HashSet};

use super::limits;
use super::presence;
use super::resume;
use super::secrets;
use super::secrets::NamedSecret;
use super::tag_source;
use super::tokens;
use super::tokens::NamedTokenKey;
use super::tree::{Construct, NodeKind, YamlMember, YamlNode};
use super::violation::{AuthFileViolation, FindingSubject, Severity};
use crate::auth::{Application, Applications};
use crate::config::diagnostic::{Problem, visible};
use crate::config::schema::nearest_of;

/// Maximum bytes of a key and of a tenant's name. Both are keys of tables.
pub(super) const NAME_BYTES_MAX: usize = 255;
/// Allowed members of an application.
const MEMBERS: [&str; 28] = [
    "key",
    "secret",
    "secrets",
    "authorizeOpen",
    "clientPublish",
    "tenant",
    "schema",
    "permissions",
    "authMethods",
    "maxRecipients",
    limits::LIMITS,
    "tokens",
    "tokenMaxAge",
    "issuer",
    "tokenTenants",
    "tokenCookie",
    tag_source::TAGS,
    resume::RESUME_FOR,
    resume::MAILBOX,
    resume::HISTORY,
    resume::HISTORY_BYTES,
    resume::HISTORY_AGE,
    resume::REWIND,
    presence::PRESENCE,
    presence::TAGS,
    presence::UUIDS,
    presence::LINGER,
    presence::MEMBERS,
];
/// Required members of an application.
pub(super) const REQUIRED: [&str; 3] = ["key", "secret", "authorizeOpen"];
/// Known members at the top level of the file.
const TOP: [&str; 2] = ["applications", "anonymous"];
/// The YAML 1.1 key that merges the members of another mapping.
const MERGE: &str = "<<";

/// The result of a check.
#[derive(Default)]
pub(super) struct CheckedFile {
    /// Applications; complete only if there is no error among the violations.
    pub(super) applications: Applications,
    pub(super) violations: Vec<AuthFileViolation>,
    /// Schema files that applications name.
    pub(super) schemas: Vec<NamedSchema>,
    /// All secrets, and where they come from.
    pub(super) secrets: Vec<NamedSecret>,
    /// Keys of tokens that are not in the file itself.
    pub(super) token_keys: Vec<NamedTokenKey>,
}

/// The schema file of an application.
#[derive(Debug)]
pub(super) struct NamedSchema {
    /// Index of the application, from 0.
    pub(super) at: usize,
    pub(super) line: usize,
    pub(super) file: String,
}

/// Position of an application, or of a secret in it, and the names of its members in findings.
#[derive(Clone, Copy)]
pub(super) struct ApplicationEntry<'t> {
    /// Index of the application, from 0.
    pub(super) at: usize,
    pub(super) node: &'t YamlNode,
    /// A list of the application, and the index in it; None for the application itself.
    pub(super) part: Option<(&'static str, usize)>,
}

impl ApplicationEntry<'_> {
    pub(super) fn name(self) -> String {
        let application = format!("application {}", self.at + 1);
        match self.part {
            None => application,
            Some((list, part)) => format!("{application}: {list} {}", part + 1),
        }
    }

    pub(super) fn member(self, name: &str) -> String {
        format!("{}: {name}", self.name())
    }
}

/// Checks a parsed file from top to bottom.
pub(super) fn check(file: Option<&YamlNode>) -> CheckedFile {
    let mut check = CheckedFile::default();
    let Some(top) = file.filter(|file| matches!(file.kind, NodeKind::Mapping(_))) else {
        let what = "Invalid configuration provided in configuration file !";
        check.error(FindingSubject::FILE, what, "begin with `applications:`");
        return check;
    };
    for member in top.members() {
        check.top_member(member);
    }
    check.duplicate_members(top, "", &TOP);
    match top.get("applications") {
        None => {
            let what = "No 'applications' key found in provided configuration file !";
            check.error(FindingSubject::FILE, what, "begin with `applications:` and a list");
        }
        Some(list) => check.list(list),
    }
    check.duplicates(top.get("applications"));
    check.anonymous(top.get("anonymous"));
    tag_source::check_spaces(&mut check, top.get("applications"));
    check
}

impl CheckedFile {
    pub(super) fn error(
        &mut self,
        about: FindingSubject<'_>,
        what: impl Into<String>,
        right: impl Into<String>,
    ) {
        self.find(about, Severity::Error, Problem::new(what, right));
    }

    pub(super) fn warn(
        &mut self,
        about: FindingSubject<'_>,
        what: impl Into<String>,
        right: impl Into<String>,
    ) {
        self.find(about, Severity::Warning, Problem::new(what, right));
    }

    fn find(&mut self, about: FindingSubject<'_>, severity: Severity, fault: Problem) {
        let FindingSubject { line, name } = about;
        let name = name.to_owned();
        self.violations.push(AuthFileViolation { line, name, severity, fault });
    }

    /// Checks a member at the top level. Other programs may have members of their own there. A name
    /// similar to one of ours is reported as an error, because the intended member would be
    /// missing.
    fn top_member(&mut self, member: &YamlMember) {
        let name = member.name.scalar().unwrap_or_default();
        if TOP.contains(&name) {
            return self.constructs(&member.name, name);
        }
        let shown = visible(name);
        let about = FindingSubject::at(member.name.line, &shown);
        if name == MERGE {
            let right = "write out the keys";
            return self.error(about, "is a merge key, which is not supported here", right);
        }
        if let Some(near) = nearest_of(name, &TOP) {
            return self.error(about, "is not known here", format!("did you mean `{near}`?"));
        }
        if let Some(near) = nearest_of(name, &MEMBERS) {
            let right = format!("`{near}` belongs in each application");
            return self.error(about, "is not known here", right);
        }
        self.warn(about, "is not known here", "remove it if it was meant for this server");
    }

    fn list(&mut self, list: &YamlNode) {
        self.constructs(list, "applications");
        match list.items() {
            Some(items) if !items.is_empty() => {
                for (at, node) in items.iter().enumerate() {
                    self.application(ApplicationEntry { at, node, part: None });
                }
            }
            _ => self.error(
                FindingSubject::at(list.line, "applications"),
                "is not a list of applications, so no client could use the server",
                "write `- key: …` beneath it for each",
            ),
        }
    }

    /// Rejects YAML constructs that this server or symfony/yaml would interpret differently or not
    /// at all. Checks only the node itself; members are checked one by one.
    pub(super) fn constructs(&mut self, node: &YamlNode, name: &str) {
        let what = match node.construct {
            None => return,
            Some(Construct::Anchor) => "has an anchor (`&…`), which is not supported here",
            Some(Construct::Alias) => "is an alias (`*…`), which is not supported here",
            Some(Construct::Tag) => "has a tag (`!…`), which is not supported here",
        };
        self.error(FindingSubject::at(node.line, name), what, "write the value out");
    }

    fn application(&mut self, entry: ApplicationEntry<'_>) {
        let ApplicationEntry { node, .. } = entry;
        self.constructs(node, &entry.name());
        if !matches!(node.kind, NodeKind::Mapping(_)) {
            if node.construct != Some(Construct::Alias) {
                let right = "write key, secret and authorizeOpen";
                self.error(
                    FindingSubject::at(node.line, &entry.name()),
                    "is not an application",
                    right,
                );
            }
            return self.applications.list.push(Application::placeholder());
        }
        for member in node.members() {
            self.member(entry, member);
        }
        self.duplicate_members(node, &format!("{}: ", entry.name()), &MEMBERS);
        let application = Application {
            key: self.text(entry, "key").unwrap_or_default(),
            secrets: secrets::read(self, entry),
            authorize_open: self.switch(entry, "authorizeOpen"),
            client_publish: self.switch(entry, "clientPublish"),
            tenant: self.text(entry, "tenant"),
            schema: None,
            api: self.api_rights(entry),
            limits: limits::read(self, entry),
            tokens: tokens::read(self, entry),
            tags: tag_source::read(self, entry),
            resume: resume::read(self, entry),
            history: resume::history(self, entry),
            presence: presence::read(self, entry),
        };
        let line = node.get("schema").map_or(node.line, |value| value.line);
        let schema = self.text(entry, "schema");
        self.schemas.extend(schema.map(|file| NamedSchema { at: entry.at, line, file }));
        self.applications.list.push(application);
    }

    /// Checks the name of a member. An unknown member is an error, because it may be a misspelled
    /// access restriction.
    fn member(&mut self, entry: ApplicationEntry<'_>, YamlMember { name: node, .. }: &YamlMember) {
        let Some(name) = node.scalar() else {
            let right = "write a key and a colon";
            return self.error(
                FindingSubject::at(node.line, &entry.name()),
                "has a key that is not a string",
                right,
            );
        };
        let member = entry.member(&visible(name));
        let about = FindingSubject::at(node.line, &member);
        if node.construct.is_some() {
            return self.constructs(node, about.name);
        }
        if MEMBERS.contains(&name) {
            return;
        }
        if name == MERGE {
            let right = "write out the keys";
            return self.error(about, "is a merge key, which is not supported here", right);
        }
        let right = match nearest_of(name, &MEMBERS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("remove it: the members are {}", MEMBERS.join(", ")),
        };
        self.error(about, "is not known here", right);
    }

    /// Reports members that occur twice. `ours` are the names that may be shown: an unknown one may be
    /// a value.
    pub(super) fn duplicate_members(&mut self, node: &YamlNode, before: &str, ours: &[&str]) {
        let mut seen = HashSet::new();
        for YamlMember { name, .. } in node.members() {
            let Some(text) = name.scalar() else { continue };
            if seen.insert(text) {
                continue;
            }
            let shown = if ours.contains(&text) { text } else { "a member" };
            let about = format!("{before}{shown}");
            self.error(
                FindingSubject::at(name.line, &about),
                "occurs twice",
                "keep one of the two",
            );
        }
    }

    fn duplicates(&mut self, list: Option<&YamlNode>) {
        let items = list.and_then(YamlNode::items).unwrap_or_default();
        let mut first: HashMap<String, usize> = HashMap::new();
        let keys: Vec<String> = self.applications.list.iter().map(|it| it.key.clone()).collect();
        let keys = keys.into_iter().zip(items).enumerate();
        for (at, (key, node)) in keys.filter(|(_, (key, _))| !key.is_empty()) {
            let Some(before) = first.insert(key.clone(), at) else { continue };
            first.insert(key, before);
            let what = format!("is the key of application {} too", before + 1);
            let entry = ApplicationEntry { at, node, part: None };
            let line = node.get("key").map_or(node.line, |value| value.line);
            self.error(FindingSubject::at(line, &entry.member("key")), what, "give each its own");
        }
    }

    fn anonymous(&mut self, node: Option<&YamlNode>) {
        let Some(node) = node else { return };
        let about = FindingSubject::at(node.line, "anonymous");
        let is_text = matches!(node.kind, NodeKind::Scalar(..) | NodeKind::Alias);
        if !is_text {
            return self.error(about, "is not a valid key", "name the key of an application");
        }
        let Some(Some(key)) = self.readable(node, about) else { return };
        let list = &self.applications.list;
        let Some(at) = list.iter().position(|application| application.key == key) else {
            let what = format!("`{}` is the key of no application", visible(&key));
            return self.error(about, what, "name one of the list");
        };
        let lets_in = list.get(at).is_some_and(|application| application.authorize_open);
        self.applications.anonymous = Some(at);
        if !lets_in {
            let what = "names an application with authorizeOpen: false, so no client can connect";
            self.warn(about, what, "set it to true there, or remove `anonymous`");
        }
    }
}
