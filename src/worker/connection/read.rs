//! Bytes from a socket: frames, messages, and what they cause.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::close::BROKEN;
use super::outbox::PartKind;
use super::{CONTROL_FLOOD, Connection, KeepaliveMode, PendingInput, PendingMessage, Phase};
use crate::reactor::poller::Ready;
use crate::resource::ResourceId;
use crate::session::{Acknowledge, Message, NextStep, Session};
use crate::types::limits::{
    CONTROL_FRAMES_PER_SECOND, HEAVY_SHARE, RAW_PAUSE, SEND_BYTES_MAX, UNIT_WORK,
};
use crate::types::{CloseCode, CloseReason, CompatFlag, Slot, TurnBudget};
use crate::websocket::{FrameEvent, Violation, write};
use crate::worker::clock::Moment;
use crate::worker::dispatch::{ConnectionEffect, Rest};
use crate::worker::event_loop::EventLoop;

/// What a step through the input came to, as far as the connection as a whole is concerned.
enum InputStep {
    /// Nothing that ends anything.
    On,
    /// The input is used up, or is not to be read now.
    Stop,
    /// The connection ends, as somebody wished.
    Close(CloseReason),
    /// The connection ends, because the client did what it may not.
    Fault(CloseReason),
    /// The peer ended it.
    Ended(Option<CloseCode>, String),
}

