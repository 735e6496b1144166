//! Bytes from a socket: frames, messages, and what they cause.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tracing::{debug, info};

use super::clock::Moment;
use super::close::BROKEN;
use super::connection::{CONTROL_FLOOD, Connection, Kept, Phase, Sign, Stash};
use super::hub::Hub;
use super::outbox::{Kind, Sent};
use super::service::{Own, Rest};
use super::tls::{FirstWords, TOO_OLD};
use crate::http::{Refusal, Status};
use crate::resource::ResourceId;
use crate::session::{Acknowledge, Message, Session, Then};
use crate::types::limits::{CONTROL_FRAMES_PER_SECOND, RAW_PAUSE, SEND_BYTES_MAX};
use crate::types::{CloseCode, CloseReason, Slot};
use crate::websocket::{Event, Violation, write};

const PLAIN_TEXT: Refusal =
    Refusal::new(Status::BadRequest, "this port speaks TLS: use wss:// or https://");

/// What a step through the input came to, as far as the connection as a whole is concerned.
enum Step {
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

impl Hub {
    /// Reads once from a socket.
    pub(super) fn read_socket(&mut self, slot: Slot) {
        let Some(mut connection) = self.table.take(slot) else { return };
        let mut scratch = std::mem::take(&mut self.scratch);
        self.read_taken(slot, &mut connection, &mut scratch);
        self.scratch = scratch;
        self.put_back(slot, connection);
    }

    fn read_taken(&mut self, slot: Slot, connection: &mut Connection, scratch: &mut [u8]) {
        if !connection.watched.reads {
            // Nothing is asked of the kernel but whether the socket has broken.
            return self.discard(slot, connection, BROKEN);
        }
        let Some(socket) = self.table.socket(slot) else { return };
        let read = match recv(socket, &mut *scratch, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return self.discard(slot, connection, "the client went without a Close"),
            Ok((read, _)) => read,
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => return self.discard(slot, connection, BROKEN),
        };
        let Some(input) = scratch.get_mut(..read) else { return };
        if connection.tls.is_some() {
            self.read_tls(slot, connection, input);
        } else {
            self.on_input(slot, connection, input);
        }
    }

    fn on_input(&mut self, slot: Slot, connection: &mut Connection, input: &mut [u8]) {
        match &mut connection.phase {
            Phase::Head(_) => self.on_head(slot, connection, input),
            Phase::Open(_) => self.on_bytes(slot, connection, input),
            Phase::Joining(joining) => joining.early.extend_from_slice(input),
            // What comes after an end is ignored.
            _ => {}
        }
    }

    /// Takes bytes of a connection that speaks TLS. What was in them is taken as from any other.
    fn read_tls(&mut self, slot: Slot, connection: &mut Connection, arrived: &mut [u8]) {
        let was_shaking_hands = connection.is_shaking_hands();
        if let Phase::Head(heading) = &mut connection.phase
            && was_shaking_hands
            && !std::mem::replace(&mut heading.speaks_tls, true)
            && let words @ (FirstWords::PlainText | FirstWords::OldTls) = FirstWords::of(arrived)
        {
            return self.refuse_in_the_clear(slot, connection, words);
        }
        let Some(tls) = &mut connection.tls else { return };
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        let opened = tls.open(arrived, &mut plain);
        self.send_handshake(slot, connection);
        match opened {
            Ok(()) => {
                if was_shaking_hands && !connection.is_shaking_hands() {
                    self.begin_head(connection);
                }
                if !plain.is_empty() {
                    self.on_input(slot, connection, &mut plain);
                }
            }
            Err(error) => {
                debug!(connection = connection.serial, %error, "TLS ended");
                self.discard(slot, connection, "it does not keep to TLS");
            }
        }
        self.plain = plain;
    }

    /// Tells a peer that does not speak TLS, or none that is spoken here, in its own way.
    fn refuse_in_the_clear(&mut self, slot: Slot, connection: &mut Connection, words: FirstWords) {
        connection.tls = None;
        if words == FirstWords::PlainText {
            return self.refuse(slot, connection, &PLAIN_TEXT);
        }
        let reason = "TLS 1.2 or 1.3 is needed";
        info!(connection = connection.serial, status = "protocol_version", reason, "refused");
        self.answer_and_end(slot, connection, Bytes::from_static(TOO_OLD));
    }

