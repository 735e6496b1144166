//! Processes bytes from a socket: frames, messages and their effects.

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::close::BROKEN;
use super::outbox::PartKind;
use super::{CONTROL_FLOOD, Connection, FAULT, KeepaliveMode, PendingInput, PendingMessage, Phase};
use crate::reactor::poller::Ready;
use crate::session::Message;
use crate::types::limits::{
    CONTROL_FRAMES_PER_SECOND, EARLY_BYTES_MAX, LARGE_MESSAGE_BYTES, RAW_PAUSE, READ_BYTES,
};
use crate::types::{CloseCode, CloseReason, Slot};
use crate::websocket::{FrameEvent, Violation, write as frames};
use crate::worker::clock::Moment;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{
    api_pipe, close, incomplete_input, message, paused, readiness, throttled, tls_io, write,
};
use crate::worker::context::Context;
use crate::worker::dispatch::resumption;
use crate::worker::handshake;
use crate::worker::handshake::{hello, refusals};
use crate::worker::offload::{self, LargeMessage, MessageKind, UnreadMessage};
use crate::worker::throttle::PublisherWait;

/// Result of one step through the input.
enum InputStep {
    /// Continue with the next frame.
    On,
    /// Stop: the input is used up, or must not be processed now.
    Stop,
    /// Close the connection, as the client, its resource or its backend requested.
    Close(CloseReason),
    /// Close the connection, because the client violated a rule.
    Fault(CloseReason),
    /// The peer closed the connection.
    Ended(Option<CloseCode>, String),
}

/// Read buffers that all connections share. An idle connection has no buffer.
#[derive(Debug)]
pub(in crate::worker) struct ReadBuffers {
    pub(in crate::worker) scratch: Vec<u8>,
    /// Decrypted bytes of one read.
    pub(in crate::worker) plain: Vec<u8>,
}

impl Default for ReadBuffers {
    fn default() -> Self {
        Self { scratch: vec![0; READ_BYTES], plain: Vec::new() }
    }
}

/// Processes the rest of the last read from a socket, or reads from it once.
pub(in crate::worker) fn read_socket(
    context: &mut Context,
    connections: &mut ConnectionTable,
    slot: Slot,
    event: Ready,
) {
    let Some(mut connection) = connections.take(slot) else { return };
    if let Some(rest) = connection.pending_input.take_if(|stash| stash.message.is_none()) {
        let PendingInput { mut rest, .. } = *rest;
        on_bytes(context, &mut connection, &mut rest);
    } else if connection.watched.reads() && readiness::wants_input(context, &connection) {
        let mut scratch = std::mem::take(&mut context.buffers.scratch);
        let most = if connection.is_open() { scratch.len() } else { EARLY_BYTES_MAX };
        let most = most.min(context.serving.read_bytes());
        if let Some(buffer) = scratch.get_mut(..most) {
            read_once(context, &mut connection, buffer);
        }
        context.buffers.scratch = scratch;
    } else if event.broken {
        close::discard(context, &mut connection, BROKEN);
    }
    readiness::rearm(context, connections, connection);
}

fn read_once(context: &mut Context, connection: &mut Connection, scratch: &mut [u8]) {
    let Some(socket) = context.sockets.get(connection.slot) else { return };
    let read = match recv(socket, &mut *scratch, RecvFlags::DONTWAIT) {
        Ok((0, _)) => {
            refusals::log_lost_handshake(context, connection);
            return close::discard(
                context,
                connection,
                "the client disconnected without a Close frame",
            );
        }
        Ok((read, _)) => read,
        Err(Errno::AGAIN | Errno::INTR) => return,
        Err(_) => {
            refusals::log_lost_handshake(context, connection);
            return close::discard(context, connection, BROKEN);
        }
    };
    let Some(input) = scratch.get_mut(..read) else { return };
    if connection.tls.is_some() {
        tls_io::read_tls(context, connection, input);
    } else {
        on_input(context, connection, input);
    }
}

