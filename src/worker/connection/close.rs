//! Writing to one connection, and the ways in which it ends.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use rustix::net::{Shutdown, shutdown, sockopt};
use tracing::{info, warn};

use super::outbox::{Flushed, OutboxPart, PartKind, Sent, send_now};
use super::{Connection, Phase, SLOW};
use crate::protocol::bloatless;
use crate::session::{Session, Speech};
use crate::types::limits::CLOSE_WAIT;
use crate::types::{CloseCode, CloseReason, CompatFlag, Slot};
use crate::websocket::write;
use crate::worker::event_loop::EventLoop;

impl EventLoop {
    /// Writes to a connection: straight to the socket, or behind what waits already.
    pub(in crate::worker) fn write(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        bytes: Bytes,
        kind: PartKind,
    ) {
        // An empty Close is none: the connection just ends there.
        let says_nothing = bytes.is_empty() && kind != PartKind::Close;
        if says_nothing || matches!(connection.phase, Phase::Ending { .. } | Phase::Gone) {
            return;
        }
        let waits = connection.outbox.as_ref().is_some_and(|outbox| !outbox.is_empty());
        if connection.is_plain() && !waits && kind != PartKind::Close {
            return self.write_directly(slot, connection, bytes);
        }
        if !self.push(connection, OutboxPart::of(bytes, kind)) {
            return self.throw_out(slot, connection);
        }
        if connection.pace.is_some() || !waits {
            self.flush(slot, connection);
            if connection.is_full && self.drops_slow(connection) {
                self.drop_slow(slot, connection);
            }
        }
    }

    fn write_directly(&mut self, slot: Slot, connection: &mut Connection, mut bytes: Bytes) {
        let Some(socket) = self.table.socket(slot) else { return };
        match send_now(socket, &bytes) {
            Sent::All => {}
            Sent::Some(_) if self.drops_slow(connection) => self.drop_slow(slot, connection),
            Sent::Some(taken) => {
                connection.is_full = true;
                let rest = OutboxPart::of(bytes.split_off(taken), PartKind::Frames);
                connection.outbox(self.now).push(rest, self.now);
            }
            Sent::Broken => self.discard(slot, connection, BROKEN),
        }
    }

    /// Puts bytes into the outbox; false when it was over its limit before (rule L7): the message
    /// that crosses the limit is still taken.
    #[must_use]
    pub(in crate::worker) fn push(
        &mut self,
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
        let outbox = connection.outbox(self.now);
        if outbox.bytes() > self.settings.outbox_bytes_max && part.kind() != PartKind::Close {
            return false;
        }
        outbox.push(part, self.now);
        true
    }

    /// Writes what the outbox holds, as far as socket and pace allow.
    pub(in crate::worker) fn flush(&mut self, slot: Slot, connection: &mut Connection) {
        let Some(socket) = self.table.socket(slot) else { return };
        let Some(mut outbox) = connection.outbox.take() else { return };
        let waited = outbox.waiting();
        let mut pace = connection.pace.take();
        let flushed = match &mut pace {
            None => outbox.flush(connection.line(socket), self.now),
            Some(pace) => loop {
                let Some(next) = outbox.next_kind() else { break Flushed::Empty };
                if outbox.is_held() {
                    break Flushed::Held;
                }
                // A turn may be long: the gap counts from the write, not from the turn's start.
                let now = self.clock.now();
                let free_at = pace.free_at(next);
                if free_at > now {
                    break Flushed::Until(free_at);
                }
                let (flushed, left) = outbox.flush_one(connection.line(socket), now);
                if let Some(kind) = left {
                    pace.left(kind, self.clock.now());
                }
                if flushed != Flushed::Empty {
                    break flushed;
                }
            },
        };
        connection.pace = pace;
        connection.is_full = flushed == Flushed::Full;
        self.books.delivered += waited - outbox.waiting();
        // Where it is kept its connection is open; where that ends, what waits comes too late.
        connection.outbox = Some(outbox);
        match flushed {
            Flushed::Empty => connection.outbox = None,
            Flushed::Full | Flushed::Until(_) | Flushed::Held => {}
            Flushed::Closed => self.shut_write_side(slot, connection),
            Flushed::Broken => self.discard(slot, connection, BROKEN),
        }
        if flushed == Flushed::Empty && matches!(connection.phase, Phase::Answering { .. }) {
            self.shut_write_side(slot, connection);
        }
    }

