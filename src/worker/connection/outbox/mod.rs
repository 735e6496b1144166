//! Outbox: queue of bytes that a socket has not accepted yet. It is bounded, and exists only for
//! full sockets and paced clients. The bytes are shared between outboxes.

mod held;
mod stream;
mod sums;
mod tickets;

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use std::os::fd::OwnedFd;

pub(in crate::worker) use self::stream::{PeerStream, Sent, send_now};
pub(in crate::worker) use self::sums::OutboxSums;
use super::tls::TlsSession;
use crate::broker_client::sync::SyncMark;
use crate::broker_client::write_reports::WriteTicket;
use crate::types::limits::SEND_BYTES_MAX;
use crate::websocket::LegacyFraming;
use crate::worker::clock::Moment;

/// Most parts in one write call.
const PARTS_MAX: usize = 64;

/// Memory per part in addition to its bytes: its entry in the queue, and the reference-counted
/// block that other outboxes share.
const PART_BYTES: usize = size_of::<OutboxPart>() + 64;

/// Queue of bytes for one socket.
///
/// It is public so that tests can apply sequences of operations to it.
#[derive(Debug)]
pub struct Outbox {
    parts: VecDeque<OutboxPart>,
    /// Part whose bytes are all encrypted but not yet sent.
    sealed: Option<Sealed>,
    bytes: usize,
    /// Deliveries that the kernel has not accepted completely.
    waiting: u64,
    /// What the sums over all outboxes include of this one.
    noted: OutboxSums,
    /// Time at which the socket last accepted bytes, or at which the first part was queued.
    moved_at: Moment,
}

/// Bytes that belong together.
#[derive(Debug)]
pub struct OutboxPart {
    bytes: Bytes,
    kind: PartKind,
    /// Number of deliveries that end in this part.
    deliveries: u32,
    /// Counts the delivery for a report, if there is one.
    ticket: WriteTicket,
}

/// Part without its bytes.
#[derive(Debug)]
struct Sealed {
    kind: PartKind,
    deliveries: u64,
    ticket: WriteTicket,
}

impl OutboxPart {
    /// Creates a part that is not a delivery.
    #[must_use]
    pub fn of(bytes: Bytes, kind: PartKind) -> Self {
        Self { bytes, kind, deliveries: 0, ticket: WriteTicket::default() }
    }

    /// Creates a part with the frames of `count` publications.
    #[must_use]
    pub fn deliveries(bytes: Bytes, count: u32) -> Self {
        let ticket = WriteTicket::default();
        Self { bytes, kind: PartKind::Frames, deliveries: count, ticket }
    }

    /// Converts the part to an older framing. `None` if the framing cannot express it.
    pub(in crate::worker) fn reframed(mut self, foreign: &LegacyFraming) -> Option<Self> {
        if self.kind != PartKind::Head {
            self.bytes = foreign.reframed(&self.bytes);
        }
        let has_content =
            !self.bytes.is_empty() || self.deliveries > 0 || self.kind == PartKind::Close;
        has_content.then_some(self)
    }

    pub(in crate::worker) fn kind(&self) -> PartKind {
        self.kind
    }
}

/// Kind of a part. It decides how the part may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// Response to the handshake. Later parts wait for `readyGap`.
    Head,
    /// `next` or `ready`. A client in lock-step waits for exactly this frame.
    Step,
    /// Other frames.
    Frames,
    /// Close frame. It is written in a segment of its own.
    Close,
    /// Marker without bytes. Later parts wait until the broker has reached the mark.
    Hold(SyncMark),
}

/// Result of flushing an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// The outbox is empty.
    Empty,
    /// The socket is full.
    Full,
    /// Enough was written for one turn. The socket accepts more.
    Yielded,
    /// The next part must not be sent before this time (php-type clients).
    Until(Moment),
    /// The next part waits for the broker.
    Held,
    /// The Close frame was sent. Nothing may be written after it.
    Closed,
    /// The socket is broken.
    Broken,
}

impl Outbox {
    /// Creates an empty outbox. `now` counts as the time at which the socket last accepted bytes.
    #[must_use]
    pub fn new(now: Moment) -> Self {
        Self {
            parts: VecDeque::new(),
            sealed: None,
            bytes: 0,
            waiting: 0,
            noted: OutboxSums::default(),
            moved_at: now,
        }
    }