pub(in crate::worker) fn on_input(
    context: &mut Context,
    connection: &mut Connection,
    input: &mut [u8],
) {
    match &mut connection.phase {
        Phase::Head(_) => handshake::on_head(context, connection, input),
        Phase::Greeting(_) => hello::on_bytes(context, connection, input),
        Phase::Open(_) => on_bytes(context, connection, input),
        Phase::Authorizing(pending) => pending.joining.early.extend_from_slice(input),
        Phase::Joining(joining) => joining.early.extend_from_slice(input),
        Phase::Piping(pipe) => api_pipe::on_client_bytes(pipe, input),
        // Input after the end of a connection is ignored.
        _ => {}
    }
}

/// Processes bytes of a WebSocket. The replies to all messages in them are sent in one write.
pub(in crate::worker) fn on_bytes(
    context: &mut Context,
    connection: &mut Connection,
    input: &mut [u8],
) {
    connection.heartbeat.reset();
    resumption::note_input(context, connection);
    if let Some(pace) = &mut connection.pacer {
        pace.on_activity(context.clock.now());
    }
    let mut replies = BytesMut::new();
    let mut input = input;
    let end = loop {
        let before = input.len();
        match step(context, connection, &mut input, &mut replies) {
            InputStep::On => {}
            InputStep::Stop => break None,
            end => break Some(end),
        }
        let bytes = before - input.len();
        let Context { serving, clock, .. } = &mut *context;
        serving.note_work(bytes);
        if !input.is_empty() && serving.is_share_spent(bytes, clock) {
            serving.keep_rest(connection, input);
            break None;
        }
    };
    write::write(context, connection, replies.freeze(), PartKind::Frames);
    match end {
        Some(InputStep::Close(reason)) => close::close(context, connection, &reason),
        Some(InputStep::Fault(reason)) => close::fail(context, connection, &reason),
        Some(InputStep::Ended(code, reason)) => {
            close::answer_close(context, connection, code, &reason);
        }
        _ => note_incomplete_message(context, connection),
    }
}

fn note_incomplete_message(context: &Context, connection: &mut Connection) {
    // A pending message is a copy, so the reader's memory can be freed.
    connection.reader.give_back();
    incomplete_input::note_incomplete(context, connection);
    if connection.keepalive == KeepaliveMode::Pause {
        connection.next_heartbeat = match connection.reader.is_mid_frame() {
            true => context.clock.now().after(RAW_PAUSE),
            false => Moment::NEVER,
        };
    }
}

/// Ends a raw client's message after a pause in its input.
pub(in crate::worker) fn on_pause(context: &mut Context, connection: &mut Connection) {
    connection.next_heartbeat = Moment::NEVER;
    // If the socket is not read, the pause means nothing.
    if connection.watched.reads() && connection.reader.is_mid_frame() {
        connection.reader.pause();
        on_bytes(context, connection, &mut []);
    }
}