    /// The socket takes bytes again.
    pub(in crate::worker) fn flush_outbox(&mut self, slot: Slot) {
        let Some(mut connection) = self.table.take(slot) else { return };
        self.flush(slot, &mut connection);
        self.put_back(slot, connection);
    }

    /// Ends a WebSocket with a Close frame; nothing is said to it afterwards.
    pub(in crate::worker) fn close(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        reason: &CloseReason,
    ) {
        self.close_with(slot, connection, reason, &CloseOutcome::ByServer(None));
    }

    /// Ends a WebSocket without a Close frame, behind what it is told.
    pub(in crate::worker) fn cut(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        reason: &CloseReason,
    ) {
        self.close_with(slot, connection, reason, &CloseOutcome::Abruptly);
    }

    /// Ends a WebSocket for a fault of its client; its resource is told which.
    pub(in crate::worker) fn fail(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        reason: &CloseReason,
    ) {
        let fault = CloseOutcome::ByServer(Some(reason));
        self.close_with(slot, connection, reason, &fault);
    }

    /// Answers a Close of the peer; the code is given back (RFC 6455 §5.5.1).
    pub(in crate::worker) fn answer_close(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        (code, reason): (Option<CloseCode>, &str),
    ) {
        let code = code.unwrap_or(CloseCode::NORMAL);
        let reason = match self.closes_in_its_words(connection) {
            true => bloatless::CLOSED,
            false => CloseReason { code, text: Cow::Owned(reason.to_owned()) },
        };
        self.close_with(slot, connection, &reason, &CloseOutcome::ByClient);
    }

    fn close_with(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        reason: &CloseReason,
        ended: &CloseOutcome<'_>,
    ) {
        if matches!(
            connection.phase,
            Phase::Closing { .. } | Phase::Ending { .. } | Phase::Answering { .. } | Phase::Gone
        ) {
            return;
        }
        let client = connection.uuid().map(tracing::field::debug);
        let (by, fault) = match ended {
            CloseOutcome::ByServer(fault) => ("server", *fault),
            CloseOutcome::Abruptly => ("server", None),
            CloseOutcome::ByClient => ("client", None),
        };
        let hint =
            self.hint_of_offer(connection).filter(|_| matches!(ended, CloseOutcome::ByClient));
        // What is refused before it is open has a line of its own.
        if connection.is_open() {
            info!(
                connection = connection.serial,
                client,
                by,
                code = reason.code.0,
                reason = shown(reason),
                hint,
                "connection closed"
            );
        }
        let mut frame = BytesMut::new();
        if !matches!(ended, CloseOutcome::Abruptly) && !self.ends_abruptly(connection) {
            write::close(&mut frame, Some(reason.code), &reason.text);
        }
        self.tell_end(slot, connection, (reason, fault));
        self.advance(connection, Phase::Closing { until: self.now.after(CLOSE_WAIT) });
        connection.stash = None;
        connection.reader.forget();
        self.write(slot, connection, frame.freeze(), PartKind::Close);
    }

    /// Whether it ends without a Close frame, as phpWebSocketServer ends its connections.
    fn ends_abruptly(&self, connection: &Connection) -> bool {
        self.settings.has(CompatFlag::AbruptClose)
            && match &connection.phase {
                Phase::Open(session) => session.speech == Speech::Phpws,
                Phase::Joining(joining) => joining.session.speech == Speech::Phpws,
                // It was turned away, and is paced as only those clients are.
                Phase::Head(_) => connection.pace.is_some(),
                _ => false,
            }
    }

    /// A client that does not read: what is begun is ended, then Close, then a reset (rule L7).
    pub(in crate::worker) fn throw_out(&mut self, slot: Slot, connection: &mut Connection) {
        let held = connection.outbox.as_ref().map_or(0, |outbox| outbox.bytes());
        let client = connection.uuid().map(tracing::field::debug);
        warn!(connection = connection.serial, client, bytes = held, "slow client");
        self.books.slow += 1;
        if let Some(outbox) = &mut connection.outbox {
            self.books.missed += outbox.truncate();
        }
        if let Some(socket) = self.table.socket(slot) {
            // Where it cannot be set the end is a FIN instead of a reset.
            let _unset = sockopt::set_socket_linger(socket, Some(std::time::Duration::ZERO));
        }
        self.fail(slot, connection, &SLOW);
    }

