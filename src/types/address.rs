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
    /// One client, named in one of the rarer ways.
    Named(Box<NamedClient>),
    /// Web-type clients that are found by tags in this order: a tag that no client carries is skipped,
    /// each other tag leaves those that carry it too, and when none are left, the next tag starts again.
    /// No tags mean everyone.
    TagSequence(Box<[Tag]>),
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
    /// What else fits than what is equal.
    pub options: MatchOptions,
}

/// What else a [`NamedClient`] fits than what is equal to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MatchOptions(u8);

impl MatchOptions {
    /// Any web-type client.
    pub const ANY_WEB: Self = Self(1);
    /// Any client with an ident.
    pub const ANY_IDENT: Self = Self(2);
    /// An ident that is the same number: `5` and `5.0`.
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

    /// Those that [`Recipients::TagSequence`] finds by these tags.
    #[must_use]
    pub fn tag_sequence(tags: Box<[Tag]>) -> Self {
        Self { recipients: Recipients::TagSequence(tags), except: None }
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
