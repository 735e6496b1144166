//! Close codes and close reasons.

/// A close code of RFC 6455 §7.4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// Normal closure.
    pub const NORMAL: Self = Self(1000);
    /// The server is shutting down.
    pub const AWAY: Self = Self(1001);
    /// The peer violated the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// The peer sent a type of data that this endpoint does not accept.
    pub const UNSUPPORTED: Self = Self(1003);
    /// The connection broke. This code is never sent (RFC 6455 §7.4.1).
    pub const LOST: Self = Self(1006);
    /// The data does not match its type, such as invalid UTF-8 or invalid JSON.
    pub const DATA: Self = Self(1007);
    /// The peer violated a policy of the server.
    pub const POLICY: Self = Self(1008);
    /// The message exceeds the size limit.
    pub const TOO_BIG: Self = Self(1009);
    /// An internal error of the server, such as a panic in a resource.
    pub const INTERNAL: Self = Self(1011);
    /// The peer should try again later.
    pub const LATER: Self = Self(1013);

    /// Returns true if a peer may send this code: RFC 6455 §7.4 and the codes registered since
    /// then.
    #[must_use]
    pub fn is_valid_on_the_wire(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// The code and text with which the server closes a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseReason {
    /// Code in the Close frame.
    pub code: CloseCode,
    /// Reason in the Close frame and in the log. The frame contains at most 123 bytes of it.
    pub text: std::borrow::Cow<'static, str>,
}

impl CloseReason {
    /// Maximum bytes of a text that another program chooses: a control frame has 125 bytes, and two of them are
    /// the code (RFC 6455 §5.5).
    pub const TEXT_BYTES_MAX: usize = 123;

    /// Creates a reason with a fixed text.
    #[must_use]
    pub const fn new(code: CloseCode, text: &'static str) -> Self {
        Self { code, text: std::borrow::Cow::Borrowed(text) }
    }
}
