//! Changes of the tags of many clients: the one that a worker is applying to its own clients, and the last one, for
//! the next broker (rule L12).

use crate::link::command::{BulkChange, RetaggedClients};
use crate::types::{Slot, SlotSet};

/// The last change, and the clients to which it is not applied yet.
#[derive(Debug, Default)]
pub(crate) struct BulkChanges {
    last: Option<Box<BulkChange>>,
    rest: SlotSet,
}

impl BulkChanges {
    /// Takes a change. The one before it must be complete.
    pub(crate) fn begin(&mut self, RetaggedClients { change, slots }: RetaggedClients) {
        debug_assert!(self.rest.is_empty(), "messages of the link wait for a change");
        self.last = Some(Box::new(change));
        self.rest = slots;
    }

    /// Returns whether it is not applied to all clients yet.
    pub(crate) fn is_running(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Returns the next client with the change that it gets.
    pub(crate) fn next(&mut self) -> Option<(Slot, &BulkChange)> {
        let slot = self.rest.0.min()?;
        self.rest.0.remove(slot);
        Some((Slot(slot), self.last.as_deref()?))
    }

    /// Returns the last change.
    pub(crate) fn last(&self) -> Option<&BulkChange> {
        self.last.as_deref()
    }
}
