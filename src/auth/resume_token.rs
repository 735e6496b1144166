//! Resume tokens of `tagcast.v1`. They say which client a connection had, so that the next one can be the same client.
//!
//! A token is a secret, unlike a UUID, which backends and other pages get. It does not replace credentials.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::types::limits::{RESUME_TOKEN_AGE, RESUME_TOKEN_BYTES_MAX};
use crate::types::{ClientUuid, InstanceDigest, ResumeGeneration, Tenant};

/// First byte of a token: the version of its form.
const VERSION: u8 = 1;
/// Bytes before the signature: version, UUID, scope, generation, time.
const SIGNED_BYTES: usize = 1 + 16 + 16 + 4 + 8;
/// Bytes of a token.
const TOKEN_BYTES: usize = SIGNED_BYTES + 32;

const _: () =
    assert!(TOKEN_BYTES.div_ceil(3) * 4 <= RESUME_TOKEN_BYTES_MAX, "it is shown in Base64");

/// Key of resume tokens, derived from that of the UUIDs.
#[derive(Clone)]
pub struct ResumeKey(Hmac<Sha256>);

/// Digest of an application and a tenant. A token is valid only for a client that is admitted by the same application
/// to the same tenant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ResumeScope([u8; 16]);

/// Contents of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumeClaims {
    /// The client.
    pub uuid: ClientUuid,
    /// Its application and tenant.
    pub scope: ResumeScope,
    /// The connection whose `welcome` had the token.
    pub generation: ResumeGeneration,
    /// Time of issue, since 1970. The token has milliseconds.
    pub issued: Duration,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeFault {
    /// It is forged, damaged, or of another server.
    Invalid,
    /// It is too old.
    Expired,
    /// It is of another application or tenant.
    Mismatch,
}

impl ResumeFault {
    /// Returns the `reason` in `welcome`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Expired => "expired_token",
            Self::Mismatch => "mismatch",
        }
    }
}

impl fmt::Debug for ResumeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumeKey").finish_non_exhaustive()
    }
}

impl fmt::Debug for ResumeScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeScope(…)")
    }
}

impl ResumeKey {
    /// Derives the key from that of the UUIDs, which all workers share. A UUID's signature says nothing about it.
    #[must_use]
    pub fn new(uuid_key: &[u8; 32]) -> Self {
        let derived = keyed(uuid_key).chain_update(b"tagcast resume token").finalize();
        let derived: Zeroizing<[u8; 32]> = Zeroizing::new(derived.into_bytes().into());
        Self(keyed(derived.as_slice()))
    }

    /// Returns the scope of a client that this application has admitted to this tenant. `None`: it needed none.
    #[must_use]
    pub fn scope(&self, tenant: &Tenant, application: Option<&str>) -> ResumeScope {
        let lengths = [Some(tenant.0.len()), application.map(str::len)];
        let mut mac = self.0.clone().chain_update(b"scope");
        for length in lengths {
            mac.update(&length.map_or(u64::MAX, |it| it as u64).to_le_bytes());
        }
        mac.update(tenant.0.as_bytes());
        mac.update(application.unwrap_or_default().as_bytes());
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        ResumeScope(digest.first_chunk().copied().unwrap_or_default())
    }

    /// Returns the digest of the name of an instance.
    #[must_use]
    pub fn instance(&self, name: &str) -> InstanceDigest {
        let mac = self.0.clone().chain_update(b"instance").chain_update(name.as_bytes());
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        InstanceDigest(u64::from_le_bytes(digest.first_chunk().copied().unwrap_or_default()))
    }

