//! What a client shows to be let in, and whom it trusts.

use std::fmt;
use std::path::PathBuf;

/// What a connection needs in addition to its URL. The default shows nothing and trusts the system's
/// certificate authorities.
#[derive(Clone, Debug, Default)]
pub struct ClientCredentials {
    /// For servers that require credentials.
    pub credentials: Option<ApplicationKey>,
    /// PEM certificates to trust instead of the system's authorities.
    pub ca: Option<PathBuf>,
}

/// The application of auth.yml that a client belongs to.
#[derive(Clone, PartialEq, Eq)]
pub struct ApplicationKey {
    /// The application's key.
    pub key: String,
    /// The application's secret; without it, what the key alone permits is permitted.
    secret: Option<String>,
}

impl ApplicationKey {
    /// A key with or without its secret.
    #[must_use]
    pub const fn new(key: String, secret: Option<String>) -> Self {
        Self { key, secret }
    }

    /// The secret, for the server alone.
    pub(crate) fn secret(&self) -> Option<&str> {
        self.secret.as_deref()
    }

    /// `key` and `secret`, as far as they are there: members of a packet, parameters of a URL.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let secret = self.secret.as_deref().map(|secret| ("secret", secret));
        std::iter::once(("key", self.key.as_str())).chain(secret)
    }
}

impl ClientCredentials {
    /// What [`Credentials::members`] gives; nothing without credentials.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.credentials.iter().flat_map(ApplicationKey::members)
    }
}

impl fmt::Debug for ApplicationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.secret.as_ref().map(|_| "[REDACTED]");
        f.debug_struct("Credentials").field("key", &self.key).field("secret", &secret).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_not_shown() {
        let credentials = ApplicationKey::new("blog".to_owned(), Some("hunter2".to_owned()));
        let access = ClientCredentials { credentials: Some(credentials), ca: None };
        let shown = format!("{access:?}");
        assert!(shown.contains("blog") && !shown.contains("hunter2"), "{shown}");
        let members: Vec<_> = access.members().collect();
        assert_eq!(members, [("key", "blog"), ("secret", "hunter2")]);
    }
}
