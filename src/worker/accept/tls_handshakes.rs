//! TLS handshakes: a bounded part of each turn is theirs, so that no delivery waits for a storm of
//! them.
//!
//! A handshake costs as much as sixty deliveries. The sockets of connections in a handshake are watched
//! by an epoll of their own, which the loop's epoll watches. It gives them one by one, the one that has
//! waited longest first: a connection that is not served in a turn is first in the next one, and costs
//! nothing meanwhile.

use std::io;
use std::time::Duration;

use crate::reactor::poller::{Interest, Poller, Ready};
use crate::types::TurnBudget;
use crate::types::limits::SHAKING_TIME;
use crate::worker::connection::serve;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::context::Context;
use crate::worker::tokens::Token;

/// The sockets of connections in a TLS handshake.
#[derive(Debug)]
pub(in crate::worker) struct TlsHandshakes(Poller);

/// The epoll that watches a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Watcher {
    /// The loop's own.
    Loop,
    /// That of [`TlsHandshakes`].
    TlsHandshakes,
}

impl TlsHandshakes {
    /// The loop's epoll reports when one of them is ready.
    pub(in crate::worker) fn new(of_loop: &Poller) -> io::Result<Self> {
        // One at a time: what is taken out and not served would have to wait after all others.
        let own = Poller::new(1)?;
        of_loop.watch(&own, Token::TlsHandshakes.into(), Interest::Read)?;
        Ok(Self(own))
    }

    /// The epoll that watches their sockets.
    pub(in crate::worker) fn poller(&self) -> &Poller {
        &self.0
    }

    /// The one that is ready and has waited longest.
    fn next(&mut self) -> io::Result<Option<Ready>> {
        let mut ready = Vec::with_capacity(1);
        self.0.wait(Some(Duration::ZERO), &mut ready)?;
        Ok(ready.pop())
    }
}

/// Continues TLS handshakes, until their time in this turn is over.
pub(in crate::worker) fn continue_handshakes(
    context: &mut Context,
    connections: &mut ConnectionTable,
) -> io::Result<()> {
    let part = TurnBudget::new(context.clock.time(), SHAKING_TIME);
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
