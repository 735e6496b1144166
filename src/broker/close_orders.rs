//! Orders to workers to close connections.

use std::collections::BTreeMap;

use super::worker_state::WorkerState;
use crate::link::command::{CloseOrder, ClosedConnections};
use crate::link::message::ToWorker;
use crate::types::{SlotSet, WorkerId};

/// Has all workers close their clients of these sets. A worker without one gets an empty set: then it drops a
/// repetition of the command, although it may have such clients by then.
pub(super) fn order_closes(
    workers: &mut BTreeMap<WorkerId, WorkerState>,
    sets: Vec<(WorkerId, SlotSet)>,
    order: &CloseOrder,
) {
    let mut sets: BTreeMap<WorkerId, SlotSet> = sets.into_iter().collect();
    for (worker, member) in workers.iter_mut().filter(|(worker, _)| worker.has_clients()) {
        let slots = sets.remove(worker).unwrap_or_default();
        let order = CloseOrder { connections: ClosedConnections::Set(slots), ..order.clone() };
        member.out.send(&ToWorker::Close(Box::new(order)));
    }
}
