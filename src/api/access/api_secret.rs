//! A secret of an application: the data to compare with requests, and the time of its last use.

use std::cell::Cell;

use hmac::{Hmac, KeyInit};
use sha2::Sha256;

use crate::api::signature::SignedHeaders;
use crate::auth::{ApplicationSecret, SecretDigest};
use crate::types::Secret;

/// The secret of a request.
pub(super) struct ApiSecret {
    pub(super) id: Box<str>,
    pub(super) digest: SecretDigest,
    pub(super) signature_key: SignatureKey,
    /// Unix second at which it expires.
    expires: Option<u64>,
    /// Unix second of the last request that used it.
    pub(super) last_used: Cell<Option<u64>>,
}

impl ApiSecret {
    pub(super) fn new(one: &ApplicationSecret) -> Self {
        Self {
            id: one.id.as_str().into(),
            digest: SecretDigest::of(&one.secret),
            signature_key: SignatureKey::new(one.secret.expose()),
            expires: one.expires,
            last_used: Cell::new(None),
        }
    }

    /// The secret of a server without applications, which no request shows.
    pub(super) fn none() -> Self {
        Self::new(&ApplicationSecret::own(Secret::new(String::new())))
    }

    /// Returns true if it has expired.
    pub(super) fn is_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

/// The key for the signatures with a secret.
pub(super) struct SignatureKey {
    hmac: Hmac<Sha256>,
    /// Returns false for an empty secret, with which anyone could sign.
    is_secret: bool,
}

/// Omits the key.
impl std::fmt::Debug for SignatureKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignatureKey").finish_non_exhaustive()
    }
}

impl SignatureKey {
    pub(super) fn new(secret: &str) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let hmac = Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
        Self { hmac, is_secret: !secret.is_empty() }
    }

    /// Checks that the signature of a request was made with this key. `text` is the signed text.
    pub(super) fn has_signed(&self, signed: &SignedHeaders, text: &str) -> bool {
        signed.is_by(&self.hmac, text) && self.is_secret
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::signature::SignedTarget;
    use hmac::Mac;
    use hyper::HeaderMap;
    use hyper::header::HeaderValue;
    use sha2::Digest;
    use std::fmt::Write;

    #[test]
    fn an_empty_secret_signs_nothing() {
        let target = SignedTarget { method: "POST", path: "/", query: "" };
        let content = Sha256::digest("").iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        let verdict = |secret: &str| {
            let key = SignatureKey::new(secret);
            let mut mac = key.hmac.clone();
            mac.update(format!("TAGCAST1\nPOST\n/\n\n1764345600\n12345678\n{content}").as_bytes());
            let mut signature = "v1=".to_owned();
            for byte in mac.finalize().into_bytes() {
                write!(signature, "{byte:02x}").unwrap();
            }
            let mut headers = HeaderMap::new();
            headers.insert("x-tagcast-timestamp", HeaderValue::from_static("1764345600"));
            headers.insert("x-tagcast-nonce", HeaderValue::from_static("12345678"));
            headers.insert("x-tagcast-signature", HeaderValue::from_str(&signature).unwrap());
            let signed = SignedHeaders::read(&headers).unwrap().unwrap();
            key.has_signed(&signed, &signed.text(target))
        };
        assert!(verdict("s1"));
        assert!(!verdict(""));
    }
}
