//! Clients that may resume, as workers announce them to a new broker.

use super::{ProtocolError, Router, joins};
use crate::broker::records::{NewRecord, RecordKey};
use crate::link::message::ToWorker;
use crate::link::resume::{AnnouncedRecord, ToResumable};
use crate::types::{Client, ConnectionRef, JoinNumber, ResumeGeneration, Slot, WorkerIncarnation};

/// Takes the record of a client that a worker announces. If two workers announce the same client, the earlier broker
/// has died in a takeover: the later connection stays.
pub(super) fn announce(
    router: &mut Router,
    source: WorkerIncarnation,
    announced: AnnouncedRecord,
) -> Result<(), ProtocolError> {
    let AnnouncedRecord { slot, number, client, terms, generation, confirmed, ids } = announced;
    let key = RecordKey { tenant: client.tenant.clone(), uuid: client.uuid };
    let continued = |slot: Slot| ToWorker::Resumable(ToResumable::Continued(slot));
    let known = router.records.get(&key).map(|it| (it.place, it.generation));
    if let Some((_, later)) = known.filter(|(_, later)| *later >= generation) {
        debug_assert!(later != generation, "each connection has a number of its own");
        router.last_version = router.last_version.max(number.0);
        router.send(source.worker, &continued(slot));
        return Ok(());
    }
    if known.is_some() {
        router.records.end(&key);
    }
    if let Some((Some(former), _)) = known {
        router.connection_limits.leave(former);
        router.index.leave(former);
        router.send(former.worker, &continued(former.slot));
    }
    joins::announce(router, source, slot, number, &client)?;
    let place = ConnectionRef { worker: source.worker, slot };
    let epoch = epoch_of(&client) ^ generation.0;
    router.records.add(key.clone(), NewRecord { place, terms, generation, confirmed, epoch, ids });
    if let Some(record) = router.records.get_mut(&key) {
        // That is not known.
        record.begun = ResumeGeneration::default();
    }
    note_join(router, &key, number);
    Ok(())
}

/// Stores the join of the present connection of a client.
pub(super) fn note_join(router: &mut Router, key: &RecordKey, joined: JoinNumber) {
    if let Some(record) = router.records.get_mut(key) {
        record.joined = joined;
    }
}

/// The first bytes of the UUID that a client has if it does not resume are random, and no other record has them.
pub(super) fn epoch_of(client: &Client) -> u32 {
    client.uuid.0.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
