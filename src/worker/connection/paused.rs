//! Paused publishers: they wait for the send window (rule L4) or for their backend. Their received
//! input is kept, and their socket is not read.

use bytes::BytesMut;

use super::message::MessageOutcome;
use super::outbox::PartKind;
use super::paused_queue::PausedTurn;
use super::table::ConnectionTable;
use super::{
    Connection, OwnedMessage, PendingInput, PendingMessage, Phase, close, message, read, readiness,
    throttled, write,
};
use crate::broker_client::window_turns::{TurnOutcome, TurnRound};
use crate::session::{Message, Session};
use crate::types::limits::{HEAVY_SHARE, LARGE_MESSAGE_BYTES};
use crate::types::{Slot, Tenant, TurnBudget};
use crate::worker::context::Context;
use crate::worker::dispatch::resumption;
use crate::worker::offload::{self, LargeMessage, MessageKind, UnreadMessage};

/// Resumes publishers that wait for the send window, in turns of their tenants, each for one share, until the
/// window is full again or the budget of this part of the turn is used up.
pub(in crate::worker) fn resume_paused(context: &mut Context, connections: &mut ConnectionTable) {
    if context.serving.paused.tenants() == 0 {
        return;
    }
    let (part, mut round) = (context.clock.part(), TurnRound::default());
    while let Some(turn) = context.serving.paused.next(&mut round) {
        let outcome = match connections.take(turn.slot) {
            Some(mut connection) => {
                let outcome = resume_turn(context, &mut connection, turn);
                readiness::rearm(context, connections, connection);
                outcome
            }
            None => TurnOutcome::Served(0),
        };
        context.serving.paused.settle(&mut round, outcome);
        let is_full = outcome == TurnOutcome::NoRoom && !context.broker.uplink.has_room(0);
        if is_full || context.clock.is_over(part) {
            return;
        }
    }
}

fn resume_turn(
    context: &mut Context,
    connection: &mut Connection,
    turn: PausedTurn,
) -> TurnOutcome {
    if connection.pending_input.as_ref().is_some_and(|it| !it.is_ready()) {
        // The reply of the thread resumes it.
        return TurnOutcome::Served(0);
    }
    if throttled::is_held(context, connection) {
        return TurnOutcome::Served(0);
    }
    let pending = connection.pending_input.as_deref();
    if let Some(lack) = pending.and_then(|it| lack_of_room_for(context, connection, it)) {
        context.serving.paused.put_back(turn);
        return lack;
    }
    let pending = connection.pending_input.take();
    let share = TurnBudget::new(context.clock.time(), HEAVY_SHARE);
    context.serving.begin_share(turn.key.start, share);
    resume(context, connection, pending);
    context.serving.advance();
    context.serving.note_served(connection);
    TurnOutcome::Served(context.serving.work())
}

/// Returns why a publication in a tenant has to wait for the send window; `None` if it need not.
pub(in crate::worker) fn lack_of_room(
    context: &Context,
    tenant: &Tenant,
    bytes: usize,
) -> Option<TurnOutcome> {
    let others_wait = || context.serving.paused.others_wait(tenant);
    context.broker.uplink.lack_of_room(tenant, bytes, others_wait)
}

/// Returns whether a message of a client that publishes up to this many bytes has to wait for the send window.
pub(super) fn must_wait(context: &Context, slot: Slot, session: &Session, bytes: usize) -> bool {
    let uplink = &context.broker.uplink;
    if !context.serving.paused.is_contended() && !uplink.has_throttles() {
        return !uplink.has_room(bytes);
    }
    lack_of_room(context, throttled::tenant_in(&context.throttle, slot, session), bytes).is_some()
}

/// Returns why the pending message of a connection has to wait for the send window; `None` if it need not.
pub(super) fn lack_of_room_for(
    context: &Context,
    connection: &Connection,
    pending: &PendingInput,
) -> Option<TurnOutcome> {
    let (Phase::Open(session), Some(message)) = (&connection.phase, &pending.message) else {
        return None;
    };
    let tenant = throttled::tenant_in(&context.throttle, connection.slot, session);
    lack_of_room(context, tenant, message.weight(session))
}

/// Queues a connection until its message fits in the send window.
pub(in crate::worker) fn pause(context: &mut Context, connection: &Connection) {
    let tenant = throttled::tenant_of(&context.throttle, connection);
    context.serving.pause(connection, &tenant);
}

/// Queues the connection that is being served until its message fits in the send window.
pub(super) fn pause_served(context: &mut Context, connection: &Connection) {
    let tenant = throttled::tenant_of(&context.throttle, connection);
    context.serving.pause_served(connection, &tenant);
}

