//! Connections of a worker by slot, and a dense array with the data that deliveries need.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use super::Connection;
use crate::protocol::Protocol;
use crate::types::Slot;
use crate::worker::applications::ApplicationNumber;

/// Data for deliveries: eight bytes per connection in slot order, so a fan-out reads memory
/// sequentially.
#[derive(Debug, Default)]
pub(in crate::worker) struct SocketEntry {
    /// Closed exactly when the connection ends, because the kernel reuses the descriptor number at
    /// once.
    pub(in crate::worker) socket: Option<OwnedFd>,
    pub(in crate::worker) path: DeliveryPath,
    /// The application that admitted the connection.
    pub(in crate::worker) application: ApplicationNumber,
}

// A fan-out reads one of them for each client.
const _: () = assert!(size_of::<SocketEntry>() <= 8, "an entry has grown");

/// Way in which a delivery reaches a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) enum DeliveryPath {
    /// Not at all: the client takes no publications, or the connection is not open.
    #[default]
    Closed,
    /// Directly to the socket.
    Direct(Protocol),
    /// Through its outbox: the socket is full, or the connection is paced, uses TLS or an older framing.
    Queued(Protocol),
}

/// Connection whose socket broke.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct BrokenSocket {
    pub(in crate::worker) slot: Slot,
    /// Serial number of the connection: its slot may be reused by then.
    pub(in crate::worker) serial: u64,
}

/// Sockets of all connections. They remain here while a connection is taken out of its table.
#[derive(Debug, Default)]
pub(in crate::worker) struct SocketTable {
    entries: Vec<SocketEntry>,
    /// Connections whose socket broke during a fan-out.
    broken: VecDeque<BrokenSocket>,
}

impl SocketTable {
    pub(in crate::worker) fn add(&mut self, slot: Slot, socket: OwnedFd) {
        let place = slot.0 as usize;
        if place >= self.entries.len() {
            self.entries.resize_with(place + 1, SocketEntry::default);
        }
        if let Some(entry) = self.entries.get_mut(place) {
            *entry = SocketEntry { socket: Some(socket), ..SocketEntry::default() };
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

    /// Returns the application that admitted a connection.
    pub(in crate::worker) fn application(&self, slot: Slot) -> ApplicationNumber {
        self.entry(slot).map(|entry| entry.application).unwrap_or_default()
    }

    pub(in crate::worker) fn set_application(
        &mut self,
        slot: Slot,
        application: ApplicationNumber,
    ) {
        if let Some(entry) = self.entries.get_mut(slot.0 as usize) {
            entry.application = application;
        }
    }

    pub(in crate::worker) fn close(&mut self, slot: Slot) {
        if let Some(entry) = self.entries.get_mut(slot.0 as usize) {
            *entry = SocketEntry::default();
        }
    }

    /// Records that a socket broke. The connection is closed later.
    pub(in crate::worker) fn note_broken(&mut self, slot: Slot, serial: u64) {
        self.broken.push_back(BrokenSocket { slot, serial });
    }

    pub(in crate::worker) fn next_broken(&mut self) -> Option<BrokenSocket> {
        self.broken.pop_front()
    }
}

/// Position of a walk over all connections. A worker can have a million of them, so a walk takes many
/// turns.
#[derive(Debug)]
pub(in crate::worker) struct TableWalk {
    next: usize,
    end: usize,
}

impl TableWalk {
    /// Returns whether the walk has visited every connection.
    pub(in crate::worker) fn is_over(&self) -> bool {
        self.next >= self.end
    }
}

/// All connections of a worker.
#[derive(Debug, Default)]
pub(in crate::worker) struct ConnectionTable {
    connections: Vec<Option<Box<Connection>>>,
    count: usize,
}

impl ConnectionTable {
    /// Returns the number of connections in any phase.
    pub(in crate::worker) fn count(&self) -> usize {
        self.count
    }

    /// Adds a new connection. Its slot must be free.
    pub(in crate::worker) fn add(&mut self, connection: Box<Connection>) {
        let place = connection.slot.0 as usize;
        if place >= self.connections.len() {
            self.connections.resize_with(place + 1, || None);
        }
        self.put(connection);
        self.count += 1;
    }

    /// Takes a connection out of the table for work on it. [`ConnectionTable::put`] puts it back.
    pub(in crate::worker) fn take(&mut self, slot: Slot) -> Option<Box<Connection>> {
        self.connections.get_mut(slot.0 as usize)?.take()
    }

    /// Returns a connection that is not taken out.
    pub(in crate::worker) fn get(&self, slot: Slot) -> Option<&Connection> {
        self.connections.get(slot.0 as usize)?.as_deref()
    }

    /// Returns a connection that is not taken out, to change its state without work on it.
    pub(in crate::worker) fn get_mut(&mut self, slot: Slot) -> Option<&mut Connection> {
        self.connections.get_mut(slot.0 as usize)?.as_deref_mut()
    }

    pub(in crate::worker) fn put(&mut self, connection: Box<Connection>) {
        if let Some(place) = self.connections.get_mut(connection.slot.0 as usize) {
            *place = Some(connection);
        }
    }

    /// Removes a connection that was taken out.
    pub(in crate::worker) fn end(&mut self, connection: Box<Connection>) {
        drop(connection);
        self.count -= 1;
    }

    /// Returns all connections that are not taken out.
    pub(in crate::worker) fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.connections.iter().flatten().map(AsRef::as_ref)
    }

    /// Starts a walk over the current connections.
    pub(in crate::worker) fn walk(&self) -> TableWalk {
        TableWalk { next: 0, end: self.connections.len() }
    }

    /// Returns the next connection of a walk. A slot that was reused during the walk comes once, too.
    pub(in crate::worker) fn next_of(&self, walk: &mut TableWalk) -> Option<Slot> {
        let rest = self.connections.get(walk.next..walk.end).unwrap_or_default();
        let found = rest.iter().position(Option::is_some);
        let place = found.map(|ahead| walk.next + ahead);
        walk.next = place.map_or(walk.end, |place| place + 1);
        u32::try_from(place?).ok().map(Slot)
    }

    /// Returns the slots of all connections that are not taken out.
    pub(in crate::worker) fn slots(&self) -> Vec<Slot> {
        let taken = self.connections.iter().zip(0..).filter(|(place, _)| place.is_some());
        taken.map(|(_, slot)| Slot(slot)).collect()
    }
}