    /// Returns the number of queued bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the memory that the outbox holds in bytes. Shared bytes count in each outbox. Many
    /// small parts cost more than their bytes.
    pub(in crate::worker) fn held_bytes(&self) -> usize {
        self.bytes + self.parts.len() * PART_BYTES
    }

    /// Returns the number of queued deliveries.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Returns true if no part is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns the time at which the socket last accepted bytes.
    pub(in crate::worker) fn moved_at(&self) -> Moment {
        self.moved_at
    }

    /// Appends a part.
    pub fn push(&mut self, part: OutboxPart, now: Moment) {
        if self.parts.is_empty() {
            self.moved_at = now;
        }
        self.bytes += part.bytes.len();
        self.waiting += u64::from(part.deliveries);
        self.parts.push_back(part);
    }

    /// Writes as much as the socket accepts, in as few writes as possible.
    pub(in crate::worker) fn flush(&mut self, line: PeerStream<'_>, now: Moment) -> Flushed {
        match line {
            PeerStream::Plain(socket) => self.flush_plain(socket, now),
            PeerStream::Tls(socket, tls) => {
                let before = self.bytes;
                loop {
                    match self.flush_sealed(socket, tls, now) {
                        (Flushed::Empty, Some(_)) if before - self.bytes >= SEND_BYTES_MAX => {
                            return Flushed::Yielded;
                        }
                        (Flushed::Empty, Some(_)) => {}
                        (flushed, _) => return flushed,
                    }
                }
            }
        }
    }

    /// Writes as much as a plain socket accepts and one turn may take, in as few writes as possible.
    pub fn flush_plain(&mut self, socket: &OwnedFd, now: Moment) -> Flushed {
        let mut written = 0;
        while let Some(front) = self.parts.front() {
            if matches!(front.kind, PartKind::Hold(_)) {
                return Flushed::Held;
            }
            if written >= SEND_BYTES_MAX {
                return Flushed::Yielded;
            }
            let ends = front.kind == PartKind::Close;
            let is_alone = ends || self.parts.len() == 1;
            let sent = if is_alone && front.bytes.len() <= SEND_BYTES_MAX {
                send_now(socket, &front.bytes)
            } else {
                self.send_several(socket)
            };
            match sent {
                Sent::All if ends => return Flushed::Closed,
                Sent::All => self.on_front_sent(now),
                Sent::Some(0) => return Flushed::Full,
                Sent::Some(taken) => {
                    written += taken;
                    self.on_taken(taken);
                    self.moved_at = now;
                }
                Sent::Broken => return Flushed::Broken,
            }
        }
        Flushed::Empty
    }

    /// Writes only the first part, for a client that reads one frame at a time.
    pub(in crate::worker) fn flush_one(
        &mut self,
        line: PeerStream<'_>,
        now: Moment,
    ) -> (Flushed, Option<PartKind>) {
        match line {
            PeerStream::Plain(socket) => self.flush_one_plain(socket, now),
            PeerStream::Tls(socket, tls) => self.flush_sealed(socket, tls, now),
        }
    }

    /// Writes the first part through TLS. Returns its kind once the socket has accepted all of it.
    /// If no kind is returned, the result tells why.
    fn flush_sealed(
        &mut self,
        socket: &OwnedFd,
        tls: &mut TlsSession,
        now: Moment,
    ) -> (Flushed, Option<PartKind>) {
        let mut sealed = 0;
        loop {
            match tls.send(socket) {
                Sent::All => {}
                Sent::Some(taken) => {
                    if taken > 0 {
                        self.moved_at = now;
                    }
                    return (Flushed::Full, None);
                }
                Sent::Broken => return (Flushed::Broken, None),
            }
            if let Some(Sealed { kind, deliveries, mut ticket }) = self.sealed.take() {
                ticket.count_written();
                self.waiting -= deliveries;
                self.moved_at = now;
                let ends = kind == PartKind::Close;
                return (if ends { Flushed::Closed } else { Flushed::Empty }, Some(kind));
            }
            let Some(front) = self.parts.front() else { return (Flushed::Empty, None) };
            if matches!(front.kind, PartKind::Hold(_)) {
                return (Flushed::Held, None);
            }
            if sealed >= SEND_BYTES_MAX {
                self.moved_at = now;
                return (Flushed::Yielded, None);
            }
            let (kind, length) = (front.kind, front.bytes.len());
            let taken = tls.seal(&front.bytes);
            sealed += taken;
            let mut ticket = WriteTicket::default();
            let deliveries = self.take_bytes(taken, |done| ticket = done);
            if taken == length {
                self.sealed = Some(Sealed { kind, deliveries, ticket });
            } else if taken == 0 && !tls.has_sealed() {
                // TLS accepts no bytes although none are pending, so it never will.
                return (Flushed::Broken, None);
            }
        }
    }

