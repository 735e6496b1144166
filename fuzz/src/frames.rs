//! WebSocket frames: the events do not depend on the segmentation, no message exceeds the limit,
//! and all events can be written and read again.

use tagcast::types::CloseCode;
use tagcast::types::limits::{BYTES_PER_PIECE, PIECES_MIN};
use tagcast::websocket::{
    Fin, FrameEvent, FrameReader, Leniency, LoneContinuation, MessageLimits, Opcode, PeerRole,
    Violation, write,
};

use super::choices::{Choices, pieces};

/// Owned copy of an event.
#[derive(Clone, Debug, PartialEq)]
enum OwnedEvent {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

/// Result of a stream: its events, then the violation, or whether it ends inside a frame.
type Verdict = (Vec<OwnedEvent>, Result<bool, Violation>);

/// The first byte selects the limits and the side. The rest is the stream.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let kind = choices.byte();
    let limits = MessageLimits {
        message_bytes_max: [1, 125, 1000, 70_000][usize::from(kind & 3)],
        lone_continuation: match kind & 4 {
            0 => LoneContinuation::Refused,
            _ => LoneContinuation::IsText,
        },
        leniency: Leniency::STRICT,
    };
    let from = if kind & 8 == 0 { PeerRole::Client } else { PeerRole::Server };
    let stream = choices.0;
    let at_once = read(from, &limits, &[stream]);
    assert_eq!(read(from, &limits, &pieces(stream)), at_once);
    let bytewise: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(read(from, &limits, &bytewise), at_once);
    at_once.0.iter().for_each(|event| is_within(event, &limits));
    if let Err(violation) = at_once.1 {
        let reason = violation.close_reason();
        assert!(reason.code.is_valid_on_the_wire() && (1..=123).contains(&reason.text.len()));
    }
    repeat(&at_once.0, limits);
    let leniency = Leniency::UNMASKED.and(Leniency::RESERVED);
    for leniency in [leniency, leniency.and(Leniency::ONE_PIECE)] {
        let limits = MessageLimits { leniency, ..limits };
        let at_once = read(from, &limits, &[stream]);
        assert_eq!(read(from, &limits, &bytewise), at_once);
        at_once.0.iter().for_each(|event| is_within(event, &limits));
    }
}

fn read(from: PeerRole, limits: &MessageLimits, segments: &[&[u8]]) -> Verdict {
    let mut reader = match from {
        PeerRole::Server => FrameReader::of_server_frames(),
        PeerRole::Client => FrameReader::default(),
    };
    let mut events = Vec::new();
    for segment in segments {
        let mut segment = segment.to_vec();
        let mut input = &mut segment[..];
        loop {
            match reader.next(&mut input, limits) {
                Ok(Some(event)) => events.push(OwnedEvent::from(event)),
                Ok(None) => break,
                Err(violation) => return (events, Err(violation)),
            }
        }
        assert!(input.is_empty(), "nothing more to say means that all was read");
    }
    (events, Ok(reader.is_mid_frame()))
}

fn is_within(event: &OwnedEvent, limits: &MessageLimits) {
    match event {
        OwnedEvent::Text(text) => assert!(text.len() <= limits.message_bytes_max),
        OwnedEvent::Binary(bytes) => assert!(bytes.len() <= limits.message_bytes_max),
        OwnedEvent::Ping(bytes) | OwnedEvent::Pong(bytes) => assert!(bytes.len() <= 125),
        OwnedEvent::Close(code, reason) => {
            assert!(reason.len() <= 123);
            assert!(code.is_none_or(|code| CloseCode(code).is_valid_on_the_wire()));
        }
    }
}

/// Writes all events as a client: fragmented messages with a ping between the fragments. Then reads
/// them again.
fn repeat(events: &[OwnedEvent], limits: MessageLimits) {
    let mut stream = Vec::new();
    let mut expected = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let key = (at as u32).wrapping_mul(0x9E37_79B1).to_le_bytes();
        let mut frame = |opcode, fin, payload: &[u8]| {
            write::masked(&mut stream, opcode, fin, payload, key);
        };
        let (opcode, payload) = event.frame();
        if matches!(opcode, Opcode::Text | Opcode::Binary) {
            let few = PIECES_MIN.min(1 + payload.len() / BYTES_PER_PIECE);
            let size = (payload.len() / few).max(1);
            let (first, rest) = payload.split_at(size.min(payload.len()));
            frame(opcode, Fin::More, first);
            frame(Opcode::Ping, Fin::Last, b"between");
            frame(Opcode::Continuation, Fin::Last, rest);
            expected.push(OwnedEvent::Ping(b"between".to_vec()));
        } else {
            frame(opcode, Fin::Last, &payload);
        }
        expected.push(event.clone());
    }
    assert_eq!(read(PeerRole::Client, &limits, &[&stream]), (expected, Ok(false)));
}

impl OwnedEvent {
    fn frame(&self) -> (Opcode, Vec<u8>) {
        match self {
            Self::Text(text) => (Opcode::Text, text.clone().into_bytes()),
            Self::Binary(bytes) => (Opcode::Binary, bytes.clone()),
            Self::Ping(bytes) => (Opcode::Ping, bytes.clone()),
            Self::Pong(bytes) => (Opcode::Pong, bytes.clone()),
            Self::Close(None, _) => (Opcode::Close, Vec::new()),
            Self::Close(Some(code), reason) => {
                (Opcode::Close, [&code.to_be_bytes(), reason.as_bytes()].concat())
            }
        }
    }
}

impl From<FrameEvent<'_>> for OwnedEvent {
    fn from(event: FrameEvent<'_>) -> Self {
        match event {
            FrameEvent::Text(text) => Self::Text(text.to_owned()),
            FrameEvent::Binary(bytes) => Self::Binary(bytes.to_vec()),
            FrameEvent::Ping(bytes) => Self::Ping(bytes.to_vec()),
            FrameEvent::Pong(bytes) => Self::Pong(bytes.to_vec()),
            FrameEvent::Close(code, reason) => {
                Self::Close(code.map(|code| code.0), reason.to_owned())
            }
        }
    }
}
