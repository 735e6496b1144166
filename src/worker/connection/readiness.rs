//! After each piece of work on a connection: what it is watched for, and when it is looked at
//! again.

use std::time::Duration;

use super::table::DeliveryPath;
use super::{Connection, Phase, Watched};
use crate::reactor::poller::Interest;
use crate::types::Slot;
use crate::types::limits::READ_BYTES;
use crate::worker::accept::tls_handshakes::Watcher;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{close, deadlines};
use crate::worker::context::Context;
use crate::worker::tokens::Token;

/// The smallest step of the worker's clock.
const NEXT_MOMENT: Duration = Duration::from_micros(1);

/// Puts a connection back after work on it: deliveries take the right way to it, the kernel
/// reports what it waits for, and a timer is set for its next deadline. One that is gone is
/// closed here.
pub(in crate::worker) fn rearm(
    context: &mut Context,
    connections: &mut ConnectionTable,
    mut connection: Box<Connection>,
) {
    if matches!(connection.phase, Phase::Gone) {
        close::forget_outbox(context, &mut connection);
        context.memory.release(&connection);
        context.stats.closed += 1;
        let slot = connection.slot;
        connections.end(connection);
        context.sockets.close(slot);
        context.broker.end_connection(slot);
        return;
    }
    context.sockets.set_path(connection.slot, delivery_path(&connection));
    context.memory.note(&mut connection);
    update_watch(context, &mut connection);
    set_timer(context, &mut connection);
    connections.put(connection);
}

/// Looks at a connection again because the stage of the worker has changed.
pub(in crate::worker) fn rewatch(
    context: &mut Context,
    connections: &mut ConnectionTable,
    slot: Slot,
) {
    if let Some(connection) = connections.take(slot) {
        rearm(context, connections, connection);
    }
}

fn update_watch(context: &Context, connection: &mut Connection) {
    let reads = match &connection.phase {
        Phase::Open(_) => connection.pending_input.is_none() && !context.stage.is_quiescing(),
        // A client that waits for the 101 sends nothing: not to watch it would cost two system calls of
        // each handshake, and hide that it has gone.
        Phase::Authorizing(pending) => pending.joining.early.len() < READ_BYTES,
        Phase::Joining(joining) => joining.early.len() < READ_BYTES,
        Phase::Gone => false,
        Phase::Head(_) | Phase::Closing { .. } | Phase::Answering { .. } | Phase::Ending { .. } => {
            true
        }
    };
    let by = if connection.is_shaking_hands() { Watcher::TlsHandshakes } else { Watcher::Loop };
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
        // A socket that cannot be watched is found broken by the next write or by its deadline.
        drop(match before.by == by {
            true => context.watcher(by).rewatch(socket, token, interest),
            false => context
                .watcher(before.by)
                .forget(socket)
                .and_then(|()| context.watcher(by).watch(socket, token, interest)),
        });
    }
}

/// Sets a timer for the next deadline, unless one is set for an earlier moment. Never for this
/// moment: the connection would be looked at again in the same turn, and that for ever.
pub(in crate::worker) fn set_timer(context: &mut Context, connection: &mut Connection) {
    let at = deadlines::next(connection, context.settings.message_timeout)
        .max(context.clock.now().after(NEXT_MOMENT));
    if at < connection.wake_at {
        connection.wake_at = at;
        context.timers.set(at, connection.slot);
    }
}

/// How deliveries reach a connection.
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