/// What acknowledges a message, and what is left to do on the connection.
type MessageOutcome = (Option<Cow<'static, str>>, Rest);

impl EventLoop {
    /// Serves what is left of the last read from a socket, or reads once from it.
    pub(in crate::worker) fn read_socket(&mut self, slot: Slot, event: Ready) {
        let Some(mut connection) = self.table.take(slot) else { return };
        if let Some(rest) = connection.stash.take_if(|stash| stash.message.is_none()) {
            let PendingInput { mut rest, .. } = *rest;
            self.on_bytes(slot, &mut connection, &mut rest);
        } else if connection.watched.reads {
            let mut scratch = std::mem::take(&mut self.scratch);
            let most = self.read_bytes().min(scratch.len());
            if let Some(buffer) = scratch.get_mut(..most) {
                self.read_taken(slot, &mut connection, buffer);
            }
            self.scratch = scratch;
        } else if event.broken {
            self.discard(slot, &mut connection, BROKEN);
        }
        self.put_back(slot, connection);
    }

    fn read_taken(&mut self, slot: Slot, connection: &mut Connection, scratch: &mut [u8]) {
        let Some(socket) = self.table.socket(slot) else { return };
        let read = match recv(socket, &mut *scratch, RecvFlags::DONTWAIT) {
            Ok((0, _)) => {
                self.log_lost_handshake(connection);
                return self.discard(slot, connection, "the client went without a Close");
            }
            Ok((read, _)) => read,
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => {
                self.log_lost_handshake(connection);
                return self.discard(slot, connection, BROKEN);
            }
        };
        let Some(input) = scratch.get_mut(..read) else { return };
        if connection.tls.is_some() {
            self.read_tls(slot, connection, input);
        } else {
            self.on_input(slot, connection, input);
        }
    }

    pub(in crate::worker) fn on_input(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        input: &mut [u8],
    ) {
        match &mut connection.phase {
            Phase::Head(_) => self.on_head(slot, connection, input),
            Phase::Open(_) => self.on_bytes(slot, connection, input),
            Phase::Authorizing(asking) => asking.joining.early.extend_from_slice(input),
            Phase::Joining(joining) => joining.early.extend_from_slice(input),
            // What comes after an end is ignored.
            _ => {}
        }
    }

    /// Takes bytes of a WebSocket. Replies of all messages in them leave together.
    pub(in crate::worker) fn on_bytes(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        input: &mut [u8],
    ) {
        connection.heartbeat.heard();
        if let Some(pace) = &mut connection.pace {
            pace.active(self.now);
        }
        let mut replies = BytesMut::new();
        let mut input = input;
        let end = loop {
            let before = input.len();
            match self.step(slot, connection, &mut input, &mut replies) {
                InputStep::On => {}
                InputStep::Stop => break None,
                end => break Some(end),
            }
            let bytes = before - input.len();
            self.work += bytes + UNIT_WORK;
            let Self { share, clock, .. } = self;
            if !input.is_empty() && share.is_spent_after(bytes, || clock.time()) {
                self.keep_rest(slot, connection, input);
                break None;
            }
        };
        self.write(slot, connection, replies.freeze(), PartKind::Frames);
        match end {
            Some(InputStep::Close(reason)) => self.close(slot, connection, &reason),
            Some(InputStep::Fault(reason)) => self.fail(slot, connection, &reason),
            Some(InputStep::Ended(code, reason)) => {
                self.answer_close(slot, connection, (code, &reason));
            }
            _ => self.note_pause(connection),
        }
    }

    fn note_pause(&self, connection: &mut Connection) {
        // A message that was kept is a copy of it.
        connection.reader.give_back();
        self.note_unfinished(connection);
        if connection.sign == KeepaliveMode::Pause {
            connection.next_beat = match connection.reader.is_mid_frame() {
                true => self.now.after(RAW_PAUSE),
                false => Moment::NEVER,
            };
        }
    }

    /// A raw client has said nothing for a moment: what it has said is a message.
    pub(in crate::worker) fn on_pause(&mut self, slot: Slot, connection: &mut Connection) {
        connection.next_beat = Moment::NEVER;
        // Where nothing is read now, nothing is over.
        if connection.watched.reads && connection.reader.is_mid_frame() {
            connection.reader.pause();
            self.on_bytes(slot, connection, &mut []);
        }
    }

    fn step(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        input: &mut &mut [u8],
        replies: &mut BytesMut,
    ) -> InputStep {
        let Connection { reader, phase, resource, pace, control_frames, holding, sign, .. } =
            connection;
        let Phase::Open(session) = phase else { return InputStep::Stop };
        if !reader.is_unfinished() && session.chunks.is_none() {
            // What came before is complete: what begins now has all its time.
            holding.end();
        }
        let event = match reader.next(input, &self.settings.messages(session)) {
            Ok(Some(event)) => event,
            Ok(None) => return InputStep::Stop,
            Err(violation) => {
                let reason = session.worded(violation.close_reason());
                let is_of_the_message =
                    matches!(violation, Violation::BadMessage | Violation::InPieces);
                let acknowledge = session.acknowledges_bad_text();
                if is_of_the_message && acknowledge == Acknowledge::Yes && self.acks_first() {
                    let next = session.next();
                    self.acknowledge(slot, connection, replies, &next);
                }
                return InputStep::Fault(reason);
            }
        };
        if matches!(event, FrameEvent::Ping(_) | FrameEvent::Pong(_))
            && !control_frames.admits(self.now.second(), CONTROL_FRAMES_PER_SECOND)
        {
            return InputStep::Fault(CONTROL_FLOOD);
        }
        let message = match event {
            FrameEvent::Ping(payload) => {
                let mut frame = BytesMut::new();
                write::pong(&mut frame, payload);
                self.reply(slot, connection, replies, (frame, PartKind::Frames));
                return InputStep::On;
            }
            FrameEvent::Pong(_) => return InputStep::On,
            FrameEvent::Close(code, reason) => return InputStep::Ended(code, reason.to_owned()),
            FrameEvent::Text(text) => Message::Text(text),
            FrameEvent::Binary(bytes) => Message::Binary(bytes),
        };
        // A raw client may say more with one write than it waits for answers to.
        if let Some(pace) = pace
            && *sign != KeepaliveMode::Pause
        {
            pace.heard();
        }
        let is_busy = self.errands.is_busy(session.uuid);
        if is_busy || !self.relay.uplink.has_room(session.weight(message)) {
            let message = Some(PendingMessage::from(message));
            connection.stash = Some(Box::new(PendingInput { message, rest: input.to_vec() }));
            if !is_busy {
                let start = self.start_of_rest();
                let weight = connection.weight(self.work_clock);
                self.paused.push(slot, (start, weight), self.work_clock);
            }
            return InputStep::Stop;
        }
        let heard = self.hear(slot, (session, *resource), message);
        match self.answer(slot, connection, heard, replies) {
            None => InputStep::On,
            Some(reason) => InputStep::Close(reason),
        }
    }

    /// Acknowledges a message and does what it asks of the connection itself, in the order that is
    /// set.
    fn answer(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        (next, mut rest): MessageOutcome,
        replies: &mut BytesMut,
    ) -> Option<CloseReason> {
        // The acknowledgement speaks of it too.
        if matches!(rest.first(), Some(ConnectionEffect::Settle)) {
            rest.remove(0);
            self.hold_until_done(slot, connection, replies);
        }
        let Some(next) = next else { return self.finish(slot, connection, rest, replies) };
        if self.acks_first() {
            self.acknowledge(slot, connection, replies, &next);
            return self.finish(slot, connection, rest, replies);
        }
        let end = self.finish(slot, connection, rest, replies);
        if end.is_none() {
            self.acknowledge(slot, connection, replies, &next);
        }
        end
    }

    fn acks_first(&self) -> bool {
        !self.settings.has(CompatFlag::AckAfter)
    }

    /// Takes a message: what acknowledges it, and what is left to do on the connection. What it
    /// publishes is held already (rule L4) and leaves for the broker at the end of the turn.
    fn hear(
        &mut self,
        slot: Slot,
        (session, resource): (&mut Session, ResourceId),
        message: Message<'_>,
    ) -> MessageOutcome {
        self.books.messages += 1;
        let heard = session.on_message(message, &self.settings.rules);
        let by = (&*session, resource);
        let rest = match heard.then {
            NextStep::Nothing => Rest::new(),
            NextStep::Text(text) => self.serve(slot, by, Message::Text(&text)),
            NextStep::Binary(bytes) => self.serve(slot, by, Message::Binary(bytes)),
            NextStep::Close(reason) => [ConnectionEffect::Close(reason)].into_iter().collect(),
        };
        let registers = rest.iter().any(|own| matches!(own, ConnectionEffect::Registered(_)));
        let next = (heard.acknowledge == Acknowledge::Yes).then(|| match registers {
            true => session.next_to_registration(),
            false => session.next(),
        });
        (next, rest)
    }

    fn acknowledge(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        replies: &mut BytesMut,
        next: &str,
    ) {
        self.hold_while_draining(slot, connection, replies);
        if connection.pace.is_none() && replies.len() < SEND_BYTES_MAX {
            // The usual case: no buffer of its own.
            return write::text(replies, next.as_bytes());
        }
        let mut frame = BytesMut::new();
        write::text(&mut frame, next.as_bytes());
        self.reply(slot, connection, replies, (frame, PartKind::Step));
    }

    /// A paced client gets each frame by itself; everyone else gets those of one read together.
    pub(in crate::worker) fn reply(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        replies: &mut BytesMut,
        (frame, kind): (BytesMut, PartKind),
    ) {
        if connection.pace.is_some() {
            self.write(slot, connection, frame.freeze(), kind);
        } else {
            replies.unsplit(frame);
            if replies.len() > SEND_BYTES_MAX {
                let together: Bytes = replies.split().freeze();
                self.write(slot, connection, together, PartKind::Frames);
            }
        }
    }

    /// Reads on where the window was full, for each publisher a share, until it is full again or this
    /// part of the turn is over.
    pub(in crate::worker) fn resume_paused(&mut self) {
        if self.paused.is_empty() {
            return;
        }
        let part = self.part();
        while let Some((slot, standing)) = self.paused.pop_first() {
            let Some(mut connection) = self.table.take(slot) else { continue };
            let stash = connection.stash.take();
            let has_room = stash.as_ref().is_none_or(|it| self.has_room_for(&connection, it));
            if has_room {
                self.share = TurnBudget::new(self.clock.time(), HEAVY_SHARE);
                self.begun = standing.start;
                self.work = 0;
                self.resume(slot, &mut connection, stash);
                self.advance_work(standing.start);
                connection.schedule.usage.note(standing.start, self.work, &mut self.work_clock);
            } else {
                connection.stash = stash;
                self.paused.put_back(slot, standing);
            }
            self.put_back(slot, connection);
            if !has_room || self.is_over(part) {
                return;
            }
        }
    }

    fn has_room_for(&self, connection: &Connection, stash: &PendingInput) -> bool {
        let (Phase::Open(session), Some(message)) = (&connection.phase, &stash.message) else {
            return true;
        };
        self.relay.uplink.has_room(session.weight(message.as_message()))
    }

    fn resume(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        stash: Option<Box<PendingInput>>,
    ) {
        let Some(stash) = stash else { return };
        let PendingInput { message, mut rest } = *stash;
        let Phase::Open(session) = &mut connection.phase else { return };
        let mut end = None;
        if let Some(message) = message {
            let by = (&mut **session, connection.resource);
            self.work += message.as_message().bytes().len() + UNIT_WORK;
            let heard = self.hear(slot, by, message.as_message());
            let mut replies = BytesMut::new();
            end = self.answer(slot, connection, heard, &mut replies);
            self.write(slot, connection, replies.freeze(), PartKind::Frames);
        }
        match end {
            Some(reason) => self.close(slot, connection, &reason),
            None => self.on_bytes(slot, connection, &mut rest),
        }
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
