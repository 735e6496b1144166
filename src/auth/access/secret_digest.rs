//! Secrets as digests, compared in constant time.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::types::Secret;

/// SHA-256 of a secret. All digests have the same length, so a comparison takes constant time.
#[derive(Clone, Copy)]
pub(super) struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// Value that is not the digest of any known text.
    pub(super) const NO_SECRET: Self = Self([0; 32]);

    pub(super) fn of(secret: &Secret) -> Self {
        Self(secret.digest())
    }

    pub(super) fn new(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    pub(super) fn is(self, other: Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}
