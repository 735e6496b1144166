//! Basis of a grant: an application and the credentials that were shown, packed into one word.

/// Basis of a grant: the index of an application in the `Permissions` that issued the grant, and
/// the kind of credentials. Packed into one word, because each connection holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthBasis(u32);

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
}

impl AuthBasis {
    /// Basis of a grant that needed no credentials.
    pub const NOTHING: Self = Self(0);

    pub(super) const fn new(place: u32, shown: ShownCredentials) -> Self {
        Self(place << 2 | shown as u32)
    }

    pub(super) const fn shown(self) -> ShownCredentials {
        match self.0 & 3 {
            0 => ShownCredentials::Nothing,
            1 => ShownCredentials::NoKey,
            2 => ShownCredentials::Key,
            _ => ShownCredentials::Secret,
        }
    }

    /// Returns true if the client showed key and secret of an application.
    #[must_use]
    pub const fn is_proven(self) -> bool {
        matches!(self.shown(), ShownCredentials::Secret)
    }

    pub(super) const fn place(self) -> usize {
        (self.0 >> 2) as usize
    }
}
