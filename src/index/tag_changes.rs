//! Tags of clients with their versions, and changes of single tags.

use smallvec::SmallVec;

use super::Index;
use super::directory::{IndexEntry, Reach};
use super::interner::{InternedName, NameId};
use super::list;
use super::tag_ids::TagIds;
use super::topics;
use crate::types::limits::TAGS_MAX;
use crate::types::{ConnectionRef, TagEdit, TagVersion, Tags, VersionedTags};

/// Returns the tags of the client at a place; `None` if there is no client, or tags do not reach it.
#[must_use]
pub fn versioned_tags(index: &Index, place: ConnectionRef) -> Option<VersionedTags> {
    let entry = index.places.get(place).filter(|entry| entry.reach == Reach::Tags)?;
    let version = index.places.version(place)?;
    Some(VersionedTags { version, tags: list::tags_and_topics(index, place, entry) })
}

/// Replaces the tags and topics of the client at a place, and stores their version.
pub fn set_tags(index: &mut Index, place: ConnectionRef, tags: &Tags, version: TagVersion) {
    if index.retag(place, tags) {
        topics::set_topics(index, place, tags.topics());
        index.places.set_version(place, version);
    }
}

/// Stores the version of the tags of a client, as its worker announces it.
pub fn restore_version(index: &mut Index, place: ConnectionRef, version: TagVersion) {
    let joined = index.places.get(place).map(|entry| TagVersion(entry.number.0));
    if joined.is_some_and(|joined| joined != version) {
        index.places.set_version(place, version);
    }
}

/// Returns the version of the tags of a client.
#[must_use]
pub fn version_of(index: &Index, place: ConnectionRef) -> Option<TagVersion> {
    index.places.version(place)
}

/// Returns whether the client at a place would have too many tags or topics after an edit.
#[must_use]
pub fn would_have_too_many(index: &Index, place: ConnectionRef, edit: &TagEdit) -> bool {
    if !edit.join().is_empty() && edit.topics(&topics::topics_of(index, place)).is_err() {
        return true;
    }
    let set = edit.set().len();
    index.places.get(place).is_some_and(|entry| {
        entry.rows.len() + set > TAGS_MAX && kept_rows(index, entry, edit).count() + set > TAGS_MAX
    })
}

/// Applies an edit to the client at a place, and stores the version of its tags if they have changed. Returns
/// whether they have. Only the rows of changed tags and topics are visited.
pub fn edit_tags(
    index: &mut Index,
    place: ConnectionRef,
    edit: &TagEdit,
    version: TagVersion,
) -> bool {
    let Some(entry) = index.places.get(place).filter(|entry| entry.reach == Reach::Tags) else {
        return false;
    };
    let (tenant, old) = (entry.tenant, entry.rows.clone());
    let kept: SmallVec<[NameId; 8]> = kept_rows(index, entry, edit).collect();
    let new = merged(index, &kept, edit.set(), tenant);
    let added: SmallVec<[NameId; 8]> =
        new.iter().copied().filter(|row| !old.contains(row)).collect();
    let left: SmallVec<[NameId; 8]> =
        old.iter().copied().filter(|row| !new.contains(row)).collect();
    if !added.is_empty() || !left.is_empty() {
        change_rows(index, place, &new, [&added, &left]);
    } else if !edit.changes_topics() {
        return false;
    }
    // After its tags, because a tag may keep the row of a topic that is left.
    let has_moved = edit.changes_topics() && move_topics(index, place, edit);
    let has_changed = has_moved || !added.is_empty() || !left.is_empty();
    if has_changed {
        index.places.set_version(place, version);
    }
    has_changed
}

/// Replaces the rows of the tags of a client by `new`: it is added to some rows, and leaves others.
fn change_rows(
    index: &mut Index,
    place: ConnectionRef,
    new: &TagIds,
    [added, left]: [&[NameId]; 2],
) {
    for row in added {
        if let Some(members) = index.rows.get_mut(*row) {
            members.insert(place);
        }
    }
    index.enter_columns(place, added);
    if let Some(entry) = index.places.get_mut(place) {
        entry.rows = new.clone();
    }
    let topics = index.topics.of(place);
    let left: SmallVec<[NameId; 8]> =
        left.iter().copied().filter(|row| !topics.contains(row)).collect();
    index.leave_rows(place, &left);
    // a column that has lost the client with an old value has it with a new one
    index.enter_columns(place, new);
    topics::restore_columns(index, place);
}

/// Returns whether the topics of the client have changed.
fn move_topics(index: &mut Index, place: ConnectionRef, edit: &TagEdit) -> bool {
    let before = topics::topics_of(index, place);
    match edit.topics(&before) {
        Ok(after) if after != before => {
            topics::set_topics(index, place, &after);
            true
        }
        _ => false,
    }
}

/// Returns the rows of a client that an edit does not change.
fn kept_rows<'i>(
    index: &'i Index,
    entry: &'i IndexEntry,
    edit: &'i TagEdit,
) -> impl Iterator<Item = NameId> + 'i {
    entry.rows.iter().copied().filter(move |row| {
        let name = index.rows.name_of(*row).map(InternedName::tag_name);
        name.and_then(|name| str::from_utf8(name).ok()).is_some_and(|name| edit.keeps(name))
    })
}

/// Returns the rows of kept tags and of new ones, in the order of their names.
fn merged(index: &mut Index, kept: &[NameId], set: &Tags, tenant: NameId) -> TagIds {
    let mut rows: SmallVec<[NameId; 8]> = SmallVec::new();
    let mut kept = kept.iter().copied().peekable();
    for tag in set {
        let is_before = |row: &NameId| {
            let name = index.rows.name_of(*row).map(InternedName::tag_name);
            name.is_some_and(|name| name < tag.name().as_bytes())
        };
        while let Some(row) = kept.next_if(|row| is_before(row)) {
            rows.push(row);
        }
        rows.push(index.rows.intern(InternedName::tag(tenant, tag)));
    }
    rows.into_iter().chain(kept).collect()
}
