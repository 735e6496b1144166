//! Records that other hosts request. A request is decided as the join of a client here: its slot stands for the host, and
//! the client is handed over in place of being admitted.

use bytes::Bytes;

use super::recoveries::Missed;
use super::resumes::{self, JoinDecision};
use super::{ProtocolError, Router, moves, presence, whereabouts};
use crate::broker::client_moves::{RequestingHost, WaitingRequest};
use crate::broker::records::{self, RecordKey};
use crate::cluster::ForwardReach;
use crate::link::moves::{
    HandedClient, HandedPast, HandedPublication, MoveMessage, MoveNumber, MoveRefusal,
};
use crate::link::resume::ResumableJoin;
use crate::types::limits::{MOVE_PUBLICATIONS_BYTES, MOVES_SENT_BYTES};
use crate::types::{
    ConnectionRef, Content, HostId, RecoveryReason, ResumeStanding, Slot, WorkerId,
    WorkerIncarnation,
};

/// Another host requests a record.
pub(super) fn request(router: &mut Router, host: HostId, number: MoveNumber, join: ResumableJoin) {
    let from = RequestingHost { host, number };
    let Some(hosts) = router.hosts.as_deref_mut() else { return };
    if join.claim.is_none() || !hosts.moves.push_request(WaitingRequest { from, join }) {
        refuse_to(router, from, MoveRefusal::Unknown(RecoveryReason::Lost));
    }
}

/// Decides the requests of other hosts, while not too many records are on their way.
pub(super) fn serve(router: &mut Router) {
    let Some(bridge) = router.workers.get(&WorkerId::BRIDGE).map(|bridge| bridge.source) else {
        return;
    };
    while has_room(router)
        && let Some(join) = router.hosts.as_deref_mut().and_then(|it| it.moves.begin_request())
    {
        let slot = join.slot;
        let joined = resumes::join(router, bridge, join);
        debug_assert!(joined.is_ok(), "no client is at the place of a host");
        let place = ConnectionRef { worker: bridge.worker, slot };
        if router.takeovers.has(place)
            && let Some(RequestingHost { host, number }) = requesting(router, slot)
        {
            moves::send(router, ForwardReach::One(host), &MoveMessage::Waiting(number));
        }
    }
}

/// Returns whether a record may be handed over.
pub(super) fn has_room(router: &mut Router) -> bool {
    let Some(hosts) = router.hosts.as_deref_mut() else { return false };
    let forwards = &hosts.forwards;
    hosts.moves.sent_bytes(|added| forwards.is_carried(added)) < MOVES_SENT_BYTES
}

fn requesting(router: &Router, slot: Slot) -> Option<RequestingHost> {
    router.hosts.as_deref()?.moves.requesting(slot)
}

/// Tells another host that a third one has the client.
pub(super) fn refer(router: &mut Router, slot: Slot, host: HostId) {
    refuse(router, slot, MoveRefusal::Moved(host));
}

fn refuse(router: &mut Router, slot: Slot, refusal: MoveRefusal) {
    let hosts = router.hosts.as_deref_mut();
    if let Some(from) = hosts.and_then(|hosts| hosts.moves.end_request(slot)) {
        refuse_to(router, from, refusal);
    }
}

fn refuse_to(router: &mut Router, from: RequestingHost, refusal: MoveRefusal) {
    let RequestingHost { host, number } = from;
    moves::send(router, ForwardReach::One(host), &MoveMessage::Refused { number, refusal });
}

/// Answers a request once it is decided. What is said here about the lanes is true in this moment.
pub(super) fn decided(
    router: &mut Router,
    source: WorkerIncarnation,
    join: &ResumableJoin,
    decision: JoinDecision,
) -> Result<(), ProtocolError> {
    debug_assert!(source.worker.is_bridge(), "others are admitted");
    let slot = join.slot;
    let (key, missed) = match decision {
        JoinDecision::New(ResumeStanding::Outdated, _) => {
            refuse(router, slot, MoveRefusal::Outdated);
            return Ok(());
        }
        JoinDecision::New(..) => {
            refuse(router, slot, MoveRefusal::Taken);
            return Ok(());
        }
        JoinDecision::Back(_, reason) => {
            refuse(router, slot, MoveRefusal::Unknown(reason));
            return Ok(());
        }
        JoinDecision::Resumed(key, missed) => (key, missed),
    };
    let hosts = router.hosts.as_deref_mut();
    if let Some(RequestingHost { host, number }) =
        hosts.and_then(|hosts| hosts.moves.end_request(slot))
    {
        hand_over(router, host, number, key, missed);
    }
    Ok(())
}

fn hand_over(
    router: &mut Router,
    host: HostId,
    number: MoveNumber,
    key: RecordKey,
    missed: Missed,
) {
    let missed = past(router, &key, missed);
    let Some(record) = records::hand_over(&mut router.records, &key, router.now) else { return };
    presence::on_ended_away(router, &key.tenant, key.uuid);
    let RecordKey { tenant, uuid } = key.clone();
    whereabouts::note_moved(router, key, host, None);
    let client = Box::new(HandedClient { tenant, uuid, record, missed });
    let handed = MoveMessage::Handed { number, client };
    let bytes = moves::send(router, ForwardReach::One(host), &handed);
    if let Some(hosts) = router.hosts.as_deref_mut() {
        hosts.moves.note_sent(hosts.forwards.added(), bytes);
    }
}

/// Returns what a client has missed until now, and how far the lanes were taken.
fn past(router: &Router, key: &RecordKey, missed: Missed) -> HandedPast {
    let hosts = router.hosts.as_deref();
    let extent = hosts.map(|it| it.places.extent(&it.kept.taken)).unwrap_or_default();
    match publications(router, key, missed) {
        Ok(publications) => HandedPast { reason: None, publications, extent },
        Err(reason) => HandedPast { reason: Some(reason), publications: Vec::new(), extent },
    }
}

/// Returns all publications that a client has missed.
///
/// # Errors
///
/// Why they are not known.
fn publications(
    router: &Router,
    key: &RecordKey,
    missed: Missed,
) -> Result<Vec<HandedPublication>, RecoveryReason> {
    let (mut publications, numbers) = match missed {
        Missed::Entries(numbers, None) => (Vec::new(), numbers),
        Missed::Handed(handed, numbers) => (handed.publications, numbers),
        Missed::Mailbox(reason) | Missed::Entries(_, Some(reason)) => return Err(reason),
        Missed::NotAsked => return Err(RecoveryReason::Lost),
    };
    let journal = router.journals.get(&key.tenant);
    for number in numbers {
        let stored = journal.and_then(|it| Some((it, it.get(number)?)));
        let (journal, entry) = stored.ok_or(RecoveryReason::Evicted)?;
        let position = journal.position_of(number);
        let is_direct = entry.recipients.is_one();
        let payload = Bytes::copy_from_slice(&entry.content.payload);
        let content = Content { form: entry.content.form, payload };
        publications.push(HandedPublication { position, is_direct, content });
    }
    let bytes = publications.iter().map(|it| it.content.payload.len()).sum::<usize>();
    if bytes > MOVE_PUBLICATIONS_BYTES { Err(RecoveryReason::Evicted) } else { Ok(publications) }
}
