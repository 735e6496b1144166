//! The connections of a worker by slot: a dense array with what a delivery needs, and the rest.

use std::os::fd::OwnedFd;

use super::Connection;
use crate::protocol::Dialect;
use crate::types::Slot;

/// What a delivery touches: eight bytes for each connection, in order, so that a fan-out runs
/// through memory instead of jumping about in it.
#[derive(Debug, Default)]
pub(in crate::worker) struct Hot {
    /// The socket; gone at the same moment as the connection, because the kernel gives the
    /// number away at once.
    pub(in crate::worker) socket: Option<OwnedFd>,
    pub(in crate::worker) lane: DeliveryPath,
}

/// How a delivery reaches a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) enum DeliveryPath {
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
pub(in crate::worker) struct ConnectionTable {
    pub(in crate::worker) hot: Vec<Hot>,
    connections: Vec<Option<Box<Connection>>>,
    count: usize,
}

impl ConnectionTable {
    /// Connections, in whatever phase.
    pub(in crate::worker) fn count(&self) -> usize {
        self.count
    }

    /// Puts a new connection into a free slot.
    pub(in crate::worker) fn add(
        &mut self,
        slot: Slot,
        socket: OwnedFd,
        connection: Box<Connection>,
    ) {
        let place = slot.0 as usize;
        if place >= self.connections.len() {
            self.connections.resize_with(place + 1, || None);
            self.hot.resize_with(place + 1, Hot::default);
        }
        if let Some(hot) = self.hot.get_mut(place) {
            *hot = Hot { socket: Some(socket), lane: DeliveryPath::Closed };
        }
        self.put(slot, connection);
        self.count += 1;
    }

    /// Takes a connection out to work on it; it is put back with [`ConnectionTable::put`].
    pub(in crate::worker) fn take(&mut self, slot: Slot) -> Option<Box<Connection>> {
        self.connections.get_mut(slot.0 as usize)?.take()
    }

    /// Looks at a connection that is in its place.
    pub(in crate::worker) fn get(&self, slot: Slot) -> Option<&Connection> {
        self.connections.get(slot.0 as usize)?.as_deref()
    }

    /// The same, to change what is known of it without work on it.
    pub(in crate::worker) fn get_mut(&mut self, slot: Slot) -> Option<&mut Connection> {
        self.connections.get_mut(slot.0 as usize)?.as_deref_mut()
    }

    pub(in crate::worker) fn put(&mut self, slot: Slot, connection: Box<Connection>) {
        if let Some(place) = self.connections.get_mut(slot.0 as usize) {
            *place = Some(connection);
        }
    }

    /// Closes the socket of a connection that was taken out and does not come back.
    pub(in crate::worker) fn end(&mut self, slot: Slot) {
        if let Some(hot) = self.hot.get_mut(slot.0 as usize) {
            *hot = Hot::default();
            self.count -= 1;
        }
    }

    pub(in crate::worker) fn hot_mut(&mut self, slot: Slot) -> Option<&mut Hot> {
        self.hot.get_mut(slot.0 as usize)
    }

    pub(in crate::worker) fn socket(&self, slot: Slot) -> Option<&OwnedFd> {
        self.hot.get(slot.0 as usize)?.socket.as_ref()
    }

    /// All connections that are in their places.
    pub(in crate::worker) fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.connections.iter().flatten().map(AsRef::as_ref)
    }

    /// The slots of all connections.
    pub(in crate::worker) fn slots(&self) -> Vec<Slot> {
        let taken = self.connections.iter().zip(0..).filter(|(place, _)| place.is_some());
        taken.map(|(_, slot)| Slot(slot)).collect()
    }
}
