//! Values of members: texts and switches that every YAML parser reads in the same way.

use super::check::{ApplicationEntry, CheckedFile, NAME_BYTES_MAX, REQUIRED};
use super::scalar::{Meaning, meaning};
use super::tree::{NodeKind, Style, YamlNode};
use super::violation::FindingSubject;

/// Members that hold a secret, which may be longer than a name.
const SECRETS: [&str; 2] = ["secret", "value"];

impl CheckedFile {
    /// Returns a member that must be a text. A whole number is accepted as it is written, with a
    /// warning, because PHP compares it as a number.
    pub(super) fn text(
        &mut self,
        entry: ApplicationEntry<'_>,
        name: &'static str,
    ) -> Option<String> {
        let Some(node) = entry.node.get(name) else {
            self.missing(entry, name);
            return None;
        };
        let member = entry.member(name);
        let about = FindingSubject::at(node.line, &member);
        let text = self.readable(node, about)?;
        let Some(text) = text else {
            match is_required(name) {
                true => self.missing(entry, name),
                false => self.error(about, "has no value", "give it one, or leave it out"),
            }
            return None;
        };
        if text.is_empty() {
            let right = if is_required(name) { "give it a value" } else { "leave it out" };
            self.error(about, "is empty", right);
            return None;
        }
        if !SECRETS.contains(&name) && text.len() > NAME_BYTES_MAX {
            let what = format!("has {} bytes", text.len());
            self.error(about, what, format!("use {NAME_BYTES_MAX} at most"));
        }
        if text.trim().len() != text.len() || text.contains(char::is_control) {
            let what = "has spaces at its start or end, or control characters";
            self.warn(about, what, "write it on one line without them");
        }
        Some(text)
    }

    /// Returns the text of a scalar that every YAML parser reads in the same way. The inner None
    /// means no value; the outer None means that the value is wrong.
    pub(super) fn readable(
        &mut self,
        node: &YamlNode,
        about: FindingSubject<'_>,
    ) -> Option<Option<String>> {
        if node.construct.is_some() {
            self.constructs(node, about.name);
            return None;
        }
        let NodeKind::Scalar(text, style) = &node.kind else {
            self.error(about, "is not a string", "put it in quotes");
            return None;
        };
        let has_lines = matches!(style, Style::Plain | Style::Quoted) && node.last_line > node.line;
        if has_lines || *style == Style::Folded {
            let what = "spans several lines";
            self.error(about, what, "write it on one line, in quotes");
            return None;
        }
        match plain(text, *style) {
            Meaning::Text => {}
            Meaning::Nothing => return Some(None),
            Meaning::Number => {
                self.warn(about, "is a number and is read as a string", "put it in quotes");
            }
            Meaning::Bool(_) => {
                self.error(about, "is not a string", "put it in quotes");
                return None;
            }
            Meaning::Another(what) => {
                self.error(about, what, "put it in quotes");
                return None;
            }
        }
        Some(Some(text.to_string()))
    }

    /// Returns a member that must be true or false. Gomoob treats the texts `no` and `"false"` as
    /// true, contrary to the intention of their author, so they are errors.
    pub(super) fn switch(&mut self, entry: ApplicationEntry<'_>, name: &'static str) -> bool {
        let Some(node) = entry.node.get(name) else {
            self.missing(entry, name);
            return false;
        };
        let about = entry.member(name);
        if node.construct.is_some() {
            self.constructs(node, &about);
            return false;
        }
        let is = match &node.kind {
            NodeKind::Scalar(text, style) => plain(text, *style),
            _ => Meaning::Text,
        };
        match is {
            Meaning::Bool(is) => return is,
            Meaning::Nothing if is_required(name) => self.missing(entry, name),
            Meaning::Nothing => {
                let right = "write true or false, or leave it out";
                self.error(FindingSubject::at(node.line, &about), "has no value", right);
            }
            _ => {
                let right = "write true or false, unquoted";
                self.error(
                    FindingSubject::at(node.line, &about),
                    "is neither true nor false",
                    right,
                );
            }
        }
        false
    }

    fn missing(&mut self, entry: ApplicationEntry<'_>, name: &'static str) {
        if is_required(name) {
            let what = format!(
                "No '{name}' property found in application '{}' declared in the configuration \
                 file !",
                entry.at + 1
            );
            self.error(
                FindingSubject::at(entry.node.line, &entry.name()),
                what,
                format!("add `{name}: …`"),
            );
        }
    }
}

fn is_required(name: &str) -> bool {
    REQUIRED.contains(&name)
}

/// Returns the meaning of a scalar. Only a scalar without quotes can mean anything except its text.
fn plain(text: &str, style: Style) -> Meaning {
    if style == Style::Plain { meaning(text) } else { Meaning::Text }
}
