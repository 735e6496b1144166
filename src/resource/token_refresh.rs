//! A new token for an open connection.

use super::{ClientHandle, Effect};
use crate::auth::{Grant, GrantRef, RefreshedConnection, TokenError, TokenFault, VerifiedToken};
use crate::types::{Address, Expression, Ident, is_guarded_topic};

/// Token that a connection gets, and what it grants. The change of its tags is another effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRefresh {
    /// Rights of the connection from now on.
    pub grant: Grant,
    /// The token.
    pub verified: VerifiedToken,
}

/// What a call has changed about the rights of its client.
#[derive(Debug, Default)]
pub(super) struct CallRights {
    /// Rights by a token that the client has shown.
    pub(super) token: Option<RefreshedRights>,
    /// Its next publications are those of the server or of an application, which no token narrows.
    pub(super) is_for_server: bool,
}

/// Rights by a token that a client has shown in the present call.
#[derive(Debug)]
pub(super) struct RefreshedRights {
    pub(super) grant: Grant,
    /// What the recipients of its publications must match.
    pub(super) among: Option<Expression>,
}

impl ClientHandle<'_> {
    /// Returns true if the client may show a token. Otherwise a token in a message means nothing.
    #[must_use]
    pub fn takes_token(&self) -> bool {
        self.rules.access.takes_token_of(self.session.basis)
    }

    /// Gives the connection a token, whatever protocol it was shown in. What the client may do applies from
    /// now on, also to the rest of this call. Its tags change with the effects of the call, and a reply of
    /// the call is sent when they have. Returns the end of the token, in Unix seconds.
    ///
    /// # Errors
    ///
    /// Why the connection may not have the token. Nothing changes then.
    pub fn refresh_token(&mut self, token: &str) -> Result<u64, TokenError> {
        let refreshed = self.verified_refresh(token);
        if let Err(error) = &refreshed {
            self.effects.push(Effect::RefusedToken(Box::new(error.clone())));
        }
        refreshed
    }

    fn verified_refresh(&mut self, token: &str) -> Result<u64, TokenError> {
        // Only the event loop knows which tokens were revoked.
        if self.unix_time == 0 {
            let why = "a token must be in a message of less than 256 KiB";
            return Err(TokenError::new(TokenFault::Malformed, why));
        }
        let former = self.session.token().map(|token| &token.verified);
        let connection = RefreshedConnection {
            tenant: &self.session.tenant,
            basis: self.session.basis,
            token: former,
            uuid: &self.uuid(),
            ident: self.client.ident.as_ref().map(Ident::as_str),
        };
        let (grant, verified) = self.rules.access.refresh(connection, token, self.unix_time)?;
        let too_many = |_| {
            let why = "such that the connection has up to 128 tags in all";
            TokenError::claim("tags", why)
        };
        let former = former.map(|token| &token.claims);
        let allowed = verified.claims.capabilities.topics.as_ref();
        let leave = self.tags().topics().filtered(|topic| {
            is_guarded_topic(topic) && !allowed.is_some_and(|names| names.lists(topic))
        });
        let edit = verified.claims.tags_replacing(former).map_err(too_many)?.leaving(leave);
        self.changed = Some(edit.apply(self.tags()).map_err(too_many)?);
        let expires = verified.claims.expires;
        let among = verified.claims.capabilities.among.clone();
        let rights = RefreshedRights { grant: grant.clone(), among };
        self.refreshed.get_or_insert_default().token = Some(rights);
        self.effects.push(Effect::Refresh(Box::new(TokenRefresh { grant, verified })));
        // The broker may have changed these tags meanwhile, so they are sent even if the client has them.
        if !edit.is_empty() {
            self.effects.push(Effect::RetagByToken(edit));
        }
        Ok(expires)
    }

    /// Returns the rights by which the client publishes without credentials.
    pub(super) fn grant(&self) -> GrantRef<'_> {
        let refreshed = self.refreshed.as_ref().and_then(|call| call.token.as_ref());
        refreshed.map_or_else(|| self.session.grant(), |token| token.grant.by_ref())
    }

    /// Returns the recipients of a publication of the client. Its token may narrow them.
    pub(super) fn narrowed(&self, address: Address) -> Address {
        match self.narrowing() {
            Some(expression) => address.among(expression.clone()),
            None => address,
        }
    }

    fn narrowing(&self) -> Option<&Expression> {
        let call = self.refreshed.as_ref();
        if call.is_some_and(|call| call.is_for_server) {
            return None;
        }
        match call.and_then(|call| call.token.as_ref()) {
            Some(token) => token.among.as_ref(),
            None => self.session.token()?.verified.claims.capabilities.among.as_ref(),
        }
    }
}
