//! Who is to get a publication.

use super::{Alias, ClientUuid, Ident, Tag, TagQuery};

/// Who is to get a publication, and who of them is left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Whom it names.
    pub recipients: Recipients,
    /// The one client that does not get it (the sender of a broadcast).
    pub except: Option<ClientUuid>,
}

/// Whom an address names; always within one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Recipients {
    /// The first client, in connection order, that has this UUID or this ident; at most one.
    First {
        /// The UUID, when one was given and is genuine.
        uuid: Option<ClientUuid>,
        /// The ident, when one was given.
        ident: Option<Ident>,
    },
    /// Every web-type client that carries all these tags; an empty query means everyone.
    Matching(TagQuery),
    /// One client, named in a way that only old clients or old servers have.
    Named(Box<NamedClient>),
    /// Web-type clients as Gomoob's server finds them: the tags are gone through in this order, one
    /// that no client carries is skipped, and when a set has become empty the rest begins again.
    /// None means everyone.
    GomoobQuery(Box<[Tag]>),
}

impl Recipients {
    /// Whether they are at most one client.
    #[must_use]
    pub fn is_single(&self) -> bool {
        matches!(self, Self::First { .. } | Self::Named(_))
    }
}

/// The rarer ways to name one client: the first one in connection order that any of them fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NamedClient {
    /// The UUID, when one was given and is genuine.
    pub uuid: Option<ClientUuid>,
    /// What may be an alias.
    pub alias: Option<Alias>,
    /// The ident, when one was given.
    pub ident: Option<Ident>,
    /// How much more fits than what is equal.
    pub laxity: MatchOptions,
}

/// What else fits a [`Named`]: how phpWebSocketServer compares, by its switches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MatchOptions(u8);

impl MatchOptions {
    /// Any web-type client: PHP finds `true` equal to every UUID.
    pub const ANY_WEB: Self = Self(1);
    /// Any client with an ident: PHP finds `true` equal to every one.
    pub const ANY_IDENT: Self = Self(2);
    /// An ident that is the same number: PHP finds `5` equal to `5.0`.
    pub const SAME_NUMBER: Self = Self(4);
    /// UUID and alias find web-type clients only.
    pub const WEB_ONLY: Self = Self(8);
    const ALL: u8 = 15;

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it allows this too.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether it finds a client without a name.
    #[must_use]
    pub const fn selects_alone(self) -> bool {
        self.0 & (Self::ANY_WEB.0 | Self::ANY_IDENT.0) != 0
    }

    /// As it travels.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From what travelled; `None` for a bit that means nothing.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits & !Self::ALL == 0 { Some(Self(bits)) } else { None }
    }
}

impl Address {
    /// Everyone, without exception.
    #[must_use]
    pub fn everyone() -> Self {
        Self { recipients: Recipients::Matching(TagQuery::default()), except: None }
    }

    /// Everyone but one client.
    #[must_use]
    pub fn everyone_but(uuid: ClientUuid) -> Self {
        Self { except: Some(uuid), ..Self::everyone() }
    }

    /// The first client with this UUID or this ident.
    #[must_use]
    pub fn first(uuid: Option<ClientUuid>, ident: Option<Ident>) -> Self {
        Self { recipients: Recipients::First { uuid, ident }, except: None }
    }

    /// The one client that this names.
    #[must_use]
    pub fn named(named: NamedClient) -> Self {
        Self { recipients: Recipients::Named(Box::new(named)), except: None }
    }

    /// Whom Gomoob's server finds by these tags.
    #[must_use]
    pub fn loosely(tags: Box<[Tag]>) -> Self {
        Self { recipients: Recipients::GomoobQuery(tags), except: None }
    }

    /// The same without one client.
    #[must_use]
    pub fn but(self, uuid: ClientUuid) -> Self {
        Self { except: Some(uuid), ..self }
    }

    /// Everyone who carries all these tags.
    #[must_use]
    pub fn matching(query: TagQuery) -> Self {
        Self { recipients: Recipients::Matching(query), except: None }
    }
}
