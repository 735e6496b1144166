//! Keys of tokens and the settings of an application about tokens, as in auth.yml.

use std::fmt;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::{Deserialize, Serialize};

use crate::types::limits::{TOKEN_AGE_MAX, TOKEN_SECRET_BYTES_MIN};
use crate::types::{Secret, WordChoice, word_choices};

word_choices! {
    /// Algorithms of signatures (RFC 7518 §3.1, RFC 8037 §3.1).
    TokenAlgorithm {
        /// HMAC with SHA-256: who can check a token can also make one.
        Hs256 = "HS256",
        /// Ed25519: a public key checks.
        EdDsa = "EdDSA",
        /// ECDSA over P-256 with SHA-256: a public key checks.
        Es256 = "ES256",
    }
}

impl TokenAlgorithm {
    /// Returns the algorithm of this name, in the spelling of the RFCs.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(word, _)| *word == name).map(|(_, algorithm)| *algorithm)
    }

    /// Returns true if a public key checks the signature, which takes some twenty times as long as HMAC.
    #[must_use]
    pub const fn is_asymmetric(self) -> bool {
        !matches!(self, Self::Hs256)
    }

    pub(super) const fn of_library(self) -> Algorithm {
        match self {
            Self::Hs256 => Algorithm::HS256,
            Self::EdDsa => Algorithm::EdDSA,
            Self::Es256 => Algorithm::ES256,
        }
    }
}

/// What an application accepts as tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSettings {
    /// Keys that sign its tokens; at most [`TOKEN_KEYS_MAX`](crate::types::limits::TOKEN_KEYS_MAX).
    pub keys: Vec<TokenKey>,
    /// How far `exp` may be in the future.
    pub max_age: Duration,
    /// Required value of `iss`.
    pub issuer: Option<String>,
    /// Other tenants that its tokens may name: exact, or the beginning of the name and `*`.
    pub tenants: Vec<String>,
    /// Name of a cookie that may carry a token.
    #[serde(default)]
    pub cookie: Option<String>,
}

impl TokenSettings {
    /// Returns true if tokens of the application may name this tenant, besides its own.
    #[must_use]
    pub fn may_name(&self, tenant: &str) -> bool {
        self.tenants.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(beginning) => tenant.starts_with(beginning),
            None => *allowed == tenant,
        })
    }
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            max_age: TOKEN_AGE_MAX,
            issuer: None,
            tenants: Vec::new(),
            cookie: None,
        }
    }
}

/// Key that signs tokens of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenKey {
    /// Name of the key, which a token may have as `kid`.
    pub id: String,
    /// Algorithm of all tokens that are signed with it.
    pub algorithm: TokenAlgorithm,
    /// The key itself.
    pub material: TokenKeyMaterial,
    /// Unix seconds from which it is not accepted any more. `None`: it does not expire.
    pub expires: Option<u64>,
}

/// Secret or public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenKeyMaterial {
    /// Secret of HS256.
    Secret(Secret),
    /// Bytes of a public key: of Ed25519, or an uncompressed point of P-256.
    Public(Vec<u8>),
}

/// The reason why a text is not a public key of an algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidPublicKey;

impl fmt::Display for InvalidPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not a public key of this algorithm in PEM (BEGIN PUBLIC KEY)")
    }
}

impl TokenKeyMaterial {
    /// Reads a public key in PEM.
    pub(crate) fn public(algorithm: TokenAlgorithm, pem: &str) -> Result<Self, InvalidPublicKey> {
        let (key, bytes) = match algorithm {
            TokenAlgorithm::Hs256 => return Err(InvalidPublicKey),
            TokenAlgorithm::EdDsa => (DecodingKey::from_ed_pem(pem.as_bytes()), 32),
            TokenAlgorithm::Es256 => (DecodingKey::from_ec_pem(pem.as_bytes()), 65),
        };
        let key = key.map_err(|_| InvalidPublicKey)?;
        let key = key.try_get_as_bytes().map_err(|_| InvalidPublicKey)?;
        // A key of another curve has another length.
        if key.len() == bytes { Ok(Self::Public(key.to_vec())) } else { Err(InvalidPublicKey) }
    }

    /// Returns true if a secret is long enough for HS256 (RFC 7518 §3.2).
    pub(crate) fn is_long_enough(&self) -> bool {
        match self {
            Self::Secret(secret) => secret.bytes() >= TOKEN_SECRET_BYTES_MIN,
            Self::Public(_) => true,
        }
    }

    /// Returns the key in the form of the library. `None` if there is none, as for an empty secret.
    pub(super) fn decoding(&self, algorithm: TokenAlgorithm) -> Option<DecodingKey> {
        match (self, algorithm) {
            (Self::Secret(secret), TokenAlgorithm::Hs256) => {
                DecodingKey::from_secret(secret.expose().as_bytes()).ok()
            }
            (Self::Public(key), TokenAlgorithm::EdDsa) => Some(DecodingKey::from_ed_der(key)),
            (Self::Public(key), TokenAlgorithm::Es256) => Some(DecodingKey::from_ec_der(key)),
            _ => None,
        }
    }
}
