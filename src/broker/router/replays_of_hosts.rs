//! Ids of publications and nonces of requests, between hosts (rule L11): an id travels with its publication, or alone if
//! that one does not reach all hosts. Nonces travel alone, many at once.

use bytes::Bytes;

use super::{LinkState, ProtocolError, Router};
use crate::cluster::{
    Arrival, CarriedId, CarriedPublication, CarriedReplay, ClusterEffect, Forward, ForwardReach,
    decode_records, encode_records,
};
use crate::link::bridge::FromBridge;
use crate::link::message::{ToBroker, ToWorker};
use crate::types::limits::CLUSTER_RECORDS_MAX;
use crate::types::{
    HostId, Number, PayloadForm, PublicationId, RecipientBounds, ReplayRecords, Sequence, WorkerId,
    WorkerIncarnation,
};

/// Returns what other hosts need of an id.
pub(super) fn carried_id(id: &PublicationId) -> CarriedId {
    let PublicationId { id, content, at, until, recipients, .. } = *id;
    CarriedId { id, content, at, until, recipients_min: recipients.min }
}

/// Adds records of the API process. Other hosts get its new nonces, not those that it announces.
pub(super) fn learn(
    router: &mut Router,
    source: WorkerIncarnation,
    records: &ReplayRecords,
) -> Result<(), ProtocolError> {
    router.replays.learn(source, records)?;
    let member = router.workers.get(&source.worker);
    let is_new = member.is_some_and(|member| member.link_state == LinkState::Announced);
    if let ReplayRecords::Nonces(spent) = records
        && is_new
        && router.hosts.as_ref().is_some_and(|hosts| hosts.are_known())
    {
        router.replays.spread_nonces(spent);
    }
    Ok(())
}

/// Passes records of this turn on to the bridge. They are not as urgent as publications, and follow them.
pub(super) fn forward(router: &mut Router) {
    let Router { hosts: Some(hosts), replays, last_sequence, .. } = router else { return };
    let spread = replays.take_spread();
    if spread.nonces.is_empty() && spread.ids.is_empty() || !hosts.are_known() {
        return;
    }
    let nonces = spread.nonces.chunks(CLUSTER_RECORDS_MAX);
    let nonces = nonces.map(|part| ReplayRecords::Nonces(part.to_vec()));
    let ids = spread.ids.chunks(CLUSTER_RECORDS_MAX);
    let ids = ids.map(|part| ReplayRecords::Ids(part.to_vec()));
    for payload in nonces.chain(ids).filter_map(|records| encode_records(&records)) {
        hosts.records_sent += 1;
        let generation = hosts.generation;
        let publication = CarriedPublication {
            source: WorkerIncarnation { worker: WorkerId::BRIDGE, generation },
            number: Number(hosts.records_sent),
            generation,
            sequence: Sequence(*last_sequence),
            route: Bytes::new(),
            form: PayloadForm::Message,
            payload,
            is_repeated: false,
            directive: None,
            question: None,
            report_ms: None,
            replay: CarriedReplay::Records,
        };
        hosts.forwards.push(&Forward { reach: ForwardReach::All, publication });
    }
}

/// Gives the next publication of another host its id, as the API process does. A publication whose id is known is not
/// delivered.
pub(super) fn identify(
    router: &mut Router,
    source: WorkerIncarnation,
    replay: &CarriedReplay,
    origin: HostId,
) -> Result<bool, ProtocolError> {
    let CarriedReplay::Id(carried) = replay else { return Ok(false) };
    let CarriedId { id, content, at, until, recipients_min } = **carried;
    let recipients = RecipientBounds { min: recipients_min, max: u64::MAX };
    let origin = Some(origin);
    let id = PublicationId { id, content, at, until, recipients, origin };
    router.apply_or_hold(source, ToBroker::Identify(id))?;
    Ok(true)
}

/// Takes records or names of another host when it is their turn.
pub(super) fn hold(
    router: &mut Router,
    source: WorkerIncarnation,
    arrival: Arrival,
) -> Result<(), ProtocolError> {
    let records = FromBridge::Effect(Box::new(ClusterEffect::Arrive(arrival)));
    router.apply_or_hold(source, ToBroker::Bridge(records))
}

/// Adds records of another host, and tells them to the API process. What cannot be read is of another version.
pub(super) fn take_records(
    router: &mut Router,
    source: WorkerIncarnation,
    arrival: &Arrival,
) -> Result<(), ProtocolError> {
    let Arrival { number, taken, publication } = arrival;
    if let Ok(records) = decode_records(publication.payload.clone(), taken.host) {
        router.replays.learn_of_host(&records);
        router.send(WorkerId::API, &ToWorker::Remember(records));
    }
    let member = router.workers.get_mut(&source.worker);
    member.map_or(Ok(()), |member| member.take_number(Number(*number)))
}

/// Tells the API process the ids of publications of other hosts that are written now.
pub(super) fn tell_written(router: &mut Router) {
    let progress = router.progress();
    let written = router.replays.take_written(progress);
    if !written.is_empty() {
        router.send(WorkerId::API, &ToWorker::Remember(ReplayRecords::Ids(written)));
    }
}
