//! The bridge's end of the link to the broker.

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::BorrowedFd;

use crate::cluster::ClusterEffect;
use crate::link::bridge::FromBridge;
use crate::link::codec::{MessageDecoder, WireMessage, encode_arrival};
use crate::link::message::{ForBridge, ToBroker, VERSION};
use crate::link::transport::Transport;
use crate::reactor::poller::Interest;
use crate::types::{Generation, Sequence, WorkerIncarnation};

/// The link to one broker.
#[derive(Debug)]
pub(super) struct BridgeLink {
    /// The broker at its other end.
    pub(super) broker: Generation,
    transport: Box<dyn Transport>,
    inbox: MessageDecoder,
    out: Vec<u8>,
    /// Bytes at the start of `out` that the link has taken.
    written: usize,
    is_unread: bool,
    watched: Interest,
}

impl BridgeLink {
    /// Begins a link.
    pub(super) fn new(
        broker: Generation,
        transport: Box<dyn Transport>,
        source: WorkerIncarnation,
    ) -> Self {
        let mut link = Self {
            broker,
            transport,
            inbox: MessageDecoder::default(),
            out: Vec::new(),
            written: 0,
            is_unread: true,
            watched: Interest::Edge,
        };
        link.send(&ToBroker::Hello { version: VERSION, source });
        link
    }

    pub(super) fn send(&mut self, message: &ToBroker) {
        message.encode(&mut self.out);
    }

    pub(super) fn say(&mut self, message: FromBridge) {
        self.send(&ToBroker::Bridge(message));
    }

    pub(super) fn tell(&mut self, effect: ClusterEffect) {
        match effect {
            ClusterEffect::Arrive(arrival) => encode_arrival(&mut self.out, &arrival),
            effect => self.say(FromBridge::Effect(Box::new(effect))),
        }
    }

    /// Ends the announcements.
    pub(super) fn announced(&mut self) {
        self.send(&ToBroker::Announced { sequence: Sequence(0) });
    }

    pub(super) fn ready(&self) -> BorrowedFd<'_> {
        self.transport.ready()
    }

    pub(super) fn mark_unread(&mut self) {
        self.is_unread = true;
    }

    /// Returns whether data is left to process, in the kernel or in the decoder.
    pub(super) fn is_busy(&self) -> bool {
        self.is_unread || self.inbox.has_rest()
    }

    /// Returns the next message that has arrived. Reads once if there is none.
    ///
    /// # Errors
    ///
    /// If the link has ended, or has carried something that is not a message.
    pub(super) fn next(&mut self, scratch: &mut [u8]) -> io::Result<Option<ForBridge<'_>>> {
        while !self.inbox.has_rest() && self.is_unread {
            match self.transport.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.is_unread = read == scratch.len();
                    self.inbox.extend(scratch.get(..read).unwrap_or_default());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_unread = false,
                Err(error) => return Err(error),
            }
        }
        let invalid = |error| io::Error::new(ErrorKind::InvalidData, error);
        let body = self.inbox.take_body().map_err(invalid)?;
        body.map(ForBridge::decode).transpose().map_err(invalid)
    }

    /// Writes what waits until the link is full. Returns whether all was written.
    pub(super) fn write(&mut self) -> bool {
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.transport.write(&[IoSlice::new(rest)]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(_) => {
                    // The broker is gone. Its last messages are read before the end is found.
                    self.is_unread = true;
                    return false;
                }
            }
        }
        self.written = 0;
        if self.out.capacity() > super::process::KEPT_BYTES_MAX {
            self.out = Vec::new();
        }
        self.out.clear();
        true
    }

    /// Returns what the link is to be watched for, if that has changed.
    pub(super) fn next_interest(&mut self) -> Option<Interest> {
        let wanted = if self.out.is_empty() { Interest::Edge } else { Interest::EdgeAndRoom };
        let former = std::mem::replace(&mut self.watched, wanted);
        (former != wanted).then_some(wanted)
    }
}
