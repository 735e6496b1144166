//! Progress check of incomplete input: a frame, a message in fragments or chunks, or a TLS record.
//! It must grow, and the time without growth is limited.
//!
//! A single deadline would close clients that upload a lot over a slow connection. A deadline that
//! each byte extends would let a peer occupy megabytes for hours. Instead, the worker checks once
//! per `messageTimeout` that the input has grown at the rate [`MESSAGE_RATE_MIN`] since the last
//! check. Time in which the worker did not read the socket does not count.

use std::time::Duration;

use super::{Connection, HALF_A_FRAME, HALF_A_MESSAGE, Phase};
use crate::types::CloseReason;
use crate::types::limits::MESSAGE_RATE_MIN;
use crate::worker::clock::Moment;
use crate::worker::context::Context;

/// Progress check of a connection, and the memory that it holds. Both are in one struct, because
/// two would add sixteen bytes to each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) struct IncompleteInput {
    looked_at: Moment,
    /// Length of the incomplete input at the last check.
    looked_bytes: u32,
    /// Bytes held after the last work on the connection: see [`Connection::held`].
    pub(in crate::worker) held: u32,
}

/// Result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// The check is not due, or there is no incomplete input.
    Later,
    /// The input has grown enough. A new interval starts.
    Grown,
    /// The input has not grown enough.
    Stuck,
}

impl IncompleteInput {
    /// State of a new connection.
    pub(in crate::worker) const NOTHING: Self =
        Self { looked_at: Moment::NEVER, looked_bytes: 0, held: 0 };

    /// Records that there is no incomplete input.
    pub(in crate::worker) fn end(&mut self) {
        (self.looked_at, self.looked_bytes) = (Moment::NEVER, 0);
    }

    /// Records that there is incomplete input. Further bytes do not restart the interval.
    fn begin(&mut self, now: Moment) {
        self.looked_at = self.looked_at.min(now);
    }

    /// Restarts the interval, because the worker did not read the socket.
    pub(in crate::worker) fn restart(&mut self, now: Moment) {
        if self.looked_at != Moment::NEVER {
            self.looked_at = now;
        }
    }

    /// Returns the time of the next check.
    pub(in crate::worker) fn due(self, within: Duration) -> Moment {
        self.looked_at.after(within)
    }

    fn check_growth(&mut self, now: Moment, within: Duration, bytes: u32) -> Growth {
        if self.due(within) > now {
            return Growth::Later;
        }
        let enough = within.as_secs_f64() * f64::from(MESSAGE_RATE_MIN);
        let grown = f64::from(bytes.saturating_sub(self.looked_bytes));
        (self.looked_at, self.looked_bytes) = (now, bytes);
        if grown >= enough { Growth::Grown } else { Growth::Stuck }
    }
}

/// Records whether input is incomplete, after bytes were processed.
pub(in crate::worker) fn note_incomplete(context: &Context, connection: &mut Connection) {
    if connection.is_unfinished() {
        connection.incomplete.begin(context.clock.now());
    } else {
        connection.incomplete.end();
    }
}

/// Returns the close reason if a check is due and the input has not grown enough.
pub(in crate::worker) fn find_stuck(
    context: &Context,
    connection: &mut Connection,
) -> Option<CloseReason> {
    if !connection.watched.reads() {
        return None;
    }
    if connection.is_waiting {
        // Received bytes may be unread, because other connections are served first.
        connection.incomplete.restart(context.clock.now());
        return None;
    }
    let bytes = connection.unfinished_bytes();
    let within = context.settings.message_timeout;
    let is_stuck =
        connection.incomplete.check_growth(context.clock.now(), within, bytes) == Growth::Stuck;
    is_stuck.then(|| match connection.reader.is_mid_frame() {
        true => HALF_A_FRAME,
        false => HALF_A_MESSAGE,
    })
}

impl Connection {
    /// Returns true if there is incomplete input.
    fn is_unfinished(&self) -> bool {
        self.reader.is_unfinished()
            || matches!(&self.phase, Phase::Open(session) if session.bytes_in_chunks().is_some())
            || self.tls.as_ref().is_some_and(|tls| tls.is_mid_record())
    }

    fn unfinished_bytes(&self) -> u32 {
        let chunks = match &self.phase {
            Phase::Open(session) => session.bytes_in_chunks().unwrap_or(0),
            _ => 0,
        };
        let sealed = self.tls.as_ref().map_or(0, |tls| tls.held());
        u32::try_from(self.reader.held() + chunks + sealed).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(10);
    const ENOUGH: u32 = 10 * MESSAGE_RATE_MIN;

    fn at(seconds: u64) -> Moment {
        Moment::START.after(Duration::from_secs(seconds))
    }

    #[test]
    fn what_grows_has_time_and_what_does_not_is_ended() {
        let mut message = IncompleteInput::NOTHING;
        assert_eq!(message.check_growth(at(99), WITHIN, 0), Growth::Later);
        message.begin(at(100));
        message.begin(at(105));
        assert_eq!(message.check_growth(at(109), WITHIN, 0), Growth::Later);
        assert_eq!(message.check_growth(at(110), WITHIN, ENOUGH), Growth::Grown);
        assert_eq!(message.check_growth(at(119), WITHIN, ENOUGH), Growth::Later);
        assert_eq!(message.check_growth(at(120), WITHIN, 2 * ENOUGH - 1), Growth::Stuck);
    }

    #[test]
    fn time_in_which_nothing_was_read_does_not_count() {
        let mut message = IncompleteInput::NOTHING;
        message.restart(at(1));
        assert_eq!(message, IncompleteInput::NOTHING, "nothing has begun");
        message.begin(at(1));
        message.restart(at(9));
        assert_eq!(message.due(WITHIN), at(19));
    }
}
