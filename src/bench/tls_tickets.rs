//! TLS session tickets of the clients of a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustls::NamedGroup;
use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;

/// Tickets of many clients of one server. The default store of rustls keeps only eight tickets per
/// server, because it is meant for one client.
///
/// Clients get tickets only after [`ClientTickets::release`], so the first openings are full
/// handshakes.
#[derive(Debug)]
pub(super) struct ClientTickets {
    tickets: Mutex<Vec<Tls13ClientSessionValue>>,
    most: usize,
    is_released: AtomicBool,
}

impl ClientTickets {
    /// Creates a store for this many clients. Each of them keeps one ticket.
    pub(super) fn new(clients: usize) -> Self {
        Self { tickets: Mutex::default(), most: clients, is_released: AtomicBool::new(false) }
    }

    /// Returns the setting for a TLS configuration.
    pub(super) fn resumption(self: &Arc<Self>) -> Resumption {
        Resumption::store(Arc::<Self>::clone(self))
    }

    /// Lets new connections use the tickets.
    pub(super) fn release(&self) {
        self.is_released.store(true, Ordering::Relaxed);
    }
}

impl ClientSessionStore for ClientTickets {
    fn set_kx_hint(&self, _server: ServerName<'static>, _group: NamedGroup) {}

    fn kx_hint(&self, _server: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _server: ServerName<'static>, _value: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _server: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _server: ServerName<'static>, value: Tls13ClientSessionValue) {
        let mut tickets = self.tickets.lock();
        if tickets.len() < self.most {
            tickets.push(value);
        }
    }

    fn take_tls13_ticket(&self, _server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        match self.is_released.load(Ordering::Relaxed) {
            true => self.tickets.lock().pop(),
            false => None,
        }
    }
}
