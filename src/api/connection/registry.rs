//! The connections of the API. At the limit, the connection that has been without a complete
//! request for the longest time is closed for a new one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::activity::Activity;
use crate::api::state::ApiState;

/// All connections.
#[derive(Debug, Default)]
pub(in crate::api) struct ConnectionRegistry {
    open: Cell<usize>,
    accepted: Cell<u64>,
    last_turn: Cell<u64>,
    /// Connections without a complete request, longest first.
    waiting: RefCell<BTreeMap<u64, Weak<RegisteredConnection>>>,
    /// Signals that there may be room for one more.
    pub(in crate::api) changed: Notify,
}

/// The address that a connection was made to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum ConnectionOrigin {
    /// A WebSocket address. A worker has handed the connection over.
    Shared,
    /// An address that serves only the API.
    Own,
}

/// One connection.
#[derive(Debug)]
pub(in crate::api) struct RegisteredConnection {
    activity: Rc<Activity>,
    peer: SocketAddr,
    origin: ConnectionOrigin,
    /// Its key among the connections without a complete request.
    turn: Cell<u64>,
    evicted: Notify,
}

impl ConnectionRegistry {
    /// Returns the number of open connections.
    pub(in crate::api) fn open(&self) -> usize {
        self.open.get()
    }

    /// Returns the number of connections since the start.
    pub(in crate::api) fn accepted(&self) -> u64 {
        self.accepted.get()
    }

    /// Makes room for one more connection. Returns false while all connections have a request.
    pub(in crate::api) fn make_room(&self, connections_max: usize) -> bool {
        if self.open.get() < connections_max {
            return true;
        }
        while let Some((_, connection)) = self.waiting.borrow_mut().pop_first() {
            if let Some(connection) = connection.upgrade() {
                connection.evicted.notify_one();
                return true;
            }
        }
        false
    }

    /// Adds a connection. Its first head must be complete within this time.
    pub(in crate::api) fn add(
        &self,
        peer: SocketAddr,
        origin: ConnectionOrigin,
        head_within: Duration,
        head_timeout: Duration,
    ) -> Rc<RegisteredConnection> {
        self.open.set(self.open.get() + 1);
        self.accepted.set(self.accepted.get() + 1);
        let connection = Rc::new(RegisteredConnection {
            activity: Rc::new(Activity::new(head_within, head_timeout)),
            peer,
            origin,
            turn: Cell::new(0),
            evicted: Notify::new(),
        });
        self.wait(&connection);
        connection
    }

    /// Removes a connection that has ended.
    pub(in crate::api) fn remove(&self, connection: &RegisteredConnection) {
        self.waiting.borrow_mut().remove(&connection.turn.get());
        self.open.set(self.open.get() - 1);
        self.changed.notify_one();
    }

    /// Records that a connection has a complete request.
    pub(in crate::api) fn begin_request(&self, connection: &RegisteredConnection) {
        self.waiting.borrow_mut().remove(&connection.turn.get());
        connection.activity.begin_request();
    }

    /// Records that its request is answered.
    pub(in crate::api) fn end_request(
        &self,
        connection: &Rc<RegisteredConnection>,
        head_timeout: Duration,
    ) {
        connection.activity.end_request(head_timeout);
        self.wait(connection);
        self.changed.notify_one();
    }

    fn wait(&self, connection: &Rc<RegisteredConnection>) {
        self.last_turn.set(self.last_turn.get() + 1);
        connection.turn.set(self.last_turn.get());
        self.waiting.borrow_mut().insert(self.last_turn.get(), Rc::downgrade(connection));
    }
}

impl RegisteredConnection {
    /// Returns the address of the client.
    pub(in crate::api) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Returns the address that the connection was made to.
    pub(in crate::api) fn origin(&self) -> ConnectionOrigin {
        self.origin
    }

    /// Returns the activity, for its stream.
    pub(in crate::api) fn activity(&self) -> Rc<Activity> {
        Rc::clone(&self.activity)
    }

    /// Waits until the connection must make room.
    pub(in crate::api) async fn evicted(&self) {
        loop {
            self.evicted.notified().await;
            // A request that arrived meanwhile is served.
            if self.activity.is_waiting() {
                return;
            }
        }
    }

    /// Waits until the connection has been idle, or its head has been incomplete, for too long.
    pub(super) async fn overdue(&self, state: &ApiState) {
        self.activity.overdue(|| state.config().idle_timeout).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_longest_idle_connection_makes_room_and_a_busy_one_does_not() {
        let registry = ConnectionRegistry::default();
        let second = Duration::from_secs(1);
        let add = || {
            let peer = "127.0.0.1:1".parse().unwrap();
            registry.add(peer, ConnectionOrigin::Own, second, second)
        };
        let (first, other) = (add(), add());
        assert!(registry.make_room(3));
        registry.begin_request(&first);
        assert!(registry.make_room(2));
        other.evicted().await;
        assert!(!registry.make_room(2), "one has a request, the other is ending");
        registry.remove(&other);
        assert!(registry.make_room(2));
        registry.end_request(&first, second);
        assert!(registry.make_room(1));
        first.evicted().await;
        assert_eq!((registry.open(), registry.accepted()), (1, 2));
    }
}
