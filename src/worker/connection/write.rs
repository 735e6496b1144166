//! Writing to one connection: directly to the socket, or through its outbox.

use std::os::fd::OwnedFd;

use bytes::Bytes;

use super::close::BROKEN;
use super::outbox::{Flushed, OutboxPart, PartKind, PeerStream, Sent, send_now};
use super::{Connection, Phase};
use crate::types::Slot;
use crate::types::limits::{SEND_BYTES_MAX, WRITTEN_BYTES_OF_WORK};
use crate::worker::clock::TurnClock;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{close, readiness, slow_client};
use crate::worker::context::Context;

/// Writes to a connection: directly to the socket, or after the bytes in its outbox.
pub(in crate::worker) fn write(
    context: &mut Context,
    connection: &mut Connection,
    bytes: Bytes,
    kind: PartKind,
) {
    // An empty Close part is not skipped: it ends the connection without a Close frame.
    let is_empty = bytes.is_empty() && kind != PartKind::Close;
    if is_empty
        || matches!(connection.phase, Phase::Ending { .. } | Phase::HandedOver | Phase::Gone)
    {
        return;
    }
    let waits = connection.outbox.as_ref().is_some_and(|outbox| !outbox.is_empty());
    let is_large = bytes.len() > SEND_BYTES_MAX;
    if connection.is_plain() && !waits && kind != PartKind::Close && !is_large {
        return write_directly(context, connection, bytes);
    }
    if !push(context, connection, OutboxPart::of(bytes, kind)) {
        return slow_client::close(context, connection);
    }
    if connection.pacer.is_some() || !waits {
        flush(context, connection);
        if connection.is_full && slow_client::is_dropped(context, connection) {
            slow_client::drop_connection(context, connection);
        }
    }
}

fn write_directly(context: &mut Context, connection: &mut Connection, mut bytes: Bytes) {
    let Some(socket) = context.sockets.get(connection.slot) else { return };
    match send_now(socket, &bytes) {
        Sent::All => {}
        Sent::Some(_) if slow_client::is_dropped(context, connection) => {
            slow_client::drop_connection(context, connection);
        }
        Sent::Some(taken) => {
            connection.is_full = true;
            let rest = OutboxPart::of(bytes.split_off(taken), PartKind::Frames);
            connection.outbox(context.clock.now()).push(rest, context.clock.now());
        }
        Sent::Broken => close::discard(context, connection, BROKEN),
    }
}

/// Adds a part to the outbox. Returns false if the outbox was over its limit already (rule L7). The
/// message that crosses the limit is still accepted.
#[must_use]
pub(in crate::worker) fn push(
    context: &mut Context,
    connection: &mut Connection,
    part: OutboxPart,
) -> bool {
    let part = match connection.reader.foreign() {
        None => part,
        Some(foreign) => match part.reframed(foreign) {
            Some(part) => part,
            None => return true,
        },
    };
    let outbox = connection.outbox(context.clock.now());
    if outbox.bytes() > context.settings.outbox_bytes_max && part.kind() != PartKind::Close {
        part.drop_slow();
        return false;
    }
    outbox.push(part, context.clock.now());
    true
}

/// Writes the outbox as far as the socket and the pacer allow. Shuts down or discards the
/// connection when its last part is sent or its socket is broken.
pub(in crate::worker) fn flush(context: &mut Context, connection: &mut Connection) {
    let Some(socket) = context.sockets.get(connection.slot) else { return };
    if connection.outbox.is_none() {
        return;
    }
    let waited = connection.waiting();
    let mut flushed = connection.flush(socket, &context.clock);
    while flushed == Flushed::Yielded && slow_client::is_dropped(context, connection) {
        // Such a client is dropped when its socket is full, and not before.
        flushed = connection.flush(socket, &context.clock);
    }
    context.stats.delivered += waited - connection.waiting();
    // The poller reports at once that a socket accepts more.
    connection.is_full = matches!(flushed, Flushed::Full | Flushed::Yielded);
    match flushed {
        Flushed::Empty => {
            if let Some(mut outbox) = connection.outbox.take() {
                context.memory.forget_outbox(&mut outbox);
            }
            if matches!(connection.phase, Phase::Answering { .. }) {
                close::shut_write_side(context, connection);
            }
        }
        Flushed::Full | Flushed::Yielded | Flushed::Until(_) | Flushed::Held => {}
        Flushed::Closed => close::shut_write_side(context, connection),
        Flushed::Broken => close::discard(context, connection, BROKEN),
    }
}

impl Connection {
    fn flush(&mut self, socket: &OwnedFd, clock: &TurnClock) -> Flushed {
        let Self { outbox, pacer, tls, .. } = self;
        let Some(outbox) = outbox else { return Flushed::Empty };
        let Some(pacer) = pacer else {
            return outbox.flush(PeerStream::new(socket, tls.as_deref_mut()), clock.now());
        };
        while let Some(next) = outbox.next_kind() {
            if outbox.is_held() {
                return Flushed::Held;
            }
            // A turn may be long. The gap is measured from the write, not from the start of the
            // turn.
            let now = clock.read();
            let free_at = pacer.free_at(next);
            if free_at > now {
                return Flushed::Until(free_at);
            }
            let stream = PeerStream::new(socket, tls.as_deref_mut());
            let (flushed, sent) = outbox.flush_one(stream, now);
            if let Some(kind) = sent {
                pacer.on_sent(kind, clock.read());
            }
            if flushed != Flushed::Empty {
                return flushed;
            }
        }
        Flushed::Empty
    }
}

/// Writes the outbox when its socket is writable again. The work counts as that of the connection.
pub(in crate::worker) fn flush_outbox(
    context: &mut Context,
    connections: &mut ConnectionTable,
    slot: Slot,
) {
    let Some(mut connection) = connections.take(slot) else { return };
    let waiting = |it: &Connection| it.outbox.as_ref().map_or(0, |outbox| outbox.bytes());
    let before = waiting(&connection);
    flush(context, &mut connection);
    let written = before.saturating_sub(waiting(&connection));
    context.serving.note_work(written / WRITTEN_BYTES_OF_WORK);
    readiness::rearm(context, connections, connection);
}
