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
    /// The server asks its clients to reconnect (IANA's registry of close codes).
    pub const SERVICE_RESTART: Self = Self(1012);
    /// The peer should try again later.
    pub const LATER: Self = Self(1013);
    /// `tagcast.v1`: what the client sent is not a frame.
    pub const INVALID_FRAME: Self = Self(4000);
    /// `tagcast.v1`: a reload has revoked the rights of the client.
    pub const APPLICATION_CHANGED: Self = Self(4003);
    /// `tagcast.v1`: the credentials of `hello` are wrong.
    pub const UNAUTHORIZED: Self = Self(4009);
    /// `tagcast.v1`: another connection has the client.
    pub const CONTINUED: Self = Self(4012);
    /// `tagcast.v1`: a limit of connections is reached, or memory is short.
    pub const OVER_CAPACITY: Self = Self(4100);
    /// `tagcast.v1`: `hello` did not arrive within the time.
    pub const HELLO_TIMEOUT: Self = Self(4101);
    /// `tagcast.v1`: the client does not read what is sent to it, or writes too slowly.
    pub const SLOW_CLIENT: Self = Self(4102);
    /// `tagcast.v1`: the client sends too many pings and pongs.
    pub const CONTROL_FLOOD: Self = Self(4103);
    /// `tagcast.v1`: what the server needs to add the client is not available.
    pub const NOT_AVAILABLE: Self = Self(4104);
    /// `tagcast.v1`: the token of the client has expired.
    pub const TOKEN_EXPIRED: Self = Self(4110);
    /// `tagcast.v1`: the server restarts or shuts down.
    pub const RESTART: Self = Self(4200);
    /// `tagcast.v1`: the client has not answered pings.
    pub const PING_TIMEOUT: Self = Self(4201);

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

    /// `tagcast.v1`: the client has sent `bye`, so it gets none.
    pub const BYE: Self = Self::new(CloseCode::NORMAL, "bye");

    /// Creates a reason with a fixed text.
    #[must_use]
    pub const fn new(code: CloseCode, text: &'static str) -> Self {
        Self { code, text: std::borrow::Cow::Borrowed(text) }
    }
}
