//! Verification of tokens: which application a token is for, what it says, and what it grants.

use std::sync::Arc;

use super::known_applications::{ApplicationRules, KnownKey};
use super::{AccessRules, Grant, Permissions, Right};
use crate::auth::auth_basis::AuthBasis;
use crate::auth::token::{
    CompactToken, SignatureBudget, TokenClaims, TokenError, TokenFault, TokenVerifier,
};
use crate::types::{Tenant, TokenIdentity, TokenRevocation};

/// Expired revocations that are removed when some are added, besides as many as are added.
const FORGOTTEN_MAX: usize = 64;

/// A token and the circumstances under which it is shown.
#[derive(Clone, Copy, Debug)]
pub struct ShownToken<'a> {
    /// The token as it was shown.
    pub token: &'a str,
    /// Key of the application that the client named too. A token for another one is refused.
    pub key: Option<&'a str>,
    /// Unix seconds.
    pub now: u64,
}

/// Token whose signature and claims are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    /// Key of the application that it is for.
    pub application: Box<str>,
    /// Id of the key that signed it.
    pub key: Box<str>,
    /// What it says.
    pub claims: TokenClaims,
}

/// A token that an application accepts.
pub(super) struct AcceptedToken<'k> {
    /// Index of the application.
    place: u32,
    entry: &'k ApplicationRules,
    tokens: &'k TokenVerifier,
    /// Index of the key that signed it.
    key: usize,
    claims: TokenClaims,
}

impl Permissions {
    /// Returns true if any application accepts tokens. Otherwise requests are not searched for one.
    #[must_use]
    pub fn takes_tokens(&self) -> bool {
        matches!(&self.rules, AccessRules::Applications(known) if known.takes_tokens)
    }

    /// Returns the names of cookies that may carry a token.
    #[must_use]
    pub fn token_cookies(&self) -> &[Box<str>] {
        match &self.rules {
            AccessRules::Applications(known) => &known.token_cookies,
            AccessRules::Everything => &[],
        }
    }

    /// Returns true if a cookie may carry a token of this application.
    #[must_use]
    pub fn takes_cookie(&self, application: &str, cookie: &str) -> bool {
        let AccessRules::Applications(known) = &self.rules else { return false };
        let entry = known.place_of(application).and_then(|at| known.entries.get(at as usize));
        let tokens = entry.and_then(|entry| entry.tokens.as_deref());
        tokens.and_then(TokenVerifier::cookie) == Some(cookie)
    }

    /// Returns true if a client has only the tags of its token. The rule follows the space and not the
    /// application, so that no other application lets clients with claimed tags into it. A client that has
    /// shown a secret may claim tags, because it may publish to all of them anyway.
    #[must_use]
    pub fn has_tags_by_token(&self, tenant: &Tenant, basis: AuthBasis) -> bool {
        let AccessRules::Applications(known) = &self.rules else { return false };
        !basis.is_proven() && known.tags_by_token.contains(tenant)
    }

    /// Verifies a token.
    ///
    /// # Errors
    ///
    /// If no application accepts it.
    pub fn verify_token(&self, shown: ShownToken<'_>) -> Result<VerifiedToken, TokenError> {
        self.accepted(shown).map(AcceptedToken::verified)
    }

    /// Decides whether a client may open a connection with a token.
    ///
    /// # Errors
    ///
    /// If no application accepts it.
    pub fn open_with_token(
        &self,
        shown: ShownToken<'_>,
    ) -> Result<(Grant, VerifiedToken), TokenError> {
        let accepted = self.accepted(shown)?;
        accepted.claims.check_opening()?;
        Ok(self.granted(accepted))
    }

    pub(super) fn granted(&self, accepted: AcceptedToken<'_>) -> (Grant, VerifiedToken) {
        let key = u32::try_from(accepted.key).unwrap_or_default();
        let basis = AuthBasis::of_token(accepted.place, key);
        let grant = granted(accepted.entry, basis, &accepted.claims).in_edition(self.edition);
        (grant, accepted.verified())
    }

