//! Outbox with a real socket, and a model of the bytes that must arrive at the other end.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::Duration;

use bytes::Bytes;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair, sockopt};
use tagcast::types::CloseCode;
use tagcast::websocket::write;
use tagcast::worker::Moment;
use tagcast::worker::connection::outbox::{Flushed, Outbox, OutboxPart, PartKind};

use super::Choices;

/// Small enough that most publications do not fit.
const SEND_BUFFER_BYTES: usize = 4096;

pub struct Mailbox {
    outbox: Outbox,
    socket: OwnedFd,
    reader: OwnedFd,
    /// Expected content of the outbox.
    waiting: VecDeque<(Vec<u8>, PartKind)>,
    /// Bytes that the socket has accepted and the reader has not read.
    taken: VecDeque<u8>,
    is_closed: bool,
    now: Moment,
}

impl Mailbox {
    pub fn new() -> Self {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let (socket, reader) = pair.expect("two descriptors");
        sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER_BYTES).expect("a small buffer");
        let now = Moment::START;
        Self {
            outbox: Outbox::new(now),
            socket,
            reader,
            waiting: VecDeque::new(),
            taken: VecDeque::new(),
            is_closed: false,
            now,
        }
    }

    pub fn push(&mut self, frame: Bytes) {
        self.add(frame, PartKind::Frames);
    }

    pub fn step(&mut self, choices: &mut Choices<'_>) {
        self.now = self.now.after(Duration::from_millis(choices.byte().into()));
        match choices.below(8) {
            0..=2 => self.flush(),
            3 => self.flush_one(),
            4 | 5 => self.read(choices.of(&[1, 100, 5000, 100_000])),
            6 => {
                assert_eq!(self.outbox.truncate(), 0, "no deliveries are in it");
                self.waiting.truncate(1);
            }
            _ => match choices.below(4) {
                0 => {
                    let mut frame = Vec::new();
                    write::close(&mut frame, Some(CloseCode::AWAY), "the end");
                    self.add(frame.into(), PartKind::Close);
                }
                _ => self.add(Bytes::from_static(b"\x81\x04next"), PartKind::Step),
            },
        }
        self.agree();
    }

    /// Checks that everything arrives, up to a Close.
    pub fn end(mut self) {
        self.agree();
        while !self.is_closed && !self.waiting.is_empty() {
            self.flush();
            self.agree();
            self.read(usize::MAX);
        }
        self.read(usize::MAX);
        assert!(self.taken.is_empty());
    }

    fn agree(&self) {
        if !self.is_closed {
            let bytes: usize = self.waiting.iter().map(|(bytes, _)| bytes.len()).sum();
            assert_eq!(self.outbox.bytes(), bytes);
            assert_eq!(self.outbox.is_empty(), self.waiting.is_empty());
        }
    }

    /// Adds a part, unless a Close has been sent.
    fn add(&mut self, bytes: Bytes, kind: PartKind) {
        if !self.is_closed {
            self.waiting.push_back((bytes.to_vec(), kind));
            self.outbox.push(OutboxPart::of(bytes, kind), self.now);
            self.agree();
        }
    }

    fn flush(&mut self) {
        if self.is_closed {
            return;
        }
        let before = self.outbox.bytes();
        match self.outbox.flush_plain(&self.socket, self.now) {
            Flushed::Closed => self.close(),
            flushed => {
                self.took(before);
                let is_empty = self.waiting.is_empty();
                assert_eq!(flushed, if is_empty { Flushed::Empty } else { Flushed::Full });
            }
        }
    }

    fn flush_one(&mut self) {
        if self.is_closed {
            return;
        }
        let (before, parts) = (self.outbox.bytes(), self.waiting.len());
        let front = self.waiting.front().map(|(_, kind)| *kind);
        match self.outbox.flush_one_plain(&self.socket, self.now) {
            (Flushed::Closed, kind) => {
                assert_eq!(kind, Some(PartKind::Close));
                self.close();
            }
            (flushed, kind) => {
                self.took(before);
                let has_left = usize::from(kind.is_some());
                assert_eq!(self.waiting.len() + has_left, parts);
                assert!(kind.is_none() || kind == front);
                let is_full = kind.is_none() && parts > 0;
                assert_eq!(flushed, if is_full { Flushed::Full } else { Flushed::Empty });
            }
        }
    }

    /// Records that all parts up to the Close were sent.
    fn close(&mut self) {
        self.is_closed = true;
        while let Some((bytes, kind)) = self.waiting.pop_front() {
            self.taken.extend(bytes);
            if kind == PartKind::Close {
                return;
            }
        }
        panic!("closed without a Close");
    }

    /// Moves the bytes that the outbox has sent to `taken`.
    fn took(&mut self, before: usize) {
        let mut taken = before - self.outbox.bytes();
        while taken > 0 {
            let (bytes, _) = self.waiting.front_mut().expect("bytes that wait");
            let now = taken.min(bytes.len());
            self.taken.extend(bytes.drain(..now));
            if bytes.is_empty() {
                self.waiting.pop_front();
            }
            taken -= now;
        }
    }

    fn read(&mut self, most: usize) {
        let mut left = most;
        let mut buffer = [0; 4096];
        while left > 0 {
            let room = buffer.len().min(left);
            let Ok((read, _)) = recv(&self.reader, &mut buffer[..room], RecvFlags::empty()) else {
                return assert!(self.taken.is_empty(), "bytes that were taken and do not arrive");
            };
            let expected: Vec<u8> = self.taken.drain(..read).collect();
            assert_eq!(buffer[..read], expected);
            left -= read;
        }
    }
}