    /// Writes what TLS itself has to say.
    fn send_handshake(&mut self, slot: Slot, connection: &mut Connection) {
        let Some(tls) = connection.tls.as_mut().filter(|tls| tls.has_sealed()) else { return };
        let Some(socket) = self.table.socket(slot) else { return };
        match tls.send(socket) {
            Sent::All => {}
            Sent::Some(_) => {
                // The rest leaves when the socket takes bytes again.
                connection.is_full = true;
                connection.outbox(self.now);
            }
            Sent::Broken => self.discard(slot, connection, BROKEN),
        }
    }

    /// The TLS handshake is done: the time for the request begins.
    fn begin_head(&self, connection: &mut Connection) {
        let until = self.now.after(self.settings.handshake_timeout);
        if let Phase::Head(heading) = &mut connection.phase {
            heading.until = until;
        }
    }

    /// Takes bytes of a WebSocket. Replies of all messages in them leave together.
    pub(super) fn on_bytes(&mut self, slot: Slot, connection: &mut Connection, input: &mut [u8]) {
        connection.heartbeat.heard();
        if let Some(pace) = &mut connection.pace {
            pace.active(self.now);
        }
        let mut replies = BytesMut::new();
        let mut input = input;
        let end = loop {
            match self.step(slot, connection, &mut input, &mut replies) {
                Step::On => {}
                Step::Stop => break None,
                end => break Some(end),
            }
        };
        self.write(slot, connection, replies.freeze(), Kind::Frames);
        match end {
            Some(Step::Close(reason)) => self.close(slot, connection, &reason),
            Some(Step::Fault(reason)) => self.fail(slot, connection, &reason),
            Some(Step::Ended(code, reason)) => {
                self.answer_close(slot, connection, (code, &reason));
            }
            _ => self.note_half_frame(connection),
        }
    }

    fn note_half_frame(&self, connection: &mut Connection) {
        connection.half_frame_since = if connection.reader.is_mid_frame() {
            // More bytes of the same frame give it no new time.
            connection.half_frame_since.min(self.now)
        } else {
            Moment::NEVER
        };
        if connection.sign == Sign::Pause {
            connection.next_beat = match connection.reader.is_mid_frame() {
                true => self.now.after(RAW_PAUSE),
                false => Moment::NEVER,
            };
        }
    }

    /// A raw client has said nothing for a moment: what it has said is a message.
    pub(super) fn on_pause(&mut self, slot: Slot, connection: &mut Connection) {
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
    ) -> Step {
        let Connection {
            reader,
            phase,
            resource,
            pace,
            control_frames,
            half_frame_since,
            sign,
            ..
        } = connection;
        let Phase::Open(session) = phase else { return Step::Stop };
        let event = match reader.next(input, &self.settings.messages(session.class)) {
            Ok(Some(event)) => {
                // A frame was completed: the next one has all its time.
                *half_frame_since = Moment::NEVER;
                event
            }
            Ok(None) => return Step::Stop,
            Err(violation) => {
                let reason = session.worded(violation.close_reason());
                let acknowledge = session.acknowledges_bad_text();
                if violation == Violation::BadMessage && acknowledge == Acknowledge::Yes {
                    let next = session.next();
                    self.acknowledge(slot, connection, replies, &next);
                }
                return Step::Fault(reason);
            }
        };
        if matches!(event, Event::Ping(_) | Event::Pong(_))
            && !control_frames.admits(self.now.second(), CONTROL_FRAMES_PER_SECOND)
        {
            return Step::Fault(CONTROL_FLOOD);
        }
        let message = match event {
            Event::Ping(payload) => {
                let mut frame = BytesMut::new();
                write::pong(&mut frame, payload);
                self.reply(slot, connection, replies, (frame, Kind::Frames));
                return Step::On;
            }
            Event::Pong(_) => return Step::On,
            Event::Close(code, reason) => return Step::Ended(code, reason.to_owned()),
            Event::Text(text) => Message::Text(text),
            Event::Binary(bytes) => Message::Binary(bytes),
        };
        // A raw client may say more with one write than it waits for answers to.
        if let Some(pace) = pace
            && *sign != Sign::Pause
        {
            pace.heard();
        }
        if !self.relay.uplink.has_room(session.weight(message)) {
            let message = Kept::from(message);
            connection.stash = Some(Box::new(Stash { message, rest: input.to_vec() }));
            self.paused.push(slot);
            return Step::Stop;
        }
        let (next, rest) = self.hear(slot, (session, *resource), message);
        if let Some(next) = next {
            self.acknowledge(slot, connection, replies, &next);
        }
        match self.finish(slot, connection, rest, replies) {
            None => Step::On,
            Some(reason) => Step::Close(reason),
        }
    }

