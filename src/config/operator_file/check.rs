//! Checks the contents of `operators.yml` and collects all errors.

use std::path::{Path, PathBuf};

use super::ReadOperators;
use super::password::check_hash;
use crate::auth::{Operator, OperatorRole, Operators, TokenDigest};
use crate::config::auth_file::scalar::{Meaning, meaning};
use crate::config::auth_file::tree::{self, Broken, NodeKind, Style, YamlNode};
use crate::config::diagnostic::{Diagnostic, Problem, ValueLocation, visible};
use crate::config::schema::nearest_of;
use crate::types::limits::{OPERATOR_NAME_BYTES_MAX, OPERATORS_MAX};
use crate::types::{Secret, WordChoice, from_hexadecimal};

/// Members of an operator.
const MEMBERS: [&str; 6] = ["name", "role", "password", "token", "applications", "payloads"];
/// Beginning of the digest of a token.
pub(super) const DIGEST_PREFIX: &str = "sha256:";
/// Maximum findings shown per file.
const SHOWN_MAX: usize = 30;

/// A file that is being checked.
pub(super) struct OperatorFileCheck<'a> {
    path: PathBuf,
    lines: usize,
    applications: Option<&'a [&'a str]>,
    operators: Operators,
    findings: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

/// One operator, and its number from 1.
#[derive(Clone, Copy)]
struct OperatorEntry<'t> {
    number: usize,
    node: &'t YamlNode,
}

impl OperatorEntry<'_> {
    fn name(self) -> String {
        format!("operator {}", self.number)
    }

    fn member(self, name: &str) -> String {
        format!("operator {}: {name}", self.number)
    }
}

