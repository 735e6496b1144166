//! Signing of tokens, for the command line.

use std::fmt;

use jsonwebtoken::{EncodingKey, crypto};

use super::compact::encoded;
use super::key::TokenAlgorithm;
use crate::types::Secret;

/// The reason why nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSigningKey;

impl fmt::Display for InvalidSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the key is not a private key of this algorithm in PEM (PKCS#8, BEGIN PRIVATE KEY)",
        )
    }
}

impl std::error::Error for InvalidSigningKey {}

/// Signs claims, a JSON object, and returns the token. The key is a secret, or a private key in PEM.
///
/// # Errors
///
/// If the key is not one of the algorithm.
pub fn sign_token(
    claims: &str,
    algorithm: TokenAlgorithm,
    key: &Secret,
    id: &str,
) -> Result<String, InvalidSigningKey> {
    let bytes = key.expose().as_bytes();
    let key = match algorithm {
        TokenAlgorithm::Hs256 => EncodingKey::from_secret(bytes),
        TokenAlgorithm::EdDsa => EncodingKey::from_ed_pem(bytes),
        TokenAlgorithm::Es256 => EncodingKey::from_ec_pem(bytes),
    };
    let key = key.map_err(|_| InvalidSigningKey)?;
    let header = serde_json::json!({"alg": algorithm.word(), "typ": "JWT", "kid": id});
    let signed = format!("{}.{}", encoded(&header.to_string()), encoded(claims));
    let signature = crypto::sign(signed.as_bytes(), &key, algorithm.of_library());
    signature.map(|signature| format!("{signed}.{signature}")).map_err(|_| InvalidSigningKey)
}
