//! What a client shows to prove that it speaks for an application.

use std::borrow::Cow;
use std::fmt;

/// A key, and maybe the secret that goes with it; not checked yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// The name of the application.
    pub key: Cow<'a, str>,
    /// What proves it.
    pub secret: Option<Cow<'a, str>>,
}

/// Without the secret, so that no log can contain one.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("key", &self.key).finish_non_exhaustive()
    }
}
