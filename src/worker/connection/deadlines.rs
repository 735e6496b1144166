//! Deadlines of connections. Each phase has one, and a timer is set for the next.

use std::time::Duration;

use super::outbox::PartKind;
use super::{Connection, EXPIRED, Phase};
use crate::http::Refusal;
use crate::protocol::v1;
use crate::types::limits::OUTBOX_STALL;
use crate::websocket::write as frames;
use crate::worker::clock::{Moment, unix_time};
use crate::worker::connection::table::{BrokenSocket, ConnectionTable};
use crate::worker::connection::{
    close, heartbeat, incomplete_input, readiness, slow_client, write,
};
use crate::worker::context::Context;
use crate::worker::handshake;
use crate::worker::handshake::{authorize, hello, refusals};

/// Processes connections whose timer has expired, within the time budget of this part of the turn.
pub(in crate::worker) fn wake_due(context: &mut Context, connections: &mut ConnectionTable) {
    let mut part = None;
    while let Some(slot) = context.timers.due(context.clock.now()) {
        let part = *part.get_or_insert_with(|| context.clock.part());
        let Some(mut connection) = connections.take(slot) else { continue };
        if connection.wake_at <= context.clock.now() {
            connection.wake_at = Moment::NEVER;
            wake(context, &mut connection);
        }
        readiness::rearm(context, connections, connection);
        if context.clock.is_over(part) {
            break;
        }
    }
}

/// Discards connections whose socket broke, within the time budget of this part of the turn.
pub(in crate::worker) fn drop_broken(context: &mut Context, connections: &mut ConnectionTable) {
    let mut part = None;
    while let Some(BrokenSocket { slot, serial }) = context.sockets.next_broken() {
        let part = *part.get_or_insert_with(|| context.clock.part());
        if connections.get(slot).is_some_and(|it| it.serial == serial) {
            close::drop_connection(context, connections, slot);
        }
        if context.clock.is_over(part) {
            return;
        }
    }
}

fn wake(context: &mut Context, connection: &mut Connection) {
    match &connection.phase {
        Phase::Head(partial) if partial.until <= context.clock.now() => {
            refusals::refuse(context, connection, &Refusal::TOO_SLOW);
        }
        Phase::Greeting(pending) if pending.until <= context.clock.now() => {
            hello::time_out(context, connection);
        }
        Phase::Authorizing(pending) if pending.joining.until <= context.clock.now() => {
            authorize::give_up(context, connection);
        }
        Phase::Joining(joining) if joining.until <= context.clock.now() => {
            handshake::give_up_joining(context, connection);
        }
        Phase::Answering { until } | Phase::Ending { until } | Phase::Closing { until }
            if *until <= context.clock.now() =>
        {
            close::discard(context, connection, "the client did not close in time");
        }
        Phase::Open(_) => wake_open(context, connection),
        _ => write::flush(context, connection),
    }
}

fn wake_open(context: &mut Context, connection: &mut Connection) {
    write::flush(context, connection);
    if connection.is_full
        && let Some(outbox) = &connection.outbox
        && outbox.moved_at().after(OUTBOX_STALL) <= context.clock.now()
    {
        return slow_client::close(context, connection);
    }
    if let Some(reason) = incomplete_input::find_stuck(context, connection) {
        return close::fail(context, connection, &reason);
    }
    if token_end(connection) <= context.clock.now() {
        return close::fail(context, connection, &EXPIRED);
    }
    if token_notice(connection) <= context.clock.now() {
        warn_of_token_end(context, connection);
    }
    if connection.next_heartbeat <= context.clock.now() {
        heartbeat::tick(context, connection);
    }
}

/// Asks a client for the next token.
fn warn_of_token_end(context: &mut Context, connection: &mut Connection) {
    let Phase::Open(session) = &mut connection.phase else { return };
    let Some(extras) = &mut session.extras else { return };
    extras.is_warned = true;
    let expires = extras.token.as_ref().map_or(0, |token| token.verified.claims.expires);
    let seconds = expires.saturating_sub(unix_time().as_secs());
    let frame = frames::text_frame(v1::expires(seconds).as_bytes());
    write::write(context, connection, frame, PartKind::Frames);
}

/// Returns the time at which a client is asked for the next token.
fn token_notice(connection: &Connection) -> Moment {
    let Phase::Open(session) = &connection.phase else { return Moment::NEVER };
    let extras = session.extras.as_ref().filter(|extras| !extras.is_warned);
    let token = extras.and_then(|extras| extras.token.as_ref());
    let token = token.filter(|_| session.protocol.spec().has_requests);
    token.map_or(Moment::NEVER, |token| Moment::START.after(token.warns))
}

/// Returns the next time at which something is due for the token of a connection.
fn next_of_token(connection: &Connection) -> Moment {
    token_notice(connection).min(token_end(connection))
}

/// Returns the time at which the token of a connection has expired.
fn token_end(connection: &Connection) -> Moment {
    let Phase::Open(session) = &connection.phase else { return Moment::NEVER };
    session.token().map_or(Moment::NEVER, |token| Moment::START.after(token.ends))
}

/// Returns the next time at which a deadline of a connection may expire.
pub(in crate::worker) fn next(connection: &Connection, message_timeout: Duration) -> Moment {
    let phase = match &connection.phase {
        Phase::Head(partial) => partial.until,
        Phase::Greeting(pending) => pending.until,
        Phase::Authorizing(pending) => pending.joining.until,
        Phase::Joining(joining) => joining.until,
        Phase::Closing { until } | Phase::Answering { until } | Phase::Ending { until } => *until,
        // While the socket is not read, an incomplete message cannot be completed and has no
        // deadline.
        Phase::Open(_) if !connection.watched.reads() => {
            connection.next_heartbeat.min(next_of_token(connection))
        }
        Phase::Open(_) => connection
            .next_heartbeat
            .min(next_of_token(connection))
            .min(connection.incomplete.due(message_timeout)),
        Phase::Gone | Phase::HandedOver | Phase::Piping(_) => Moment::NEVER,
    };
    // Parts that wait for the broker are processed when the broker answers.
    let Some(outbox) = connection.outbox.as_ref().filter(|it| !it.is_held()) else { return phase };
    let written = match (&connection.pacer, outbox.next_kind()) {
        (Some(pace), Some(next)) if !connection.is_full => pace.free_at(next),
        _ if matches!(connection.phase, Phase::Open(_)) => outbox.moved_at().after(OUTBOX_STALL),
        // A connection in another phase has its own deadline. A full socket does not extend it.
        _ => return phase,
    };
    phase.min(written)
}
