//! Why the server ends a connection, and the code that says so on the wire.

/// A close code of RFC 6455 §7.4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose was fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The server goes away.
    pub const AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// Data of a kind that is not taken here.
    pub const UNSUPPORTED: Self = Self(1003);
    /// The socket broke; never on the wire (RFC 6455 §7.4.1).
    pub const LOST: Self = Self(1006);
    /// The data does not fit its type (bad UTF-8, bad JSON).
    pub const DATA: Self = Self(1007);
    /// The peer broke a rule of ours.
    pub const POLICY: Self = Self(1008);
    /// A message above the limit.
    pub const TOO_BIG: Self = Self(1009);
    /// A fault of the server's, such as a panic in a resource.
    pub const INTERNAL: Self = Self(1011);
    /// Try again later.
    pub const LATER: Self = Self(1013);

    /// Whether a peer may send this code: RFC 6455 §7.4, with the codes registered since.
    #[must_use]
    pub fn is_valid_on_the_wire(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// The code and the words with which the server ends a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseReason {
    /// The code in the Close frame.
    pub code: CloseCode,
    /// The reason in the Close frame and in the log; 123 bytes at most reach the wire.
    pub text: std::borrow::Cow<'static, str>,
}

impl CloseReason {
    /// A reason with fixed words.
    #[must_use]
    pub const fn new(code: CloseCode, text: &'static str) -> Self {
        Self { code, text: std::borrow::Cow::Borrowed(text) }
    }
}
