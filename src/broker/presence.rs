//! Answers queries about connected clients.

use crate::index::{Carried, Index};
use crate::link::message::{PresenceQuery, PresenceResult, ToWorker};
use crate::types::Slot;
use crate::types::limits::ANSWER_VALUES_MAX;

/// Returns the answer to a query of the client in a slot.
pub(super) fn answer(index: &Index, slot: Slot, question: &PresenceQuery) -> ToWorker {
    ToWorker::Answer { slot, number: question.number, found: found(index, question) }
}

fn found(index: &Index, question: &PresenceQuery) -> PresenceResult {
    let PresenceQuery { tenant, query, tag, .. } = question;
    match index.values_of(tenant, query, tag, ANSWER_VALUES_MAX) {
        Ok(Carried { clients, values }) => PresenceResult { clients, values, error: None },
        Err(error) => {
            let error = Some(error.to_string().into());
            PresenceResult { error, ..PresenceResult::default() }
        }
    }
}
