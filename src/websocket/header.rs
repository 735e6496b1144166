//! The header of a frame: read and judged before a byte of payload is looked at.

use crate::types::limits::{BYTES_PER_PIECE, MESSAGE_BYTES_MAX, PIECES_MIN};

use super::mask::MaskKey;
use super::{Fin, Opcode, Violation};

/// Two bytes, eight of length, four of mask.
pub(super) const HEADER_BYTES_MAX: usize = 14;
/// The longest payload of a control frame (RFC 6455 §5.5).
pub(super) const CONTROL_BYTES_MAX: usize = 125;
pub(super) const MASK_BIT: u8 = 0x80;
/// Length codes: the length itself up to 125, else two or eight bytes follow.
pub(super) const TWO_BYTES: u8 = 126;
pub(super) const EIGHT_BYTES: u8 = 127;
const RESERVED_BITS: u8 = 0x70;

/// What a peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageLimits {
    /// Bytes of a message, all its pieces together, and so of a frame.
    pub message_bytes_max: usize,
    /// What a final continuation is that continues nothing.
    pub lone_continuation: LoneContinuation,
    /// Rules that are left out, or added.
    pub leniency: Leniency,
}

/// Where RFC 6455 is not kept to, for clients of servers that did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leniency(u8);

impl Leniency {
    /// RFC 6455.
    pub const STRICT: Self = Self(0);
    /// A frame of a client needs no mask.
    pub const UNMASKED: Self = Self(1);
    /// Reserved bits are ignored, and so are frames with a reserved opcode, which may be as long
    /// as control frames.
    pub const RESERVED: Self = Self(2);
    /// A message has one piece.
    pub const ONE_PIECE: Self = Self(4);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What becomes of a final continuation while no message is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoneContinuation {
    /// A breach of RFC 6455 §5.4.
    #[default]
    Refused,
    /// A text message: phpWebSocketServer's PHP clients of 2024 to 2026 send every message but
    /// their first one so.
    IsText,
}

impl Default for MessageLimits {
    fn default() -> Self {
        Self {
            message_bytes_max: MESSAGE_BYTES_MAX,
            lone_continuation: LoneContinuation::Refused,
            leniency: Leniency::default(),
        }
    }
}

/// Who is at the other end: a client masks its frames, a server does not (RFC 6455 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerRole {
    /// We are the server.
    #[default]
    Client,
    /// We are the client.
    Server,
}

/// A header that kept every rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    pub(super) fin: Fin,
    /// Bytes of payload; within the limits.
    pub(super) length: usize,
    /// All zero when the frame is not masked.
    pub(super) key: MaskKey,
}

/// What has arrived of a message whose last piece is still to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartialMessage {
    pub(super) bytes: usize,
    pub(super) pieces: usize,
}

/// What the next header is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeaderRules {
    pub(super) peer: PeerRole,
    pub(super) limits: MessageLimits,
    pub(super) begun: Option<PartialMessage>,
}

impl HeaderRules {
    /// Reads a header and says how many bytes it has; `None` while some of them are missing.
    ///
    /// Each rule is applied as soon as its bytes are there, so how they were cut does not matter.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Option<(Header, usize)>, Violation> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let opcode = self.admit_kind(*first, *second)?;
        let fin = Fin::from_first_byte(*first);
        let Some((length, rest)) = read_length(second & !MASK_BIT, rest)? else { return Ok(None) };
        let length = self.admit_length(opcode, length)?;
        let Some((key, rest)) = self.read_key(*second, rest) else { return Ok(None) };
        Ok(Some((Header { opcode, fin, length, key }, bytes.len() - rest.len())))
    }

    fn admit_kind(&self, first: u8, second: u8) -> Result<Opcode, Violation> {
        let leniency = self.limits.leniency;
        if first & RESERVED_BITS != 0 && !leniency.has(Leniency::RESERVED) {
            return Err(Violation::ReservedBits);
        }
        let opcode = match Opcode::from_first_byte(first) {
            // A pong without a ping has no meaning (RFC 6455 §5.5.3): it is ignored.
            Err(Violation::ReservedOpcode(_)) if leniency.has(Leniency::RESERVED) => Opcode::Pong,
            opcode => opcode?,
        };
        match self.peer {
            PeerRole::Client if second & MASK_BIT == 0 && !leniency.has(Leniency::UNMASKED) => {
                return Err(Violation::Unmasked);
            }
            PeerRole::Server if second & MASK_BIT != 0 => return Err(Violation::Masked),
            PeerRole::Client | PeerRole::Server => {}
        }
        if opcode.is_control() {
            return admit_control(opcode, first, second);
        }
        match (opcode, self.begun) {
            (Opcode::Continuation, None)
                if self.limits.lone_continuation == LoneContinuation::IsText
                    && first & Fin::Last.bit() != 0 =>
            {
                Ok(Opcode::Text)
            }
            (Opcode::Continuation, None) => Err(Violation::LoneContinuation),
            (Opcode::Text | Opcode::Binary, Some(_)) => Err(Violation::ExpectedContinuation),
            _ if leniency.has(Leniency::ONE_PIECE) && first & Fin::Last.bit() == 0 => {
                Err(Violation::InPieces)
            }
            _ => Ok(opcode),
        }
    }

    /// Control frames have passed already: their length code is their length.
    fn admit_length(&self, opcode: Opcode, length: u64) -> Result<usize, Violation> {
        let max = self.limits.message_bytes_max;
        let length = usize::try_from(length).map_err(|_| Violation::TooBig { max })?;
        if opcode.is_control() {
            return Ok(length);
        }
        let begun = self.begun.unwrap_or(PartialMessage { bytes: 0, pieces: 0 });
        let bytes = begun.bytes.saturating_add(length);
        if bytes > max {
            return Err(Violation::TooBig { max });
        }
        // Pieces are counted whether or not they carry bytes: empty ones cost time as well.
        if begun.pieces >= PIECES_MIN + bytes / BYTES_PER_PIECE {
            return Err(Violation::TooManyPieces);
        }
        Ok(length)
    }

    fn read_key<'a>(&self, second: u8, rest: &'a [u8]) -> Option<(MaskKey, &'a [u8])> {
        match self.peer {
            PeerRole::Client if second & MASK_BIT == 0 => Some((MaskKey::default(), rest)),
            PeerRole::Client => rest.split_first_chunk().map(|(key, rest)| (*key, rest)),
            PeerRole::Server => Some((MaskKey::default(), rest)),
        }
    }
}

fn admit_control(opcode: Opcode, first: u8, second: u8) -> Result<Opcode, Violation> {
    if Fin::from_first_byte(first) == Fin::More {
        return Err(Violation::ControlFragmented);
    }
    if usize::from(second & !MASK_BIT) > CONTROL_BYTES_MAX {
        return Err(Violation::ControlTooLong);
    }
    Ok(opcode)
}

/// RFC 6455 §5.2: the shortest form is the only one, and the top bit of eight bytes is 0.
fn read_length(code: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (length, least, rest) = match code {
        TWO_BYTES => {
            let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*bytes)), u64::from(TWO_BYTES), rest)
        }
        EIGHT_BYTES => {
            let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*bytes), u64::from(u16::MAX) + 1, rest)
        }
        length => (u64::from(length), 0, rest),
    };
    if length > u64::MAX >> 1 {
        return Err(Violation::LengthOverflow);
    }
    if length < least {
        return Err(Violation::NonMinimalLength);
    }
    Ok(Some((length, rest)))
}
