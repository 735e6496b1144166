//! A client that knows bytes and frames, and nothing of the server's code.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use super::frames::{self, BINARY, CLOSE, FIN, PING, PONG, TEXT};
use super::packets::NEXT;
use super::response::Head;
use super::sockets::Ends;
use super::tls::Stream;
use super::wait::DEADLINE;

/// How the server's side of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order.
    Fin,
    /// By a reset.
    Reset,
}

/// One frame of the server.
#[derive(Clone, Debug)]
pub struct Frame {
    /// FIN, RSV, opcode.
    pub first: u8,
    /// The payload.
    pub payload: Vec<u8>,
    /// When the read that brought its first byte returned.
    pub arrived: Instant,
    /// Whether the reads that brought it brought nothing else.
    pub alone: bool,
}

/// What one read brought: its place in the stream, and when.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    start: u64,
    end: u64,
    /// When the read returned.
    pub at: Instant,
}

/// A client of bytes. It answers nothing by itself.
#[derive(Debug)]
pub struct Raw {
    stream: Stream,
    inbox: Vec<u8>,
    /// The place in the stream of the first byte in `inbox`.
    taken: u64,
    segments: VecDeque<Segment>,
    /// What `ready` said; empty before.
    pub uuid: String,
}

/// A socket that comes from another loopback address.
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

    /// Speaks over a stream that is there already.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self::through(Stream::Plain(stream))
    }

    /// Speaks through a stream that may be inside TLS.
    pub fn through(stream: Stream) -> Self {
        stream.socket().set_write_timeout(Some(DEADLINE)).unwrap();
        Self { stream, inbox: Vec::new(), taken: 0, segments: VecDeque::new(), uuid: String::new() }
    }

    /// The socket, for options.
    pub fn stream(&self) -> &TcpStream {
        self.stream.socket()
    }

    /// How its TLS handshake went.
    pub fn handshake_kind(&self) -> Option<rustls::HandshakeKind> {
        self.stream.handshake_kind()
    }

    /// A second handle for writing, for another thread.
    pub fn writer(&self) -> TcpStream {
        self.stream.socket().try_clone().unwrap()
    }

    /// The port on this side.
    pub fn port(&self) -> u16 {
        self.ends().remote.port()
    }

    /// Both ends of the connection, as the server sees them.
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

    /// Sends bytes to a server that may have hung up already.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends a text message.
    #[track_caller]
    pub fn text(&mut self, text: impl AsRef<[u8]>) {
        self.send(frames::text(text));
    }

    // ------------------------------------------------------------------ receiving

    /// One read: whatever has come, up to 64 KiB, with its time.
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

    /// The next frame, or how the connection ended.
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

    /// The next frame.
    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        match self.frame_or_end() {
            Ok(frame) => frame,
            Err(end) => panic!("{end:?} instead of a frame; {}", self.waiting()),
        }
    }

    /// The head of an HTTP answer.
    #[track_caller]
    pub fn read_head(&mut self) -> Head {
        match self.read_head_or_end() {
            Ok(head) => head,
            Err(end) => panic!("{end:?} instead of a whole head; {}", self.waiting()),
        }
    }

    /// The head of an HTTP answer, or how the connection ended.
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

    /// Exactly so many bytes.
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

    /// Everything before this byte, which is taken too.
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

    /// Whatever has come and was not taken.
    pub fn take_all(&mut self) -> Vec<u8> {
        self.take(self.inbox.len())
    }

    /// Waits for the end; panics when anything else comes before it.
    #[track_caller]
    pub fn expect_end(&mut self) -> End {
        let end = self.wait_for_end();
        assert!(self.inbox.is_empty(), "more came before the end; {}", self.waiting());
        end
    }

    /// Waits for the end, whatever comes before it.
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

    // ------------------------------------------------------------------ taking apart

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
        // The segment that ends just here is needed no more for telling who was alone.
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

/// Why a read brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// The other side ended.
    Ended(End),
    /// Nothing came in time.
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
    /// For messages: the kind and the start of the payload.
    pub fn shown(&self) -> String {
        shown(self.first, &self.payload)
    }

    /// The code of a Close frame that has one.
    pub fn close_code(&self) -> Option<u16> {
        Some(u16::from_be_bytes(self.payload.get(..2)?.try_into().unwrap()))
    }

    /// The payload as text.
    pub fn as_text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap()
    }

    /// Whether it is a Close frame.
    pub fn is_close(&self) -> bool {
        self.first == FIN | CLOSE
    }
}

/// Long payloads are told apart by length and a sum, so that a failed assertion stays readable.
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
