//! The end of a connection of `tagcast.v1`: a frame before the Close, and close codes of its own.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{
    AWAY, CONTROL_FLOOD, Connection, EXPIRED, FULL, HALF_A_FRAME, HALF_A_MESSAGE, NO_BROKER, Phase,
    REVOKED, SCARCE, SILENT, SLOW, TOKEN_REVOKED,
};
use crate::protocol::sse;
use crate::protocol::v1::V1Bye;
use crate::types::{CloseCode, CloseReason};
use crate::websocket::write as frames;
use crate::worker::context::Context;
use crate::worker::control::drain::Stage;
use crate::worker::handshake::event_stream;
use crate::worker::hosts::MISSED;

/// Each reason of the worker with that of the protocol.
static REASONS: [(&CloseReason, CloseReason); 13] = [
    (&AWAY, CloseReason::new(CloseCode::RESTART, "server restart or shutdown")),
    (&MISSED, CloseReason::new(CloseCode::RESTART, "missed messages")),
    (&SILENT, CloseReason::new(CloseCode::PING_TIMEOUT, "ping timeout")),
    (&SLOW, CloseReason::new(CloseCode::SLOW_CLIENT, "slow client")),
    (&HALF_A_FRAME, CloseReason::new(CloseCode::SLOW_CLIENT, "half a frame for too long")),
    (&HALF_A_MESSAGE, CloseReason::new(CloseCode::SLOW_CLIENT, "half a message for too long")),
    (&CONTROL_FLOOD, CloseReason::new(CloseCode::CONTROL_FLOOD, "too many control frames")),
    (&NO_BROKER, CloseReason::new(CloseCode::NOT_AVAILABLE, "broker unavailable")),
    (&FULL, CloseReason::new(CloseCode::OVER_CAPACITY, "over capacity")),
    (&SCARCE, CloseReason::new(CloseCode::OVER_CAPACITY, "over capacity")),
    (&REVOKED, CloseReason::new(CloseCode::APPLICATION_CHANGED, "application removed or changed")),
    (&EXPIRED, CloseReason::new(CloseCode::TOKEN_EXPIRED, "token expired")),
    (&TOKEN_REVOKED, CloseReason::new(CloseCode::TOKEN_EXPIRED, "token revoked")),
];

/// Time over which clients are asked to come back where the server does not know when it has room.
const CAPACITY_SPREAD: Duration = Duration::from_secs(10);
/// Least time over which clients are asked to come back.
const SPREAD_MIN: Duration = Duration::from_secs(1);
/// Time over which the clients of broken streams come back.
const STREAM_SPREAD: Duration = Duration::from_secs(3);
/// The golden ratio in units of 2^-32. Its multiples are spread evenly, however many there are.
const GOLDEN: u32 = 2_654_435_769;

/// Times after which clients are asked to come back, so that they do not come at once.
#[derive(Debug)]
pub(in crate::worker) struct RetryTimes {
    /// Part of the span, in units of 2^-32.
    part: u32,
}

impl RetryTimes {
    /// Creates the times of a worker. With another start for each worker, clients of two workers do not come back in
    /// pairs.
    pub(in crate::worker) fn starting_at(part: u32) -> Self {
        Self { part }
    }

    /// Returns the time in milliseconds after which the client of a stream reconnects if it breaks. `EventSource`
    /// has no random part in its own time.
    pub(in crate::worker) fn next_of_stream(&mut self) -> u64 {
        1000 + self.next_within(STREAM_SPREAD)
    }

    /// Returns the next time in milliseconds within a span. The times of many clients are spread evenly over it.
    fn next_within(&mut self, span: Duration) -> u64 {
        self.part = self.part.wrapping_add(GOLDEN);
        u64::try_from((span.as_millis() * u128::from(self.part)) >> u32::BITS).unwrap_or(u64::MAX)
    }
}

/// Returns true if the client of a connection speaks a protocol with requests and has its 101 response.
pub(in crate::worker) fn is_greeted(connection: &Connection) -> bool {
    let session = match &connection.phase {
        Phase::Greeting(_) => return true,
        Phase::Authorizing(pending) => &pending.joining.session,
        Phase::Joining(joining) => &joining.session,
        Phase::Open(session) => session,
        _ => return false,
    };
    session.protocol.spec().has_requests
}

/// Returns the reason of a Close of the server as the client's protocol has it.
pub(in crate::worker) fn worded<'r>(
    connection: &Connection,
    reason: &'r CloseReason,
) -> Cow<'r, CloseReason> {
    let is_fixed = matches!(reason.text, Cow::Borrowed(_));
    if !is_fixed || !(is_greeted(connection) || event_stream::is_open_stream(connection)) {
        return Cow::Borrowed(reason);
    }
    let own = REASONS.iter().find(|(known, _)| **known == *reason);
    own.map_or(Cow::Borrowed(reason), |(_, own)| Cow::Owned(own.clone()))
}

/// Appends `bye` before the Close of the server, if the client's protocol has it.
pub(super) fn push(
    context: &mut Context,
    connection: &Connection,
    reason: &CloseReason,
    out: &mut BytesMut,
) {
    if *reason == CloseReason::BYE || !is_greeted(connection) {
        return;
    }
    let retry_after_ms = retry_after_ms(context, reason.code);
    frames::text(out, V1Bye { reason, retry_after_ms }.frame().as_bytes());
}

/// Returns the last event of a stream of events.
pub(super) fn of_stream(context: &mut Context, reason: &CloseReason) -> Bytes {
    sse::bye(reason, retry_after_ms(context, reason.code)).into()
}

/// Returns the time after which a client is asked to come back, in milliseconds.
pub(in crate::worker) fn retry_after_ms(context: &mut Context, code: CloseCode) -> Option<u64> {
    let now = context.clock.now();
    let span = match (code, &context.stage) {
        (CloseCode::RESTART, Stage::Draining { until, .. }) => until.until_then(now),
        (CloseCode::RESTART, _) => SPREAD_MIN,
        (CloseCode::OVER_CAPACITY, _) => CAPACITY_SPREAD,
        _ => return None,
    };
    Some(context.retry_times.next_within(span.max(SPREAD_MIN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_many_clients_are_spread_over_the_whole_span() {
        for start in [0, 1 << 20, u32::MAX] {
            let mut times = RetryTimes::starting_at(start);
            let mut all: Vec<u64> =
                (0..1000).map(|_| times.next_within(Duration::from_secs(5))).collect();
            all.sort_unstable();
            assert!(all.last().is_some_and(|last| (4900..5000).contains(last)));
            assert!(all.windows(2).all(|pair| pair[1] - pair[0] <= 15), "{all:?}");
        }
    }
}
