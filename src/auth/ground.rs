//! What a grant rests on, in one word.

/// What a grant rests on: an application, by its place in the list of the [`Access`] that granted
/// it, and what was shown. Packed into one word, because every connection holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthBasis(u32);

/// What was shown for a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShownCredentials {
    /// Nothing was asked for: there were no applications, or everybody may open.
    Nothing,
    /// No key; the application is the one that this counts as.
    NoKey,
    /// A key alone.
    Key,
    /// Key and secret.
    Secret,
}

impl AuthBasis {
    /// What everybody has.
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

    /// Whether key and secret of an application were shown for it.
    #[must_use]
    pub const fn is_proven(self) -> bool {
        matches!(self.shown(), ShownCredentials::Secret)
    }

    pub(super) const fn place(self) -> usize {
        (self.0 >> 2) as usize
    }
}
