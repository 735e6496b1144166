//! Types of frames, and the FIN bit.

use super::Violation;

/// Frame type (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// Next fragment of the current message.
    Continuation,
    /// UTF-8 text, or its first fragment.
    Text,
    /// Binary data, or its first fragment.
    Binary,
    /// Close frame, with a code and a reason.
    Close,
    /// Ping. The peer must answer with a pong.
    Ping,
    /// Answer to a ping, or an unsolicited heartbeat.
    Pong,
}

impl Opcode {
    /// Returns the four opcode bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    /// Returns true if the frame may occur between the fragments of a message (RFC 6455 §5.5).
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    /// Parses the lower four bits of a frame's first byte.
    pub(super) const fn from_first_byte(byte: u8) -> Result<Self, Violation> {
        match byte & 0x0F {
            0x0 => Ok(Self::Continuation),
            0x1 => Ok(Self::Text),
            0x2 => Ok(Self::Binary),
            0x8 => Ok(Self::Close),
            0x9 => Ok(Self::Ping),
            0xA => Ok(Self::Pong),
            reserved => Err(Violation::ReservedOpcode(reserved)),
        }
    }
}

/// FIN bit of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fin {
    /// The frame is the last or only one of its message.
    Last,
    /// Continuation frames follow.
    More,
}

impl Fin {
    pub(super) const BIT: u8 = 0x80;

    pub(super) const fn bit(self) -> u8 {
        match self {
            Self::Last => Self::BIT,
            Self::More => 0,
        }
    }

    pub(super) const fn from_first_byte(byte: u8) -> Self {
        if byte & Self::BIT == 0 { Self::More } else { Self::Last }
    }
}
