//! Builds frames of clients, valid and invalid, and parses frames of the server.

/// FIN bit: the last fragment of a message.
pub const FIN: u8 = 0x80;
/// The three reserved bits.
pub const RSV: [u8; 3] = [0x40, 0x20, 0x10];
/// Opcode of a continuation frame.
pub const CONTINUATION: u8 = 0x0;
/// Opcode of a text frame.
pub const TEXT: u8 = 0x1;
/// Opcode of a binary frame.
pub const BINARY: u8 = 0x2;
/// Opcode of a Close frame.
pub const CLOSE: u8 = 0x8;
/// Opcode of a ping.
pub const PING: u8 = 0x9;
/// Opcode of a pong.
pub const PONG: u8 = 0xA;

/// MASK bit of the second byte.
pub const MASKED: u8 = 0x80;
/// The masking key of all test frames; its value does not matter.
pub const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// Returns a whole text message in one frame.
pub fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    masked(FIN | TEXT, text)
}

/// Returns a whole binary message in one frame.
pub fn binary(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    masked(FIN | BINARY, bytes)
}

/// Returns a ping.
pub fn ping(payload: impl AsRef<[u8]>) -> Vec<u8> {
    masked(FIN | PING, payload)
}

/// Returns a Close frame with a code and a reason.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    masked(FIN | CLOSE, [&code.to_be_bytes()[..], reason.as_bytes()].concat())
}

/// Returns the first fragment of a text message.
pub fn text_begins(text: impl AsRef<[u8]>) -> Vec<u8> {
    masked(TEXT, text)
}

/// Returns a middle fragment.
pub fn continues(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    masked(CONTINUATION, bytes)
}

/// Returns the last fragment.
pub fn ends(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    masked(FIN | CONTINUATION, bytes)
}

/// Returns a masked frame with any first byte (FIN, RSV, opcode) and the shortest encoding of its
/// length.
pub fn masked(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = head(first, MASKED, payload.len());
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Returns a frame without a mask, which clients must not send.
pub fn unmasked(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = head(first, 0, payload.len());
    frame.extend(payload);
    frame
}

/// Returns the head of a masked frame with an eight-byte length and without a payload.
pub fn announces(first: u8, length: u64) -> Vec<u8> {
    let mut frame = vec![first, MASKED | 127];
    frame.extend(length.to_be_bytes());
    frame.extend(MASK);
    frame
}

fn head(first: u8, mask: u8, length: usize) -> Vec<u8> {
    let mut head = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => head.push(mask | short),
        (_, Ok(middle)) => {
            head.push(mask | 126);
            head.extend(middle.to_be_bytes());
        }
        _ => {
            head.push(mask | 127);
            head.extend(u64::try_from(length).unwrap().to_be_bytes());
        }
    }
    head
}

/// Positions within a frame of the server.
pub struct Parsed {
    /// First byte: FIN, RSV and opcode.
    pub first: u8,
    /// Length of the head in bytes.
    pub head_bytes: usize,
    /// Length of head and payload in bytes.
    pub whole_bytes: usize,
}

/// Parses the frame at the start of `bytes`. Returns None while it is incomplete. Panics if a
/// server must not send it, because it is masked or has a longer length encoding than needed.
#[track_caller]
pub fn parse(bytes: &[u8]) -> Option<Parsed> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(second & MASKED, 0, "the server masks: {bytes:02x?}");
    let (head_bytes, length) = match second {
        126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap())),
        short => (2, u64::from(short)),
    };
    let shortest = match length {
        0..126 => 2,
        126..0x1_0000 => 4,
        _ => 10,
    };
    assert_eq!(head_bytes, shortest, "a longer form of the length than needed");
    let whole_bytes = head_bytes + usize::try_from(length).unwrap();
    (bytes.len() >= whole_bytes).then_some(Parsed { first, head_bytes, whole_bytes })
}
