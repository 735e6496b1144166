//! Clients that join and leave.

use std::net::IpAddr;

use super::{ProtocolError, Router, moves, names, presence, recording, resumes};
use crate::link::message::ToWorker;
use crate::types::{Client, ConnectionRef, JoinNumber, Slot, WorkerId, WorkerIncarnation};

/// Reserves a place within the limits for a client that has not joined, and answers its worker.
pub(super) fn reserve(router: &mut Router, source: WorkerIncarnation, slot: Slot, ip: IpAddr) {
    let place = ConnectionRef { worker: source.worker, slot };
    let answer = match router.connection_limits.reserve(place, ip) {
        Ok(()) => ToWorker::Reserved { slot },
        Err(full) => ToWorker::Refused { slot, full },
    };
    router.send(source.worker, &answer);
}

/// Takes a client that an earlier broker admitted.
pub(super) fn announce(
    router: &mut Router,
    source: WorkerIncarnation,
    slot: Slot,
    number: JoinNumber,
    client: &Client,
) -> Result<(), ProtocolError> {
    router.last_version = router.last_version.max(number.0);
    let place = ConnectionRef { worker: source.worker, slot };
    router.index.join(place, number, client).map_err(|_| ProtocolError::Taken(slot))?;
    router.connection_limits.join(place, client);
    router.resolve_cache.forget();
    names::announced(router, client);
    Ok(())
}

/// Adds a client, unless a limit is reached.
pub(super) fn join(
    router: &mut Router,
    source: WorkerIncarnation,
    slot: Slot,
    client: &Client,
) -> Result<(), ProtocolError> {
    match is_full(router, source, slot, client) {
        true => Ok(()),
        false => enter(router, source, slot, client),
    }
}

/// Refuses a client if a limit is reached.
pub(super) fn is_full(
    router: &mut Router,
    source: WorkerIncarnation,
    slot: Slot,
    client: &Client,
) -> bool {
    let place = ConnectionRef { worker: source.worker, slot };
    let admitted = router.connection_limits.admit(router.clients(), place, client);
    if let Err(full) = admitted {
        presence::on_gone(router, place, None);
        router.send(source.worker, &ToWorker::Refused { slot, full });
    }
    admitted.is_err()
}

/// Adds an admitted client, and answers its worker.
pub(super) fn enter(
    router: &mut Router,
    source: WorkerIncarnation,
    slot: Slot,
    client: &Client,
) -> Result<(), ProtocolError> {
    let number = JoinNumber(router.last_version + 1);
    let place = ConnectionRef { worker: source.worker, slot };
    router.forget_departed(client);
    router.index.join(place, number, client).map_err(|_| ProtocolError::Taken(slot))?;
    router.connection_limits.join(place, client);
    router.last_version = number.0;
    router.resolve_cache.forget();
    names::joined(router, number, client);
    presence::on_present(router, place);
    recording::tell_head(router, source.worker, &client.tenant);
    let own = connections(router, source.worker);
    let workers = router.workers.keys().filter(|worker| worker.has_clients());
    let smallest = workers.map(|worker| connections(router, *worker)).min();
    let joined = ToWorker::Joined { slot, number, own, smallest: smallest.unwrap_or(own) };
    router.send(source.worker, &joined);
    Ok(())
}

fn connections(router: &Router, worker: WorkerId) -> u32 {
    u32::try_from(router.index.clients_of(worker)).unwrap_or(u32::MAX)
}

/// Removes the client in a slot. A worker may withdraw a join that was not answered; then there is no client to
/// remove.
pub(super) fn leave(router: &mut Router, source: WorkerIncarnation, slot: Slot) {
    let place = ConnectionRef { worker: source.worker, slot };
    router.connection_limits.leave(place);
    router.recoveries.withdraw(place);
    moves::withdraw(router, place);
    resumes::on_leave(router, place);
    router.send(source.worker, &ToWorker::Left { slot });
}
