//! The members of an application about presence: `presence`, `presenceTags`, `presenceUuids`, `presenceLinger` and
//! `presenceMembers`.

use std::time::Duration;

use super::check::{ApplicationEntry, CheckedFile};
use super::resume::one;
use super::secrets::scalar;
use super::violation::FindingSubject;
use crate::auth::{PresenceRight, PresenceSettings};
use crate::config::diagnostic::Problem;
use crate::config::parse::{Bounds, count, duration};
use crate::types::WordChoice;
use crate::types::limits::{
    PRESENCE_LINGER_MAX, PRESENCE_MEMBERS_MAX, PRESENCE_TAGS_MAX, TAG_NAME_BYTES_MAX,
};

/// Names of the members.
pub(super) const PRESENCE: &str = "presence";
pub(super) const TAGS: &str = "presenceTags";
pub(super) const UUIDS: &str = "presenceUuids";
pub(super) const LINGER: &str = "presenceLinger";
pub(super) const MEMBERS: &str = "presenceMembers";

const TIMES: Bounds<Duration> = Bounds::new(Duration::ZERO, PRESENCE_LINGER_MAX);
const COUNTS: Bounds<usize> = Bounds::new(1, PRESENCE_MEMBERS_MAX as usize);

/// Reads the presence of the clients of an application.
pub(super) fn read(check: &mut CheckedFile, entry: ApplicationEntry<'_>) -> PresenceSettings {
    let usual = PresenceSettings::default();
    let linger = one(check, entry, LINGER, |text| duration(text, &TIMES));
    let linger_ms = linger.and_then(|it| u32::try_from(it.as_millis()).ok());
    let members = one(check, entry, MEMBERS, |text| count(text, &COUNTS));
    let members = members.and_then(|it| u32::try_from(it).ok());
    PresenceSettings {
        right: one(check, entry, PRESENCE, right).unwrap_or(usual.right),
        tags: tags(check, entry),
        shows_uuids: one(check, entry, UUIDS, on_or_off).unwrap_or(usual.shows_uuids),
        linger_ms: linger_ms.unwrap_or(usual.linger_ms),
        members: members.unwrap_or(usual.members),
    }
}

fn right(text: &str) -> Result<PresenceRight, Problem> {
    let known = PresenceRight::WORDS.iter().find(|(word, _)| *word == text);
    known.map(|(_, right)| *right).ok_or_else(|| Problem {
        what: "is not known".into(),
        right: format!("write {}", PresenceRight::words()),
    })
}

fn on_or_off(text: &str) -> Result<bool, Problem> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(Problem { what: "is not known".into(), right: "write on or off".into() }),
    }
}

fn tags(check: &mut CheckedFile, entry: ApplicationEntry<'_>) -> Vec<Box<str>> {
    let Some(node) = entry.node.get(TAGS) else { return Vec::new() };
    let items = node.items().filter(|items| items.len() <= PRESENCE_TAGS_MAX);
    let names: Option<Vec<Box<str>>> =
        items.and_then(|items| items.iter().map(|item| scalar(item).map(Into::into)).collect());
    let is_name = |name: &str| {
        let star = name.find('*').is_none_or(|at| at + 1 == name.len());
        star && !name.starts_with('@') && (1..=TAG_NAME_BYTES_MAX).contains(&name.len())
    };
    let names = names.filter(|names| names.iter().all(|name| is_name(name)));
    if names.is_none() {
        let member = entry.member(TAGS);
        let right = format!(
            "write a list of up to {PRESENCE_TAGS_MAX} names without @; a name may end with `*`, such as `[name, public-*]`"
        );
        check.error(
            FindingSubject::at(node.line, &member),
            "is not a list of names of tags",
            right,
        );
    }
    names.unwrap_or_default()
}
