//! Updates for `status` clients that wait for the number of clients.

use core::net::SocketAddr;
use std::collections::VecDeque;

use super::room::Room;
use super::status;
use crate::resource::{ClientHandle, ResourceContext};
use crate::types::{PayloadForm, TagError, Tenant};

/// Most pending updates. It equals the limit of a worker's open presence queries; older queries get
/// no answer.
const KEPT_MAX: usize = 1000;

/// Change of a connection, with the address of the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ConnectionNews {
    /// A client connected.
    Connected(SocketAddr),
    /// A client disconnected.
    Disconnected(SocketAddr),
}

/// Updates whose number of clients has been queried but not received.
#[derive(Debug)]
pub(super) struct StatusUpdates {
    room: Room,
    kept: VecDeque<(u64, Tenant, ConnectionNews)>,
    last: u64,
}

impl StatusUpdates {
    pub(super) fn new() -> Result<Self, TagError> {
        Ok(Self { room: Room::at(status::NAME)?, kept: VecDeque::new(), last: 0 })
    }

    /// Keeps an update until its query is answered. Returns the number of the update.
    pub(super) fn keep(&mut self, tenant: Tenant, event: ConnectionNews) -> u64 {
        if self.kept.len() >= KEPT_MAX {
            self.kept.pop_front();
        }
        self.last += 1;
        self.kept.push_back((self.last, tenant, event));
        self.last
    }

    /// Removes and returns the update of an answered query. `None` if it was discarded.
    pub(super) fn take(&mut self, number: u64) -> Option<(Tenant, ConnectionNews)> {
        let at = self.kept.iter().position(|(kept, _, _)| *kept == number)?;
        self.kept.remove(at).map(|(_, tenant, event)| (tenant, event))
    }

    /// Publishes a text to the `status` clients in one tenant.
    pub(super) fn publish(&self, context: &mut ResourceContext<'_>, tenant: &Tenant, text: String) {
        self.room.announce(context, tenant, PayloadForm::Text, text);
    }

    /// Publishes a text to the `status` clients in the tenant of a client.
    pub(super) fn publish_of(&self, client: &mut ClientHandle<'_>, text: String) {
        let tenant = client.tenant().clone();
        client.forward_for_server(tenant, self.room.everyone(), PayloadForm::Text, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_sent_once_and_the_oldest_are_dropped() {
        let mut updates = StatusUpdates::new().unwrap();
        let peer = "127.0.0.1:1".parse().unwrap();
        let first = updates.keep(Tenant::shared(), ConnectionNews::Connected(peer));
        assert_eq!(
            updates.take(first).map(|(_, event)| event),
            Some(ConnectionNews::Connected(peer))
        );
        assert_eq!(updates.take(first), None);
        let next = updates.keep(Tenant::shared(), ConnectionNews::Disconnected(peer));
        for _ in 0..KEPT_MAX {
            updates.keep(Tenant::shared(), ConnectionNews::Disconnected(peer));
        }
        assert_eq!((updates.take(next), updates.kept.len()), (None, KEPT_MAX));
    }
}
