//! The worker's end of the link to one broker.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};

use bytes::{Buf, Bytes};

use super::LinkBytes;
use super::fanout::UnknownSet;
use super::large::LargeLinkMessage;
use super::uplink::UnknownPublication;
use crate::link::codec::{Malformed, MessageDecoder};
use crate::link::message::FromBroker;
use crate::link::transport::Transport;
use crate::types::Generation;

/// Maximum number of parts of one write.
const PARTS_MAX: usize = 64;
/// Maximum number of reads per turn. The rest is read in the next turn, so that client sockets are not
/// starved.
const READS_MAX: usize = 16;

/// A link to a broker.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "two independent facts")]
pub(crate) struct BrokerLink {
    pub(crate) broker: Generation,
    transport: Box<dyn Transport>,
    inbox: MessageDecoder,
    out: VecDeque<Bytes>,
    /// The kernel may have more bytes. Edge-triggered events are not repeated, so this must be remembered.
    pub(crate) is_unread: bool,
    /// No event says that more has arrived, or that the broker has closed it: it is read until nothing is left.
    pub(crate) is_read_to_end: bool,
    pub(crate) bytes: LinkBytes,
}

impl BrokerLink {
    pub(crate) fn new(broker: Generation, transport: Box<dyn Transport>) -> Self {
        Self {
            broker,
            transport,
            inbox: MessageDecoder::default(),
            out: VecDeque::new(),
            is_unread: true,
            is_read_to_end: false,
            bytes: LinkBytes::default(),
        }
    }

    pub(crate) fn ready(&self) -> std::os::fd::BorrowedFd<'_> {
        self.transport.ready()
    }

    /// Returns whether data is left to process for which no further event will arrive.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_unread || self.inbox.has_rest()
    }

    /// Returns whether bytes are left that the last write could not send.
    pub(crate) fn is_full(&self) -> bool {
        !self.out.is_empty()
    }

    /// Reads data that has arrived, unless messages of an earlier read are left.
    ///
    /// # Errors
    ///
    /// If the link has failed or was closed.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> io::Result<()> {
        if self.inbox.has_rest() {
            return Ok(());
        }
        for _ in 0..READS_MAX {
            if !self.is_unread {
                return Ok(());
            }
            match self.transport.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.bytes.read += read as u64;
                    // A short read has drained the socket, so more data causes a new event.
                    self.is_unread = self.is_read_to_end || read == scratch.len();
                    self.inbox.extend(scratch.get(..read).unwrap_or_default());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_unread = false,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns the next whole message.
    ///
    /// # Errors
    ///
    /// If the bytes are not a message (rule L1).
    pub(crate) fn next(&mut self) -> io::Result<Option<FromBroker<'_>>> {
        let body = self.inbox.take_body().map_err(malformed)?;
        body.map(FromBroker::decode).transpose().map_err(malformed)
    }

    /// Returns the next whole message if it has at least `bytes_min` bytes.
    ///
    /// # Errors
    ///
    /// As [`BrokerLink::next`].
    pub(crate) fn next_large(&mut self, bytes_min: usize) -> io::Result<Option<LargeLinkMessage>> {
        let large = self.inbox.take_large_body(bytes_min).map_err(malformed)?;
        Ok(large.map(|(bytes, start)| LargeLinkMessage { bytes, start }))
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.out.push_back(bytes);
    }

    /// Writes pending bytes until none are left or the link is full. Returns the last part if it was written
    /// to its end.
    ///
    /// # Errors
    ///
    /// If the link has failed or was closed. Its last messages must still be read.
    pub(crate) fn write(&mut self) -> io::Result<Option<Bytes>> {
        let mut written = None;
        while !self.out.is_empty() {
            let parts: Vec<IoSlice<'_>> =
                self.out.iter().take(PARTS_MAX).map(|part| IoSlice::new(part)).collect();
            match self.transport.write(&parts) {
                Ok(taken) => {
                    self.bytes.written += taken as u64;
                    written = self.on_written(taken);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    fn on_written(&mut self, mut taken: usize) -> Option<Bytes> {
        let mut written = None;
        while let Some(front) = self.out.front_mut() {
            if taken < front.len() {
                front.advance(taken);
                return None;
            }
            taken -= front.len();
            written = self.out.pop_front();
        }
        written
    }
}

pub(super) fn malformed(malformed: Malformed) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, malformed)
}

pub(super) fn unknown_set(UnknownSet(name): UnknownSet) -> io::Error {
    unknown(&format!("set {} was not named in this batch", name.0))
}

pub(super) fn not_kept(UnknownPublication(number): UnknownPublication) -> io::Error {
    unknown(&format!("publication {} is not kept", number.0))
}

fn unknown(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
