//! What a socket has not taken yet: shared bytes, bounded, and never more than a full socket's or
//! a paced client's.

mod held;

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use std::os::fd::OwnedFd;

use super::tls::TlsSession;
use crate::broker_client::sync::SyncMark;
use crate::websocket::LegacyFraming;
use crate::worker::clock::Moment;

/// Parts that one write takes.
const PARTS_MAX: usize = 64;

/// What a part costs in addition to its bytes: its place in the queue, and a block with a count of
/// the outboxes that share it.
const PART_BYTES: usize = size_of::<OutboxPart>() + 64;

/// What waits to be written to one socket.
///
/// It is a shell around one socket, and public so that sequences of operations can be tried on it.
#[derive(Debug)]
pub struct Outbox {
    parts: VecDeque<OutboxPart>,
    /// What TLS holds of a part that was taken out, while the socket is full.
    sealed: Option<Sealed>,
    bytes: usize,
    /// Deliveries that the kernel has not taken whole.
    waiting: u64,
    /// When the socket last took something, or the first part came.
    moved_at: Moment,
}

/// Bytes that belong together.
#[derive(Debug)]
pub struct OutboxPart {
    bytes: Bytes,
    kind: PartKind,
    /// Deliveries that end in it.
    deliveries: u32,
}

/// A part without its bytes.
#[derive(Clone, Copy, Debug)]
struct Sealed {
    kind: PartKind,
    deliveries: u64,
}

impl OutboxPart {
    /// Something other than a delivery.
    #[must_use]
    pub fn of(bytes: Bytes, kind: PartKind) -> Self {
        Self { bytes, kind, deliveries: 0 }
    }

    /// So many publications as frames.
    #[must_use]
    pub fn deliveries(bytes: Bytes, count: u32) -> Self {
        Self { bytes, kind: PartKind::Frames, deliveries: count }
    }

    /// The same in the form of an older protocol; none when that has no word for it.
    pub(in crate::worker) fn reframed(mut self, foreign: &LegacyFraming) -> Option<Self> {
        if self.kind != PartKind::Head {
            self.bytes = foreign.reframed(&self.bytes);
        }
        let says_something =
            !self.bytes.is_empty() || self.deliveries > 0 || self.kind == PartKind::Close;
        says_something.then_some(self)
    }

    pub(in crate::worker) fn kind(&self) -> PartKind {
        self.kind
    }
}

/// What a part is, as far as it decides how it may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// The answer to the handshake: what follows it waits for `readyGap`.
    Head,
    /// `next` or `ready`: a client in lock-step waits for exactly this frame.
    Step,
    /// Any other frames.
    Frames,
    /// A Close frame, which shares a segment with nothing.
    Close,
    /// No bytes: what follows leaves when the broker is so far.
    Hold(SyncMark),
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Sent {
    /// All of it was taken.
    All,
    /// This many bytes were taken; the socket is full.
    Some(usize),
    /// The socket is broken.
    Broken,
}

/// Writes one buffer straight to a socket.
pub(in crate::worker) fn send_now(socket: &OwnedFd, bytes: &[u8]) -> Sent {
    match send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
        Ok(taken) if taken == bytes.len() => Sent::All,
        Ok(taken) => Sent::Some(taken),
        Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => Sent::Some(0),
        Err(_) => Sent::Broken,
    }
}

/// The stream to a peer.
pub(in crate::worker) enum PeerStream<'a> {
    /// Straight to the socket.
    Plain(&'a OwnedFd),
    /// Through TLS.
    Tls(&'a OwnedFd, &'a mut TlsSession),
}

impl<'a> PeerStream<'a> {
    pub(in crate::worker) fn new(socket: &'a OwnedFd, tls: Option<&'a mut TlsSession>) -> Self {
        match tls {
            None => Self::Plain(socket),
            Some(tls) => Self::Tls(socket, tls),
        }
    }
}

/// What flushing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing is left.
    Empty,
    /// The socket is full.
    Full,
    /// The next part may not leave before this moment (php-type clients).
    Until(Moment),
    /// The broker has not done yet what the next part speaks of.
    Held,
    /// The Close frame has left: it is the last thing that is ever written.
    Closed,
    /// The socket is broken.
    Broken,
}

impl Outbox {
    /// An empty one; the moment counts as the last in which the socket took something.
    #[must_use]
    pub fn new(now: Moment) -> Self {
        Self { parts: VecDeque::new(), sealed: None, bytes: 0, waiting: 0, moved_at: now }
    }

    /// How many bytes wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of memory that it holds: bytes that several outboxes share count for each of them, and
    /// many small parts cost more than their bytes.
    pub(in crate::worker) fn held_bytes(&self) -> usize {
        self.bytes + self.parts.len() * PART_BYTES
    }

    /// Deliveries in it.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Since when the socket has taken nothing.
    pub(in crate::worker) fn moved_at(&self) -> Moment {
        self.moved_at
    }

    /// Adds what is to leave last.
    pub fn push(&mut self, part: OutboxPart, now: Moment) {
        if self.parts.is_empty() {
            self.moved_at = now;
        }
        self.bytes += part.bytes.len();
        self.waiting += u64::from(part.deliveries);
        self.parts.push_back(part);
    }

