//! What the poller reports: each descriptor of a worker has a token.

use crate::types::Slot;

/// Above every slot: the first token of a listening socket.
const LISTENERS: u64 = 1 << 32;
/// Above every listening socket.
const OTHERS: u64 = 2 << 32;

/// A descriptor that the loop watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// The link to the supervisor.
    Control,
    /// The link to the broker.
    Link,
    /// Answers of backends.
    Webhooks,
    /// The epoll of the connections in a TLS handshake.
    TlsHandshakes,
    PushSocket,
    /// A listening socket, by its place in the list.
    Listener(u32),
    /// A connection.
    Slot(Slot),
}

impl From<Token> for u64 {
    fn from(token: Token) -> Self {
        match token {
            Token::Slot(slot) => slot.0.into(),
            Token::Listener(place) => LISTENERS + Self::from(place),
            Token::Control => OTHERS,
            Token::Link => OTHERS + 1,
            Token::Webhooks => OTHERS + 2,
            Token::TlsHandshakes => OTHERS + 3,
            Token::PushSocket => OTHERS + 4,
        }
    }
}

impl Token {
    /// The token of an event; none for a number that was never watched.
    pub(super) fn of(token: u64) -> Option<Self> {
        if let Ok(slot) = u32::try_from(token) {
            return Some(Self::Slot(Slot(slot)));
        }
        if let Some(other) = token.checked_sub(OTHERS) {
            return [
                Self::Control,
                Self::Link,
                Self::Webhooks,
                Self::TlsHandshakes,
                Self::PushSocket,
            ]
            .get(usize::try_from(other).ok()?)
            .copied();
        }
        u32::try_from(token - LISTENERS).ok().map(Self::Listener)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_read_as_it_was_written() {
        let all = [
            Token::Control,
            Token::Link,
            Token::Webhooks,
            Token::TlsHandshakes,
            Token::PushSocket,
            Token::Listener(0),
            Token::Listener(u32::MAX),
            Token::Slot(Slot(0)),
            Token::Slot(Slot(u32::MAX)),
        ];
        for token in all {
            assert_eq!(Token::of(token.into()), Some(token));
        }
        assert_eq!(Token::of(u64::MAX), None);
    }
}
