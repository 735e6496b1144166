//! Where clients are that their UUIDs do not name, and which of two hosts keeps one that both have.

use super::{Router, moves, names, presence, resumes};
use crate::broker::records::{Record, RecordKey};
use crate::cluster::{DirectoryName, ForwardReach, NameKind};
use crate::index::identity::number_at;
use crate::link::moves::{HeldOccasion, MoveMessage, RecordStage};
use crate::types::{ClientUuid, HostId, Ident, JoinNumber, ResumeGeneration};

/// Returns the name by which other hosts find a client that is not on the host that its UUID names.
pub(super) fn name_of(key: &RecordKey) -> Option<DirectoryName> {
    let text = Ident::new(&key.uuid.text()).ok()?;
    Some(DirectoryName { tenant: key.tenant.clone(), kind: NameKind::UUID, text })
}

/// Returns the other host that has a client, as far as this one knows: one that it was handed over to, or that says so.
pub(super) fn holder(router: &Router, key: &RecordKey) -> Option<HostId> {
    let hosts = router.hosts.as_deref()?;
    let records = hosts.names.shared.records();
    let moved = hosts.moves.moved.get(key);
    if moved.is_none() && !records.has_uuids() {
        return None;
    }
    // What another host has said later about the client has replaced the first.
    let named = || name_of(key).and_then(|name| records.last_holder(&name));
    let holder = moved.or_else(|| named().map(|(_, host)| host));
    holder.filter(|host| *host != hosts.own() && hosts.is_live(*host))
}

/// Compares the record of a client that its UUID does not name with whether it is here.
pub(super) fn check_uuid(router: &mut Router, key: &RecordKey) {
    let is_others = names::own(router).is_some_and(|own| key.uuid.home() != own);
    if let Some(name) = name_of(key).filter(|_| is_others) {
        names::note_first(router, &name);
    }
}

/// Returns the client that a name is the UUID of.
pub(super) fn key_of(DirectoryName { tenant, text, .. }: &DirectoryName) -> Option<RecordKey> {
    let uuid = ClientUuid(uuid::Uuid::parse_str(text.as_str()).ok()?.into_bytes());
    Some(RecordKey { tenant: tenant.clone(), uuid })
}

/// Returns the join of a client that is here or away.
pub(super) fn join_of(router: &Router, name: &DirectoryName) -> Option<JoinNumber> {
    let key = key_of(name)?;
    let here = router.index.place_of(&key.tenant, key.uuid);
    let here = here.and_then(|place| number_at(&router.index, place));
    here.or_else(|| Some(router.records.get(&key)?.joined))
}

/// Returns the last connection of a client without a record that is known.
pub(super) fn last_known(
    router: &Router,
    key: &RecordKey,
    shown: ResumeGeneration,
) -> ResumeGeneration {
    let begun = router.hosts.as_deref().and_then(|hosts| hosts.moves.moved.begun(key));
    begun.map_or(shown, |begun| shown.max(begun.generation))
}

/// A client enters with its UUID and without its record, which has begun again. Other hosts must not have it any more.
pub(super) fn entered_without_record(
    router: &mut Router,
    key: &RecordKey,
    shown: ResumeGeneration,
    generation: ResumeGeneration,
) {
    let Some(hosts) = router.hosts.as_deref_mut() else { return };
    hosts.moves.moved.remove(key);
    if hosts.are_known() {
        let RecordKey { tenant, uuid } = key.clone();
        let stage = RecordStage { confirmed: shown, generation, begun: generation };
        let occasion = HeldOccasion::Begun;
        let held = MoveMessage::Held { tenant, uuid, stage, occasion };
        moves::send(router, ForwardReach::All, &held);
    }
}

/// A host says in the directory that it has a client. If this one has it, too, they compare their records.
pub(super) fn compare(router: &mut Router, key: &RecordKey, host: HostId) {
    if let Some(stage) = router.records.get(key).map(Record::stage) {
        let (RecordKey { tenant, uuid }, occasion) = (key.clone(), HeldOccasion::Conflict);
        let held = MoveMessage::Held { tenant, uuid, stage, occasion };
        moves::send(router, ForwardReach::One(host), &held);
    }
}

/// A record that another host has.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldElsewhere {
    pub(super) stage: RecordStage,
    pub(super) occasion: HeldOccasion,
}

/// Another host has a client. If this one has it, too, one of the two records ends.
pub(super) fn held(router: &mut Router, host: HostId, key: RecordKey, other: HeldElsewhere) {
    resumes::prepare(router, &key);
    let HeldElsewhere { stage, occasion } = other;
    let own = router.records.get(&key).map(Record::stage);
    let begun = Some(stage).filter(|_| occasion == HeldOccasion::Begun);
    match own {
        Some(own) if stage.outlasts(&own) => {
            note_moved(router, key.clone(), host, begun);
            end_record(router, &key);
            resumes::resume_waiting(router, &key);
        }
        Some(own) if occasion != HeldOccasion::Answer => {
            let RecordKey { tenant, uuid } = key;
            let (stage, occasion) = (own, HeldOccasion::Answer);
            let held = MoveMessage::Held { tenant, uuid, stage, occasion };
            moves::send(router, ForwardReach::One(host), &held);
        }
        None if begun.is_some() => note_moved(router, key, host, begun),
        Some(_) | None => {}
    }
}

/// Ends the record of a client that another host has. Its connection here is closed.
pub(super) fn end_record(router: &mut Router, key: &RecordKey) {
    match router.records.get(key).map(|record| record.place) {
        Some(Some(present)) => {
            resumes::take_over(router, present);
            router.records.end(key);
        }
        Some(None) => {
            router.records.end(key);
            presence::on_ended_away(router, &key.tenant, key.uuid);
        }
        None => {}
    }
}

/// Notes that a client is on another host from now on.
pub(super) fn note_moved(
    router: &mut Router,
    key: RecordKey,
    host: HostId,
    begun: Option<RecordStage>,
) {
    let now = router.now;
    if let Some(hosts) = router.hosts.as_deref_mut() {
        hosts.moves.moved.insert(key, host, begun, now);
    }
}
