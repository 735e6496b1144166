//! Ids of clients for watchers of presence. They are no addresses, unlike UUIDs.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::types::ClientUuid;

/// Bytes of an id: 12 characters in Base64. Two of a million clients have the same id with a probability of 10^-10.
const ID_BYTES: usize = 9;

/// Key of the ids, derived from that of the UUIDs. Hosts that share the key of the UUIDs give a client the same id.
#[derive(Clone)]
pub struct MemberKey(Hmac<Sha256>);

impl fmt::Debug for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberKey").finish_non_exhaustive()
    }
}

impl MemberKey {
    /// Derives the key from that of the UUIDs, which all workers share.
    #[must_use]
    pub fn new(uuid_key: &[u8; 32]) -> Self {
        let derived = keyed(uuid_key).chain_update(b"tagcast presence member").finalize();
        let derived: Zeroizing<[u8; 32]> = Zeroizing::new(derived.into_bytes().into());
        Self(keyed(derived.as_slice()))
    }

    /// Returns the id of a client. It is the same as long as the client lives.
    #[must_use]
    pub fn id(&self, client: ClientUuid) -> String {
        let digest: [u8; 32] = self.0.clone().chain_update(client.0).finalize().into_bytes().into();
        URL_SAFE_NO_PAD.encode(digest.first_chunk::<ID_BYTES>().unwrap_or(&[0; ID_BYTES]))
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_depends_on_the_client_and_the_key() {
        let (one, other) = (MemberKey::new(&[1; 32]), MemberKey::new(&[2; 32]));
        let (first, second) = (ClientUuid([1; 16]), ClientUuid([2; 16]));
        assert_eq!(one.id(first), MemberKey::new(&[1; 32]).id(first));
        assert_eq!(one.id(first).len(), 12);
        assert_ne!(one.id(first), one.id(second));
        assert_ne!(one.id(first), other.id(first));
    }
}
