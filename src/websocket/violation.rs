//! Violations of RFC 6455 and of this server's limits, with the close code of each.

use std::borrow::Cow;
use std::fmt;

use crate::types::{CloseCode, CloseReason};

/// Violation by the peer. The connection is closed with [`Violation::close_reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// Unmasked frame from a client (RFC 6455 §5.1).
    Unmasked,
    /// Masked frame from a server (RFC 6455 §5.1).
    Masked,
    /// Reserved bit without a negotiated extension (§5.2).
    ReservedBits,
    /// Reserved opcode: 3 to 7 or 11 to 15 (§5.2).
    ReservedOpcode(u8),
    /// Control frame with more than 125 bytes (§5.5).
    ControlTooLong,
    /// Fragmented control frame (§5.5).
    ControlFragmented,
    /// Continuation frame outside a message (§5.4).
    LoneContinuation,
    /// New message before the end of the current one (§5.4).
    ExpectedContinuation,
    /// Length that is not in its shortest encoding (§5.2).
    NonMinimalLength,
    /// Length of 2^63 or more (§5.2).
    LengthOverflow,
    /// Message longer than the limit, according to its frame headers.
    TooBig {
        /// Limit in bytes.
        max: usize,
    },
    /// Too many fragments for the length of the message.
    TooManyPieces,
    /// Text or close reason that is not UTF-8 (§8.1).
    BadUtf8,
    /// Unfragmented text message that is not UTF-8.
    BadMessage,
    /// Fragmented message where an option forbids them. The original server treats the first
    /// fragment as the whole message.
    InPieces,
    /// Close code that must not be sent (§7.4).
    BadCloseCode(u16),
    /// Close frame with one byte, which is half a code (§5.5.1).
    BadCloseLength,
    /// Unknown frame type of drafts 75 and 76.
    UnknownLead(u8),
    /// Input on a stream of events, which only the server sends.
    UnexpectedInput,
}

impl Violation {
    /// Returns code and reason for the Close frame.
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
            Self::UnexpectedInput => "input on a stream of events",
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
