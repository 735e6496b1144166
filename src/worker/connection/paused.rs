//! Paused publishers: they wait for the send window (rule L4) or for their backend. Their received
//! input is kept, and their socket is not read.

use bytes::BytesMut;

use super::outbox::PartKind;
use super::table::ConnectionTable;
use super::{Connection, PendingInput, PendingMessage, Phase, close, read, readiness, write};
use crate::session::Message;
use crate::types::TurnBudget;
use crate::types::limits::HEAVY_SHARE;
use crate::worker::context::Context;

/// Resumes publishers that wait for the send window, each for one share, until the window is full
/// again or the budget of this part of the turn is used up.
pub(in crate::worker) fn resume_paused(context: &mut Context, connections: &mut ConnectionTable) {
    if !context.serving.has_paused() {
        return;
    }
    let part = context.clock.part();
    while let Some((slot, key)) = context.serving.next_paused() {
        let Some(mut connection) = connections.take(slot) else { continue };
        let pending = connection.pending_input.take();
        let has_room = pending.as_ref().is_none_or(|it| has_room_for(context, &connection, it));
        if has_room {
            let share = TurnBudget::new(context.clock.time(), HEAVY_SHARE);
            context.serving.begin_share(key.start, share);
            resume(context, &mut connection, pending);
            context.serving.advance();
            context.serving.note_served(&mut connection);
        } else {
            connection.pending_input = pending;
            context.serving.pause_again(slot, key);
        }
        readiness::rearm(context, connections, connection);
        if !has_room || context.clock.is_over(part) {
            return;
        }
    }
}

fn has_room_for(context: &Context, connection: &Connection, pending: &PendingInput) -> bool {
    let (Phase::Open(session), Some(message)) = (&connection.phase, &pending.message) else {
        return true;
    };
    context.broker.uplink.has_room(session.weight(message.as_message()))
}

fn resume(context: &mut Context, connection: &mut Connection, pending: Option<Box<PendingInput>>) {
    let Some(pending) = pending else { return };
    let PendingInput { message, mut rest } = *pending;
    let Phase::Open(session) = &mut connection.phase else { return };
    let mut end = None;
    if let Some(message) = message {
        let (slot, resource) = (connection.slot, connection.resource);
        context.serving.note_work(message.as_message().bytes().len());
        let outcome = read::on_message(context, slot, session, resource, message.as_message());
        let mut replies = BytesMut::new();
        end = read::answer(context, connection, outcome, &mut replies);
        write::write(context, connection, replies.freeze(), PartKind::Frames);
    }
    match end {
        Some(reason) => close::close(context, connection, &reason),
        None => read::on_bytes(context, connection, &mut rest),
    }
}

impl From<Message<'_>> for PendingMessage {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.to_owned()),
            Message::Binary(bytes) => Self::Binary(bytes.to_owned()),
        }
    }
}

impl PendingMessage {
    pub(in crate::worker) fn as_message(&self) -> Message<'_> {
        match self {
            Self::Text(text) => Message::Text(text),
            Self::Binary(bytes) => Message::Binary(bytes),
        }
    }
}
