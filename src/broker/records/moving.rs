//! Records on their way to other hosts.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::{AwayClient, Mailbox, NewRecord, RecordKey, Records};
use crate::broker::records::mailbox::MailboxEntry;
use crate::link::moves::{HandedPublication, HandedRecord, RecordStage};
use crate::link::resume::KnownIds;
use crate::types::{
    ConnectionRef, Content, Generation, JoinNumber, Number, ReplayPosition, Slot, WorkerId,
    WorkerIncarnation,
};

/// In place of the worker and the number of a publication that another host has kept. They mean nothing here.
pub(in crate::broker) const ELSEWHERE: (WorkerIncarnation, Number) =
    (WorkerIncarnation { worker: WorkerId::MOVES, generation: Generation(0) }, Number(0));

/// The place of a client while its record is added.
const NO_PLACE: ConnectionRef = ConnectionRef { worker: WorkerId::MOVES, slot: Slot::NONE };

/// Removes the record of a client that is away, and returns it for another host.
pub(in crate::broker) fn hand_over(
    records: &mut Records,
    key: &RecordKey,
    now: Duration,
) -> Option<HandedRecord> {
    let record = records.get(key)?;
    let away = record.away()?;
    let kept = record.mailbox().into_iter().flat_map(Mailbox::iter);
    let handed = HandedRecord {
        terms: record.terms.clone(),
        stage: record.stage(),
        ids_from: record.ids_from,
        ids: record.known_ids(),
        ident: away.ident.clone(),
        tags: away.tags.clone(),
        ends_in: away.ends_at.saturating_sub(now),
        position: record.position(),
        mailbox: kept.map(handed_entry).collect(),
        has_dropped: record.mailbox().is_some_and(|mailbox| mailbox.has_dropped),
    };
    records.end(key);
    Some(handed)
}

fn handed_entry(entry: &MailboxEntry) -> HandedPublication {
    let MailboxEntry { position, content, .. } = entry;
    HandedPublication { position: *position, is_direct: true, content: owned(content) }
}

fn owned(content: &Content<Box<[u8]>>) -> Content<Bytes> {
    Content { form: content.form, payload: Bytes::copy_from_slice(&content.payload) }
}

/// Adds the record of a client that is away and was on another host. There must be none of it.
pub(in crate::broker) fn take_over(
    records: &mut Records,
    key: &RecordKey,
    handed: HandedRecord,
    joined: JoinNumber,
    now: Duration,
) {
    let HandedRecord { terms, stage, ids_from, ids, ident, tags, .. } = handed;
    let HandedRecord { ends_in, position, mailbox, has_dropped, .. } = handed;
    let RecordStage { confirmed, generation, begun } = stage;
    let ReplayPosition { epoch, number: kept } = position;
    let (place, most) = (NO_PLACE, terms.mailbox);
    let ids = KnownIds { from: ids_from, accepted: ids, is_complete: true };
    records.add(key.clone(), NewRecord { place, terms, generation, confirmed, epoch, ids });
    let Some(record) = records.all.get_mut(key) else { return };
    (record.kept, record.joined, record.begun) = (kept, joined, begun);
    records.leave(key, place, AwayClient { ident, tags, ends_at: now + ends_in });
    let rest = records.all.get_mut(key).and_then(|record| record.rest.as_mut());
    if let Some(rest) = rest {
        let (source, number) = ELSEWHERE;
        rest.mailbox.has_dropped = has_dropped;
        for HandedPublication { position, content, .. } in mailbox {
            let payload = content.payload.to_vec().into_boxed_slice();
            let content = Content { form: content.form, payload };
            let own = position;
            rest.mailbox.push(MailboxEntry { position, own, source, number, content }, most);
        }
        records.count(key);
        records.evict();
    }
}

/// Records of clients that have ended, whose UUIDs name other hosts. Other hosts may have to know that.
#[derive(Debug, Default)]
pub(in crate::broker) struct EndedRecords {
    /// There are other hosts.
    is_noting: bool,
    keys: VecDeque<RecordKey>,
}

impl EndedRecords {
    /// Notes clients that end from now on.
    pub(in crate::broker) fn begin(&mut self) {
        self.is_noting = true;
    }

    pub(super) fn note(&mut self, key: &RecordKey) {
        if self.is_noting {
            self.keys.push_back(key.clone());
        }
    }

    /// Takes one that has ended.
    pub(in crate::broker) fn take(&mut self) -> Option<RecordKey> {
        self.keys.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::super::MailboxPublication;
    use super::*;
    use crate::link::resume::RecordTerms;
    use crate::types::{
        AcceptedIds, ClientUuid, Ident, InstanceDigest, PayloadForm, ResumeGeneration, Tag,
        TagVersion, Tags, Tenant, VersionedTags,
    };

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_record_is_the_same_on_another_host() {
        let key = RecordKey { tenant: Tenant::shared(), uuid: ClientUuid([3; 16]) };
        let place = ConnectionRef { worker: WorkerId(1), slot: Slot(4) };
        let instance = Some(InstanceDigest(5));
        let terms = RecordTerms { grace_ms: 9_000, mailbox: 2, instance, fixed: Tags::default() };
        let (generation, confirmed) = (ResumeGeneration(7), ResumeGeneration(6));
        let mut accepted = AcceptedIds::default();
        accepted.insert(40);
        let from = ResumeGeneration(5);
        let ids = KnownIds { from, accepted: Some(accepted), is_complete: true };
        let mut records = Records::default();
        let new = NewRecord { place, terms, generation, confirmed, epoch: 11, ids };
        records.add(key.clone(), new);
        let tags = Tags::new([Tag::new("a", "1").unwrap()]).unwrap();
        let tags = Some(VersionedTags { version: TagVersion(8), tags });
        let ident = Ident::new("anna").ok();
        records.leave(&key, place, AwayClient { ident, tags, ends_at: SECOND * 9 });
        let source = WorkerIncarnation { worker: WorkerId(0), generation: Generation(1) };
        for number in 1..=3 {
            let content = Content { form: PayloadForm::Message, payload: &b"12"[..] };
            let (number, at) = (Number(number), None);
            records.keep(&key, MailboxPublication { source, number, at, content });
        }
        let handed = hand_over(&mut records, &key, SECOND).unwrap();
        assert!(records.is_empty() && records.mailbox_bytes() == 0 && !records.has_away());
        assert_eq!(
            (handed.ends_in, handed.mailbox.len(), handed.has_dropped),
            (SECOND * 8, 2, true)
        );
        let mut others = Records::default();
        take_over(&mut others, &key, handed.clone(), JoinNumber(3), SECOND * 50);
        others.check().unwrap();
        assert_eq!(others.counts(), (0, 1));
        assert_eq!(others.get(&key).unwrap().position(), ReplayPosition { epoch: 11, number: 3 });
        assert_eq!(hand_over(&mut others, &key, SECOND * 50), Some(handed));
    }
}
