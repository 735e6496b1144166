//! Whether the server is still there: a connection on which nothing arrives is given up.

use std::time::{Duration, Instant};

use crate::clock::later;

/// How long after a ping of the server is due the connection is given up.
const SILENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Liveness {
    heard_at: Option<Instant>,
    silence: Option<Duration>,
    /// Whether the client reads nothing at present, so that silence says nothing.
    is_paused: bool,
}

impl Liveness {
    /// A frame has arrived.
    pub(super) const fn heard(&mut self, now: Instant) {
        self.heard_at = Some(now);
    }

    /// A connection begins. The server sends a ping each time this number of seconds has passed; 0 for none.
    pub(super) fn begin(&mut self, ping: u64) {
        let silence = Duration::from_secs(ping).saturating_add(SILENCE);
        self.silence = (ping > 0).then_some(silence);
        self.is_paused = false;
    }

    /// The client stops to read. What was to be read meanwhile counts as read.
    pub(super) const fn pause(&mut self) {
        self.is_paused = true;
    }

    /// The client reads.
    pub(super) const fn resume(&mut self, now: Instant) {
        if self.is_paused {
            self.heard_at = Some(now);
        }
        self.is_paused = false;
    }

    /// When the connection is given up if nothing arrives.
    pub(super) fn silent_at(&self) -> Option<Instant> {
        let heard_at = self.heard_at.filter(|_| !self.is_paused)?;
        Some(later(heard_at, self.silence?))
    }
}
