//! TLS handshakes. Each turn spends a limited time on them, so a flood of handshakes does not delay
//! deliveries.
//!
//! A handshake costs as much as sixty deliveries. The sockets of connections in a handshake have
//! their own epoll, which the loop's epoll watches. It returns one socket at a time, the longest
//! waiting first. A connection that is not served in a turn is first in the next one, and costs
//! nothing in between.

use std::io;
use std::time::Duration;

use crate::reactor::poller::{Interest, Poller, Ready};
use crate::types::TurnBudget;
use crate::types::limits::TLS_HANDSHAKE_TIME;
use crate::worker::connection::serve;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::context::Context;
use crate::worker::tokens::Token;

/// Poller for the sockets of connections in a TLS handshake.
#[derive(Debug)]
pub(in crate::worker) struct TlsHandshakes(Poller);

/// Poller that watches a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Watcher {
    /// Poller of the event loop.
    Loop,
    /// Poller of [`TlsHandshakes`].
    TlsHandshakes,
}

impl TlsHandshakes {
    /// Creates the poller. The event loop's poller reports when one of its sockets is ready.
    pub(in crate::worker) fn new(of_loop: &Poller) -> io::Result<Self> {
        // One event at a time. An event that is taken out and not processed would go behind all
        // others.
        let own = Poller::new(1)?;
        of_loop.watch(&own, Token::TlsHandshakes.into(), Interest::Read)?;
        Ok(Self(own))
    }

    /// Returns the poller that watches the sockets.
    pub(in crate::worker) fn poller(&self) -> &Poller {
        &self.0
    }

    /// Returns the ready socket that has waited longest.
    fn next(&mut self) -> io::Result<Option<Ready>> {
        let mut ready = Vec::with_capacity(1);
        self.0.wait(Some(Duration::ZERO), &mut ready)?;
        Ok(ready.pop())
    }
}

/// Continues TLS handshakes until their time in this turn is used up.
pub(in crate::worker) fn continue_handshakes(
    context: &mut Context,
    connections: &mut ConnectionTable,
) -> io::Result<()> {
    let part = TurnBudget::new(context.clock.time(), TLS_HANDSHAKE_TIME);
    while let Some(event) = context.tls_handshakes.next()? {
        if let Some(Token::Slot(slot)) = Token::of(event.token) {
            serve::serve_socket(context, connections, slot, event);
        }
        if part.is_spent(context.clock.time()) {
            return Ok(());
        }
    }
    Ok(())
}
