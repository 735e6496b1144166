//! Clients that do not read what is sent to them (rule L7).

use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tracing::warn;

use super::{Connection, Phase, SLOW, close};
use crate::worker::context::Context;

/// Closes a client that does not read: completes the current frame, sends Close, then resets the
/// connection.
pub(in crate::worker) fn close(context: &mut Context, connection: &mut Connection) {
    let held = connection.outbox.as_ref().map_or(0, |outbox| outbox.bytes());
    let client = connection.uuid().map(tracing::field::debug);
    warn!(
        event = "slow_client",
        connection = connection.serial,
        client,
        bytes = held,
        "slow client"
    );
    context.stats.slow += 1;
    if let Some(outbox) = &mut connection.outbox {
        context.stats.missed += outbox.truncate();
    }
    if let Some(socket) = context.sockets.get(connection.slot) {
        // Without this option the connection ends with a FIN instead of a reset.
        let _unset = set_socket_linger(socket, Some(Duration::ZERO));
    }
    close::fail(context, connection, &SLOW);
}

/// Returns true if the client must be dropped as soon as its socket is full, as in
/// phpWebSocketServer.
pub(in crate::worker) fn is_dropped(context: &Context, connection: &Connection) -> bool {
    let Phase::Open(session) = &connection.phase else { return false };
    (session.protocol.spec().drops_slow)(&context.settings.rules.protocols)
}

/// Drops a connection in the middle of a frame, where a Close frame cannot be sent.
pub(in crate::worker) fn drop_connection(context: &mut Context, connection: &mut Connection) {
    warn!(event = "slow_client", connection = connection.serial, "slow client");
    context.stats.slow += 1;
    if let Some(outbox) = &mut connection.outbox {
        outbox.count_slow();
    }
    close::forget_outbox(context, connection);
    close::discard(context, connection, "its socket was full");
}
