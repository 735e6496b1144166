//! The client of a connection, as the index stores it.

use core::net::IpAddr;
use std::fmt;
use std::sync::Arc;

use arcstr::ArcStr;

use super::limits::IDENT_BYTES_MAX;
use super::{ClientUuid, Tags, Tenant};

/// A name that a client gives itself with the header `Ident` (phpWebSocketServer since 2021-09).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ident(ArcStr);

impl Ident {
    /// Creates an ident.
    ///
    /// # Errors
    ///
    /// If the name is empty or longer than [`IDENT_BYTES_MAX`].
    pub fn new(text: &str) -> Result<Self, IdentError> {
        if text.is_empty() || text.len() > IDENT_BYTES_MAX {
            return Err(IdentError { bytes: text.len() });
        }
        Ok(Self(ArcStr::from(text)))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The error for an ident that is empty or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentError {
    /// Length in bytes.
    pub bytes: usize,
}

impl fmt::Display for IdentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an ident of {} bytes, 1 to {IDENT_BYTES_MAX} are allowed", self.bytes)
    }
}

impl std::error::Error for IdentError {}

/// The two classes of clients in phpWebSocketServer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientClass {
    /// Browsers and all other clients. They receive broadcasts and messages to tags.
    Web,
    /// PHP scripts (`Client-Type: php`). They are reached by UUID and ident only, and read one
    /// frame at a time.
    Php,
}

/// Whether a client counts towards `maxPerIP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressLimit {
    /// The client counts.
    ByAddress,
    /// The client does not count, because it presented a secret or its address is allowed for
    /// scripts.
    InAll,
}

/// Key of an application whose number of connections is limited.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LimitedApplication(pub Box<str>);

/// The data of one client in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Tenant of the client.
    pub tenant: Tenant,
    /// UUID that the server assigned.
    pub uuid: ClientUuid,
    /// Name that the client gave itself.
    pub ident: Option<Ident>,
    /// Tags of the client.
    pub tags: Tags,
    /// Web-type or php-type.
    pub class: ClientClass,
    /// True if the client may receive publications. Clients of an echo resource do not.
    pub takes_publications: bool,
    /// Whether the client counts towards `maxPerIP`.
    pub counted: AddressLimit,
    /// Application of the client, if the number of its connections is limited.
    pub application: Option<Arc<LimitedApplication>>,
    /// IP address of the client, after trusted proxies are taken into account.
    pub ip: IpAddr,
}

// The worker keeps one of each client for the next broker.
const _: () = assert!(size_of::<Client>() <= 88, "one more word costs each connection 16 bytes");

impl Client {
    /// Returns whether publications to tags reach the client.
    #[must_use]
    pub fn is_reached_by_tags(&self) -> bool {
        self.takes_publications && self.class == ClientClass::Web
    }
}