impl<'a> OperatorFileCheck<'a> {
    /// Checks the text of a file. `applications` are the keys that exist.
    pub(super) fn of(path: &Path, text: &str, applications: Option<&'a [&'a str]>) -> Self {
        let mut check = Self {
            path: path.to_owned(),
            // If the text ends too early, the parser reports the line after the last one.
            lines: text.lines().count().max(1),
            applications,
            operators: Operators::default(),
            findings: Vec::new(),
            warnings: Vec::new(),
        };
        match tree::parse(text) {
            Ok(root) => check.root(root.as_ref()),
            Err(Broken { line, why }) => {
                check.error(line, "", format!("is not valid YAML: {why}"), "see docs/console.md");
            }
        }
        check
    }

    /// Returns the operators, if there is no error, and the findings.
    pub(super) fn result(mut self) -> ReadOperators {
        self.findings.truncate(SHOWN_MAX);
        self.warnings.truncate(SHOWN_MAX);
        let operators = self.findings.is_empty().then_some(self.operators);
        ReadOperators { operators, findings: self.findings, warnings: self.warnings }
    }

    fn error(&mut self, line: usize, about: &str, what: impl Into<String>, right: &str) {
        let place = ValueLocation::Line(self.path.clone(), line.min(self.lines));
        self.findings.push(Diagnostic::new(place, about, Problem::new(what, right)));
    }

    fn root(&mut self, root: Option<&YamlNode>) {
        let list = root.and_then(|root| root.get("operators"));
        let Some(list) = list else {
            let right = "begin with `operators:`, or use tagcast operator add NAME";
            return self.error(1, "", "has no list `operators`", right);
        };
        for member in root.map(YamlNode::members).unwrap_or_default() {
            if member.name.scalar() != Some("operators") {
                let right = "the only member is `operators`";
                self.error(member.name.line, "", "has an unknown member", right);
            }
        }
        let Some(items) = list.items().filter(|_| self.is_plain(list, "operators")) else {
            if list.items().is_none() {
                self.error(list.line, "operators", "is not a list", "write `- name: …` below it");
            }
            return;
        };
        if items.len() > OPERATORS_MAX {
            let what = format!("has {} operators", items.len());
            return self.error(list.line, "operators", what, "use 1000 at most");
        }
        for (number, node) in (1..).zip(items) {
            if let Some(operator) = self.operator(OperatorEntry { number, node }) {
                self.operators.list.push(operator);
            }
        }
    }

    /// Adds an error about anchors, aliases and tags.
    fn is_plain(&mut self, node: &YamlNode, about: &str) -> bool {
        if node.construct.is_none() {
            return true;
        }
        let what = "anchors, aliases and tags are not supported here";
        self.error(node.line, about, what, "write the value itself");
        false
    }

    fn operator(&mut self, entry: OperatorEntry<'_>) -> Option<Operator> {
        let before = self.findings.len();
        let NodeKind::Mapping(members) = &entry.node.kind else {
            let right = "write `name:`, `role:` and `token:` or `password:`";
            self.error(entry.node.line, &entry.name(), "has no members", right);
            return None;
        };
        if !self.is_plain(entry.node, &entry.name()) {
            return None;
        }
        for (at, member) in members.iter().enumerate() {
            let name = member.name.scalar().unwrap_or_default();
            let (about, line) = (entry.member(&visible(name)), member.name.line);
            if !MEMBERS.contains(&name) {
                let right = match nearest_of(name, &MEMBERS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known are {}", MEMBERS.join(", ")),
                };
                self.error(line, &about, "is unknown", &right);
            } else if members.iter().take(at).any(|other| other.name.scalar() == Some(name)) {
                self.error(line, &about, "occurs twice", "write it once");
            }
        }
        let name = self.name(entry);
        let role = self.role(entry);
        let password = self.password(entry);
        let token = self.token(entry);
        let has_one = |name| entry.node.get(name).is_some();
        if !has_one("password") && !has_one("token") {
            let right = "use tagcast operator password NAME, or tagcast operator token NAME";
            let what = "has neither a password nor a token";
            self.error(entry.node.line, &entry.name(), what, right);
        }
        let applications = self.applications(entry);
        let payloads = self.payloads(entry);
        let (name, role) = (name?, role?);
        (self.findings.len() == before).then_some(Operator {
            name,
            role,
            password,
            token,
            applications,
            payloads,
        })
    }

    /// Returns the text of a member. A missing member is an error if `need` says so.
    fn text(&mut self, entry: OperatorEntry<'_>, name: &str) -> Option<String> {
        let node = entry.node.get(name)?;
        self.scalar(node, &entry.member(name))
    }

    fn scalar(&mut self, node: &YamlNode, about: &str) -> Option<String> {
        if !self.is_plain(node, about) {
            return None;
        }
        match &node.kind {
            NodeKind::Scalar(text, style) => {
                let is_text = *style != Style::Plain
                    || matches!(meaning(text), Meaning::Text | Meaning::Number);
                if is_text && !text.is_empty() {
                    return Some(text.to_string());
                }
                self.error(node.line, about, "is not a text", "give it a value, in quotes");
            }
            _ => self.error(node.line, about, "is not a text", "write one text"),
        }
        None
    }

    fn missing(&mut self, entry: OperatorEntry<'_>, name: &str, right: &str) {
        if entry.node.get(name).is_none() {
            self.error(entry.node.line, &entry.name(), format!("has no `{name}`"), right);
        }
    }

    fn name(&mut self, entry: OperatorEntry<'_>) -> Option<String> {
        self.missing(entry, "name", "add `name: …`");
        let name = self.text(entry, "name")?;
        let (line, about) = (entry.node.get("name")?.line, entry.member("name"));
        if !is_name(&name) {
            let right = "use 1 to 64 letters, digits, dots, dashes, underscores and @";
            self.error(line, &about, "has other characters or is too long", right);
            return None;
        }
        if self.operators.named(&name).is_some() {
            let what = format!("`{name}` occurs twice");
            self.error(line, &about, what, "give each operator a name of its own");
        }
        Some(name)
    }

    fn role(&mut self, entry: OperatorEntry<'_>) -> Option<OperatorRole> {
        self.missing(entry, "role", "add `role: viewer` or `role: operator`");
        let word = self.text(entry, "role")?;
        let line = entry.node.get("role")?.line;
        let role = OperatorRole::from_word(&word);
        if role.is_none() {
            let (what, right) = (format!("`{}` is unknown", visible(&word)), OperatorRole::words());
            self.error(line, &entry.member("role"), what, &format!("use {right}"));
        }
        role
    }

    fn password(&mut self, entry: OperatorEntry<'_>) -> Option<Secret> {
        let hash = Secret::new(self.text(entry, "password")?);
        match check_hash(hash.expose()) {
            Ok(()) => Some(hash),
            Err(what) => {
                let line = entry.node.get("password")?.line;
                let right = "set it with tagcast operator password NAME";
                self.error(line, &entry.member("password"), what, right);
                None
            }
        }
    }

    fn token(&mut self, entry: OperatorEntry<'_>) -> Option<TokenDigest> {
        let text = self.text(entry, "token")?;
        let digits = text.strip_prefix(DIGEST_PREFIX);
        let bytes = digits.and_then(from_hexadecimal);
        let digest = bytes.and_then(|bytes| bytes.as_slice().try_into().ok());
        if digest.is_none() {
            let line = entry.node.get("token")?.line;
            let what = "is not `sha256:` with 64 hexadecimal digits";
            let right = "make one with tagcast operator token NAME";
            self.error(line, &entry.member("token"), what, right);
        }
        digest.map(TokenDigest::from_bytes)
    }

    fn applications(&mut self, entry: OperatorEntry<'_>) -> Option<Vec<String>> {
        let (node, about) = (entry.node.get("applications")?, entry.member("applications"));
        let right = "write the keys of applications, such as [shop]";
        let Some(items) = node.items().filter(|items| !items.is_empty()) else {
            self.error(node.line, &about, "is not a list of applications", right);
            return None;
        };
        let mut all = Vec::new();
        for item in items {
            let Some(key) = self.scalar(item, &about) else { continue };
            if self.applications.is_some_and(|known| !known.contains(&key.as_str())) {
                let what = format!("no application has the key `{}`", visible(&key));
                let place = ValueLocation::Line(self.path.clone(), item.line);
                let fault = Problem::new(what, "tagcast app list shows the keys");
                self.warnings.push(Diagnostic::new(place, &about, fault));
            }
            all.push(key);
        }
        Some(all)
    }

    fn payloads(&mut self, entry: OperatorEntry<'_>) -> bool {
        let Some(node) = entry.node.get("payloads") else { return false };
        match &node.kind {
            NodeKind::Scalar(text, Style::Plain) if node.construct.is_none() => {
                if let Meaning::Bool(is) = meaning(text) {
                    return is;
                }
            }
            _ => {}
        }
        let right = "write true or false, unquoted";
        self.error(node.line, &entry.member("payloads"), "is neither true nor false", right);
        false
    }
}

/// Returns true if a name can be used everywhere: in the log, in a URL, on the command line.
pub(super) fn is_name(name: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    (1..=OPERATOR_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_known)
}
