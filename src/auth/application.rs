//! Applications of auth.yml: who may open, who may publish, and in which tenant.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    ApiRights, ApplicationLimits, ApplicationSecret, DefaultLimits, MessageSchema,
    PresenceSettings, ResumeSettings, TagSource, TokenSettings,
};
use crate::types::{HistorySettings, Secret};

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
    /// Secrets, each of which proves that a request comes from this application; at most
    /// [`SECRETS_MAX`](crate::types::limits::SECRETS_MAX).
    pub secrets: Vec<ApplicationSecret>,
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
    /// How much it may do in a time.
    #[serde(default)]
    pub limits: ApplicationLimits,
    /// Tokens that it accepts. `None`: none.
    #[serde(default)]
    pub tokens: Option<TokenSettings>,
    /// Where the tags of its clients come from.
    #[serde(default)]
    pub tags: TagSource,
    /// How its clients resume.
    #[serde(default)]
    pub resume: ResumeSettings,
    /// How many publications of its space are stored.
    #[serde(default)]
    pub history: HistorySettings,
    /// What its clients may watch, and what others see of them.
    #[serde(default)]
    pub presence: PresenceSettings,
}

impl Application {
    /// Returns the secret that signs what the server sends to backends of this application: the first
    /// one of the file. `None` if there is none.
    #[must_use]
    pub fn signing_secret(&self) -> Option<&Secret> {
        self.secrets.first().map(|first| &first.secret)
    }

    /// Returns why one of the secrets is easy to guess, or `None` if none is.
    #[must_use]
    pub fn weakness(&self) -> Option<&'static str> {
        self.secrets.iter().find_map(|one| one.weakness(&self.key))
    }

    /// Returns the placeholder of an invalid entry, so the other entries keep their indexes.
    pub(crate) fn placeholder() -> Self {
        Self {
            key: String::new(),
            secrets: Vec::new(),
            authorize_open: false,
            client_publish: false,
            tenant: None,
            schema: None,
            api: ApiRights::default(),
            limits: ApplicationLimits::default(),
            tokens: None,
            tags: TagSource::default(),
            resume: ResumeSettings::default(),
            history: HistorySettings::default(),
            presence: PresenceSettings::default(),
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
        let is_public = |one: &ApplicationSecret| is_public(one.secret.expose());
        self.list.iter().find(|application| application.secrets.iter().any(is_public))
    }

    /// Returns the applications, which have these limits where they have none of their own.
    #[must_use]
    pub fn with_limits(mut self, defaults: &DefaultLimits) -> Self {
        self.list.iter_mut().for_each(|one| one.limits = one.limits.or(defaults));
        self
    }

    /// Returns the next time, in Unix seconds, at which a secret expires that is accepted now.
    #[must_use]
    pub fn next_expiry(&self, now: u64) -> Option<u64> {
        let secrets = self.list.iter().flat_map(|application| &application.secrets);
        secrets.filter_map(|one| one.expires).filter(|end| *end > now).min()
    }
}

fn is_public(secret: &str) -> bool {
    let digest = Sha256::digest(secret.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    PUBLIC_SECRETS.contains(&digest.as_str())
}
