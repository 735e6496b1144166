//! Header of a frame. It is parsed and checked before the payload is read.

use crate::types::limits::{BYTES_PER_PIECE, MESSAGE_BYTES_MAX, PIECES_MIN};

use super::mask::MaskKey;
use super::{Fin, Opcode, Violation};

/// Longest header: two bytes, eight of length, four of mask key.
pub(super) const HEADER_BYTES_MAX: usize = 14;
/// Longest payload of a control frame (RFC 6455 §5.5).
pub(super) const CONTROL_BYTES_MAX: usize = 125;
pub(super) const MASK_BIT: u8 = 0x80;
/// Length codes. Up to 125 the code is the length, otherwise two or eight bytes follow.
pub(super) const TWO_BYTES: u8 = 126;
pub(super) const EIGHT_BYTES: u8 = 127;
const RESERVED_BITS: u8 = 0x70;

/// Limits and rules for received messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageLimits {
    /// Longest message in bytes over all of its fragments. It also limits a single frame.
    pub message_bytes_max: usize,
    /// Treatment of a final continuation frame outside a message.
    pub lone_continuation: LoneContinuation,
    /// Deviations from RFC 6455.
    pub leniency: Leniency,
}

/// Deviations from RFC 6455, for clients of servers that did not follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leniency(u8);

impl Leniency {
    /// No deviations.
    pub const STRICT: Self = Self(0);
    /// Client frames may be unmasked.
    pub const UNMASKED: Self = Self(1);
    /// Reserved bits are ignored. Frames with a reserved opcode are ignored too; the length limit
    /// of control frames applies to them.
    pub const RESERVED: Self = Self(2);
    /// A message must not be fragmented.
    pub const ONE_PIECE: Self = Self(4);

    /// Combines two sets of deviations.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Treatment of a final continuation frame outside a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoneContinuation {
    /// Violation of RFC 6455 §5.4.
    #[default]
    Refused,
    /// Text message. phpWebSocketServer's PHP clients of 2024 to 2026 send all messages except the
    /// first this way.
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

/// Role of the peer. A client masks its frames, a server does not (RFC 6455 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerRole {
    /// The peer is a client.
    #[default]
    Client,
    /// The peer is a server.
    Server,
}

/// Valid header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    pub(super) fin: Fin,
    /// Payload length in bytes, within the limits.
    pub(super) length: usize,
    /// Mask key. All zero if the frame is not masked.
    pub(super) key: MaskKey,
}

/// Size of an incomplete message: received bytes and complete fragments.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartialMessage {
    pub(super) bytes: usize,
    pub(super) pieces: usize,
}

/// Rules for the next header.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeaderRules {
    pub(super) peer: PeerRole,
    pub(super) limits: MessageLimits,
    pub(super) begun: Option<PartialMessage>,
}

impl HeaderRules {
    /// Parses a header and returns its length. `None` if it is incomplete.
    ///
    /// Each rule is checked as soon as its bytes have arrived, so the result does not depend on how
    /// the bytes were segmented.
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
            // An unsolicited pong is ignored (RFC 6455 §5.5.3).
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

    /// Checks the payload length. Control frames were checked already by their length code.
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
        // Empty fragments count too, because they take time.
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

/// Parses the payload length. RFC 6455 §5.2: only the shortest encoding is valid, and the top bit
/// of eight bytes is 0.
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
