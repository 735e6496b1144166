//! The credentials of a handshake: key and secret, or a token.
//!
//! A token is in one of several places, because a browser cannot set headers of a handshake. Where no
//! application accepts tokens, none of these places is looked at.

use std::borrow::Cow;
use std::time::Duration;

use smallvec::SmallVec;

use super::admission::credentials;
use super::session_cookie::pair;
use crate::auth::{
    Denied, Grant, Permissions, ShownToken, TokenClaims, TokenError, TokenFault, VerifiedToken,
};
use crate::http::{
    Refusal, RefusalStatus, TokenRefusal, Upgrade, has_members, has_parameter, parameter,
};
use crate::resource::{RequestedProtocol, RouteRequest};
use crate::session::SessionToken;
use crate::types::limits::{TOKEN_LEEWAY, TOKEN_NOTICE, TOKEN_NOTICE_PART};
use crate::types::{Credentials, TagRef};
use crate::worker::clock::{Moment, unix_time};

/// Parameter of the query.
const PARAMETER: &str = "token";
/// Prefix of a subprotocol that carries a token.
const TOKEN_PROTOCOL: &str = "tagcast-token.";
/// Subprotocol that a page offers next to its token, because browsers fail a handshake in which the server
/// chose none.
const FILLER: &str = "tagcast";
const BEARER: &[u8] = b"bearer ";

/// What a client is admitted with.
#[derive(Debug)]
pub(in crate::worker) struct AdmittedCredentials {
    pub(in crate::worker) grant: Grant,
    pub(in crate::worker) token: Option<Box<VerifiedToken>>,
    /// The token was in the query, which other programs may log.
    pub(in crate::worker) is_in_query: bool,
}

impl AdmittedCredentials {
    /// Returns true if the token has this tag.
    pub(in crate::worker) fn has_tag(&self, tag: TagRef<'_>) -> bool {
        self.claims().is_some_and(|claims| claims.tags.value_of(tag.name()) == Some(tag.value()))
    }

    /// Returns what the token says.
    pub(in crate::worker) fn claims(&self) -> Option<&TokenClaims> {
        self.token.as_ref().map(|token| &token.claims)
    }
}

/// Subprotocols that a client offers, without its token.
#[derive(Debug)]
pub(in crate::worker) struct OfferedProtocols<'a> {
    /// Names that may choose a resource.
    pub(in crate::worker) names: SmallVec<[&'a str; 4]>,
    /// The header as it came. `None` if there are no names, or if it has a token, which is never sent back.
    pub(in crate::worker) as_it_came: Option<&'a str>,
    /// Name that is chosen if no resource has one.
    pub(in crate::worker) filler: Option<&'a str>,
    token: Option<&'a str>,
    has_two_tokens: bool,
}

impl<'a> OfferedProtocols<'a> {
    pub(in crate::worker) fn of(upgrade: &Upgrade<'a>, access: &Permissions) -> Self {
        let mut names: SmallVec<[&str; 4]> = upgrade.protocols().collect();
        let (mut token, mut filler, mut has_two_tokens) = (None, None, false);
        let before = names.len();
        if access.takes_tokens() {
            names.retain(|name| {
                if let Some(found) = name.strip_prefix(TOKEN_PROTOCOL) {
                    has_two_tokens |= token.is_some_and(|known| known != found);
                    token = Some(found);
                } else if *name == FILLER {
                    filler = Some(*name);
                } else {
                    return true;
                }
                false
            });
        }
        let is_whole = !names.is_empty() && names.len() == before;
        let as_it_came = is_whole.then(|| upgrade.offered_as_it_came()).flatten();
        Self { names, as_it_came, filler, token, has_two_tokens }
    }

    /// Returns what decides which resource serves the request.
    pub(in crate::worker) fn route_request<'o>(
        &'o self,
        path: &'o str,
        query: &'o str,
        asked: RequestedProtocol,
    ) -> RouteRequest<'o, 'a> {
        let (protocols, offered) = (&*self.names, self.as_it_came);
        RouteRequest { path, query, asked, protocols, offered }
    }
}

/// Decides whether a client may open, by its token if it shows one.
///
/// # Errors
///
/// 401. The client learns only whether a new token helps; the log has the exact reason.
pub(in crate::worker) fn open<'a>(
    access: &Permissions,
    upgrade: &Upgrade<'a>,
    offered: &OfferedProtocols<'a>,
) -> Result<AdmittedCredentials, Refusal> {
    let named = credentials(upgrade.query.unwrap_or_default());
    let shown = in_handshake(access, upgrade, offered)?;
    open_with(access, named.as_ref(), shown)
}

/// Returns the token that the request of a client shows.
///
/// # Errors
///
/// 401 if there are two that differ.
pub(in crate::worker) fn in_handshake<'a, 'p>(
    access: &'p Permissions,
    upgrade: &Upgrade<'a>,
    offered: &OfferedProtocols<'a>,
) -> Result<Option<FoundToken<'a, 'p>>, Refusal> {
    if !access.takes_tokens() {
        return Ok(None);
    }
    let query = upgrade.query.unwrap_or_default();
    let found = shown(access, upgrade, query, offered).map_err(|error| refusal(&error))?;
    let is_in_query = has_parameter(query, PARAMETER);
    Ok(found.map(|token| FoundToken { is_in_query, ..token }))
}