fn step(
    context: &mut Context,
    connection: &mut Connection,
    input: &mut &mut [u8],
    replies: &mut BytesMut,
) -> InputStep {
    let Connection {
        reader,
        phase,
        resource,
        pacer: pace,
        control_frames,
        incomplete: holding,
        keepalive: sign,
        ..
    } = connection;
    let Phase::Open(session) = phase else { return InputStep::Stop };
    if !reader.is_unfinished() && session.bytes_in_chunks().is_none() {
        // The previous input is complete. New input gets a full interval.
        holding.end();
    }
    let event = match reader.next(input, &context.settings.message_limits(session)) {
        Ok(Some(event)) => event,
        Ok(None) => return InputStep::Stop,
        Err(violation) => return on_violation(context, connection, violation, replies),
    };
    if matches!(event, FrameEvent::Ping(_) | FrameEvent::Pong(_))
        && !control_frames.admits(context.clock.now().second(), CONTROL_FRAMES_PER_SECOND)
    {
        return InputStep::Fault(CONTROL_FLOOD);
    }
    let complete = match event {
        FrameEvent::Ping(payload) => {
            let mut frame = BytesMut::new();
            frames::pong(&mut frame, payload);
            message::reply(context, connection, replies, frame, PartKind::Frames);
            return InputStep::On;
        }
        FrameEvent::Pong(_) => return InputStep::On,
        FrameEvent::Close(code, reason) => return InputStep::Ended(code, reason.to_owned()),
        FrameEvent::Text(text) => Message::Text(text),
        FrameEvent::Binary(bytes) => Message::Binary(bytes),
    };
    // A raw client may send several messages in one write without waiting for answers.
    if let Some(pace) = pace
        && *sign != KeepaliveMode::Pause
    {
        pace.on_message();
    }
    let is_busy = context.webhooks.is_busy(session.uuid);
    let weight = session.weight(complete);
    let wait = throttled::wait_of(context, connection.slot, session);
    if weight >= LARGE_MESSAGE_BYTES
        && !is_busy
        && wait.is_none()
        && let Some(detached) = offload::detached(context, *resource, session, complete)
    {
        let (chunks, kind) = (session.take_chunks(complete), MessageKind::from(complete));
        let gathered = || reader.take_message().map(|bytes| UnreadMessage::new(kind, bytes));
        let unread = chunks.map(UnreadMessage::text).or_else(gathered);
        // A large message was gathered from several reads.
        let Some(unread) = unread else { return InputStep::Fault(FAULT) };
        let large = LargeMessage::new(weight, unread, detached);
        offload::queue(context, connection, large, input.to_vec());
        return InputStep::Stop;
    }
    if is_busy || wait.is_some() || paused::must_wait(context, connection.slot, session, weight) {
        let message = PendingMessage::Unread(complete.into());
        let pending = PendingInput { message: Some(message), rest: input.to_vec() };
        hold(context, connection, pending, if is_busy { HeldFor::Backend } else { wait.into() });
        return InputStep::Stop;
    }
    let outcome = message::on_message(context, connection.slot, session, *resource, complete);
    match message::answer(context, connection, outcome, replies) {
        None => InputStep::On,
        Some(reason) => InputStep::Close(reason),
    }
}

/// What a message waits for.
enum HeldFor {
    /// The backend of its client. Its last answer resumes the connection.
    Backend,
    /// The send window.
    Window,
    /// A limit of publications.
    Limit(PublisherWait),
}

impl From<Option<PublisherWait>> for HeldFor {
    fn from(wait: Option<PublisherWait>) -> Self {
        wait.map_or(Self::Window, Self::Limit)
    }
}

/// Keeps a message that cannot be processed now. The socket is not read meanwhile.
fn hold(
    context: &mut Context,
    connection: &mut Connection,
    pending: PendingInput,
    held_for: HeldFor,
) {
    connection.pending_input = Some(Box::new(pending));
    match held_for {
        HeldFor::Backend => {}
        HeldFor::Window => paused::pause_served(context, connection),
        HeldFor::Limit(wait) => throttled::push(context, connection, wait),
    }
}

/// Acknowledges a message that violates the protocol, if its protocol does so, and closes the connection.
fn on_violation(
    context: &mut Context,
    connection: &mut Connection,
    violation: Violation,
    replies: &mut BytesMut,
) -> InputStep {
    let Phase::Open(session) = &connection.phase else { return InputStep::Stop };
    let reason = session.worded(violation.close_reason());
    let is_of_the_message = matches!(violation, Violation::BadMessage | Violation::InPieces);
    if is_of_the_message
        && !message::acknowledges_after(context, session)
        && let Some(next) = session.acknowledge(None)
    {
        message::acknowledge(context, connection, replies, &next);
    }
    InputStep::Fault(reason)
}
