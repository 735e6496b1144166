//! Verification of tokens: which application a token is for, and what it says.

use super::known_applications::ApplicationRules;
use super::{AccessRules, Permissions};
use crate::auth::token::{
    CompactToken, SignatureBudget, TokenClaims, TokenError, TokenFault, TokenVerifier,
};

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

impl Permissions {
    /// Verifies a token.
    ///
    /// # Errors
    ///
    /// If no application accepts it.
    pub fn verify_token(&self, shown: ShownToken<'_>) -> Result<VerifiedToken, TokenError> {
        let token = CompactToken::split(shown.token)?;
        let audiences = token.audiences()?;
        let mut budget = SignatureBudget::default();
        let mut refused = None;
        for entry in self.audience_of(&audiences, shown.key)? {
            let Some(tokens) = &entry.tokens else {
                refused.get_or_insert_with(disabled);
                continue;
            };
            match tokens.check_signature(&token, &mut budget) {
                Ok(key) => {
                    let claims = tokens.judge(&token, shown.now)?;
                    check_tenant(entry, tokens, &claims)?;
                    let (application, key) = (entry.key.clone(), tokens.key_id(key).into());
                    return Ok(VerifiedToken { application, key, claims });
                }
                Err(error) => _ = refused.get_or_insert(error),
            }
        }
        Err(refused.unwrap_or_else(disabled))
    }

    /// Returns the applications that a token says it is for. If the client named one, it must be among
    /// them, and is the only one.
    fn audience_of(
        &self,
        audiences: &[Box<str>],
        key: Option<&str>,
    ) -> Result<Vec<&ApplicationRules>, TokenError> {
        let AccessRules::Applications(known) = &self.rules else { return Err(disabled()) };
        let audiences = audiences.iter().map(|audience| &**audience);
        let named = audiences.filter(|audience| key.is_none_or(|key| *audience == key));
        let places = named.filter_map(|audience| known.by_key.get(audience));
        let entries = places.filter_map(|place| known.entries.get(*place as usize));
        let entries: Vec<_> = entries.collect();
        if entries.is_empty() {
            let why = "its `aud` does not name the application";
            return Err(TokenError::new(TokenFault::Audience, why));
        }
        Ok(entries)
    }
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
