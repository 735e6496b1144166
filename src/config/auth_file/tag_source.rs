//! The member `tags` of an application, and whether it protects its space.

use super::check::{ApplicationEntry, CheckedFile};
use super::secrets::scalar;
use super::tree::YamlNode;
use super::violation::FindingSubject;
use crate::auth::{Application, TagSource};
use crate::types::WordChoice;

/// Name of the member.
pub(super) const TAGS: &str = "tags";

/// Reads where the tags of clients come from.
pub(super) fn read(check: &mut CheckedFile, entry: ApplicationEntry<'_>) -> TagSource {
    let Some(node) = entry.node.get(TAGS) else { return TagSource::default() };
    let (member, about) = (entry.member(TAGS), node.line);
    let about = FindingSubject::at(about, &member);
    let source = scalar(node).and_then(|word| TagSource::WORDS.iter().find(|it| it.0 == word));
    match source {
        None => check.error(about, "is not known", format!("write {}", TagSource::words())),
        Some((_, TagSource::Token)) if entry.node.get("tokens").is_none() => {
            let right = "add `tokens`, or remove it";
            check.error(about, "has no effect without `tokens`", right);
        }
        Some(_) => {}
    }
    source.map_or_else(TagSource::default, |(_, source)| *source)
}

/// Reports applications that let clients with tags of their own choice into a space whose tags come from
/// tokens. The server refuses such tags, so the application would not do what its author expects.
pub(super) fn check_spaces(check: &mut CheckedFile, list: Option<&YamlNode>) {
    let nodes = list.and_then(YamlNode::items).unwrap_or_default();
    let all = check.applications.list.clone();
    let anonymous = check.applications.anonymous;
    for (protecting, node) in all.iter().zip(nodes) {
        if protecting.tags != TagSource::Token {
            continue;
        }
        let space = protecting.tenant.as_deref();
        for (at, (other, other_node)) in all.iter().zip(nodes).enumerate() {
            let opens = other.authorize_open || anonymous == Some(at);
            let reaches = other.tokens.is_some() || opens;
            if other.tags == TagSource::Token || !reaches || !may_be_in(other, space) {
                continue;
            }
            let entry = ApplicationEntry { at, node: other_node, part: None };
            let what = format!(
                "lets clients with tags of their own choice into the space of the application of line {}, \
                 which has `tags: token`",
                node.line
            );
            let right = "write `tags: token` here too, or give it another tenant";
            check.error(FindingSubject::at(other_node.line, &entry.name()), what, right);
        }
    }
}

/// Returns true if clients of the application can be in this space.
fn may_be_in(application: &Application, space: Option<&str>) -> bool {
    let names = |space: &str| application.tokens.as_ref().is_some_and(|it| it.may_name(space));
    application.tenant.as_deref() == space || space.is_some_and(names)
}
