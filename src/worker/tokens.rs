//! Tokens of the descriptors that a worker watches.

use crate::types::Slot;

/// Token of the first listening socket. Slots are below it.
const LISTENERS: u64 = 1 << 32;
/// Token of the first other descriptor. Listening sockets are below it.
const OTHERS: u64 = 2 << 32;

/// Token of the first pipe to the API process. Other descriptors are below it.
const API_PIPES: u64 = 3 << 32;

/// Descriptor that the event loop watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Link to the supervisor.
    Control,
    /// Link to the broker.
    Link,
    /// Replies of the webhook client.
    Webhooks,
    /// Poller of connections in a TLS handshake.
    TlsHandshakes,
    PushSocket,
    /// Messages that the thread for large messages has read.
    Offload,
    /// Listening socket, by its index.
    Listener(u32),
    /// Connection, by its slot.
    Slot(Slot),
    /// Pipe between a connection and the API process, by the slot of the connection.
    ApiPipe(Slot),
}

impl From<Token> for u64 {
    fn from(token: Token) -> Self {
        match token {
            Token::Slot(slot) => slot.0.into(),
            Token::ApiPipe(slot) => API_PIPES + Self::from(slot.0),
            Token::Listener(place) => LISTENERS + Self::from(place),
            Token::Control => OTHERS,
            Token::Link => OTHERS + 1,
            Token::Webhooks => OTHERS + 2,
            Token::TlsHandshakes => OTHERS + 3,
            Token::PushSocket => OTHERS + 4,
            Token::Offload => OTHERS + 5,
        }
    }
}

impl Token {
    /// Returns the token of an event. `None` if no descriptor has this number.
    pub(super) fn of(token: u64) -> Option<Self> {
        if let Ok(slot) = u32::try_from(token) {
            return Some(Self::Slot(Slot(slot)));
        }
        if let Some(slot) = token.checked_sub(API_PIPES) {
            return u32::try_from(slot).ok().map(|slot| Self::ApiPipe(Slot(slot)));
        }
        if let Some(other) = token.checked_sub(OTHERS) {
            return [
                Self::Control,
                Self::Link,
                Self::Webhooks,
                Self::TlsHandshakes,
                Self::PushSocket,
                Self::Offload,
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
            Token::Offload,
            Token::Listener(0),
            Token::Listener(u32::MAX),
            Token::Slot(Slot(0)),
            Token::Slot(Slot(u32::MAX)),
            Token::ApiPipe(Slot(0)),
            Token::ApiPipe(Slot(u32::MAX)),
        ];
        for token in all {
            assert_eq!(Token::of(token.into()), Some(token));
        }
        assert_eq!(Token::of(u64::MAX), None);
    }
}
