//! Names that clients of 2019 give themselves in addition to the UUID that the server made.

use serde::{Deserialize, Serialize};

use super::{ClientUuid, Ident, IdentError, WordChoice};

/// What a client registered with phpWebSocketServer's opcode `uuid`: others can address it by this
/// text as by its UUID.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alias(Ident);

impl Alias {
    /// Admits a name.
    ///
    /// # Errors
    ///
    /// When it is empty or longer than [`IDENT_BYTES_MAX`](super::limits::IDENT_BYTES_MAX).
    pub fn new(text: &str) -> Result<Self, IdentError> {
        Ident::new(text).map(Self)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The name as the index keeps it.
    #[must_use]
    pub fn as_ident(&self) -> &Ident {
        &self.0
    }

    /// The UUID that it is spelled like, which may be another client's.
    #[must_use]
    pub fn as_uuid(&self) -> Option<ClientUuid> {
        uuid::Uuid::try_parse(self.as_str()).ok().map(|uuid| ClientUuid(uuid.into_bytes()))
    }
}

/// An alias that a client wants, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The alias.
    pub alias: Alias,
    /// Whether others may have it too.
    pub keeping: Exclusivity,
}

/// Whether an alias is for one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exclusivity {
    /// It is refused while another client has it.
    Alone,
    /// As in the original: several may have it, and the one that joined first is reached.
    Shared,
}

/// Whether clients may have an alias, and whether for one client alone.
impl WordChoice for Option<Exclusivity> {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("first", Some(Exclusivity::Alone)),
        ("shared", Some(Exclusivity::Shared)),
        ("off", None),
    ];
}

/// Counts the aliases that brokers granted: of two claims to one alias the later grant holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrantNumber(pub u64);
