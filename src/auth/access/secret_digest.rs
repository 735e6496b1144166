//! Secrets as digests, compared in constant time.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::types::Secret;

/// SHA-256 of a secret. All digests have the same length, so a comparison takes constant time.
#[derive(Clone, Copy)]
pub(crate) struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// Value that is not the digest of any known text.
    pub(crate) const NO_SECRET: Self = Self([0; 32]);

    pub(crate) fn of(secret: &Secret) -> Self {
        Self(secret.digest())
    }

    pub(crate) fn new(secret: &str) -> Self {
        Self::of_bytes(secret.as_bytes())
    }

    /// Returns the digest of a secret as it was received.
    pub(crate) fn of_bytes(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    pub(crate) fn is(self, other: Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}
