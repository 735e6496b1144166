//! The states of a client, and what it reports about a connection.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;

use crate::error::ConnectError;

/// Close code of a client that has ended.
pub(crate) const NORMAL: u16 = 1000;
/// Close code of a connection that ended without a Close frame (RFC 6455 §7.1.5).
pub(crate) const ABNORMAL: u16 = 1006;

/// The state of a client.
///
/// ```text
/// Idle ─ open ─> Connecting ─ welcome ─> Online
///                  ^    │                  │
///          retry_at│    └──── lost ────┐   │ lost
///                  │                   v   v
///                  └──────────────── Waiting        any ─ close, Close 1000 or 40xx ─> Closed ─ open ─> Connecting
/// ```
///
/// `attempt` counts the attempts since a connection lasted for the stable time of [`Backoff`](crate::Backoff).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Status {
    /// Not opened yet.
    Idle,
    /// A connection is being made, until the `welcome` of the server.
    Connecting {
        /// Number of attempts that have failed.
        attempt: u32,
    },
    /// Requests are sent and messages arrive.
    Online {
        /// Number of attempts that had failed before.
        attempt: u32,
    },
    /// The next attempt is due at `retry_at`.
    Waiting {
        /// Number of attempts that have failed.
        attempt: u32,
        /// When the next attempt is due.
        retry_at: Instant,
        /// Why there is no connection.
        lost: Disconnect,
    },
    /// Nothing happens until [`Client::reopen`](crate::Client::reopen).
    Closed {
        /// Why the server ended the client. None if [`Client::close`](crate::Client::close) did.
        lost: Option<Disconnect>,
    },
}

impl Status {
    /// Whether requests are sent at once.
    #[must_use]
    pub const fn is_online(&self) -> bool {
        matches!(self, Self::Online { .. })
    }

    /// Whether an attempt to connect has ended.
    pub(crate) const fn ends_attempt(&self) -> bool {
        matches!(self, Self::Online { .. } | Self::Waiting { .. } | Self::Closed { .. })
    }

    /// Whether nothing happens any more until the client is opened.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }
}

/// How a connection ended.
#[derive(Clone, Debug)]
pub struct Disconnect {
    code: u16,
    reason: String,
    error: Option<Arc<ConnectError>>,
}

impl Disconnect {
    pub(crate) fn closed(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), error: None }
    }

    pub(crate) fn failed(error: ConnectError) -> Self {
        let reason = error.to_string();
        Self { code: ABNORMAL, reason, error: Some(Arc::new(error)) }
    }

    /// The Close code. 1005 for a Close without one, 1006 without a Close, and if the client gave the connection up.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The reason in the Close, or what failed.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Why the attempt failed, if it did not reach the server or was refused before the WebSocket was open.
    #[must_use]
    pub fn error(&self) -> Option<&ConnectError> {
        self.error.as_deref()
    }
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.error, self.reason.as_str()) {
            (Some(error), _) => error.fmt(f),
            (None, "") => write!(f, "Close {}", self.code),
            (None, reason) => write!(f, "Close {}, {reason}", self.code),
        }
    }
}

impl std::error::Error for Disconnect {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error().and_then(std::error::Error::source)
    }
}

/// What a client has missed, reported once after each connection.
///
/// `is_recovered: false` means: load your state again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "two independent answers")]
pub struct Recovery {
    /// Whether the server still knew this client.
    pub is_resumed: bool,
    /// Whether everything that was published meanwhile has arrived.
    pub is_recovered: bool,
    /// Number of messages that were replayed.
    pub replayed: u64,
    /// Number of messages that are missing, if it is known.
    pub missed: Option<u64>,
    /// Why messages may be missing.
    pub reason: Option<RecoveryReason>,
}

impl Recovery {
    /// The first connection of a client has missed nothing.
    pub(crate) const FIRST: Self =
        Self { is_resumed: false, is_recovered: true, replayed: 0, missed: None, reason: None };
    /// A later connection on which the server says nothing about what was missed.
    pub(crate) const UNKNOWN: Self = Self {
        is_resumed: false,
        is_recovered: false,
        replayed: 0,
        missed: None,
        reason: Some(RecoveryReason::New),
    };
}

/// Why messages may be missing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecoveryReason {
    /// The server keeps no history.
    Off,
    /// The server that knew the client has ended.
    Lost,
    /// More was published than the history holds.
    Evicted,
    /// The client was away for too long.
    Expired,
    /// The client changed its tags too often.
    Retagged,
    /// More was published during the replay than the history holds.
    Overrun,
    /// More was published to this client alone than the server keeps.
    Mailbox,
    /// A host of the server was cut off from the others.
    Gap,
    /// This is a new client for the server.
    New,
    /// The server does not replay what was asked for.
    Disabled,
    /// The program does not read its stream fast enough: the oldest events were dropped.
    Overflow,
    /// Any other reason of the server.
    #[serde(untagged)]
    Other(String),
}

impl RecoveryReason {
    /// The reason as the protocol writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Off => "off",
            Self::Lost => "lost",
            Self::Evicted => "evicted",
            Self::Expired => "expired",
            Self::Retagged => "retagged",
            Self::Overrun => "overrun",
            Self::Mailbox => "mailbox",
            Self::Gap => "gap",
            Self::New => "new",
            Self::Disabled => "disabled",
            Self::Overflow => "overflow",
            Self::Other(reason) => reason,
        }
    }
}
