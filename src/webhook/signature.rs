//! Signature of events. It proves to a backend that this server sent the event, and when.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Signing key, made from the secret of an application.
#[derive(Clone)]
pub struct Signing(Hmac<Sha256>);

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

impl Signing {
    /// Makes the key from a secret.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let keyed = Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
        Self(keyed)
    }

    /// Returns the HMAC-SHA256 of the timestamp in Unix seconds, a dot and the body, in lower-case
    /// hexadecimal.
    #[must_use]
    pub fn sign(&self, timestamp: u64, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(timestamp.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output of `hash_hmac('sha256', '1700000000.{"event":"tick"}', 'secret')` in PHP.
    #[test]
    fn a_signature_is_what_php_makes_of_it() {
        let signed = Signing::new("secret").sign(1_700_000_000, br#"{"event":"tick"}"#);
        assert_eq!(signed, "9957c9004eaaf817ac9d7a6fa986c653a90535d3c4d73c884a26892ed0abe763");
        assert_ne!(Signing::new("secret").sign(1_700_000_001, br#"{"event":"tick"}"#), signed);
        assert_ne!(Signing::new("Secret").sign(1_700_000_000, br#"{"event":"tick"}"#), signed);
    }
}
