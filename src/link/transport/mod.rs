//! Transports of a link between worker and broker: a Unix socket, or memory within one process.

mod memory;

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::sockopt::{
    set_socket_recv_buffer_size, set_socket_send_buffer_size, set_socket_send_buffer_size_force,
};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType, sendmsg, socketpair,
};

pub use memory::{MEMORY_BYTES_MAX, MemoryTransport, memory_pair};

/// Bytes that the kernel accepts on a link before a write would block. Two of the largest reads of a turn
/// from sixteen publishers fit, so the output of a turn is rarely split.
pub const SOCKET_BUFFER_BYTES: usize = 1024 * 1024;

/// Maximum number of parts of one `sendmsg` call (`IOV_MAX` of Linux).
const PARTS_MAX: usize = 1024;

/// One end of a link between worker and broker. It transports bytes and never blocks.
pub trait Transport: Send + fmt::Debug {
    /// Reads bytes that have arrived. 0 means that the other end is closed and all bytes were read.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if no bytes have arrived. Any other error ends the link.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// Writes the parts in their order. Returns the number of bytes written.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no space, `BrokenPipe` if the other end is closed.
    fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Returns the descriptor to watch with epoll, edge-triggered: for reading, and for writing after a
    /// write has returned `WouldBlock`.
    ///
    /// After any event the owner reads until `WouldBlock` or a short read, and then writes its pending bytes:
    /// in memory, one eventfd signals both new bytes and free space.
    fn ready(&self) -> BorrowedFd<'_>;
}

/// One end of a link over a Unix stream socket.
#[derive(Debug)]
pub struct UnixTransport(OwnedFd);

impl UnixTransport {
    /// Wraps an end that was created by [`unix_pair`], possibly in another process.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl Transport for UnixTransport {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(&self.0, &mut *into) {
                Err(Errno::INTR) => {}
                // The peer died and left bytes of ours unread. The kernel reports this only after all bytes
                // that the peer wrote have been read.
                Err(Errno::CONNRESET) => return Ok(0),
                other => return Ok(other?),
            }
        }
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let parts = parts.get(..PARTS_MAX).unwrap_or(parts);
        let mut nothing = SendAncillaryBuffer::default();
        loop {
            match sendmsg(&self.0, parts, &mut nothing, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => return Err(io::ErrorKind::BrokenPipe.into()),
                other => return Ok(other?),
            }
        }
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Creates the two ends of a link between two processes. Both are non-blocking and are closed by `exec`.
///
/// # Errors
///
/// If the process has no free descriptor.
pub fn unix_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (one, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    for end in [&one, &other] {
        // The forced call may exceed `net.core.wmem_max` but needs CAP_NET_ADMIN. Without it the kernel
        // limits the size.
        if set_socket_send_buffer_size_force(end, SOCKET_BUFFER_BYTES).is_err() {
            set_socket_send_buffer_size(end, SOCKET_BUFFER_BYTES)?;
        }
        set_socket_recv_buffer_size(end, SOCKET_BUFFER_BYTES)?;
    }
    Ok((one, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> (UnixTransport, UnixTransport) {
        let (one, other) = unix_pair().unwrap();
        (UnixTransport::new(one), UnixTransport::new(other))
    }

    #[test]
    fn parts_arrive_in_order_and_an_idle_link_would_block() {
        let (mut one, mut other) = ends();
        let mut into = [0; 16];
        assert_eq!(other.read(&mut into).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(one.write(&[IoSlice::new(b"ab"), IoSlice::new(b"c")]).unwrap(), 3);
        assert_eq!(other.read(&mut into).unwrap(), 3);
        assert_eq!(&into[..3], b"abc");
    }

    #[test]
    fn a_dead_end_is_read_to_its_last_byte_even_when_it_left_bytes_unread() {
        let (mut one, mut other) = ends();
        one.write(&[IoSlice::new(b"never read")]).unwrap();
        other.write(&[IoSlice::new(b"last words")]).unwrap();
        drop(other);
        let mut into = [0; 16];
        assert_eq!(one.read(&mut into).unwrap(), 10);
        assert_eq!(one.read(&mut into).unwrap(), 0);
        let error = one.write(&[IoSlice::new(b"x")]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn more_parts_than_one_call_takes_are_taken_in_part() {
        let (mut one, _other) = ends();
        let parts: Vec<_> = (0..3000).map(|_| IoSlice::new(b"x")).collect();
        assert_eq!(one.write(&parts).unwrap(), PARTS_MAX);
    }

    #[test]
    fn a_full_link_would_block_instead_of_waiting() {
        let (mut one, _other) = ends();
        let block = vec![0; 64 * 1024];
        let kind = loop {
            if let Err(error) = one.write(&[IoSlice::new(&block)]) {
                break error.kind();
            }
        };
        assert_eq!(kind, io::ErrorKind::WouldBlock);
    }
}
