//! Applications of auth.yml: who may open, who may publish, and in which tenant.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{ApiRights, MessageSchema};
use crate::types::Secret;
use crate::types::limits::{SECRET_BYTES_MIN, SECRET_CHARACTERS_MIN};

/// Applications that may use the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applications {
    /// Applications in the order of the file. Keys are unique.
    pub list: Vec<Application>,
    /// Index of the application of connections without a key.
    pub anonymous: Option<usize>,
}

/// Application of auth.yml.
#[expect(clippy::struct_excessive_bools, reason = "two independent permissions, as in the file")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Public name in requests.
    pub key: String,
    /// Secret that proves that a request comes from this application.
    pub secret: Secret,
    /// True if the key alone opens a connection.
    pub authorize_open: bool,
    /// True if clients of this application may publish without a secret.
    pub client_publish: bool,
    /// Tenant of its clients. `None`: the shared tenant.
    pub tenant: Option<String>,
    /// Schema of all messages of this application.
    pub schema: Option<MessageSchema>,
    /// Rights in the HTTP API.
    #[serde(default)]
    pub api: ApiRights,
}

impl Application {
    /// Returns why the secret is easy to guess, or `None` if it is not.
    #[must_use]
    pub fn weakness(&self) -> Option<&'static str> {
        let secret = self.secret.expose();
        let characters = secret.chars().collect::<HashSet<char>>().len();
        if secret.is_empty() || !self.secret.is_text() {
            None
        } else if secret.len() < SECRET_BYTES_MIN {
            Some("has fewer than 16 bytes and is easy to guess")
        } else if secret == self.key {
            Some("equals the key, which is not secret")
        } else if characters < SECRET_CHARACTERS_MIN {
            Some("repeats a few characters and is easy to guess")
        } else {
            None
        }
    }

    /// Returns the placeholder of an invalid entry, so the other entries keep their indexes.
    pub(crate) fn placeholder() -> Self {
        Self {
            key: String::new(),
            secret: Secret::new(String::new()),
            authorize_open: false,
            client_publish: false,
            tenant: None,
            schema: None,
            api: ApiRights::default(),
        }
    }
}

/// SHA-256 of the secrets in the shipped auth.yml and in Gomoob's documentation. They are public.
const PUBLIC_SECRETS: [&str; 5] = [
    "360b1fdbe10bfb7c389e73fed644c55377452328f8f09df40add4aed12051f5b",
    "986453ccba96f03d070b2ee659c873976e2a25f9d9b7d4144422feef139ca0ed",
    "0030b09b508bd57234c66ac80de93d1aa081e013411f0ee88799487791b6036d",
    "5048c4b94f5fa6e4c2c67e4fad2601ed3b2d0624c5627caa0f9fb1edb0ae9c7b",
    "c79019bbce7c7960579ea66805ee30c26f4c149d9f639174d57c4cc9237ec8e1",
];

impl Applications {
    /// Returns the first application with a public secret.
    #[must_use]
    pub fn with_public_secret(&self) -> Option<&Application> {
        self.list.iter().find(|application| is_public(application.secret.expose()))
    }
}

fn is_public(secret: &str) -> bool {
    let digest = Sha256::digest(secret.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    PUBLIC_SECRETS.contains(&digest.as_str())
}