    /// Returns a token.
    #[must_use]
    pub fn issue(&self, claims: &ResumeClaims) -> String {
        let ResumeClaims { uuid, scope, generation, issued } = claims;
        let mut token = Vec::with_capacity(TOKEN_BYTES);
        token.push(VERSION);
        token.extend_from_slice(&uuid.0);
        token.extend_from_slice(&scope.0);
        token.extend_from_slice(&generation.0.to_be_bytes());
        let issued = u64::try_from(issued.as_millis()).unwrap_or(u64::MAX);
        token.extend_from_slice(&issued.to_be_bytes());
        let signature = self.0.clone().chain_update(b"token").chain_update(&token).finalize();
        token.extend_from_slice(&signature.into_bytes());
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Reads a token that a client of this scope shows. `now` is the time since 1970.
    ///
    /// # Errors
    ///
    /// Why it is not accepted.
    pub fn read(
        &self,
        text: &str,
        scope: ResumeScope,
        now: Duration,
    ) -> Result<ResumeClaims, ResumeFault> {
        let claims = self.claims(text).ok_or(ResumeFault::Invalid)?;
        if claims.scope != scope {
            return Err(ResumeFault::Mismatch);
        }
        // A clock that was set back does not make a token invalid.
        if now.saturating_sub(claims.issued) > RESUME_TOKEN_AGE {
            return Err(ResumeFault::Expired);
        }
        Ok(claims)
    }

    /// Returns the contents of a token that this key has signed.
    fn claims(&self, text: &str) -> Option<ResumeClaims> {
        if text.len() > RESUME_TOKEN_BYTES_MAX {
            return None;
        }
        let bytes: [u8; TOKEN_BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (signed, signature) = bytes.split_first_chunk::<SIGNED_BYTES>()?;
        let mac = self.0.clone().chain_update(b"token").chain_update(signed);
        mac.verify_slice(signature).ok()?;
        let (version, rest) = signed.split_first()?;
        let (uuid, rest) = rest.split_first_chunk()?;
        let (scope, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let issued = Duration::from_millis(u64::from_be_bytes(*rest.first_chunk()?));
        (*version == VERSION).then_some(ResumeClaims {
            uuid: ClientUuid(*uuid),
            scope: ResumeScope(*scope),
            generation: ResumeGeneration(u32::from_be_bytes(*generation)),
            issued,
        })
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_millis(1_795_890_000_123);

    fn key(byte: u8) -> ResumeKey {
        ResumeKey::new(&[byte; 32])
    }

    fn shop(key: &ResumeKey) -> ResumeScope {
        key.scope(&Tenant::shared(), Some("shop"))
    }

    fn claims(key: &ResumeKey) -> ResumeClaims {
        let (uuid, generation) = (ClientUuid([7; 16]), ResumeGeneration(3));
        ResumeClaims { uuid, scope: shop(key), generation, issued: NOW }
    }

    #[test]
    fn an_issued_token_is_read_with_the_same_key_only() {
        let (one, other) = (key(1), key(2));
        let token = one.issue(&claims(&one));
        assert!(token.len() <= RESUME_TOKEN_BYTES_MAX, "{}", token.len());
        assert_eq!(one.read(&token, shop(&one), NOW), Ok(claims(&one)));
        assert_eq!(other.read(&token, shop(&other), NOW), Err(ResumeFault::Invalid));
    }

    #[test]
    fn a_changed_character_makes_a_token_invalid() {
        let key = key(1);
        let token = key.issue(&claims(&key));
        for at in 0..token.len() {
            let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
            let mut changed = token.clone();
            changed.replace_range(at..=at, other);
            assert_eq!(key.read(&changed, shop(&key), NOW), Err(ResumeFault::Invalid), "{at}");
        }
        let longer = format!("{token}A");
        for wrong in ["", &token[1..], &longer, &"A".repeat(10_240)] {
            assert_eq!(key.read(wrong, shop(&key), NOW), Err(ResumeFault::Invalid), "{wrong}");
        }
    }

    #[test]
    fn a_token_is_valid_for_its_application_and_tenant() {
        let key = key(1);
        let token = key.issue(&claims(&key));
        let other = Tenant("other".into());
        for scope in [
            key.scope(&other, Some("shop")),
            key.scope(&Tenant::shared(), Some("blog")),
            key.scope(&Tenant::shared(), None),
        ] {
            assert_eq!(key.read(&token, scope, NOW), Err(ResumeFault::Mismatch));
        }
        assert_ne!(
            key.scope(&Tenant("a".into()), Some("b")),
            key.scope(&Tenant("ab".into()), None)
        );
    }

    #[test]
    fn a_token_is_valid_for_a_day() {
        let key = key(1);
        let token = key.issue(&claims(&key));
        let read = |now| key.read(&token, shop(&key), now).map(|claims| claims.issued);
        assert_eq!(read(NOW + RESUME_TOKEN_AGE), Ok(NOW));
        let late = NOW + RESUME_TOKEN_AGE + Duration::from_millis(1);
        assert_eq!(read(late), Err(ResumeFault::Expired));
        assert_eq!(read(NOW / 2), Ok(NOW), "the clock was set back");
    }

    #[test]
    fn nothing_about_a_token_is_printed() {
        let key = key(1);
        let all = format!("{key:?} {:?} {:?}", claims(&key), key.instance("9f86d081884c7d65"));
        assert!(!all.contains("9f86d081") && all.contains("ResumeScope(…)"), "{all}");
    }
}
