//! Closing of a connection.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use rustix::net::{Shutdown, shutdown};
use tracing::info;

use super::outbox::{OutboxPart, PartKind};
use super::{Connection, Phase};
use crate::types::limits::CLOSE_WAIT;
use crate::types::{CloseCode, CloseReason, Slot};
use crate::websocket::write as frames;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{bye, readiness, write};
use crate::worker::context::Context;
use crate::worker::dispatch;
use crate::worker::dispatch::resumption::ClientEnd;
use crate::worker::handshake::{authorize, event_stream, refusals};

/// Closes a WebSocket with a Close frame. Nothing is written to it afterwards.
pub(in crate::worker) fn close(
    context: &mut Context,
    connection: &mut Connection,
    reason: &CloseReason,
) {
    close_with(context, connection, reason, &CloseOutcome::ByServer(None));
}

/// Closes a WebSocket without a Close frame, after all queued bytes.
pub(in crate::worker) fn close_abruptly(
    context: &mut Context,
    connection: &mut Connection,
    reason: &CloseReason,
) {
    close_with(context, connection, reason, &CloseOutcome::Abruptly);
}

/// Closes a WebSocket because of a fault of its client. Its resource is notified of the fault.
pub(in crate::worker) fn fail(
    context: &mut Context,
    connection: &mut Connection,
    reason: &CloseReason,
) {
    let fault = CloseOutcome::ByServer(Some(reason));
    close_with(context, connection, reason, &fault);
}

/// Answers the peer's Close frame with the same code (RFC 6455 §5.5.1).
pub(in crate::worker) fn answer_close(
    context: &mut Context,
    connection: &mut Connection,
    code: Option<CloseCode>,
    reason: &str,
) {
    let end = ClientEnd::of_client(code);
    let code = code.unwrap_or(CloseCode::NORMAL);
    let own = match &connection.phase {
        Phase::Open(session) => {
            (session.protocol.spec().close_answer)(&context.settings.rules.protocols)
        }
        _ => None,
    };
    let reason = own.unwrap_or_else(|| CloseReason { code, text: Cow::Owned(reason.to_owned()) });
    close_with(context, connection, &reason, &CloseOutcome::ByClient(end));
}

fn close_with(
    context: &mut Context,
    connection: &mut Connection,
    reason: &CloseReason,
    ended: &CloseOutcome<'_>,
) {
    if matches!(
        connection.phase,
        Phase::Closing { .. }
            | Phase::Ending { .. }
            | Phase::Answering { .. }
            | Phase::HandedOver
            | Phase::Piping(_)
            | Phase::Gone
    ) {
        return;
    }
    let client = connection.uuid().map(tracing::field::debug);
    let worded = match ended {
        CloseOutcome::ByClient(_) => Cow::Borrowed(reason),
        _ => bye::worded(connection, reason),
    };
    let reason = &*worded;
    let of_server = ClientEnd::of_server(reason.code);
    let (by, fault, client_end) = match ended {
        // The server closes because the client has asked for it.
        CloseOutcome::ByServer(_) if *reason == CloseReason::BYE => ("client", None, of_server),
        CloseOutcome::ByServer(fault) => ("server", fault.map(|_| reason), of_server),
        CloseOutcome::Abruptly => ("server", None, of_server),
        CloseOutcome::ByClient(end) => ("client", None, *end),
    };
    let hint = refusals::take_unmet_offer(context, connection)
        .filter(|_| matches!(ended, CloseOutcome::ByClient(_)));
    // A handshake that was refused has its own log line.
    if connection.is_open() {
        info!(
            event = "connection_closed",
            connection = connection.serial,
            client,
            by,
            code = reason.code.0,
            reason = shown(reason),
            hint,
            "connection closed"
        );
    }
    let mut frame = BytesMut::new();
    if event_stream::is_open_stream(connection) {
        frame.extend_from_slice(&bye::of_stream(context, reason));
    } else if !matches!(ended, CloseOutcome::Abruptly) && !ends_abruptly(context, connection) {
        if matches!(ended, CloseOutcome::ByServer(_)) {
            bye::push(context, connection, reason, &mut frame);
        }
        frames::close(&mut frame, Some(reason.code), &reason.text);
    }
    dispatch::on_end(context, connection, reason, client_end, fault);
    context
        .handshakes
        .advance(connection, Phase::Closing { until: context.clock.now().after(CLOSE_WAIT) });
    connection.pending_input = None;
    connection.reader.forget();
    write::write(context, connection, frame.freeze(), PartKind::Close);
}