    /// Writes only the first part to a plain socket. Returns its kind once the socket has accepted
    /// all of it.
    pub fn flush_one_plain(
        &mut self,
        socket: &OwnedFd,
        now: Moment,
    ) -> (Flushed, Option<PartKind>) {
        let Some(front) = self.parts.front() else { return (Flushed::Empty, None) };
        let kind = front.kind;
        if matches!(kind, PartKind::Hold(_)) {
            return (Flushed::Held, None);
        }
        match send_now(socket, &front.bytes) {
            Sent::All if kind == PartKind::Close => (Flushed::Closed, Some(kind)),
            Sent::All => {
                self.on_front_sent(now);
                (Flushed::Empty, Some(kind))
            }
            Sent::Some(taken) => {
                self.on_taken(taken);
                if taken > 0 {
                    self.moved_at = now;
                }
                (Flushed::Full, None)
            }
            Sent::Broken => (Flushed::Broken, None),
        }
    }

    /// Returns the kind of the next part.
    pub(in crate::worker) fn next_kind(&self) -> Option<PartKind> {
        let sealed = self.sealed.as_ref().map(|sealed| sealed.kind);
        sealed.or_else(|| self.parts.front().map(|part| part.kind))
    }

    fn send_several(&self, socket: &OwnedFd) -> Sent {
        let several = self
            .parts
            .iter()
            .take_while(|part| !matches!(part.kind, PartKind::Close | PartKind::Hold(_)));
        let mut room = SEND_BYTES_MAX;
        let slices: Vec<IoSlice<'_>> = several
            .take(PARTS_MAX)
            .map_while(|part| {
                let bytes = part.bytes.get(..room).unwrap_or(&part.bytes);
                let is_first_beyond = room == 0;
                room -= bytes.len();
                (!is_first_beyond).then(|| IoSlice::new(bytes))
            })
            .collect();
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match sendmsg(socket, &slices, &mut SendAncillaryBuffer::default(), flags) {
            Ok(taken) => Sent::Some(taken),
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => Sent::Some(0),
            Err(_) => Sent::Broken,
        }
    }

    fn on_front_sent(&mut self, now: Moment) {
        let taken = self.parts.front().map_or(0, |part| part.bytes.len());
        self.on_taken(taken);
        self.moved_at = now;
    }

    /// Records bytes that the kernel has accepted.
    fn on_taken(&mut self, taken: usize) {
        self.waiting -= self.take_bytes(taken, |mut ticket| ticket.count_written());
    }

    /// Removes bytes from the front. Returns the number of deliveries that ended in the removed
    /// parts. `done` gets the ticket of each.
    fn take_bytes(&mut self, mut taken: usize, mut done: impl FnMut(WriteTicket)) -> u64 {
        self.bytes -= taken;
        let mut deliveries = 0;
        while let Some(front) = self.parts.front_mut() {
            if taken < front.bytes.len() {
                front.bytes.advance(taken);
                break;
            }
            taken -= front.bytes.len();
            deliveries += u64::from(front.deliveries);
            if let Some(part) = self.parts.pop_front() {
                done(part.ticket);
            }
            if taken == 0 {
                // A part without bytes may follow and must stay: the Close of a client whose
                // framing has no close frame.
                break;
            }
        }
        debug_assert_eq!(self.bytes, self.parts.iter().map(|part| part.bytes.len()).sum::<usize>());
        deliveries
    }
}

#[cfg(test)]
mod tests;