/// Decides whether a client may open, by its token if it shows one.
///
/// # Errors
///
/// The same as [`open`].
pub(in crate::worker) fn open_with(
    access: &Permissions,
    named: Option<&Credentials<'_>>,
    shown: Option<FoundToken<'_, '_>>,
) -> Result<AdmittedCredentials, Refusal> {
    let Some(FoundToken { token, cookie, is_in_query }) = shown else {
        let refused = |denied: Denied| Refusal::new(RefusalStatus::Unauthorized, denied.text());
        let granted = access.open(named);
        return granted
            .map(|grant| AdmittedCredentials { grant, token: None, is_in_query: false })
            .map_err(refused);
    };
    let key = named.map(|named| &*named.key);
    let shown = ShownToken { token: &token, key, now: unix_time().as_secs() };
    let (grant, token) = access.open_with_token(shown).map_err(|error| refusal(&error))?;
    // A browser sends a cookie with every page of its site, so only the applications that want it take it.
    if cookie.is_some_and(|cookie| !access.takes_cookie(&token.application, cookie)) {
        let why = "the application takes no token from this cookie (`tokenCookie` in auth.yml)";
        return Err(refusal(&TokenError::new(TokenFault::Disabled, why)));
    }
    Ok(AdmittedCredentials { grant, token: Some(Box::new(token)), is_in_query })
}

/// A token that a client shows.
pub(in crate::worker) struct FoundToken<'a, 'p> {
    token: Cow<'a, str>,
    /// The cookie that carries it, if nothing else does.
    cookie: Option<&'p str>,
    /// The query of the request has a token.
    is_in_query: bool,
}

impl<'a> FoundToken<'a, '_> {
    /// A token that is nowhere in the request.
    pub(in crate::worker) fn new(token: Cow<'a, str>) -> Self {
        Self { token, cookie: None, is_in_query: false }
    }
}

/// Returns the token that a client shows. It may be in several places, if it is the same.
fn shown<'a, 'p>(
    access: &'p Permissions,
    upgrade: &Upgrade<'a>,
    query: &'a str,
    offered: &OfferedProtocols<'a>,
) -> Result<Option<FoundToken<'a, 'p>>, TokenError> {
    let in_query = || match parameter(query, PARAMETER) {
        None if has_parameter(query, PARAMETER) || has_members(query, PARAMETER) => Some("".into()),
        found => found,
    };
    let bearer = |value: &'a [u8]| {
        let (scheme, token) = value.split_at_checked(BEARER.len())?;
        let is_bearer = scheme.eq_ignore_ascii_case(BEARER);
        is_bearer.then(|| str::from_utf8(token).unwrap_or_default().trim().into())
    };
    let headers = upgrade.head.headers("Authorization").filter_map(bearer);
    let explicit = offered.token.map(Cow::Borrowed).into_iter().chain(headers).chain(in_query());
    let explicit = explicit.map(FoundToken::new);
    let in_cookies = access.token_cookies().iter().filter_map(|name| in_cookie(upgrade, name));
    let mut found: Option<FoundToken<'a, 'p>> = None;
    for next in explicit.chain(in_cookies) {
        if offered.has_two_tokens || found.as_ref().is_some_and(|known| known.token != next.token) {
            let why = "the handshake has two tokens that differ";
            return Err(TokenError::new(TokenFault::Multiple, why));
        }
        found.get_or_insert(next);
    }
    Ok(found)
}

/// Returns the token in the first cookie of this name.
fn in_cookie<'a, 'p>(upgrade: &Upgrade<'a>, name: &'p str) -> Option<FoundToken<'a, 'p>> {
    let of_header = |header: &'a [u8]| {
        let mut cookies = header.split(|byte| *byte == b';').filter_map(pair);
        cookies.find(|(found, _)| *found == name.as_bytes()).map(|(_, value)| value)
    };
    let value = upgrade.head.headers("Cookie").find_map(of_header)?;
    let token = str::from_utf8(value).unwrap_or_default().into();
    Some(FoundToken { cookie: Some(name), ..FoundToken::new(token) })
}

fn refusal(error: &TokenError) -> Refusal {
    let token = TokenRefusal {
        code: error.fault.public_code(),
        close_reason: error.fault.close_reason(),
        detail: error.to_string(),
    };
    let refusal = Refusal::new(RefusalStatus::Unauthorized, Denied::Open.text());
    Refusal { token: Some(Box::new(token)), ..refusal }
}

/// Returns the token of a connection with the times at which its client is asked for the next one, and at which it ends,
/// on the clock of the worker.
pub(in crate::worker) fn session_token(verified: VerifiedToken, now: Moment) -> SessionToken {
    let unix = unix_time();
    let expires = Duration::from_secs(verified.claims.expires);
    let issued = verified.claims.issued.map_or(unix, Duration::from_secs);
    let notice = TOKEN_NOTICE.min(expires.saturating_sub(issued) / TOKEN_NOTICE_PART);
    let at = |time: Duration| now.after(time.saturating_sub(unix)).time();
    let (warns, ends) = (at(expires.saturating_sub(notice)), at(expires + TOKEN_LEEWAY));
    SessionToken { verified, warns, ends }
}
