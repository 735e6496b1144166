//! Client credentials and trusted certificates.

use std::fmt;
use std::path::PathBuf;

/// Everything that a connection needs in addition to its URL. The default has no credentials and
/// trusts the certificate authorities of the system.
#[derive(Clone, Debug, Default)]
pub struct ClientCredentials {
    /// Key and secret, for servers that require them.
    pub credentials: Option<ApplicationKey>,
    /// File with PEM certificates to trust instead of the authorities of the system.
    pub ca: Option<PathBuf>,
}

/// An application of `auth.yml`.
#[derive(Clone, PartialEq, Eq)]
pub struct ApplicationKey {
    /// The application's key.
    pub key: String,
    /// Secret of the application. Without it the client has only the rights of the key alone.
    secret: Option<String>,
}

impl ApplicationKey {
    /// Creates an application key with or without its secret.
    #[must_use]
    pub const fn new(key: String, secret: Option<String>) -> Self {
        Self { key, secret }
    }

    /// Returns the secret. It must be sent only to the server.
    pub(crate) fn secret(&self) -> Option<&str> {
        self.secret.as_deref()
    }

    /// Returns `key` and, if set, `secret`, as members of a packet or parameters of a URL.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let secret = self.secret.as_deref().map(|secret| ("secret", secret));
        std::iter::once(("key", self.key.as_str())).chain(secret)
    }
}

impl ClientCredentials {
    /// Returns the members of the credentials; empty without credentials.
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