    pub(super) fn accepted(&self, shown: ShownToken<'_>) -> Result<AcceptedToken<'_>, TokenError> {
        let token = CompactToken::split(shown.token)?;
        let audiences = token.audiences()?;
        let mut budget = SignatureBudget::default();
        let mut refused = None;
        for (place, entry) in self.audience_of(&audiences, shown.key)? {
            let Some(tokens) = entry.tokens.as_deref() else {
                refused.get_or_insert_with(disabled);
                continue;
            };
            match tokens.check_signature(&token, &mut budget) {
                Ok(key) => {
                    let claims = tokens.judge(&token, shown.now)?;
                    check_tenant(entry, tokens, &claims)?;
                    if self.has_revoked(&entry.key, &claims) {
                        return Err(TokenError::new(TokenFault::Revoked, "it was revoked"));
                    }
                    return Ok(AcceptedToken { place, entry, tokens, key, claims });
                }
                Err(error) => _ = refused.get_or_insert(error),
            }
        }
        Err(refused.unwrap_or_else(disabled))
    }

    /// Adds revocations, and removes some that have expired at this time, in Unix seconds. They also apply to
    /// the rules that replace these.
    pub fn revoke(&mut self, entries: &[TokenRevocation], now: u64) {
        let list = Arc::make_mut(self.revoked.get_or_insert_default());
        list.forget_expired(now, FORGOTTEN_MAX + entries.len());
        entries.iter().for_each(|entry| list.add(entry));
    }

    /// Returns true if a token was revoked.
    #[must_use]
    pub fn is_revoked(&self, token: &VerifiedToken) -> bool {
        self.has_revoked(&token.application, &token.claims)
    }

    fn has_revoked(&self, application: &str, claims: &TokenClaims) -> bool {
        let Some(revoked) = &self.revoked else { return false };
        revoked.has(TokenIdentity {
            application,
            id: claims.id.as_deref(),
            subject: claims.subject.as_deref(),
            issued: claims.issued,
        })
    }

    /// Returns the rules without revocations, for a thread that verifies no tokens.
    #[must_use]
    pub fn without_revocations(&self) -> Self {
        Self { revoked: None, ..self.clone() }
    }

    /// Returns the applications that a token says it is for, with their indexes. If the client named one,
    /// it must be among them, and is the only one.
    fn audience_of(
        &self,
        audiences: &[Box<str>],
        key: Option<&str>,
    ) -> Result<Vec<(u32, &ApplicationRules)>, TokenError> {
        let AccessRules::Applications(known) = &self.rules else { return Err(disabled()) };
        let audiences = audiences.iter().map(|audience| &**audience);
        let named = audiences.filter(|audience| key.is_none_or(|key| *audience == key));
        let places = named.filter_map(|audience| known.by_key.get(audience).copied());
        let entries = places.filter_map(|place| Some((place, known.entries.get(place as usize)?)));
        let entries: Vec<_> = entries.collect();
        if entries.is_empty() {
            let why = "its `aud` does not name the application";
            return Err(TokenError::new(TokenFault::Audience, why));
        }
        Ok(entries)
    }
}

impl AcceptedToken<'_> {
    fn verified(self) -> VerifiedToken {
        let Self { entry, tokens, key, claims, .. } = self;
        VerifiedToken { application: entry.key.clone(), key: tokens.key_id(key).into(), claims }
    }
}

impl KnownKey {
    /// Returns the grant of a token that an application of the former rules accepted, if the application
    /// still has the key that signed it and still allows its tenant.
    pub(super) fn renew_token(
        &self,
        former: &ApplicationRules,
        basis: AuthBasis,
        claims: Option<&TokenClaims>,
    ) -> Option<Grant> {
        let place = *self.by_key.get(&former.key)?;
        let entry = self.entries.get(place as usize)?;
        let key =
            entry.tokens.as_deref()?.place_of_same(former.tokens.as_deref()?, basis.secret())?;
        let basis = AuthBasis::of_token(place, u32::try_from(key).ok()?);
        let claims = claims?;
        check_tenant(entry, entry.tokens.as_deref()?, claims).ok()?;
        Some(granted(entry, basis, claims))
    }
}

fn granted(entry: &ApplicationRules, basis: AuthBasis, claims: &TokenClaims) -> Grant {
    let right = match claims.capabilities.publish {
        Some(true) => Right::Publish,
        Some(false) => Right::Listen,
        None => entry.clients,
    };
    let other = claims.tenant.as_deref().filter(|name| **name != *entry.tenant.0);
    let tenant = other.map_or_else(|| entry.tenant.clone(), |name| Tenant(name.into()));
    Grant { tenant, right, basis }
}

fn disabled() -> TokenError {
    TokenError::new(
        TokenFault::Disabled,
        "the application accepts no tokens (`tokens` in auth.yml)",
    )
}

fn check_tenant(
    entry: &ApplicationRules,
    tokens: &TokenVerifier,
    claims: &TokenClaims,
) -> Result<(), TokenError> {
    let is_allowed = |tenant: &str| *entry.tenant.0 == *tenant || tokens.may_name(tenant);
    if claims.tenant.as_deref().is_some_and(|tenant| !is_allowed(tenant)) {
        let why = "its `tenant` is neither that of the application nor in `tokenTenants`";
        return Err(TokenError::new(TokenFault::Tenant, why));
    }
    Ok(())
}
