//! What a peer has sent in part (a frame, a message in pieces or chunks, a record of TLS): it
//! has to grow, and the time in which it does not is bounded.
//!
//! A deadline for the whole would hit a client that uploads much over a slow line; one that each byte puts
//! off would let a peer hold megabytes for hours. So it is looked at once in `messageTimeout`, and has
//! to have grown by [`MESSAGE_RATE_MIN`] since the last look. Time in which the server did not read
//! does not count.

use std::time::Duration;

use super::{Connection, HALF_A_FRAME, HALF_A_MESSAGE, Phase};
use crate::types::CloseReason;
use crate::types::limits::MESSAGE_RATE_MIN;
use crate::worker::clock::Moment;
use crate::worker::context::Context;

/// What a connection holds, and when what of it has not ended was looked at last. One structure for
/// both, since every connection has it and two would cost it sixteen bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) struct IncompleteInput {
    looked_at: Moment,
    /// How much there was that had not ended.
    looked_bytes: u32,
    /// Bytes that the connection held when it was put back last: see [`Connection::held`].
    pub(in crate::worker) held: u32,
}

/// What a look comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// It is not time yet, or there is nothing.
    Later,
    /// It has grown, and has all its time again.
    Grown,
    /// It has not.
    Stuck,
}

impl IncompleteInput {
    /// Of a connection that was just accepted.
    pub(in crate::worker) const NOTHING: Self =
        Self { looked_at: Moment::NEVER, looked_bytes: 0, held: 0 };

    /// What had come in part is complete.
    pub(in crate::worker) fn end(&mut self) {
        (self.looked_at, self.looked_bytes) = (Moment::NEVER, 0);
    }

    /// Notes that something has not ended. More bytes of it give it no new time by themselves.
    fn begin(&mut self, now: Moment) {
        self.looked_at = self.looked_at.min(now);
    }

    /// The time begins once more: the server had not read.
    pub(in crate::worker) fn restart(&mut self, now: Moment) {
        if self.looked_at != Moment::NEVER {
            self.looked_at = now;
        }
    }

    /// When it is to be looked at.
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

/// Notes whether something is incomplete, after bytes were taken.
pub(in crate::worker) fn note_incomplete(context: &Context, connection: &mut Connection) {
    if connection.is_unfinished() {
        connection.incomplete.begin(context.clock.now());
    } else {
        connection.incomplete.end();
    }
}

/// Why a connection ends whose message does not come to its end, if it is time for that.
pub(in crate::worker) fn find_stuck(
    context: &Context,
    connection: &mut Connection,
) -> Option<CloseReason> {
    if !connection.watched.reads() {
        return None;
    }
    if connection.is_waiting {
        // What has come is not read yet, because others are served.
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
    /// Whether the peer has sent something in part.
    fn is_unfinished(&self) -> bool {
        self.reader.is_unfinished()
            || matches!(&self.phase, Phase::Open(session) if session.chunks.is_some())
            || self.tls.as_ref().is_some_and(|tls| tls.is_mid_record())
    }

    fn unfinished_bytes(&self) -> u32 {
        let chunks = match &self.phase {
            Phase::Open(session) => session.chunks.as_ref().map_or(0, |chunks| chunks.bytes()),
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
