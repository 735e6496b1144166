//! The rows of topics. A client in the topic `news` is in the row of the tag `channel` with the value `news`, as a
//! client with that tag is; it may have the tag as well.

use std::collections::HashMap;

use super::Index;
use super::directory::Reach;
use super::interner::{InternedName, NameId};
use crate::types::{ConnectionRef, Topics, is_topic_tag_name, topic_tag_name};

/// The rows of the topics of each client that has topics, in the order of the topics. Few clients have any, so they are
/// stored apart from the client entries.
#[derive(Debug, Default)]
pub(super) struct TopicRows(HashMap<ConnectionRef, Box<[NameId]>>);

impl TopicRows {
    /// Returns the rows of the topics of a client.
    pub(super) fn of(&self, place: ConnectionRef) -> &[NameId] {
        if self.0.is_empty() {
            return &[];
        }
        self.0.get(&place).map_or(&[], |rows| rows)
    }

    /// Returns every client with topics.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionRef, &[NameId])> {
        self.0.iter().map(|(place, rows)| (*place, &**rows))
    }

    fn take(&mut self, place: ConnectionRef) -> Box<[NameId]> {
        if self.0.is_empty() { Box::default() } else { self.0.remove(&place).unwrap_or_default() }
    }
}

/// Returns the topics of the client at a place.
pub(super) fn topics_of(index: &Index, place: ConnectionRef) -> Topics {
    let names = index.topics.of(place).iter().filter_map(|row| text(index, *row));
    Topics::new(names.map(Into::into)).unwrap_or_default()
}

/// Replaces the topics of the client at a place. Only the rows of changed topics are visited. Nothing happens if tags
/// do not reach the client.
pub(super) fn set_topics(index: &mut Index, place: ConnectionRef, topics: &Topics) {
    if topics.is_empty() && index.topics.of(place).is_empty() {
        return;
    }
    let Some(entry) = index.places.get(place).filter(|entry| entry.reach == Reach::Tags) else {
        return;
    };
    let tenant = entry.tenant;
    let old = index.topics.take(place);
    let (mut new, mut added) = (Vec::with_capacity(topics.len()), Vec::new());
    let (mut left, mut former) = (Vec::new(), old.iter().copied().peekable());
    for topic in topics.iter() {
        let is_before = |row: &NameId| text(index, *row).is_none_or(|name| name < topic);
        while let Some(row) = former.next_if(is_before) {
            left.push(row);
        }
        if let Some(row) = former.next_if(|row| text(index, *row) == Some(topic)) {
            new.push(row);
            continue;
        }
        let row = index.rows.intern(InternedName::tag_of(tenant, topic_tag_name(topic), topic));
        new.push(row);
        added.push(row);
    }
    left.extend(former);
    for row in &added {
        if let Some(members) = index.rows.get_mut(*row) {
            members.insert(place);
        }
    }
    index.enter_columns(place, &added);
    if !new.is_empty() {
        index.topics.0.insert(place, new.into_boxed_slice());
    }
    left.retain(|row| !has_tag_row(index, place, *row));
    if !left.is_empty() {
        index.leave_rows(place, &left);
        restore_columns(index, place);
        restore_column_of_tag(index, place);
    }
}

/// Removes the rows of the topics of a client that has left the rows `tags` of its tags.
pub(super) fn leave(index: &mut Index, place: ConnectionRef, tags: &[NameId]) {
    let mut left = index.topics.take(place).into_vec();
    left.retain(|row| !tags.contains(row));
    index.leave_rows(place, &left);
}

/// Enters a client into the columns of its topics again, after it has left other rows of these columns.
pub(super) fn restore_columns(index: &mut Index, place: ConnectionRef) {
    let topics = index.topics.of(place);
    let Some(first) = topics.first() else { return };
    let name = |row: &NameId| index.rows.name_of(*row).map(InternedName::tag_name);
    let other = topics.iter().find(|row| name(row) != name(first));
    let rows: Vec<NameId> = [Some(first), other].into_iter().flatten().copied().collect();
    index.enter_columns(place, &rows);
}

/// The same for a client that has the tag itself.
fn restore_column_of_tag(index: &mut Index, place: ConnectionRef) {
    let Some(entry) = index.places.get(place) else { return };
    let is_one = |row: &&NameId| {
        let name = index.rows.name_of(**row).map(InternedName::tag_name);
        name.and_then(|name| str::from_utf8(name).ok()).is_some_and(is_topic_tag_name)
    };
    let rows: Vec<NameId> = entry.rows.iter().filter(is_one).copied().collect();
    index.enter_columns(place, &rows);
}

/// Returns whether the client is in a row because of a tag.
fn has_tag_row(index: &Index, place: ConnectionRef, row: NameId) -> bool {
    index.places.get(place).is_some_and(|entry| entry.rows.contains(&row))
}

fn text(index: &Index, row: NameId) -> Option<&str> {
    str::from_utf8(index.rows.name_of(row)?.tag_value()).ok()
}
