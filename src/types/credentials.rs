//! Credentials with which a client proves that it belongs to an application.

use std::borrow::Cow;
use std::fmt;

/// The key by which a server without applications counts and serves all clients.
pub const OPEN_APPLICATION: &str = "-";

/// A key with an optional secret, not verified yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// Key of the application.
    pub key: Cow<'a, str>,
    /// Secret of the application.
    pub secret: Option<Cow<'a, str>>,
}

/// Omits the secret, so that no log can contain it.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("key", &self.key).finish_non_exhaustive()
    }
}
