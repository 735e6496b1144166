//! Who is to get a publication.

use super::{ClientUuid, Ident, TagQuery};

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
