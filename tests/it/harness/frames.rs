//! Frames as a client sends them, right ones and wrong ones, and those of the server taken apart.

/// The bit that says: last fragment of its message.
pub const FIN: u8 = 0x80;
/// The three reserved bits.
pub const RSV: [u8; 3] = [0x40, 0x20, 0x10];
/// Continuation of a fragmented message.
pub const CONTINUATION: u8 = 0x0;
/// Text.
pub const TEXT: u8 = 0x1;
/// Binary.
pub const BINARY: u8 = 0x2;
/// Close.
pub const CLOSE: u8 = 0x8;
/// Ping.
pub const PING: u8 = 0x9;
/// Pong.
pub const PONG: u8 = 0xA;

/// The bit of the second byte that says: masked.
pub const MASKED: u8 = 0x80;
/// Any four bytes will do in a test.
pub const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A whole text message in one frame.
pub fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    masked(FIN | TEXT, text)
}

/// A whole binary message in one frame.
pub fn binary(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    masked(FIN | BINARY, bytes)
}

/// A ping.
pub fn ping(payload: impl AsRef<[u8]>) -> Vec<u8> {
    masked(FIN | PING, payload)
}

/// A close frame with a code and a reason.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    masked(FIN | CLOSE, [&code.to_be_bytes()[..], reason.as_bytes()].concat())
}

/// The first fragment of a text message.
pub fn text_begins(text: impl AsRef<[u8]>) -> Vec<u8> {
    masked(TEXT, text)
}

/// A fragment in the middle.
pub fn goes_on(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    masked(CONTINUATION, bytes)
}

/// The last fragment.
pub fn ends(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    masked(FIN | CONTINUATION, bytes)
}

/// A masked frame with any first byte (FIN, RSV, opcode) and the shortest length.
pub fn masked(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = head(first, MASKED, payload.len());
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A frame without mask: forbidden for clients.
pub fn unmasked(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = head(first, 0, payload.len());
    frame.extend(payload);
    frame
}

/// The head of a masked frame that announces `length` in eight bytes, with nothing behind it.
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

/// Where things lie in a frame of the server.
pub struct Parsed {
    /// FIN, RSV, opcode.
    pub first: u8,
    /// Bytes of the head.
    pub head_bytes: usize,
    /// Bytes of head and payload.
    pub whole_bytes: usize,
}

/// The frame at the start of `bytes`, once it is complete. Panics when a server may not send it:
/// masked, or with a longer form of the length than needed.
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
