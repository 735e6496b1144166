//! The socket through which workers hand connections over to the API process.
//!
//! Each message is one connection: its descriptor, its peer, and all bytes that were read of it.
//! The supervisor holds both ends, so queued connections survive the death of a process.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::sockopt::{set_socket_send_buffer_size, set_socket_send_buffer_size_force};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

use crate::types::limits::{HANDOVER_BYTES_MAX, HANDOVER_QUEUE_BYTES};

/// Header of every message: the address in its IPv6 form, the port, and the remaining milliseconds
/// for the head, all big endian.
const HEADER_BYTES: usize = 16 + 2 + 4;

/// The two ends of a hand-over socket.
#[derive(Debug)]
pub struct HandoverPair {
    /// The end of every worker.
    pub sender: OwnedFd,
    /// The end of the API process.
    pub receiver: OwnedFd,
}

/// Creates the two ends.
///
/// # Errors
///
/// If the process has no descriptors left.
pub fn handover_pair() -> io::Result<HandoverPair> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (sender, receiver) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    // A size above `net.core.wmem_max` needs CAP_NET_ADMIN. Otherwise the kernel's maximum applies.
    if set_socket_send_buffer_size_force(&sender, HANDOVER_QUEUE_BYTES).is_err() {
        set_socket_send_buffer_size(&sender, HANDOVER_QUEUE_BYTES)?;
    }
    Ok(HandoverPair { sender, receiver })
}

/// A connection that is handed over to the API process.
#[derive(Debug)]
pub struct Handover<S, B> {
    /// The socket.
    pub socket: S,
    /// The address of the client.
    pub peer: SocketAddr,
    /// Remaining time for the request head.
    pub head_within: Duration,
    /// All bytes that were read from it.
    pub bytes: B,
}

impl Handover<BorrowedFd<'_>, &[u8]> {
    /// Sends the connection as one message. The caller still owns the socket and closes it.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the queue is full. Any other error means that the API cannot be reached.
    pub fn send(&self, sender: BorrowedFd<'_>) -> io::Result<()> {
        let header = encode_header(self.peer, self.head_within);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let sockets = [self.socket];
        if !ancillary.push(SendAncillaryMessage::ScmRights(&sockets)) {
            return Err(Errno::TOOBIG.into());
        }
        let parts = [IoSlice::new(&header), IoSlice::new(self.bytes)];
        loop {
            match sendmsg(sender, &parts, &mut ancillary, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                // More descriptors are in transit than the user may have. This is treated like a
                // full queue.
                Err(Errno::NOBUFS | Errno::TOOMANYREFS) => {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                other => return Ok(other.map(drop)?),
            }
        }
    }
}

/// The receiving end, with its buffer.
#[derive(Debug)]
pub struct HandoverReceiver {
    socket: OwnedFd,
    buffer: Box<[u8]>,
}

impl HandoverReceiver {
    /// Receives from this end of a [`handover_pair`].
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        let buffer = vec![0; HEADER_BYTES + HANDOVER_BYTES_MAX].into_boxed_slice();
        Self { socket, buffer }
    }

    /// Returns the next connection, if there is one. Invalid messages are skipped.
    ///
    /// # Errors
    ///
    /// EMFILE when the process has no descriptor left: what is queued stays there, so another try after a
    /// pause loses nothing. Anything else means that the socket is broken.
    pub fn receive(&mut self) -> io::Result<Option<Handover<OwnedFd, Vec<u8>>>> {
        loop {
            // The kernel drops a descriptor for which there is no room, and takes the message from the queue
            // all the same. So the room is tried before.
            drop(fcntl_dupfd_cloexec(&self.socket, 0)?);
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let mut slices = [IoSliceMut::new(&mut self.buffer)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let received = match recvmsg(&self.socket, &mut slices, &mut ancillary, flags) {
                Ok(received) => received,
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let sockets = ancillary.drain().filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
                _ => None,
            });
            let socket = sockets.flatten().next();
            if received.bytes == 0 && socket.is_none() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // Another thread of this process was faster.
            if received.flags.contains(ReturnFlags::CTRUNC) {
                return Err(Errno::MFILE.into());
            }
            let is_whole = !received.flags.contains(ReturnFlags::TRUNC);
            let message = self.buffer.get(..received.bytes).unwrap_or_default();
            if let (Some(socket), true) = (socket, is_whole)
                && let Some((header, bytes)) = message.split_first_chunk()
            {
                let (peer, head_within) = decode_header(header);
                let bytes = bytes.to_owned();
                return Ok(Some(Handover { socket, peer, head_within, bytes }));
            }
        }
    }
}

impl AsFd for HandoverReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn encode_header(peer: SocketAddr, head_within: Duration) -> [u8; HEADER_BYTES] {
    let address = match peer.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let millis = u32::try_from(head_within.as_millis()).unwrap_or(u32::MAX);
    let mut header = [0; HEADER_BYTES];
    let (first, rest) = header.split_at_mut(16);
    let (port, left) = rest.split_at_mut(2);
    first.copy_from_slice(&address.octets());
    port.copy_from_slice(&peer.port().to_be_bytes());
    left.copy_from_slice(&millis.to_be_bytes());
    header
}

fn decode_header(header: &[u8; HEADER_BYTES]) -> (SocketAddr, Duration) {
    let [ip @ .., p1, p2, m1, m2, m3, m4] = *header;
    let address = IpAddr::from(ip).to_canonical();
    let millis = u32::from_be_bytes([m1, m2, m3, m4]);
    let peer = SocketAddr::new(address, u16::from_be_bytes([p1, p2]));
    (peer, Duration::from_millis(millis.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn a_connection_arrives_with_its_bytes_and_its_peer() {
        let HandoverPair { sender, receiver } = handover_pair().unwrap();
        let mut receiver = HandoverReceiver::new(receiver);
        assert!(receiver.receive().unwrap().is_none());
        for peer in ["192.0.2.7:80", "[2001:db8::1]:65535"] {
            let (mut client, server) = connected();
            let peer: SocketAddr = peer.parse().unwrap();
            let head_within = Duration::from_millis(2500);
            let bytes = vec![b'x'; HANDOVER_BYTES_MAX];
            let sent = Handover { socket: server.as_fd(), peer, head_within, bytes: &*bytes };
            sent.send(sender.as_fd()).unwrap();
            drop(server);
            let received = receiver.receive().unwrap().unwrap();
            assert_eq!((received.peer, received.head_within), (peer, head_within));
            assert_eq!(received.bytes, bytes);
            client.write_all(b"more").unwrap();
            let mut more = [0; 4];
            TcpStream::from(received.socket).read_exact(&mut more).unwrap();
            assert_eq!(&more, b"more");
        }
    }

    #[test]
    fn a_full_queue_would_block_and_outlives_its_senders() {
        let HandoverPair { sender, receiver } = handover_pair().unwrap();
        let (_client, server) = connected();
        let peer = "192.0.2.7:80".parse().unwrap();
        let sent = Handover {
            socket: server.as_fd(),
            peer,
            head_within: Duration::ZERO,
            bytes: &b"GET /v1/info HTTP/1.1\r\n\r\n"[..],
        };
        let mut count = 0;
        let error = loop {
            match sent.send(sender.as_fd()) {
                Ok(()) => count += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(count > 10, "{count}");
        drop((sender, server));
        let mut receiver = HandoverReceiver::new(receiver);
        let taken = std::iter::from_fn(|| receiver.receive().ok().flatten()).count();
        assert_eq!(taken, count);
        assert!(receiver.receive().is_err(), "all senders are gone");
    }
}