    /// Takes a message: what acknowledges it, and what is left to do on the connection. What it
    /// publishes is held already (rule L4) and leaves for the broker at the end of the turn.
    fn hear(
        &mut self,
        slot: Slot,
        (session, resource): (&mut Session, ResourceId),
        message: Message<'_>,
    ) -> (Option<Cow<'static, str>>, Rest) {
        self.books.messages += 1;
        let heard = session.on_message(message, &self.settings.rules);
        let next = (heard.acknowledge == Acknowledge::Yes).then(|| session.next());
        let by = (&*session, resource);
        let rest = match heard.then {
            Then::Nothing => Rest::new(),
            Then::Text(text) => self.serve(slot, by, Message::Text(&text)),
            Then::Binary(bytes) => self.serve(slot, by, Message::Binary(bytes)),
            Then::Close(reason) => [Own::Close(reason)].into_iter().collect(),
        };
        (next, rest)
    }

    fn acknowledge(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        replies: &mut BytesMut,
        next: &str,
    ) {
        if connection.pace.is_none() && replies.len() < SEND_BYTES_MAX {
            // The usual case: no buffer of its own.
            return write::text(replies, next.as_bytes());
        }
        let mut frame = BytesMut::new();
        write::text(&mut frame, next.as_bytes());
        self.reply(slot, connection, replies, (frame, Kind::Step));
    }

    /// A paced client gets each frame by itself; everyone else gets those of one read together.
    pub(super) fn reply(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        replies: &mut BytesMut,
        (frame, kind): (BytesMut, Kind),
    ) {
        if connection.pace.is_some() {
            self.write(slot, connection, frame.freeze(), kind);
        } else {
            replies.unsplit(frame);
            if replies.len() > SEND_BYTES_MAX {
                let together: Bytes = replies.split().freeze();
                self.write(slot, connection, together, Kind::Frames);
            }
        }
    }

    /// Reads on where the window was full.
    pub(super) fn resume_paused(&mut self) {
        for slot in std::mem::take(&mut self.paused) {
            let Some(mut connection) = self.table.take(slot) else { continue };
            match connection.stash.take() {
                Some(stash) if self.has_room_for(&connection, &stash) => {
                    self.resume(slot, &mut connection, *stash);
                }
                Some(stash) => {
                    connection.stash = Some(stash);
                    self.paused.push(slot);
                }
                None => {}
            }
            self.put_back(slot, connection);
        }
    }

    fn has_room_for(&self, connection: &Connection, stash: &Stash) -> bool {
        let Phase::Open(session) = &connection.phase else { return true };
        self.relay.uplink.has_room(session.weight(stash.message.as_message()))
    }

    fn resume(&mut self, slot: Slot, connection: &mut Connection, stash: Stash) {
        let Stash { message, mut rest } = stash;
        let Phase::Open(session) = &mut connection.phase else { return };
        let by = (&mut **session, connection.resource);
        let (next, rest_of_it) = self.hear(slot, by, message.as_message());
        let mut replies = BytesMut::new();
        if let Some(next) = next {
            self.acknowledge(slot, connection, &mut replies, &next);
        }
        let end = self.finish(slot, connection, rest_of_it, &mut replies);
        self.write(slot, connection, replies.freeze(), Kind::Frames);
        match end {
            Some(reason) => self.close(slot, connection, &reason),
            None => self.on_bytes(slot, connection, &mut rest),
        }
    }
}

impl From<Message<'_>> for Kept {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.to_owned()),
            Message::Binary(bytes) => Self::Binary(bytes.to_owned()),
        }
    }
}

impl Kept {
    fn as_message(&self) -> Message<'_> {
        match self {
            Self::Text(text) => Message::Text(text),
            Self::Binary(bytes) => Message::Binary(bytes),
        }
    }
}
