//! Replacement of the token of an open connection.

use super::{Grant, Permissions, ShownToken, VerifiedToken};
use crate::auth::auth_basis::{AuthBasis, ShownCredentials};
use crate::auth::token::{TokenError, TokenFault};
use crate::types::Tenant;

/// An open connection that gets a token.
#[derive(Clone, Copy, Debug)]
pub struct RefreshedConnection<'a> {
    /// Its tenant.
    pub tenant: &'a Tenant,
    /// Credentials that it was admitted with.
    pub basis: AuthBasis,
    /// Its present token.
    pub token: Option<&'a VerifiedToken>,
    /// Its UUID, as clients see it.
    pub uuid: &'a str,
    /// Its ident.
    pub ident: Option<&'a str>,
}

impl Permissions {
    /// Returns true if a connection may get a token. Where its application has no keys, a token means nothing.
    #[must_use]
    pub fn takes_token_of(&self, basis: AuthBasis) -> bool {
        self.takes_tokens()
            && match self.holder(basis) {
                Some((entry, shown)) if shown != ShownCredentials::NoKey => entry.tokens.is_some(),
                _ => true,
            }
    }

    /// Verifies the token that a connection gets, and decides what it grants. It must be for the same
    /// application, tenant and user, because the connection is counted and addressed by them.
    ///
    /// # Errors
    ///
    /// Why the connection may not have it. Nothing changes then.
    pub fn refresh(
        &self,
        connection: RefreshedConnection<'_>,
        token: &str,
        now: u64,
    ) -> Result<(Grant, VerifiedToken), TokenError> {
        let RefreshedConnection { tenant, basis, token: present, .. } = connection;
        let claims = present.map(|token| &token.claims);
        // A connection of former rules must not escape their review.
        if self.renew(tenant, basis, claims).is_err() {
            let why = "the application of the connection was removed or changed";
            return Err(TokenError::new(TokenFault::Audience, why));
        }
        let key = self.application_of(basis);
        let accepted = self.accepted(ShownToken { token, key, now })?;
        let (grant, verified) = self.granted(accepted);
        check_connection(connection, &grant, &verified)?;
        // The broker has counted the connection when it joined.
        if self.limited_application(grant.basis) != self.limited_application(basis) {
            let why =
                "the connection does not count as one of the application, whose number is limited";
            return Err(TokenError::new(TokenFault::Audience, why));
        }
        Ok((grant, verified))
    }
}

fn check_connection(
    connection: RefreshedConnection<'_>,
    grant: &Grant,
    VerifiedToken { claims, .. }: &VerifiedToken,
) -> Result<(), TokenError> {
    if grant.tenant != *connection.tenant {
        let why = "it is for another tenant than that of the connection";
        return Err(TokenError::new(TokenFault::Tenant, why));
    }
    if connection.token.is_some_and(|token| token.claims.subject != claims.subject) {
        return Err(TokenError::claim("sub", "that of the token of the connection"));
    }
    let is_own =
        |claim: &Option<Box<str>>, own: Option<&str>| claim.is_none() || claim.as_deref() == own;
    if !is_own(&claims.uuid, Some(connection.uuid)) {
        return Err(TokenError::claim("uuid", "that of the connection"));
    }
    if !is_own(&claims.ident, connection.ident) {
        return Err(TokenError::claim("ident", "that of the connection, or left out"));
    }
    // The broker has the connection in its index as one that publications reach, or not.
    if connection.token.is_none_or(|token| token.claims.receives()) != claims.receives() {
        return Err(TokenError::claim("caps.receive", "as it was when the connection opened"));
    }
    Ok(())
}
