//! Complete messages of a client: their resource, their acknowledgement, and their effects on the
//! connection.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::outbox::PartKind;
use super::{Connection, Phase};
use crate::resource::ResourceId;
use crate::session::{Message, NextStep, Session};
use crate::types::limits::SEND_BYTES_MAX;
use crate::types::{CloseReason, Slot};
use crate::websocket::write as frames;
use crate::worker::connection::{deferred_replies, write};
use crate::worker::context::Context;
use crate::worker::dispatch::{ClientRef, ConnectionEffect, ConnectionEffects, resumption};
use crate::worker::offload::{ReadMessage, ReadOutcome};
use crate::worker::{dispatch, questions};

/// Result of a message.
pub(in crate::worker) struct MessageOutcome {
    /// Text of the acknowledgement.
    acknowledgement: Option<Cow<'static, str>>,
    /// Effects on the connection that are still to be applied.
    rest: ConnectionEffects,
}

/// Acknowledges a message and applies its effects on the connection, in the configured order.
pub(in crate::worker) fn answer(
    context: &mut Context,
    connection: &mut Connection,
    MessageOutcome { acknowledgement, mut rest }: MessageOutcome,
    replies: &mut BytesMut,
) -> Option<CloseReason> {
    // The acknowledgement must wait for the broker too.
    if matches!(rest.first(), Some(ConnectionEffect::AwaitBroker)) {
        rest.remove(0);
        deferred_replies::defer_until_done(context, connection, replies);
    }
    let Some(next) = acknowledgement else {
        return dispatch::apply_to_connection(context, connection, rest, replies);
    };
    let is_after =
        matches!(&connection.phase, Phase::Open(session) if acknowledges_after(context, session));
    if !is_after {
        acknowledge(context, connection, replies, &next);
        return dispatch::apply_to_connection(context, connection, rest, replies);
    }
    let end = dispatch::apply_to_connection(context, connection, rest, replies);
    if end.is_none() {
        acknowledge(context, connection, replies, &next);
    }
    end
}

pub(super) fn acknowledges_after(context: &Context, session: &Session) -> bool {
    (session.protocol.spec().acknowledges_after)(&context.settings.rules.protocols)
}

/// Processes a message. Returns its acknowledgement and the effects on the connection. Publications
/// are already in the send window (rule L4) and go to the broker at the end of the turn.
pub(in crate::worker) fn on_message(
    context: &mut Context,
    slot: Slot,
    session: &mut Session,
    resource: ResourceId,
    message: Message<'_>,
) -> MessageOutcome {
    note_message(context, slot, session, message.bytes());
    resumption::note_frame(context, slot, session);
    let incoming = session.on_message(message, &context.settings.rules);
    let client = ClientRef { slot, session: &*session, resource };
    let rest = match incoming.then {
        NextStep::Nothing => ConnectionEffects::new(),
        NextStep::Text(text) if questions::take_answer(context, slot, session, &text) => {
            ConnectionEffects::new()
        }
        NextStep::Text(text) => dispatch::on_message(context, client, Message::Text(&text)),
        NextStep::Binary(bytes) => dispatch::on_message(context, client, Message::Binary(bytes)),
        NextStep::Close(reason) => [ConnectionEffect::Close(reason)].into_iter().collect(),
    };
    outcome(session, incoming.acknowledgement, rest)
}

fn note_message(context: &mut Context, slot: Slot, session: &Session, message: &[u8]) {
    context.stats.messages += 1;
    context.labelled.note_message(session.protocol, message.len());
    context.applications.note(context.sockets.application(slot), |it| {
        it.messages += 1;
        it.bytes_in += message.len() as u64;
    });
}

/// Does what a message that another thread has read requests, as [`on_message`] does for a message that
/// it reads itself.
pub(in crate::worker) fn on_read(
    context: &mut Context,
    slot: Slot,
    session: &Session,
    resource: ResourceId,
    read: ReadMessage,
) -> MessageOutcome {
    note_message(context, slot, session, read.message.bytes());
    let client = ClientRef { slot, session, resource };
    let ReadMessage { message, acknowledgement, answer, then } = read;
    let answers = answer
        .is_some_and(|(token, answer)| questions::take_read_answer(context, slot, token, answer));
    let rest = match then {
        ReadOutcome::Close(reason) => [ConnectionEffect::Close(reason)].into_iter().collect(),
        ReadOutcome::Effects(_) if answers => ConnectionEffects::new(),
        ReadOutcome::Effects(effects) => {
            dispatch::on_read(context, client, effects, message.bytes())
        }
    };
    outcome(session, acknowledgement, rest)
}

fn outcome(
    session: &Session,
    acknowledgement: Option<Cow<'static, str>>,
    rest: ConnectionEffects,
) -> MessageOutcome {
    let registers = rest.iter().any(|own| matches!(own, ConnectionEffect::Registered(_)));
    let acknowledgement = match registers {
        true => session.acknowledge_registration(),
        false => acknowledgement,
    };
    MessageOutcome { acknowledgement, rest }
}

impl MessageOutcome {
    /// Outcome of a message without acknowledgement and effects.
    pub(in crate::worker) const NOTHING: Self =
        Self { acknowledgement: None, rest: ConnectionEffects::new_const() };
}

pub(super) fn acknowledge(
    context: &mut Context,
    connection: &mut Connection,
    replies: &mut BytesMut,
    next: &str,
) {
    deferred_replies::defer_while_draining(context, connection, replies);
    if connection.pacer.is_none() && replies.len() < SEND_BYTES_MAX {
        // Common case: no separate buffer is needed.
        return frames::text(replies, next.as_bytes());
    }
    let mut frame = BytesMut::new();
    frames::text(&mut frame, next.as_bytes());
    reply(context, connection, replies, frame, PartKind::Step);
}

/// Queues a large reply after those before it, without a copy.
pub(in crate::worker) fn reply_large(
    context: &mut Context,
    connection: &mut Connection,
    replies: &mut BytesMut,
    frame: Bytes,
) {
    let before = replies.split().freeze();
    write::write(context, connection, before, PartKind::Frames);
    write::write(context, connection, frame, PartKind::Frames);
}

/// Queues a reply. A paced client gets each frame in its own write. For other clients the replies
/// to one read are sent together.
pub(in crate::worker) fn reply(
    context: &mut Context,
    connection: &mut Connection,
    replies: &mut BytesMut,
    frame: BytesMut,
    kind: PartKind,
) {
    if connection.pacer.is_some() {
        write::write(context, connection, frame.freeze(), kind);
    } else {
        replies.unsplit(frame);
        if replies.len() > SEND_BYTES_MAX {
            let together: Bytes = replies.split().freeze();
            write::write(context, connection, together, PartKind::Frames);
        }
    }
}
