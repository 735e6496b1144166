//! Aliases: names that clients of phpWebSocketServer (2019) register in addition to their UUID.

use serde::{Deserialize, Serialize};

use super::{ClientUuid, Ident, IdentError, WordChoice};

/// A name that a client registered with the opcode `uuid` of phpWebSocketServer. Other clients can
/// use it like its UUID.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alias(Ident);

impl Alias {
    /// Creates an alias.
    ///
    /// # Errors
    ///
    /// If the name is empty or longer than [`IDENT_BYTES_MAX`](super::limits::IDENT_BYTES_MAX).
    pub fn new(text: &str) -> Result<Self, IdentError> {
        Ident::new(text).map(Self)
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the name in the type that the index stores.
    #[must_use]
    pub fn as_ident(&self) -> &Ident {
        &self.0
    }

    /// Returns the UUID if the name has the form of one. It may be the UUID of another client.
    #[must_use]
    pub fn as_uuid(&self) -> Option<ClientUuid> {
        uuid::Uuid::try_parse(self.as_str()).ok().map(|uuid| ClientUuid(uuid.into_bytes()))
    }
}

/// An alias that a client requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The alias.
    pub alias: Alias,
    /// Whether other clients may have the same alias.
    pub keeping: Exclusivity,
}

/// Whether an alias is exclusive to one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exclusivity {
    /// The request is denied while another client has the alias.
    Alone,
    /// Several clients may have the alias, as in the original server. Messages reach the one that
    /// joined first.
    Shared,
}

/// The setting of an application: no aliases, exclusive ones or shared ones.
impl WordChoice for Option<Exclusivity> {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("first", Some(Exclusivity::Alone)),
        ("shared", Some(Exclusivity::Shared)),
        ("off", None),
    ];
}

/// Number of an alias grant, over all brokers. If two clients claim one alias, the higher number
/// wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrantNumber(pub u64);
