//! The kinds of frames, and whether more frames of the same message follow.

use super::Violation;

/// What a frame carries (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// The next piece of the message under way.
    Continuation,
    /// UTF-8 text, or the first piece of it.
    Text,
    /// Bytes, or the first piece of them.
    Binary,
    /// The end of the connection, with a code and a reason.
    Close,
    /// A question that is answered with a pong.
    Ping,
    /// The answer to a ping, or a sign of life.
    Pong,
}

impl Opcode {
    /// The four bits on the wire.
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

    /// Whether it may stand between the pieces of a message (RFC 6455 §5.5).
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    /// Reads the lower four bits of a frame's first byte.
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

/// Whether a frame ends its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fin {
    /// The last frame of its message, or the only one.
    Last,
    /// Continuations follow.
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
