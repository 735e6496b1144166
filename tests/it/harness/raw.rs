//! A client that works on bytes and frames and shares no code with the server.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use super::frames::{self, BINARY, CLOSE, FIN, PING, PONG, TEXT};
use super::packets::NEXT;
use super::response::Head;
use super::sockets::Ends;
use super::tls::Stream;
use super::wait::DEADLINE;

/// How the server ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a FIN.
    Fin,
    /// With a reset.
    Reset,
}

/// A frame from the server.
#[derive(Clone, Debug)]
pub struct Frame {
    /// First byte: FIN, RSV and opcode.
    pub first: u8,
    /// Unmasked payload.
    pub payload: Vec<u8>,
    /// Time at which the read with the first byte of the frame returned.
    pub arrived: Instant,
    /// True if the reads of this frame returned no bytes of other frames.
    pub alone: bool,
}

/// The result of one read: its position in the stream and its time.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    start: u64,
    end: u64,
    /// Time at which the read returned.
    pub at: Instant,
}

/// A client that works on bytes. It answers nothing on its own.
#[derive(Debug)]
pub struct Raw {
    stream: Stream,
    inbox: Vec<u8>,
    /// Position in the stream of the first byte of `inbox`.
    taken: u64,
    segments: VecDeque<Segment>,
    /// UUID from `ready`; empty before that.
    pub uuid: String,
}

/// Connects a socket from another loopback address.
pub fn socket_from(source: &str, port: u16) -> TcpStream {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    bind(&socket, &SocketAddr::new(source.parse().unwrap(), 0)).unwrap();
    connect(&socket, &SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    socket.into()
}

impl Raw {
    /// Connects to a port of this machine.
    pub fn connect(port: u16) -> Self {
        Self::over(TcpStream::connect(("127.0.0.1", port)).unwrap())
    }

    /// Connects from another loopback address.
    pub fn connect_from(source: &str, port: u16) -> Self {
        Self::over(socket_from(source, port))
    }

    /// Connects to a Unix socket. The type of the socket only names its address family, which reads
    /// and writes do not need.
    pub fn connect_unix(path: &Path) -> Self {
        let socket = OwnedFd::from(UnixStream::connect(path).unwrap());
        Self::through(Stream::Plain(socket.into()))
    }

    /// Creates a client from an existing stream.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self::through(Stream::Plain(stream))
    }

    /// Creates a client from a stream with or without TLS.
    pub fn through(stream: Stream) -> Self {
        stream.socket().set_write_timeout(Some(DEADLINE)).unwrap();
        Self { stream, inbox: Vec::new(), taken: 0, segments: VecDeque::new(), uuid: String::new() }
    }

    /// Returns the socket, for setting options.
    pub fn stream(&self) -> &TcpStream {
        self.stream.socket()
    }

    /// Ends this side of the TLS session, and leaves the socket open.
    pub fn end_session(&mut self) {
        self.stream.end_session();
    }

    /// Returns the kind of the TLS handshake: full or resumed. None without TLS.
    pub fn handshake_kind(&self) -> Option<rustls::HandshakeKind> {
        self.stream.handshake_kind()
    }

    /// Returns a second handle for writing from another thread.
    pub fn writer(&self) -> TcpStream {
        self.stream.socket().try_clone().unwrap()
    }

    /// Returns the local port.
    pub fn port(&self) -> u16 {
        self.ends().remote.port()
    }

    /// Returns both ends of the connection from the server's point of view.
    pub fn ends(&self) -> Ends {
        let socket = self.stream.socket();
        Ends { local: socket.peer_addr().unwrap(), remote: socket.local_addr().unwrap() }
    }

    // ------------------------------------------------------------------ sending

    /// Sends bytes with one write.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends bytes. Returns the error if the server has closed the connection.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends a text message.
    #[track_caller]
    pub fn text(&mut self, text: impl AsRef<[u8]>) {
        self.send(frames::text(text));
    }

    // ------------------------------------------------------------------ receiving

    /// Reads once, up to 64 KiB.
    pub fn read_segment(&mut self, wait: Duration) -> Result<Segment, ReadEnd> {
        let mut buffer = vec![0; 64 * 1024];
        self.stream.socket().set_read_timeout(Some(wait.max(Duration::from_millis(1)))).unwrap();
        let count = match self.stream.read(&mut buffer) {
            Ok(0) => return Err(ReadEnd::Ended(End::Fin)),
            Ok(count) => count,
            Err(fault) => return Err(ReadEnd::from_fault(&fault)),
        };
        let at = Instant::now();
        let start = self.taken + u64::try_from(self.inbox.len()).unwrap();
        self.inbox.extend(&buffer[..count]);
        let segment = Segment { start, end: start + u64::try_from(count).unwrap(), at };
        self.segments.push_back(segment);
        Ok(segment)
    }

    /// Returns the next frame, or how the connection ended.
    #[track_caller]
    pub fn frame_or_end(&mut self) -> Result<Frame, End> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(frame) = self.take_frame() {
                return Ok(frame);
            }
            match self.read_segment(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(ReadEnd::Ended(end)) => return Err(end),
                Err(ReadEnd::Late) => panic!("no whole frame came; {}", self.waiting()),
            }
        }
    }

    /// Returns the next frame.
    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        match self.frame_or_end() {
            Ok(frame) => frame,
            Err(end) => panic!("{end:?} instead of a frame; {}", self.waiting()),
        }
    }

    /// Reads the head of an HTTP response.
    #[track_caller]
    pub fn read_head(&mut self) -> Head {
        match self.read_head_or_end() {
            Ok(head) => head,
            Err(end) => panic!("{end:?} instead of a whole head; {}", self.waiting()),
        }
    }

    /// Reads the head of an HTTP response, or returns how the connection ended.
    pub fn read_head_or_end(&mut self) -> Result<Head, ReadEnd> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let end = self.inbox.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(at) = end {
                let text = String::from_utf8(self.take(at + 4)).unwrap();
                return Ok(Head { text });
            }
            self.read_segment(deadline.saturating_duration_since(Instant::now()))?;
        }
    }

    /// Reads exactly this many bytes.
    #[track_caller]
    pub fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        let deadline = Instant::now() + DEADLINE;
        while self.inbox.len() < count {
            match self.read_segment(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(end) => panic!("{end:?} instead of {count} bytes; {}", self.waiting()),
            }
        }
        self.take(count)
    }

    /// Reads up to this byte and consumes it. Returns the bytes before it.
    #[track_caller]
    pub fn read_until(&mut self, end: u8) -> Vec<u8> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(at) = self.inbox.iter().position(|byte| *byte == end) {
                let mut bytes = self.take(at + 1);
                bytes.pop();
                return bytes;
            }
            match self.read_segment(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(end) => panic!("{end:?} instead of more; {}", self.waiting()),
            }
        }
    }

    /// Returns all received bytes that were not consumed yet.
    pub fn take_all(&mut self) -> Vec<u8> {
        self.take(self.inbox.len())
    }

    /// Waits for the end of the connection. Panics if any other data arrives first.
    #[track_caller]
    pub fn expect_end(&mut self) -> End {
        let end = self.wait_for_end();
        assert!(self.inbox.is_empty(), "more came before the end; {}", self.waiting());
        end
    }

    /// Waits for the end of the connection and ignores all data before it.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> End {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.read_segment(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(ReadEnd::Ended(end)) => return end,
                Err(ReadEnd::Late) => panic!("the connection does not end; {}", self.waiting()),
            }
        }
    }

    // ------------------------------------------------------------------ parsing

    fn take_frame(&mut self) -> Option<Frame> {
        let parsed = frames::parse(&self.inbox)?;
        let (start, whole) = (self.taken, u64::try_from(parsed.whole_bytes).unwrap());
        let end = start + whole;
        let inside =
            self.segments.iter().filter(|segment| segment.end > start && segment.start < end);
        let alone = inside.clone().all(|segment| segment.start >= start && segment.end <= end);
        let arrived = inside.clone().next().unwrap().at;
        let payload = self.take(parsed.whole_bytes).split_off(parsed.head_bytes);
        Some(Frame { first: parsed.first, payload, arrived, alone })
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.taken += u64::try_from(count).unwrap();
        let rest = self.inbox.split_off(count);
        // A segment that ends here is not needed to decide whether later frames arrived alone.
        let taken = self.taken;
        let bytes = std::mem::replace(&mut self.inbox, rest);
        self.segments.retain(|segment| segment.end > taken);
        bytes
    }

    fn waiting(&self) -> String {
        let begin = &self.inbox[..self.inbox.len().min(200)];
        format!("{} bytes wait: {:?}", self.inbox.len(), String::from_utf8_lossy(begin))
    }
}

