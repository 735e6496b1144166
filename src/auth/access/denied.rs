//! Refusal of an opening or of a message, without the reason.

/// Denied request. It never states which credential was wrong, because that would help an attacker
/// to guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Opening of a connection.
    Open,
    /// Publication of a message.
    Send,
}

impl Denied {
    /// Returns the error text for the client, as in Gomoob.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Open => "Connection opening is not authorized !",
            Self::Send => "Message sending is not authorized !",
        }
    }
}
