//! Deferred replies. A reply about an effect is sent after the broker has carried it out, so a
//! client that has received the reply to a command finds the command done.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::Connection;
use super::outbox::PartKind;
use crate::broker_client::sync::SyncMark;
use crate::types::Slot;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{readiness, write};
use crate::worker::context::Context;

/// Connections with deferred replies in their outbox, in the order in which the broker will finish.
#[derive(Debug, Default)]
pub(in crate::worker) struct DeferredReplies(VecDeque<DeferredReply>);

#[derive(Clone, Copy, Debug)]
struct DeferredReply {
    mark: SyncMark,
    slot: Slot,
    /// Identifies the connection, because its slot may be reused.
    serial: u64,
}

impl DeferredReplies {
    fn push(&mut self, connection: &Connection, mark: SyncMark) {
        self.0.push_back(DeferredReply { mark, slot: connection.slot, serial: connection.serial });
    }

    fn next_released(&mut self, reached: SyncMark) -> Option<DeferredReply> {
        self.0.pop_front_if(|reply| reply.mark.is_reached(reached))
    }
}

/// Defers all later writes to a client until the broker has processed everything sent to it so far.
/// `replies` are written at once.
pub(in crate::worker) fn defer_until_done(
    context: &mut Context,
    connection: &mut Connection,
    replies: &mut BytesMut,
) {
    let mut mark = context.broker.uplink.mark();
    if context.stage.is_draining() {
        mark = mark.and(context.broker.uplink.mark_of_publications());
    }
    defer(context, connection, replies, mark);
}

/// Defers later writes during a drain until the broker has processed the publications. The process
/// may exit before that, and nothing that can still be lost may be acknowledged.
pub(in crate::worker) fn defer_while_draining(
    context: &mut Context,
    connection: &mut Connection,
    replies: &mut BytesMut,
) {
    if context.stage.is_draining() && !context.broker.uplink.is_quiet() {
        let mark = context.broker.uplink.mark_of_publications();
        defer(context, connection, replies, mark);
    }
}

fn defer(
    context: &mut Context,
    connection: &mut Connection,
    replies: &mut BytesMut,
    mark: SyncMark,
) {
    write::write(context, connection, replies.split().freeze(), PartKind::Frames);
    if !connection.is_open() {
        return;
    }
    let now = context.clock.now();
    if connection.outbox(now).hold(mark, now) {
        context.deferred_replies.push(connection, mark);
    }
}

/// Writes the deferred replies that the broker's progress releases, within the time budget of this
/// part of the turn.
pub(in crate::worker) fn release_due(context: &mut Context, connections: &mut ConnectionTable) {
    let reached = context.broker.uplink.reached();
    let mut part = None;
    // A connection that is deferred again goes to the end and is not visited twice.
    for _ in 0..context.deferred_replies.0.len() {
        let Some(reply) = context.deferred_replies.next_released(reached) else { return };
        let part = *part.get_or_insert_with(|| context.clock.part());
        let is_it = |it: &Connection| it.serial == reply.serial;
        if connections.get(reply.slot).is_some_and(is_it)
            && let Some(mut connection) = connections.take(reply.slot)
        {
            release(context, &mut connection, reached);
            readiness::rearm(context, connections, connection);
        }
        if context.clock.is_over(part) {
            return;
        }
    }
}

fn release(context: &mut Context, connection: &mut Connection, reached: SyncMark) {
    if context.broker.uplink.awaits_alias(connection.slot) {
        // The alias request had to wait for another request and has only now been sent.
        let mark = context.broker.uplink.mark();
        if let Some(outbox) = &mut connection.outbox {
            outbox.hold_longer(reached, mark);
        }
        context.deferred_replies.push(connection, mark);
        return;
    }
    if let Some(outbox) = &mut connection.outbox {
        outbox.release(reached, context.clock.now());
    }
    write::flush(context, connection);
}