    /// Whether a client is to be dropped as soon as its socket is full, as phpWebSocketServer does.
    pub(in crate::worker) fn drops_slow(&self, connection: &Connection) -> bool {
        let is_phpws = |session: &Session| session.speech == Speech::Phpws;
        self.settings.has(CompatFlag::DropSlow)
            && matches!(&connection.phase, Phase::Open(session) if is_phpws(session))
    }

    /// Ends a connection in the middle of a frame: nothing can be said there.
    pub(in crate::worker) fn drop_slow(&mut self, slot: Slot, connection: &mut Connection) {
        warn!(connection = connection.serial, "slow client");
        self.books.slow += 1;
        self.forget_outbox(connection);
        self.discard(slot, connection, "its socket was full");
    }

    /// Writes the whole answer to a request that becomes no WebSocket, and ends.
    pub(in crate::worker) fn answer_and_end(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        answer: Bytes,
    ) {
        if connection.is_shaking_hands() {
            return self.discard(slot, connection, "no TLS handshake");
        }
        self.tell_never_opened(slot, connection);
        self.relay.uplink.leave(slot);
        self.advance(connection, Phase::Answering { until: self.now.after(CLOSE_WAIT) });
        connection.pace = None;
        connection.outbox(self.now).push(OutboxPart::of(answer, PartKind::Frames), self.now);
        self.flush(slot, connection);
    }

    /// All is said: the peer sees the end, and we wait for its own.
    fn shut_write_side(&mut self, slot: Slot, connection: &mut Connection) {
        if let (Some(tls), Some(socket)) = (&mut connection.tls, self.table.socket(slot)) {
            tls.seal_end();
            // A peer that does not take these few bytes has got the Close frame before them.
            let _sent = tls.send(socket);
        }
        if let Some(socket) = self.table.socket(slot)
            && shutdown(socket, Shutdown::Write).is_err()
        {
            return self.discard(slot, connection, BROKEN);
        }
        self.forget_outbox(connection);
        self.advance(connection, Phase::Ending { until: self.now.after(CLOSE_WAIT) });
    }

    /// What still waits for a connection that ends comes too late.
    pub(in crate::worker) fn forget_outbox(&mut self, connection: &mut Connection) {
        self.books.missed += connection.outbox.take().map_or(0, |outbox| outbox.waiting());
    }

    /// Ends a connection without a word; [`EventLoop::put_back`] closes its socket.
    pub(in crate::worker) fn discard(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        why: &'static str,
    ) {
        let hint = self.hint_of_offer(connection);
        if let Some(client) = connection.uuid() {
            info!(connection = connection.serial, ?client, reason = why, hint, "connection lost");
        }
        let lost = CloseReason::new(CloseCode::LOST, why);
        self.tell_end(slot, connection, (&lost, (why == BROKEN).then_some(&lost)));
        self.advance(connection, Phase::Gone);
    }

    /// Discards a connection that is in the table.
    pub(in crate::worker) fn drop_connection(&mut self, slot: Slot) {
        let Some(mut connection) = self.table.take(slot) else { return };
        self.discard(slot, &mut connection, BROKEN);
        self.put_back(slot, connection);
    }

    /// Moves a connection on, and counts the handshakes that are still open.
    pub(in crate::worker) fn advance(
        &mut self,
        connection: &mut Connection,
        phase: Phase,
    ) -> Phase {
        let was_handshaking = connection.is_handshaking();
        let before = std::mem::replace(&mut connection.phase, phase);
        match (was_handshaking, connection.is_handshaking()) {
            (true, false) => self.doors.handshakes -= 1,
            // Who was with a backend was not counted: others need not wait for that.
            (false, true) => self.doors.handshakes += 1,
            _ => {}
        }
        before
    }
}

/// What is said about a socket that takes or gives nothing any more.
pub(in crate::worker) const BROKEN: &str = "the socket is broken";

/// Who ended a WebSocket.
enum CloseOutcome<'a> {
    /// We did; maybe for a fault of the client's.
    ByServer(Option<&'a CloseReason>),
    /// We did, without a Close frame.
    Abruptly,
    /// The client did.
    ByClient,
}

/// A reason as the log may show it: words of our own. Others repeat what a client sent, which is its
/// own affair and may be a secret.
fn shown(reason: &CloseReason) -> &str {
    match &reason.text {
        Cow::Borrowed(words) => words,
        Cow::Owned(_) => "told to the client, or by it",
    }
}
