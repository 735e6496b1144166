//! Sockets that an outbox is written to.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use crate::worker::connection::tls::TlsSession;

/// Result of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Sent {
    /// All bytes were accepted.
    All,
    /// This number of bytes was accepted. The socket is full.
    Some(usize),
    /// The socket is broken.
    Broken,
}

/// Writes one buffer to a socket.
pub(in crate::worker) fn send_now(socket: &OwnedFd, bytes: &[u8]) -> Sent {
    match send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
        Ok(taken) if taken == bytes.len() => Sent::All,
        Ok(taken) => Sent::Some(taken),
        Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => Sent::Some(0),
        Err(_) => Sent::Broken,
    }
}

/// Byte stream to a peer.
pub(in crate::worker) enum PeerStream<'a> {
    /// Plain TCP.
    Plain(&'a OwnedFd),
    /// TLS.
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