/// Resumes a connection whose large message was read, unless it must wait for its backend or for the
/// send window.
pub(in crate::worker) fn resume_read(context: &mut Context, connection: &mut Connection) {
    let Phase::Open(session) = &connection.phase else { return };
    if context.webhooks.is_busy(session.uuid) {
        // The last answer of the backend resumes it.
        return;
    }
    if throttled::is_held(context, connection) {
        return;
    }
    let Some(pending) = connection.pending_input.as_deref() else { return };
    if lack_of_room_for(context, connection, pending).is_some() {
        return pause(context, connection);
    }
    let pending = connection.pending_input.take();
    let share = TurnBudget::new(context.clock.time(), HEAVY_SHARE);
    context.serving.begin_share_of(connection, share);
    resume(context, connection, pending);
    context.serving.note_served(connection);
}

pub(super) fn resume(
    context: &mut Context,
    connection: &mut Connection,
    pending: Option<Box<PendingInput>>,
) {
    let Some(pending) = pending else { return };
    let PendingInput { message, mut rest } = *pending;
    let outcome = match message {
        None => None,
        Some(message) => match process(context, connection, message) {
            Processed::Done(outcome) => Some(outcome),
            Processed::Queued(message) => {
                return offload::queue(context, connection, message, rest);
            }
        },
    };
    let end = outcome.and_then(|outcome| {
        let mut replies = BytesMut::new();
        let end = message::answer(context, connection, outcome, &mut replies);
        write::write(context, connection, replies.freeze(), PartKind::Frames);
        end
    });
    match end {
        Some(reason) => close::close(context, connection, &reason),
        None => read::on_bytes(context, connection, &mut rest),
    }
}

/// Result of a message that has waited.
enum Processed {
    Done(MessageOutcome),
    /// It is large and must be read on the thread first.
    Queued(LargeMessage),
}

/// Processes a message of an open connection.
fn process(
    context: &mut Context,
    connection: &mut Connection,
    message: PendingMessage,
) -> Processed {
    let Connection { slot, resource, phase, .. } = connection;
    let Phase::Open(session) = phase else { return Processed::Done(MessageOutcome::NOTHING) };
    let unread = match message {
        PendingMessage::Offloaded(large) => {
            resumption::note_frame(context, *slot, session);
            let read = |it| message::on_read(context, *slot, session, *resource, it);
            return Processed::Done(large.into_read().map_or(MessageOutcome::NOTHING, read));
        }
        PendingMessage::Unread(unread) => unread,
    };
    let weight = session.weight(unread.as_message());
    if weight >= LARGE_MESSAGE_BYTES
        && let Some(detached) = offload::detached(context, *resource, session, unread.as_message())
    {
        let chunks = session.take_chunks(unread.as_message());
        let unread = chunks.map_or_else(|| unread.into(), UnreadMessage::text);
        return Processed::Queued(LargeMessage::new(weight, unread, detached));
    }
    let complete = unread.as_message();
    context.serving.note_work(complete.bytes().len());
    Processed::Done(message::on_message(context, *slot, session, *resource, complete))
}

impl From<Message<'_>> for OwnedMessage {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.to_owned()),
            Message::Binary(bytes) => Self::Binary(bytes.to_owned()),
        }
    }
}

impl From<OwnedMessage> for UnreadMessage {
    fn from(message: OwnedMessage) -> Self {
        match message {
            OwnedMessage::Text(text) => Self::text(text),
            OwnedMessage::Binary(bytes) => Self::new(MessageKind::Binary, bytes),
        }
    }
}

impl OwnedMessage {
    fn as_message(&self) -> Message<'_> {
        match self {
            Self::Text(text) => Message::Text(text),
            Self::Binary(bytes) => Message::Binary(bytes),
        }
    }
}

impl PendingMessage {
    /// Returns the most bytes that the message could publish.
    fn weight(&self, session: &Session) -> usize {
        match self {
            Self::Unread(message) => session.weight(message.as_message()),
            Self::Offloaded(large) => large.weight(),
        }
    }

    /// Returns the number of bytes held.
    pub(in crate::worker) fn held(&self) -> usize {
        match self {
            Self::Unread(message) => message.as_message().bytes().len(),
            Self::Offloaded(large) => large.held(),
        }
    }

    /// Returns true unless another thread must read the message first.
    pub(in crate::worker) fn is_ready(&self) -> bool {
        match self {
            Self::Unread(_) => true,
            Self::Offloaded(large) => large.is_read(),
        }
    }
}
