//! The connections of a worker by slot, and next to them a dense array with what a delivery needs.

use std::os::fd::OwnedFd;

use super::Connection;
use crate::protocol::Protocol;
use crate::types::Slot;

/// What a delivery touches: eight bytes for each connection, in order, so that a fan-out runs
/// through memory instead of jumping about in it.
#[derive(Debug, Default)]
pub(in crate::worker) struct SocketEntry {
    /// Closed at the same moment as the connection ends, because the kernel gives the number away
    /// at once.
    pub(in crate::worker) socket: Option<OwnedFd>,
    pub(in crate::worker) path: DeliveryPath,
}

/// How a delivery reaches a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) enum DeliveryPath {
    /// Not at all: it takes no publications, is not open yet, or not any more.
    #[default]
    Closed,
    /// Straight to the socket.
    Direct(Protocol),
    /// After what waits in its outbox.
    Queued(Protocol),
}

/// The sockets of all connections. They stay here while a connection is out of its table.
#[derive(Debug, Default)]
pub(in crate::worker) struct SocketTable {
    entries: Vec<SocketEntry>,
    /// Connections whose socket broke during a fan-out.
    broken: Vec<Slot>,
}

impl SocketTable {
    pub(in crate::worker) fn add(&mut self, slot: Slot, socket: OwnedFd) {
        let place = slot.0 as usize;
        if place >= self.entries.len() {
            self.entries.resize_with(place + 1, SocketEntry::default);
        }
        if let Some(entry) = self.entries.get_mut(place) {
            *entry = SocketEntry { socket: Some(socket), path: DeliveryPath::Closed };
        }
    }

    pub(in crate::worker) fn get(&self, slot: Slot) -> Option<&OwnedFd> {
        self.entry(slot)?.socket.as_ref()
    }

    pub(in crate::worker) fn entry(&self, slot: Slot) -> Option<&SocketEntry> {
        self.entries.get(slot.0 as usize)
    }

    pub(in crate::worker) fn set_path(&mut self, slot: Slot, path: DeliveryPath) {
        if let Some(entry) = self.entries.get_mut(slot.0 as usize) {
            entry.path = path;
        }
    }

    pub(in crate::worker) fn close(&mut self, slot: Slot) {
        if let Some(entry) = self.entries.get_mut(slot.0 as usize) {
            *entry = SocketEntry::default();
        }
    }

    /// Notes that a socket broke; its connection ends later in the turn.
    pub(in crate::worker) fn note_broken(&mut self, slot: Slot) {
        self.broken.push(slot);
    }

    pub(in crate::worker) fn take_broken(&mut self) -> Vec<Slot> {
        std::mem::take(&mut self.broken)
    }
}

/// All connections.
#[derive(Debug, Default)]
pub(in crate::worker) struct ConnectionTable {
    connections: Vec<Option<Box<Connection>>>,
    count: usize,
}

impl ConnectionTable {
    /// Connections, in whatever phase.
    pub(in crate::worker) fn count(&self) -> usize {
        self.count
    }

    /// Puts a new connection into its slot, which is free.
    pub(in crate::worker) fn add(&mut self, connection: Box<Connection>) {
        let place = connection.slot.0 as usize;
        if place >= self.connections.len() {
            self.connections.resize_with(place + 1, || None);
        }
        self.put(connection);
        self.count += 1;
    }

    /// Takes a connection out to work on it; it is put back with [`ConnectionTable::put`].
    pub(in crate::worker) fn take(&mut self, slot: Slot) -> Option<Box<Connection>> {
        self.connections.get_mut(slot.0 as usize)?.take()
    }

    /// A connection that is in its place.
    pub(in crate::worker) fn get(&self, slot: Slot) -> Option<&Connection> {
        self.connections.get(slot.0 as usize)?.as_deref()
    }

    /// The same, to change what is known of it without work on it.
    pub(in crate::worker) fn get_mut(&mut self, slot: Slot) -> Option<&mut Connection> {
        self.connections.get_mut(slot.0 as usize)?.as_deref_mut()
    }

    pub(in crate::worker) fn put(&mut self, connection: Box<Connection>) {
        if let Some(place) = self.connections.get_mut(connection.slot.0 as usize) {
            *place = Some(connection);
        }
    }

    /// A connection that was taken out has ended.
    pub(in crate::worker) fn end(&mut self, connection: Box<Connection>) {
        drop(connection);
        self.count -= 1;
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
