//! Basis of a grant: an application and the credentials that were shown, packed into one word.

/// Basis of a grant: the index of an application in the `Permissions` that issued the grant, their
/// edition, the kind of credentials, and which of the secrets was shown. Packed into one word, because
/// each connection holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthBasis(u32);

/// Edition of `Permissions`: the current rules or the former ones. There are never more than two, so
/// one bit distinguishes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edition(bool);

impl Edition {
    /// Edition of the first configuration.
    pub(super) const FIRST: Self = Self(false);

    /// Returns the edition of the rules that replace these.
    pub(super) const fn next(self) -> Self {
        Self(!self.0)
    }
}

/// Kind of credentials that a client showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShownCredentials {
    /// No credentials were needed: there are no applications, or all clients may open.
    Nothing,
    /// No key. The connection counts as the anonymous application.
    NoKey,
    /// Key without a secret.
    Key,
    /// Key and secret.
    Secret,
    /// Token.
    Token,
}

impl AuthBasis {
    /// Basis of a grant that needed no credentials.
    pub const NOTHING: Self = Self(0);

    const SHOWN: u32 = 7;
    const EDITION_SHIFT: u32 = 3;
    const EDITION: u32 = 1 << Self::EDITION_SHIFT;
    /// Bits below the index of the secret or key, and below that of the application.
    const SECRET_SHIFT: u32 = 4;
    const PLACE_SHIFT: u32 = 7;

    pub(super) const fn new(place: u32, shown: ShownCredentials) -> Self {
        Self(place << Self::PLACE_SHIFT | shown as u32)
    }

    /// Basis of a client that showed the secret with this index.
    pub(super) const fn of_secret(place: u32, secret: u32) -> Self {
        Self(Self::new(place, ShownCredentials::Secret).0 | secret << Self::SECRET_SHIFT)
    }

    /// Basis of a client that showed a token, signed with the key of this index.
    pub(super) const fn of_token(place: u32, key: u32) -> Self {
        Self(Self::new(place, ShownCredentials::Token).0 | key << Self::SECRET_SHIFT)
    }

    /// Returns the same basis for permissions of this edition.
    pub(super) const fn in_edition(self, edition: Edition) -> Self {
        Self(self.0 & !Self::EDITION | (edition.0 as u32) << Self::EDITION_SHIFT)
    }

    /// Returns the edition of the permissions that issued the grant.
    pub(super) const fn edition(self) -> Edition {
        Edition(self.0 & Self::EDITION != 0)
    }

    pub(super) const fn shown(self) -> ShownCredentials {
        match self.0 & Self::SHOWN {
            0 => ShownCredentials::Nothing,
            1 => ShownCredentials::NoKey,
            2 => ShownCredentials::Key,
            3 => ShownCredentials::Secret,
            _ => ShownCredentials::Token,
        }
    }

    /// Returns true if the client showed key and secret of an application.
    #[must_use]
    pub const fn is_proven(self) -> bool {
        matches!(self.shown(), ShownCredentials::Secret)
    }

    /// Returns true if the client showed a token.
    #[must_use]
    pub const fn is_of_token(self) -> bool {
        matches!(self.shown(), ShownCredentials::Token)
    }

    pub(super) const fn place(self) -> usize {
        (self.0 >> Self::PLACE_SHIFT) as usize
    }

    /// Returns the index of the secret that was shown, or of the key that signed the token, among those of
    /// the application.
    pub(super) const fn secret(self) -> usize {
        const MASK: u32 = (1 << (AuthBasis::PLACE_SHIFT - AuthBasis::SECRET_SHIFT)) - 1;
        (self.0 >> Self::SECRET_SHIFT & MASK) as usize
    }
}
