//! Who is at the other end of a connection, as the index knows it.

use core::net::IpAddr;
use std::fmt;
use std::sync::Arc;

use super::limits::IDENT_BYTES_MAX;
use super::{ClientUuid, Tags, Tenant};

/// A name that a client gave itself with the header `Ident` (phpWebSocketServer since 2021-09).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ident(Arc<str>);

impl Ident {
    /// Admits a name.
    ///
    /// # Errors
    ///
    /// When it is empty or longer than [`IDENT_BYTES_MAX`].
    pub fn new(text: &str) -> Result<Self, IdentError> {
        if text.is_empty() || text.len() > IDENT_BYTES_MAX {
            return Err(IdentError { bytes: text.len() });
        }
        Ok(Self(Arc::from(text)))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An ident that is empty or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentError {
    /// Its length.
    pub bytes: usize,
}

impl fmt::Display for IdentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an ident of {} bytes, 1 to {IDENT_BYTES_MAX} are allowed", self.bytes)
    }
}

impl std::error::Error for IdentError {}

/// The two classes of clients that phpWebSocketServer tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientClass {
    /// Browsers and everyone else: gets broadcasts and tag matches.
    Web,
    /// PHP scripts (`Client-Type: php`): reached by UUID and ident only, read one frame at a time.
    Php,
}

/// Whether a client counts towards `maxPerIP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressLimit {
    /// It does.
    ByAddress,
    /// It does not: it has shown a secret, or its address is one that scripts may come from.
    InAll,
}

/// What the index knows about one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The space it lives in.
    pub tenant: Tenant,
    /// Its identity.
    pub uuid: ClientUuid,
    /// The name it gave itself.
    pub ident: Option<Ident>,
    /// What it carries.
    pub tags: Tags,
    /// Web or php.
    pub class: ClientClass,
    /// Whether publications may be sent to it at all (echo clients take none).
    pub takes_publications: bool,
    /// Whether its address may have only so many like it.
    pub counted: AddressLimit,
    /// The effective address, after trusted proxies.
    pub ip: IpAddr,
}
