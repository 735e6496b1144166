//! The rules of RFC 6455 and of ours that a peer can break, and the close code for each.

use std::borrow::Cow;
use std::fmt;

use crate::types::{CloseCode, CloseReason};

/// The rule that a peer broke; the connection ends with [`Violation::close_reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// A frame from a client without a mask (RFC 6455 §5.1).
    Unmasked,
    /// A frame from a server with a mask (RFC 6455 §5.1).
    Masked,
    /// A reserved bit is set though no extension was negotiated (§5.2).
    ReservedBits,
    /// An opcode that has no meaning yet, 3 to 7 or 11 to 15 (§5.2).
    ReservedOpcode(u8),
    /// A control frame with more than 125 bytes (§5.5).
    ControlTooLong,
    /// A control frame in pieces (§5.5).
    ControlFragmented,
    /// A continuation while no message is under way (§5.4).
    LoneContinuation,
    /// A new message before the last one ended (§5.4).
    ExpectedContinuation,
    /// A length in more bytes than it needs (§5.2).
    NonMinimalLength,
    /// A length of 2^63 or more (§5.2).
    LengthOverflow,
    /// A message above the limit, judged by what its frame headers say.
    TooBig {
        /// The limit in bytes.
        max: usize,
    },
    /// More pieces than the bytes of the message can excuse.
    TooManyPieces,
    /// Text, or the reason of a Close, that is not UTF-8 (§8.1).
    BadUtf8,
    /// A text message in one frame that is not UTF-8: a whole message, but none that can be read.
    BadMessage,
    /// A message in pieces where a switch wants each in one: its first piece is taken for all of
    /// it.
    InPieces,
    /// A close code that may not be sent (§7.4).
    BadCloseCode(u16),
    /// A Close with one byte: half a code (§5.5.1).
    BadCloseLength,
    /// A frame of the drafts 75 and 76 that is neither text nor the end.
    UnknownLead(u8),
}

impl Violation {
    /// The code and the words of the Close frame that answers it.
    #[must_use]
    pub fn close_reason(self) -> CloseReason {
        CloseReason { code: self.code(), text: self.text() }
    }

    const fn code(self) -> CloseCode {
        match self {
            Self::TooBig { .. } | Self::TooManyPieces => CloseCode::TOO_BIG,
            Self::BadUtf8 | Self::BadMessage | Self::InPieces => CloseCode::DATA,
            _ => CloseCode::PROTOCOL,
        }
    }

    fn text(self) -> Cow<'static, str> {
        let fixed = match self {
            Self::ReservedOpcode(bits) => return format!("reserved opcode {bits}").into(),
            Self::TooBig { max } => return format!("message above {max} bytes, maxMessage").into(),
            Self::UnknownLead(lead) => {
                return format!("frames do not begin with {lead:02x}").into();
            }
            Self::BadCloseCode(code) => return format!("close code {code} is not allowed").into(),
            Self::Unmasked => "frame of a client without a mask",
            Self::Masked => "frame of a server with a mask",
            Self::ReservedBits => "reserved bit set without an extension",
            Self::ControlTooLong => "control frame above 125 bytes",
            Self::ControlFragmented => "control frame in pieces",
            Self::LoneContinuation => "continuation without a message",
            Self::ExpectedContinuation => "new message before the last one ended",
            Self::NonMinimalLength => "length not in its shortest form",
            Self::LengthOverflow => "length of 2^63 or more",
            Self::TooManyPieces => "message in too many pieces",
            Self::BadUtf8 | Self::BadMessage => "text is not UTF-8",
            Self::InPieces => "a message in pieces",
            Self::BadCloseLength => "close with half a code",
        };
        Cow::Borrowed(fixed)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl std::error::Error for Violation {}
