//! A secret of an application: its id, what it may do, and when it expires.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::ApiPermissions;
use crate::types::Secret;
use crate::types::limits::{SECRET_BYTES_MIN, SECRET_CHARACTERS_MIN};

/// Id of the secret in the member `secret`.
pub const OWN_SECRET: &str = "own";

/// One of the secrets of an application. Each proves that a request comes from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationSecret {
    /// Name of the secret, unique in the application. It is not secret.
    pub id: String,
    /// The secret itself.
    pub secret: Secret,
    /// What a request to the HTTP API may do with it, if the application may do it too.
    pub permissions: ApiPermissions,
    /// Unix seconds from which it is not accepted any more. `None`: it does not expire.
    pub expires: Option<u64>,
}

impl ApplicationSecret {
    /// Creates the secret of the member `secret`.
    #[must_use]
    pub fn own(secret: Secret) -> Self {
        Self::named(OWN_SECRET.to_owned(), secret)
    }

    /// Creates a secret that may do everything and does not expire.
    #[must_use]
    pub fn named(id: String, secret: Secret) -> Self {
        Self { id, secret, permissions: ApiPermissions::default(), expires: None }
    }

    /// Returns true if it is not accepted any more at this time, in Unix seconds.
    #[must_use]
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// Returns why the secret of the application with this key is easy to guess, or `None` if it is
    /// not.
    #[must_use]
    pub fn weakness(&self, key: &str) -> Option<&'static str> {
        let secret = self.secret.expose();
        let characters = secret.chars().collect::<HashSet<char>>().len();
        if secret.is_empty() || !self.secret.is_text() {
            None
        } else if secret.len() < SECRET_BYTES_MIN {
            Some("has fewer than 16 bytes and is easy to guess")
        } else if secret == key {
            Some("equals the key, which is not secret")
        } else if characters < SECRET_CHARACTERS_MIN {
            Some("repeats a few characters and is easy to guess")
        } else {
            None
        }
    }
}
