//! The connections of a worker by slot: a dense array with what a delivery needs, and the rest.

use std::os::fd::OwnedFd;

use super::connection::Connection;
use crate::dialect::Dialect;
use crate::types::Slot;

/// What a delivery touches: eight bytes for each connection, in order, so that a fan-out runs
/// through memory instead of jumping about in it.
#[derive(Debug, Default)]
pub(super) struct Hot {
    /// The socket; gone at the same moment as the connection, because the kernel gives the
    /// number away at once.
    pub(super) socket: Option<OwnedFd>,
    pub(super) lane: Lane,
}

/// How a delivery reaches a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lane {
    /// Not at all: it takes no publications, is not open yet, or not any more.
    #[default]
    Closed,
    /// Straight to the socket.
    Direct(Dialect),
    /// Behind what waits in its outbox.
    Queued(Dialect),
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) hot: Vec<Hot>,
    connections: Vec<Option<Box<Connection>>>,
    free: Vec<Slot>,
    /// Slots that nobody is in, and that may still be named by what waits to be delivered.
    vacant: Vec<Slot>,
    count: usize,
}

impl Table {
    /// Connections, in whatever phase.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Puts a new connection into a free slot.
    pub(super) fn add(&mut self, socket: OwnedFd, connection: Box<Connection>) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.hot.push(Hot::default());
            Slot(u32::try_from(self.connections.len() - 1).unwrap_or(u32::MAX))
        });
        if let Some(hot) = self.hot.get_mut(slot.0 as usize) {
            *hot = Hot { socket: Some(socket), lane: Lane::Closed };
        }
        self.put(slot, connection);
        self.count += 1;
        slot
    }

    /// Takes a connection out to work on it; it is put back with [`Table::put`].
    pub(super) fn take(&mut self, slot: Slot) -> Option<Box<Connection>> {
        self.connections.get_mut(slot.0 as usize)?.take()
    }

    /// Looks at a connection that is in its place.
    pub(super) fn get(&self, slot: Slot) -> Option<&Connection> {
        self.connections.get(slot.0 as usize)?.as_deref()
    }

    pub(super) fn put(&mut self, slot: Slot, connection: Box<Connection>) {
        if let Some(place) = self.connections.get_mut(slot.0 as usize) {
            *place = Some(connection);
        }
    }

    /// Closes the socket of a connection that was taken out and does not come back. Its slot is
    /// free only when [`Table::release`] says so (rule L3).
    pub(super) fn end(&mut self, slot: Slot) {
        if let Some(hot) = self.hot.get_mut(slot.0 as usize) {
            *hot = Hot::default();
            self.count -= 1;
        }
    }

    /// Whether a connection lives in a slot.
    pub(super) fn is_taken(&self, slot: Slot) -> bool {
        self.connections.get(slot.0 as usize).is_some_and(Option::is_some)
    }

    /// A slot is nobody's, and the broker names it no more.
    pub(super) fn vacate(&mut self, slot: Slot) {
        self.vacant.push(slot);
    }

    /// The slots that were vacated since the last time.
    pub(super) fn take_vacant(&mut self) -> Vec<Slot> {
        std::mem::take(&mut self.vacant)
    }

    /// Gives a slot free.
    pub(super) fn release(&mut self, slot: Slot) {
        debug_assert!(!self.is_taken(slot), "a slot is released when its connection is gone");
        debug_assert!(!self.free.contains(&slot), "a slot is released once");
        self.free.push(slot);
    }

    pub(super) fn hot_mut(&mut self, slot: Slot) -> Option<&mut Hot> {
        self.hot.get_mut(slot.0 as usize)
    }

    pub(super) fn socket(&self, slot: Slot) -> Option<&OwnedFd> {
        self.hot.get(slot.0 as usize)?.socket.as_ref()
    }

    /// All connections that are in their places.
    pub(super) fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.connections.iter().flatten().map(AsRef::as_ref)
    }

    /// The slots of all connections.
    pub(super) fn slots(&self) -> Vec<Slot> {
        let taken = self.connections.iter().zip(0..).filter(|(place, _)| place.is_some());
        taken.map(|(_, slot)| Slot(slot)).collect()
    }
}
