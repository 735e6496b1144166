//! One connection of the load generator: non-blocking, with or without TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};
use rustls::ClientConnection;

/// Bytes per read, enough for the small messages of one turn.
const READ_BYTES: usize = 256 * 1024;

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// Bytes that the kernel has not accepted yet.
    pending: Vec<u8>,
}

/// Read buffers that all connections share.
#[derive(Debug)]
pub(super) struct Buffers {
    arrived: Vec<u8>,
    opened: Vec<u8>,
}

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadResult<'a> {
    /// Bytes from the server. Empty if only TLS messages arrived.
    Bytes(&'a [u8]),
    /// No data is available now.
    Nothing,
    /// The server has closed the connection.
    End,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Self { arrived: vec![0; READ_BYTES], opened: Vec::new() }
    }
}

impl Socket {
    /// Starts to connect.
    pub(super) fn dial(
        to: SocketAddr,
        from: Option<SocketAddr>,
        mut tls: Option<ClientConnection>,
    ) -> io::Result<Self> {
        if let Some(tls) = &mut tls {
            // The number of publications in flight limits this buffer, so TLS does not need its own
            // limit.
            tls.set_buffer_limit(None);
        }
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        // Thousands of connections close at once. A reset leaves no port in TIME_WAIT.
        sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
        if let Some(from) = from {
            bind(&socket, &from)?;
        }
        match connect(&socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self { stream: TcpStream::from(socket), tls: tls.map(Box::new), pending: Vec::new() })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Queues bytes; [`Socket::flush`] sends them.
    pub(super) fn queue(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            None => self.pending.extend_from_slice(bytes),
            Some(tls) => tls.writer().write_all(bytes)?,
        }
        Ok(())
    }

    /// Sends as much as the kernel accepts. Returns true if bytes are left.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        self.seal()?;
        while !self.pending.is_empty() {
            match self.stream.write(&self.pending) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => drop(self.pending.drain(..taken)),
                // A socket that is still connecting reports a different error.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock) => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    fn seal(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            tls.write_tls(&mut self.pending)?;
        }
        Ok(())
    }

    /// Reads once.
    pub(super) fn read<'a>(&mut self, buffers: &'a mut Buffers) -> io::Result<ReadResult<'a>> {
        let read = match self.stream.read(&mut buffers.arrived) {
            Ok(0) => return Ok(ReadResult::End),
            Ok(read) => read,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Ok(ReadResult::Nothing);
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(ReadResult::End),
            Err(error) => return Err(error),
        };
        let arrived = buffers.arrived.get(..read).unwrap_or_default();
        if self.tls.is_none() {
            return Ok(ReadResult::Bytes(arrived));
        }
        buffers.opened.clear();
        self.open(arrived, &mut buffers.opened)?;
        // TLS may have answers of its own to send.
        self.flush()?;
        Ok(ReadResult::Bytes(&buffers.opened))
    }

    fn open(&mut self, mut arrived: &[u8], opened: &mut Vec<u8>) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while !arrived.is_empty() {
            tls.read_tls(&mut arrived)?;
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            let begin = opened.len();
            opened.resize(begin + state.plaintext_bytes_to_read(), 0);
            tls.reader().read_exact(opened.get_mut(begin..).unwrap_or_default())?;
        }
        Ok(())
    }
}
