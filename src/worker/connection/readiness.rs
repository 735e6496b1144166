//! Updates after each unit of work on a connection: the watched readiness and the next timer.

use std::time::Duration;

use super::table::DeliveryPath;
use super::{Connection, Phase, Watched};
use crate::reactor::poller::Interest;
use crate::types::limits::EARLY_BYTES_MAX;
use crate::worker::accept::tls_handshakes::Watcher;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{api_pipe, close, deadlines};
use crate::worker::context::Context;
use crate::worker::tokens::Token;

/// Resolution of the worker's clock.
const NEXT_MOMENT: Duration = Duration::from_micros(1);

/// Puts a connection back into its table after work on it. Updates its delivery path, its watched
/// readiness and its timer. Closes the socket of a connection in the phase `Gone`.
pub(in crate::worker) fn rearm(
    context: &mut Context,
    connections: &mut ConnectionTable,
    mut connection: Box<Connection>,
) {
    if matches!(connection.phase, Phase::Gone | Phase::HandedOver) {
        close::forget_outbox(context, &mut connection);
        context.memory.release(&connection);
        match connection.phase {
            Phase::HandedOver => context.stats.handed_over += 1,
            _ => {
                context.stats.closed += 1;
                context.labelled.note_closed(connection.slot);
            }
        }
        let slot = connection.slot;
        connections.end(connection);
        context.sockets.close(slot);
        context.throttle.forget(slot);
        context.broker.end_connection(slot);
        return;
    }
    context.sockets.set_path(connection.slot, delivery_path(&connection));
    context.memory.note(&mut connection);
    update_watch(context, &mut connection);
    set_timer(context, &mut connection);
    connections.put(connection);
}

/// Returns whether the socket of a connection may be read.
pub(in crate::worker) fn wants_input(context: &Context, connection: &Connection) -> bool {
    match &connection.phase {
        Phase::Open(_) => {
            connection.pending_input.is_none()
                && !context.stage.is_quiescing()
                && !is_backed_up(context, connection)
        }
        // The socket stays watched while the client waits for the 101 response. The client sends
        // nothing then. Changing the interest would cost two system calls per handshake, and a
        // disconnect would go unnoticed.
        Phase::Authorizing(pending) => pending.joining.early.len() < EARLY_BYTES_MAX,
        Phase::Joining(joining) => joining.early.len() < EARLY_BYTES_MAX,
        Phase::Piping(pipe) => pipe.wants_input(),
        Phase::Gone | Phase::HandedOver => false,
        Phase::Head(_)
        | Phase::Greeting(_)
        | Phase::Closing { .. }
        | Phase::Answering { .. }
        | Phase::Ending { .. } => true,
    }
}

/// Returns whether the requests of a client wait: too many of its answers are unread.
fn is_backed_up(context: &Context, connection: &Connection) -> bool {
    let (Some(outbox), Phase::Open(session)) = (&connection.outbox, &connection.phase) else {
        return false;
    };
    session.protocol.spec().has_requests && outbox.bytes() > context.settings.outbox_bytes_max / 2
}

fn update_watch(context: &Context, connection: &mut Connection) {
    api_pipe::update_watch(context, connection);
    let reads = wants_input(context, connection);
    let by = if connection.is_in_tls_handshake() { Watcher::TlsHandshakes } else { Watcher::Loop };
    let interest = match (reads, connection.is_full) {
        (true, true) => Interest::ReadWrite,
        (true, false) => Interest::Read,
        (false, true) => Interest::Write,
        (false, false) => Interest::Nothing,
    };
    let watched = Watched { interest, by };
    if connection.watched == watched {
        return;
    }
    let before = std::mem::replace(&mut connection.watched, watched);
    if reads && !before.reads() {
        connection.incomplete.restart(context.clock.now());
    }
    if let Some(socket) = context.sockets.get(connection.slot) {
        let token = Token::Slot(connection.slot).into();
        // If watching fails, the next write or the deadline finds the broken socket.
        drop(match before.by == by {
            true => context.watcher(by).rewatch(socket, token, interest),
            false => context
                .watcher(before.by)
                .forget(socket)
                .and_then(|()| context.watcher(by).watch(socket, token, interest)),
        });
    }
}

/// Sets a timer for the next deadline unless an earlier one is set. The timer is always in the
/// future. Otherwise the same turn would process the connection again without end.
pub(in crate::worker) fn set_timer(context: &mut Context, connection: &mut Connection) {
    let at = deadlines::next(connection, context.settings.message_timeout)
        .max(context.clock.now().after(NEXT_MOMENT));
    if at < connection.wake_at {
        connection.wake_at = at;
        context.timers.set(at, connection.slot);
    }
}

/// Returns the way in which deliveries reach a connection.
fn delivery_path(connection: &Connection) -> DeliveryPath {
    let Phase::Open(session) = &connection.phase else { return DeliveryPath::Closed };
    match session.protocol {
        protocol if !protocol.takes_publications() => DeliveryPath::Closed,
        protocol if connection.outbox.is_some() || !connection.is_plain() => {
            DeliveryPath::Queued(protocol)
        }
        protocol => DeliveryPath::Direct(protocol),
    }
}
