//! TLS handshakes: a bounded part of each turn is theirs, so that no delivery waits for a storm of
//! them.
//!
//! A handshake costs as much as sixty deliveries. Sockets that shake hands are watched by an epoll of
//! their own, which the loop's epoll watches. It gives them one by one, the one that has waited
//! longest first, so whoever is not served in a turn is first in the next one, and costs nothing
//! meanwhile.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::reactor::poller::{Interest, Poller};
use crate::types::limits::SHAKING_TIME;
use crate::types::{Slot, TurnBudget};
use crate::worker::event_loop::{EventLoop, SHAKING};

/// The sockets that shake hands.
#[derive(Debug)]
pub(in crate::worker) struct TlsHandshakes(Poller);

/// Who watches a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Watcher {
    /// The loop itself.
    Loop,
    /// [`Shaking`].
    Shaking,
}

impl TlsHandshakes {
    /// None so far; the loop's epoll tells when one of them is ready.
    pub(in crate::worker) fn new(of_loop: &Poller) -> io::Result<Self> {
        // One at a time: what is taken out and not served would have to wait behind all others.
        let own = Poller::new(1)?;
        of_loop.watch(&own, SHAKING, Interest::Read)?;
        Ok(Self(own))
    }
}

impl EventLoop {
    /// Goes on with TLS handshakes, until their time in this turn is over.
    pub(in crate::worker) fn shake_hands(&mut self) -> io::Result<()> {
        let part = TurnBudget::new(self.clock.time(), SHAKING_TIME);
        let mut ready = Vec::with_capacity(1);
        loop {
            self.shaking.0.wait(Some(Duration::ZERO), &mut ready)?;
            let Some(event) = ready.pop() else { return Ok(()) };
            if let Ok(slot) = u32::try_from(event.token).map(Slot) {
                self.serve_socket(slot, event);
            }
            if part.is_spent(self.clock.time()) {
                return Ok(());
            }
        }
    }

    /// The epoll that watches a socket.
    pub(in crate::worker) fn watcher(&self, watcher: Watcher) -> &Poller {
        match watcher {
            Watcher::Loop => &self.poller,
            Watcher::Shaking => &self.shaking.0,
        }
    }

    /// Changes what a socket is watched for, and by whom: by the loop once it shakes hands no more.
    pub(in crate::worker) fn watch_again(
        &self,
        socket: &OwnedFd,
        (token, interest): (u64, Interest),
        (before, by): (Watcher, Watcher),
    ) -> io::Result<()> {
        if before == by {
            return self.watcher(by).rewatch(socket, token, interest);
        }
        self.watcher(before).forget(socket)?;
        self.watcher(by).watch(socket, token, interest)
    }
}