    /// Keeps only the part that was written in part: the rest would come too late for a client that is closed
    /// as slow. Returns how many deliveries that were.
    pub fn truncate(&mut self) -> u64 {
        let before = self.waiting;
        let begun = usize::from(!self.parts.is_empty() && !self.is_held());
        for late in self.parts.drain(begun..) {
            self.bytes -= late.bytes.len();
            self.waiting -= u64::from(late.deliveries);
        }
        before - self.waiting
    }

    /// Writes as much as the socket takes, in as few writes as the parts allow.
    pub(in crate::worker) fn flush(&mut self, line: PeerStream<'_>, now: Moment) -> Flushed {
        match line {
            PeerStream::Plain(socket) => self.flush_plain(socket, now),
            PeerStream::Tls(socket, tls) => loop {
                match self.flush_sealed(socket, tls, now) {
                    (Flushed::Empty, Some(_)) => {}
                    (flushed, _) => return flushed,
                }
            },
        }
    }

    /// Writes as much as a plain socket takes, in as few writes as the parts allow.
    pub fn flush_plain(&mut self, socket: &OwnedFd, now: Moment) -> Flushed {
        while let Some(front) = self.parts.front() {
            if matches!(front.kind, PartKind::Hold(_)) {
                return Flushed::Held;
            }
            let ends = front.kind == PartKind::Close;
            let sent = if ends || self.parts.len() == 1 {
                send_now(socket, &front.bytes)
            } else {
                self.send_several(socket)
            };
            match sent {
                Sent::All if ends => return Flushed::Closed,
                Sent::All => self.took_some(now),
                Sent::Some(0) => return Flushed::Full,
                Sent::Some(taken) => {
                    self.on_taken(taken);
                    self.moved_at = now;
                }
                Sent::Broken => return Flushed::Broken,
            }
        }
        Flushed::Empty
    }

    /// Writes the front part alone, for a client that reads one frame at a time.
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

    /// Writes the front part through TLS, whole; returns its kind once the socket has taken all of
    /// it. Nothing is left to write when there is no kind.
    fn flush_sealed(
        &mut self,
        socket: &OwnedFd,
        tls: &mut TlsSession,
        now: Moment,
    ) -> (Flushed, Option<PartKind>) {
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
            if let Some(Sealed { kind, deliveries }) = self.sealed.take() {
                self.waiting -= deliveries;
                self.moved_at = now;
                let ends = kind == PartKind::Close;
                return (if ends { Flushed::Closed } else { Flushed::Empty }, Some(kind));
            }
            let Some(front) = self.parts.front() else { return (Flushed::Empty, None) };
            if matches!(front.kind, PartKind::Hold(_)) {
                return (Flushed::Held, None);
            }
            let (kind, length) = (front.kind, front.bytes.len());
            let taken = tls.seal(&front.bytes);
            let deliveries = self.take_bytes(taken);
            if taken == length {
                self.sealed = Some(Sealed { kind, deliveries });
            } else if taken == 0 && !tls.has_sealed() {
                // It takes nothing and has nothing to write: it never will.
                return (Flushed::Broken, None);
            }
        }
    }

    /// Writes the front part alone to a plain socket; returns its kind once all of it was taken.
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
                self.took_some(now);
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

    /// The kind of the part that leaves next.
    pub(in crate::worker) fn next_kind(&self) -> Option<PartKind> {
        let sealed = self.sealed.map(|sealed| sealed.kind);
        sealed.or_else(|| self.parts.front().map(|part| part.kind))
    }

    fn send_several(&self, socket: &OwnedFd) -> Sent {
        let several = self
            .parts
            .iter()
            .take_while(|part| !matches!(part.kind, PartKind::Close | PartKind::Hold(_)));
        let slices: Vec<IoSlice<'_>> =
            several.take(PARTS_MAX).map(|part| IoSlice::new(&part.bytes)).collect();
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match sendmsg(socket, &slices, &mut SendAncillaryBuffer::default(), flags) {
            Ok(taken) => Sent::Some(taken),
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => Sent::Some(0),
            Err(_) => Sent::Broken,
        }
    }

    fn took_some(&mut self, now: Moment) {
        let taken = self.parts.front().map_or(0, |part| part.bytes.len());
        self.on_taken(taken);
        self.moved_at = now;
    }

    /// The kernel has taken this much.
    fn on_taken(&mut self, taken: usize) {
        self.waiting -= self.take_bytes(taken);
    }

    /// Takes bytes from the front; returns how many deliveries ended in the parts that are gone.
    fn take_bytes(&mut self, mut taken: usize) -> u64 {
        self.bytes -= taken;
        let mut deliveries = 0;
        while let Some(front) = self.parts.front_mut() {
            if taken < front.bytes.len() {
                front.bytes.advance(taken);
                break;
            }
            taken -= front.bytes.len();
            deliveries += u64::from(front.deliveries);
            self.parts.pop_front();
            if taken == 0 {
                // A part without bytes may follow: the end of a client that knows no Close.
                break;
            }
        }
        debug_assert_eq!(self.bytes, self.parts.iter().map(|part| part.bytes.len()).sum::<usize>());
        deliveries
    }
}

#[cfg(test)]
mod tests;