/// The reason why a read returned no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// The server has ended the connection.
    Ended(End),
    /// No data arrived before the deadline.
    Late,
}

impl ReadEnd {
    fn from_fault(fault: &std::io::Error) -> Self {
        match fault.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Late,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Self::Ended(End::Reset),
            other => panic!("reading: {other:?}"),
        }
    }
}

impl Frame {
    /// Returns the type of the frame and the start of its payload, for failure messages.
    pub fn shown(&self) -> String {
        shown(self.first, &self.payload)
    }

    /// Returns the code of a Close frame. None if it has none.
    pub fn close_code(&self) -> Option<u16> {
        Some(u16::from_be_bytes(self.payload.get(..2)?.try_into().unwrap()))
    }

    /// Returns the payload as text.
    pub fn as_text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap()
    }

    /// Returns true for a Close frame.
    pub fn is_close(&self) -> bool {
        self.first == FIN | CLOSE
    }
}

/// Describes a frame. A long payload is reduced to its length and a checksum, so that a failed
/// assertion stays readable.
pub(super) fn shown(first: u8, payload: &[u8]) -> String {
    let kind = match first {
        0x81 => "text".to_owned(),
        0x82 => "binary".to_owned(),
        0x88 => "close".to_owned(),
        0x89 => "ping".to_owned(),
        0x8A => "pong".to_owned(),
        other => format!("{other:#04x}"),
    };
    debug_assert_eq!(FIN | PING, 0x89);
    let sum = payload.iter().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(1_099_511_628_211).wrapping_add(u64::from(*byte))
    });
    let begin = String::from_utf8_lossy(&payload[..payload.len().min(300)]);
    format!("{kind} of {} bytes ({sum:x}): {begin:?}", payload.len())
}
