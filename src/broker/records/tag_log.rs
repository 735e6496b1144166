//! Earlier tags of a client, for publications of the time before it changed them.

use std::collections::VecDeque;

use super::{Record, RecordKey, Records};
use crate::types::limits::TAG_CHANGES_STORED;
use crate::types::{AllowedNames, RecoveryReason, ReplayPosition, Tags, is_guarded_topic};

/// Earlier tags of a client, as far back as its journal reaches.
#[derive(Debug)]
pub(super) struct TagLog {
    /// The journal that the numbers are of.
    epoch: u32,
    /// Number of the last publication at which it is not known what the client was, and why.
    cut: u64,
    reason: RecoveryReason,
    /// Tags with the number of the last publication at which the client had them; `None` if tags did not reach it. The
    /// present tags came after the last of them.
    earlier: VecDeque<(u64, Option<Tags>)>,
}

impl TagLog {
    fn new(epoch: u32) -> Self {
        Self { epoch, cut: 0, reason: RecoveryReason::Retagged, earlier: VecDeque::new() }
    }

    fn push(&mut self, number: u64, tags: Option<Tags>, floor: u64) {
        while self.earlier.pop_front_if(|(until, _)| *until <= floor).is_some() {}
        // At the same place in the journal only the first tags applied to a publication.
        if self.cut < number && self.earlier.back().is_none_or(|(until, _)| *until < number) {
            self.earlier.push_back((number, tags));
        }
        if self.earlier.len() > TAG_CHANGES_STORED
            && let Some((until, _)) = self.earlier.pop_front()
        {
            (self.cut, self.reason) = (until, RecoveryReason::Retagged);
        }
    }
}

/// The tags that a client had when something was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum TagsThen<'a> {
    /// These; `None` if tags did not reach it.
    Earlier(Option<&'a Tags>),
    /// Those that it still has.
    Present,
}

impl Record {
    /// Returns why it is not known what the client was after a position; `None` if that is known.
    pub(in crate::broker) fn unknown_since(
        &self,
        position: ReplayPosition,
    ) -> Option<RecoveryReason> {
        let log = self.tag_log.as_ref().filter(|log| log.epoch == position.epoch)?;
        (position.number < log.cut).then_some(log.reason)
    }

    /// Returns whether the client is in a guarded topic that a token does not allow, or was while publications of that
    /// time are stored.
    pub(in crate::broker) fn exceeds(&self, guarded: &AllowedNames) -> bool {
        let is_beyond = |tags: &Tags| {
            tags.topics().iter().any(|topic| is_guarded_topic(topic) && !guarded.lists(topic))
        };
        let present = self.away().and_then(|away| away.tags.as_ref());
        let earlier = self.tag_log.iter().flat_map(|log| &log.earlier);
        let mut earlier = earlier.filter_map(|(_, tags)| tags.as_ref());
        present.is_some_and(|own| is_beyond(&own.tags)) || earlier.any(is_beyond)
    }

    /// Returns the tags that the client had at a publication.
    pub(in crate::broker) fn tags_at(&self, position: ReplayPosition) -> TagsThen<'_> {
        let Some(log) = self.tag_log.as_ref().filter(|log| log.epoch == position.epoch) else {
            return TagsThen::Present;
        };
        let at = log.earlier.partition_point(|(until, _)| *until < position.number);
        match log.earlier.get(at) {
            Some((_, tags)) => TagsThen::Earlier(tags.as_ref()),
            None => TagsThen::Present,
        }
    }
}

/// Records that a client had these tags up to a position. Nothing before `floor` is needed any more.
pub(in crate::broker) fn note_tags(
    records: &mut Records,
    key: &RecordKey,
    until: ReplayPosition,
    tags: Option<Tags>,
    floor: u64,
) {
    if let Some(log) = log_of(records, key, until.epoch) {
        log.push(until.number, tags, floor);
    }
}

/// Records that it is not known what a client was up to a position, for this reason.
pub(in crate::broker) fn forget_past(
    records: &mut Records,
    key: &RecordKey,
    until: ReplayPosition,
    reason: RecoveryReason,
) {
    if until.number > 0
        && let Some(log) = log_of(records, key, until.epoch)
    {
        log.earlier.clear();
        (log.cut, log.reason) = (until.number, reason);
    }
}

fn log_of<'r>(records: &'r mut Records, key: &RecordKey, epoch: u32) -> Option<&'r mut TagLog> {
    let log = &mut records.all.get_mut(key)?.tag_log;
    if log.as_ref().is_some_and(|log| log.epoch != epoch) {
        *log = None;
    }
    Some(log.get_or_insert_with(|| Box::new(TagLog::new(epoch))))
}
