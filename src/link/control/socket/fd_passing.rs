//! Sends and receives bytes and descriptors over the socket of a control link.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use zeroize::Zeroizing;

use crate::link::control::wire::malformed;
use crate::link::control::{ControlPeer, DESCRIPTORS_MAX};
use crate::types::WipedBytes;

/// Maximum number of unsent messages. A receiver that leaves this many unread is considered hung.
const MESSAGES_MAX: usize = 1024;
/// Maximum number of bytes that one call reads from the socket.
const RECEIVE_BYTES: usize = 16 * 1024;

/// Messages that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct FdSender(VecDeque<FdMessage>);

struct FdMessage {
    bytes: WipedBytes,
    sent: usize,
    /// Sent with the first byte of the message, and then closed in this process.
    descriptors: Vec<OwnedFd>,
}

impl FdSender {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, bytes: WipedBytes, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        if self.0.len() >= MESSAGES_MAX {
            let text = format!("{MESSAGES_MAX} messages on the control link were not read");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        self.0.push_back(FdMessage { bytes, sent: 0, descriptors });
        Ok(())
    }

    /// Sends until the queue is empty or the socket is full.
    pub(super) fn flush(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        while let Some(message) = self.0.front_mut() {
            match message.send(socket) {
                Ok(()) if message.sent == message.bytes.len() => drop(self.0.pop_front()),
                Ok(()) | Err(Errno::INTR) => {}
                // A shortage of kernel buffers (ENOBUFS) is temporary, like a full socket. The rest is sent
                // with the next call.
                Err(Errno::AGAIN | Errno::NOBUFS) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl FdMessage {
    fn send(&mut self, socket: BorrowedFd<'_>) -> rustix::io::Result<()> {
        let borrowed: Vec<_> = self.descriptors.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !borrowed.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)) {
            return Err(Errno::TOOBIG);
        }
        let rest = self.bytes.get(self.sent..).unwrap_or_default();
        self.sent += sendmsg(socket, &[IoSlice::new(rest)], &mut ancillary, SendFlags::NOSIGNAL)?;
        self.descriptors.clear();
        Ok(())
    }
}

/// Received bytes and descriptors that do not form a whole message yet.
#[derive(Default)]
pub(super) struct FdReceiver {
    pub(super) bytes: WipedBytes,
    pub(super) descriptors: VecDeque<OwnedFd>,
    ended: bool,
}

/// Omits the bytes, because they may contain secrets.
impl fmt::Debug for FdReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, {} descriptors", self.bytes.len(), self.descriptors.len())
    }
}

/// Omits the bytes, because a configuration among them contains secrets.
impl fmt::Debug for FdMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of {} sent", self.sent, self.bytes.len())
    }
}

impl FdReceiver {
    pub(super) fn peer(&self) -> ControlPeer {
        if self.ended { ControlPeer::Gone } else { ControlPeer::Alive }
    }

    /// Reads the socket once; returns whether there may be more to read.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        let mut chunk = Zeroizing::new([0; RECEIVE_BYTES]);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(chunk.as_mut_slice())];
        let received = match recvmsg(socket, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => received,
            Err(Errno::AGAIN) => return Ok(false),
            Err(Errno::INTR) => return Ok(true),
            Err(Errno::CONNRESET) => {
                self.ended = true;
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            return Err(malformed("descriptors were lost (does the process have too many open?)"));
        }
        if self.descriptors.len() > DESCRIPTORS_MAX {
            return Err(malformed("more descriptors than its messages name"));
        }
        if received.bytes == 0 {
            self.ended = true;
            return Ok(false);
        }
        self.bytes.extend_from_slice(chunk.get(..received.bytes).unwrap_or_default());
        Ok(true)
    }
}
