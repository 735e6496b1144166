//! Verification of tokens with the keys of one application.

use jsonwebtoken::{DecodingKey, crypto};

use super::claims::TokenClaims;
use super::compact::CompactToken;
use super::error::{TokenError, TokenFault};
use super::key::{TokenAlgorithm, TokenKey, TokenSettings};
use crate::types::limits::{TOKEN_KEYS_MAX, TOKEN_LEEWAY, TOKEN_SIGNATURES_MAX};

/// What an application accepts, with its keys in the form of the library.
#[derive(Debug)]
pub(crate) struct TokenVerifier {
    keys: Vec<PreparedKey>,
    /// The settings, without keys.
    settings: TokenSettings,
}

#[derive(Debug)]
struct PreparedKey {
    id: Box<str>,
    algorithm: TokenAlgorithm,
    /// `None` if the library refuses it. No signature is right then.
    key: Option<DecodingKey>,
}

/// Signatures that may still be computed for one token.
#[derive(Debug)]
pub(crate) struct SignatureBudget(usize);

impl Default for SignatureBudget {
    fn default() -> Self {
        Self(TOKEN_SIGNATURES_MAX)
    }
}

impl SignatureBudget {
    #[cfg(test)]
    pub(super) fn is_spent(&self) -> bool {
        self.0 == 0
    }

    fn take(&mut self) -> bool {
        let is_left = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        is_left
    }
}

impl TokenVerifier {
    pub(crate) fn new(settings: &TokenSettings) -> Self {
        let prepared = |one: &TokenKey| PreparedKey {
            id: one.id.as_str().into(),
            algorithm: one.algorithm,
            key: one.material.decoding(one.algorithm),
        };
        Self {
            keys: settings.keys.iter().take(TOKEN_KEYS_MAX).map(prepared).collect(),
            settings: TokenSettings { keys: Vec::new(), ..settings.clone() },
        }
    }

    /// Checks the signature, and returns the index of the key that made it.
    pub(crate) fn check_signature(
        &self,
        token: &CompactToken<'_>,
        budget: &mut SignatureBudget,
    ) -> Result<usize, TokenError> {
        let candidates = self.candidates(token)?;
        for (at, key) in candidates {
            // A forged token with many audiences ends here, after a bounded time.
            if budget.take() && key.signed(token) {
                return Ok(at);
            }
        }
        Err(TokenError::new(TokenFault::Signature, "no key of the application made its signature"))
    }

    /// Returns the keys that may have signed a token. `kid` chooses the key, and the header must have its
    /// algorithm.
    fn candidates(
        &self,
        token: &CompactToken<'_>,
    ) -> Result<Vec<(usize, &PreparedKey)>, TokenError> {
        let algorithm = token.header.algorithm;
        let keys = self.keys.iter().enumerate();
        let Some(id) = &token.header.key else {
            let of_algorithm: Vec<_> = keys.filter(|(_, key)| key.algorithm == algorithm).collect();
            if of_algorithm.is_empty() {
                let why = format!("the application has no key for {}", algorithm.word());
                return Err(TokenError::new(TokenFault::Algorithm, why));
            }
            return Ok(of_algorithm);
        };
        let Some((at, key)) = keys.into_iter().find(|(_, key)| key.id == *id) else {
            let why = "its `kid` is the id of no key of the application";
            return Err(TokenError::new(TokenFault::UnknownKey, why));
        };
        if key.algorithm != algorithm {
            let (id, right) = (&key.id, key.algorithm.word());
            let why = format!(
                "the key `{id}` signs with {right}, and its header says {}",
                algorithm.word()
            );
            return Err(TokenError::new(TokenFault::Algorithm, why));
        }
        Ok(vec![(at, key)])
    }

    /// Reads the claims of a token whose signature is right, and judges them at this time, in Unix seconds.
    pub(crate) fn judge(
        &self,
        token: &CompactToken<'_>,
        now: u64,
    ) -> Result<TokenClaims, TokenError> {
        let claims = TokenClaims::read(&token.claims)?;
        let leeway = TOKEN_LEEWAY.as_secs();
        let max_age = self.settings.max_age.as_secs();
        if now >= claims.expires.saturating_add(leeway) {
            let why = format!("it expired at {}", claims.expires);
            return Err(TokenError::new(TokenFault::Expired, why));
        }
        for (name, time) in [("nbf", claims.not_before), ("iat", claims.issued)] {
            if time.is_some_and(|time| time > now.saturating_add(leeway)) {
                let why = format!("its `{name}` is in the future");
                return Err(TokenError::new(TokenFault::NotYetValid, why));
            }
        }
        if claims.expires > now.saturating_add(max_age).saturating_add(leeway) {
            let why = format!("its `exp` is more than {max_age} seconds (tokenMaxAge) away");
            return Err(TokenError::new(TokenFault::TooLong, why));
        }
        let issuer = self.settings.issuer.as_deref();
        if issuer.is_some() && claims.issuer.as_deref() != issuer {
            return Err(TokenError::new(
                TokenFault::Issuer,
                "its `iss` is not `issuer` of the application",
            ));
        }
        Ok(claims)
    }

    /// Returns the name of the cookie that may carry a token.
    pub(crate) fn cookie(&self) -> Option<&str> {
        self.settings.cookie.as_deref()
    }

    /// Returns true if tokens of the application may name this tenant, besides its own.
    pub(crate) fn may_name(&self, tenant: &str) -> bool {
        self.settings.may_name(tenant)
    }

    /// Returns the index of the key that is the same as a key of former rules: id, algorithm and key.
    pub(crate) fn place_of_same(&self, former: &Self, at: usize) -> Option<usize> {
        let former = former.keys.get(at)?;
        self.keys.iter().position(|key| key.is_same(former))
    }

    /// Returns the id of a key.
    pub(crate) fn key_id(&self, at: usize) -> &str {
        self.keys.get(at).map_or("", |key| &key.id)
    }
}

impl PreparedKey {
    fn is_same(&self, other: &Self) -> bool {
        let (Some(own), Some(others)) = (&self.key, &other.key) else { return false };
        let is_same_key = match (own.try_get_as_bytes(), others.try_get_as_bytes()) {
            (Ok(own), Ok(others)) => own == others,
            _ => false,
        };
        self.id == other.id && self.algorithm == other.algorithm && is_same_key
    }

    fn signed(&self, token: &CompactToken<'_>) -> bool {
        let Some(key) = &self.key else { return false };
        let algorithm = self.algorithm.of_library();
        crypto::verify(token.signature, token.signed.as_bytes(), key, algorithm).unwrap_or(false)
    }
}