/// Returns true if the connection ends without a Close frame, as in phpWebSocketServer.
fn ends_abruptly(context: &Context, connection: &Connection) -> bool {
    let session = match &connection.phase {
        Phase::Open(session) => session,
        Phase::Joining(joining) => &joining.session,
        // The client was refused. Only phpWebSocketServer clients have a pacer in this phase.
        Phase::Head(_) => {
            return connection.pacer.is_some() && context.settings.refuses_abruptly();
        }
        _ => return false,
    };
    (session.protocol.spec().closes_abruptly)(&context.settings.rules.protocols)
}

/// Sends the response to a request that does not become a WebSocket, then closes the connection.
pub(in crate::worker) fn answer_and_end(
    context: &mut Context,
    connection: &mut Connection,
    answer: Bytes,
) {
    if connection.is_in_tls_handshake() {
        return discard(context, connection, "no TLS handshake");
    }
    authorize::post_never_opened(context, connection);
    context.broker.uplink.leave(connection.slot);
    context
        .handshakes
        .advance(connection, Phase::Answering { until: context.clock.now().after(CLOSE_WAIT) });
    connection.pacer = None;
    connection
        .outbox(context.clock.now())
        .push(OutboxPart::of(answer, PartKind::Frames), context.clock.now());
    write::flush(context, connection);
}

/// Shuts down the write side after the last byte, and waits for the peer to close.
pub(in crate::worker) fn shut_write_side(context: &mut Context, connection: &mut Connection) {
    if let (Some(tls), Some(socket)) = (&mut connection.tls, context.sockets.get(connection.slot)) {
        tls.seal_end();
        // A peer that does not accept these few bytes has received the Close frame before them.
        let _sent = tls.send(socket);
    }
    if let Some(socket) = context.sockets.get(connection.slot)
        && shutdown(socket, Shutdown::Write).is_err()
    {
        return discard(context, connection, BROKEN);
    }
    forget_outbox(context, connection);
    context
        .handshakes
        .advance(connection, Phase::Ending { until: context.clock.now().after(CLOSE_WAIT) });
}

/// Discards the outbox. Deliveries in it count as missed.
pub(in crate::worker) fn forget_outbox(context: &mut Context, connection: &mut Connection) {
    if let Some(mut outbox) = connection.outbox.take() {
        context.stats.missed += outbox.waiting();
        context.memory.forget_outbox(&mut outbox);
    }
}

/// Ends a connection without sending anything. [`readiness::rearm`] closes the socket.
pub(in crate::worker) fn discard(
    context: &mut Context,
    connection: &mut Connection,
    why: &'static str,
) {
    let hint = refusals::take_unmet_offer(context, connection);
    if let Some(client) = connection.uuid() {
        info!(
            event = "connection_lost",
            connection = connection.serial,
            ?client,
            reason = why,
            hint,
            "connection lost"
        );
    }
    let lost = CloseReason::new(CloseCode::LOST, why);
    let fault = (why == BROKEN).then_some(&lost);
    dispatch::on_end(context, connection, &lost, ClientEnd::Away, fault);
    context.handshakes.advance(connection, Phase::Gone);
}

/// Discards a connection that is in the table.
pub(in crate::worker) fn drop_connection(
    context: &mut Context,
    connections: &mut ConnectionTable,
    slot: Slot,
) {
    let Some(mut connection) = connections.take(slot) else { return };
    discard(context, &mut connection, BROKEN);
    readiness::rearm(context, connections, connection);
}

/// Reason for a socket that can no longer be read or written.
pub(in crate::worker) const BROKEN: &str = "the socket is broken";

/// Way in which a WebSocket ends.
enum CloseOutcome<'a> {
    /// The server closed it. The reason is set if the client caused a fault.
    ByServer(Option<&'a CloseReason>),
    /// The server closed it without a Close frame.
    Abruptly,
    /// The client closed it.
    ByClient(ClientEnd),
}

/// Returns a close reason for the log. Only constant texts are logged: other texts come from the
/// client and may contain secrets.
fn shown(reason: &CloseReason) -> &str {
    match &reason.text {
        Cow::Borrowed(words) => words,
        Cow::Owned(_) => "the reason was sent to or by the client",
    }
}
