//! Finds the application of a request by its secret.

mod api_secret;
mod application;

use std::collections::HashMap;

use hyper::HeaderMap;
use hyper::header::{self, HeaderValue};

use self::api_secret::{ApiSecret, SignatureKey};
pub(super) use self::application::ApiApplication;
use super::error::{ApiError, ErrorCode};
use super::signature::{SignedHeaders, SignedTarget};
use crate::auth::{
    ApiPermissions, ApiRights, Application, Applications, DefaultLimits, SecretDigest,
};
use crate::types::OPEN_APPLICATION;

const API_KEY: &str = "x-api-key";

/// All applications by key.
#[derive(Debug)]
pub(super) enum ApiAccess {
    /// The server has no applications: everything is allowed.
    Open(Box<ApiApplication>),
    /// The applications of auth.yml.
    Applications(KnownApplications),
}

/// The applications of auth.yml.
#[derive(Debug)]
pub(super) struct KnownApplications {
    /// For each key, the application once per secret.
    by_key: HashMap<Box<str>, Vec<ApiApplication>>,
    /// Key for signatures of unknown applications, so checking them takes as long as for others.
    unknown_key: SignatureKey,
    /// The largest number of secrets of an application. This many are compared for every
    /// application, so the time does not depend on the application.
    secrets_max: usize,
}

/// The statistics of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SecretUse<'a> {
    /// Its id in auth.yml.
    pub(super) id: &'a str,
    /// Unix second of the last request that used it.
    pub(super) last_used: Option<u64>,
    /// Whether it has expired.
    pub(super) is_expired: bool,
}

/// The credentials of a request, except for the body.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShownRequest<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) target: SignedTarget<'a>,
    /// The time, in Unix seconds.
    pub(super) now: u64,
}

/// The application of a request, and its signature.
#[derive(Debug)]
pub(super) struct Authenticated<'a> {
    pub(super) application: &'a ApiApplication,
    /// The signature, if the request is signed. Its time, nonce and body must still be checked.
    pub(super) signed: Option<SignedHeaders>,
}

impl ApiAccess {
    /// Creates the access rules of these applications. Without applications everything is allowed, within
    /// the limits of the server.
    pub(super) fn new(applications: Option<&Applications>, limits: &DefaultLimits) -> Self {
        match applications {
            None => Self::Open(Box::new(ApiApplication::open(limits))),
            Some(applications) => {
                let entry = |it: &Application| (it.key.as_str().into(), ApiApplication::all_of(it));
                let by_key: HashMap<_, _> = applications.list.iter().map(entry).collect();
                let secrets_max = by_key.values().map(Vec::len).max().unwrap_or_default();
                let unknown_key = SignatureKey::new("");
                Self::Applications(KnownApplications { by_key, unknown_key, secrets_max })
            }
        }
    }

    /// Returns true if requests need no credentials.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// Returns true if the configuration has an application with this key.
    pub(super) fn has_application(&self, key: &str) -> bool {
        match self {
            Self::Open(_) => key == OPEN_APPLICATION,
            Self::Applications(applications) => applications.by_key.contains_key(key),
        }
    }

    /// Returns the application of a request.
    ///
    /// # Errors
    ///
    /// If the credentials are missing or wrong. An unknown application takes as long as a wrong
    /// secret and gets the same answer.
    pub(super) fn authenticate(
        &self,
        application: &str,
        shown: ShownRequest<'_>,
    ) -> Result<Authenticated<'_>, ApiError> {
        let applications = match self {
            Self::Open(open) if application == OPEN_APPLICATION => {
                return Ok(Authenticated { application: open, signed: None });
            }
            Self::Open(_) => return Err(invalid_credentials()),
            Self::Applications(applications) => applications,
        };
        let (signed, secret) = (SignedHeaders::read(shown.headers)?, shown_secret(shown.headers)?);
        let found = match (&signed, secret) {
            (Some(_), Some(_)) => return Err(multiple_credentials()),
            (Some(signed), None) => applications.proven_by_signature(application, signed, shown)?,
            (None, Some(secret)) => {
                applications.proven_by_secret(application, secret, shown.now)?
            }
            (None, None) => {
                let message = "this endpoint needs `Authorization: Bearer SECRET`";
                return Err(ApiError::new(ErrorCode::MissingCredentials, message));
            }
        };
        found.secret.last_used.set(Some(shown.now));
        Ok(Authenticated { application: found, signed })
    }

    /// Returns all applications, once each.
    pub(super) fn applications(&self) -> impl Iterator<Item = &ApiApplication> {
        let (open, known) = match self {
            Self::Open(open) => (Some(&**open), None),
            Self::Applications(applications) => (None, Some(applications.by_key.values())),
        };
        let known = known.into_iter().flatten().filter_map(|with_secrets| with_secrets.first());
        open.into_iter().chain(known)
    }

    /// Returns an application as an operator with these permissions uses it. `None` if there is none with
    /// this key.
    pub(super) fn for_operator(
        &self,
        key: &str,
        permissions: ApiPermissions,
    ) -> Option<ApiApplication> {
        let found = self.applications().find(|it| *it.key == *key)?;
        Some(ApiApplication {
            key: found.key.clone(),
            tenant: found.tenant.clone(),
            check: found.check.clone(),
            tokens: found.tokens.clone(),
            rights: ApiRights { permissions, ..found.rights },
            limits: found.limits,
            secret: ApiSecret::none(),
        })
    }

    /// Returns the secrets of an application in the order of the file.
    pub(super) fn secret_uses(
        &self,
        application: &str,
        now: u64,
    ) -> impl Iterator<Item = SecretUse<'_>> {
        let found = match self {
            Self::Open(_) => None,
            Self::Applications(applications) => applications.by_key.get(application),
        };
        found.into_iter().flatten().map(move |it| SecretUse {
            id: &it.secret.id,
            last_used: it.secret.last_used.get(),
            is_expired: it.secret.is_expired(now),
        })
    }

    /// Returns true if a request without an application in its path has the secret of one. A signature is not
    /// looked at: without the application it would have to be compared with every secret.
    ///
    /// # Errors
    ///
    /// If its secret is wrong, or not accepted unsigned.
    pub(super) fn knows(&self, headers: &HeaderMap, now: u64) -> Result<bool, ApiError> {
        let Self::Applications(applications) = self else { return Ok(true) };
        let Some(secret) = shown_secret(headers)? else { return Ok(false) };
        let found = applications.holder_of(secret, now)?;
        found.secret.last_used.set(Some(now));
        Ok(true)
    }

    /// Copies the times at which secrets were last used from the previous configuration.
    pub(super) fn keep_uses(&self, former: &Self) {
        let (Self::Applications(now), Self::Applications(former)) = (self, former) else { return };
        for (key, application) in &now.by_key {
            let before = former.by_key.get(key).into_iter().flatten();
            for old in before {
                let is_it = |new: &&ApiApplication| new.secret.digest.is(old.secret.digest);
                if let Some(new) = application.iter().find(is_it) {
                    new.secret.last_used.set(old.secret.last_used.get());
                }
            }
        }
    }
}

impl KnownApplications {
    fn proven_by_secret(
        &self,
        application: &str,
        secret: &[u8],
        now: u64,
    ) -> Result<&ApiApplication, ApiError> {
        let digest = SecretDigest::of_bytes(secret);
        let found = self.matching(application, now, |known| {
            digest.is(known.map_or(SecretDigest::NO_SECRET, |it| it.secret.digest))
        });
        Self::admitted(found.filter(|_| !secret.is_empty()))
    }

    /// Returns an application with this secret. It compares all secrets.
    fn holder_of(&self, secret: &[u8], now: u64) -> Result<&ApiApplication, ApiError> {
        let digest = SecretDigest::of_bytes(secret);
        let mut found = None;
        for known in self.by_key.values().flatten() {
            let fits = digest.is(known.secret.digest);
            found = Some(known).filter(|it| fits && !it.secret.is_expired(now)).or(found);
        }
        Self::admitted(found.filter(|_| !secret.is_empty()))
    }

    fn admitted(found: Option<&ApiApplication>) -> Result<&ApiApplication, ApiError> {
        let found = found.ok_or_else(invalid_credentials)?;
        if found.rights.methods.bearer {
            return Ok(found);
        }
        let message = "this application accepts signed requests only (authMethods)";
        Err(ApiError::new(ErrorCode::SignatureRequired, message))
    }

    fn proven_by_signature(
        &self,
        application: &str,
        signed: &SignedHeaders,
        shown: ShownRequest<'_>,
    ) -> Result<&ApiApplication, ApiError> {
        let text = signed.text(shown.target);
        let found = self.matching(application, shown.now, |known| {
            let key = known.map_or(&self.unknown_key, |it| &it.secret.signature_key);
            key.has_signed(signed, &text)
        });
        found.filter(|it| it.rights.methods.signed).ok_or_else(|| {
            let message =
                "the signature is not that of this request by a secret of the application";
            ApiError::new(ErrorCode::InvalidSignature, message)
        })
    }

    /// Returns the application with the matching secret, unless that has expired. It makes the same
    /// number of comparisons for every application.
    fn matching(
        &self,
        application: &str,
        now: u64,
        is_it: impl Fn(Option<&ApiApplication>) -> bool,
    ) -> Option<&ApiApplication> {
        let known = self.by_key.get(application).map_or(&[][..], Vec::as_slice);
        let mut found = None;
        for at in 0..self.secrets_max.max(1) {
            let one = known.get(at);
            let fits = is_it(one);
            found = one.filter(|it| fits && !it.secret.is_expired(now)).or(found);
        }
        found
    }
}

fn invalid_credentials() -> ApiError {
    let message = "the application is unknown, or this is not its secret";
    ApiError::new(ErrorCode::InvalidCredentials, message)
}

fn multiple_credentials() -> ApiError {
    let message = "the request has more than one set of credentials";
    ApiError::new(ErrorCode::MultipleCredentials, message)
}

/// Returns the secret of a request: a bearer token or `X-API-Key`.
pub(super) fn shown_secret(headers: &HeaderMap) -> Result<Option<&[u8]>, ApiError> {
    let bearers = headers.get_all(header::AUTHORIZATION).iter().filter_map(bearer);
    let keys = headers.get_all(API_KEY).iter().map(|key| key.as_bytes().trim_ascii());
    let mut shown = bearers.chain(keys);
    let first = shown.next();
    if shown.next().is_some() { Err(multiple_credentials()) } else { Ok(first) }
}

/// RFC 6750 §2.1. Another scheme counts as no credentials.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, rest) = value.as_bytes().split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::ApplicationSecret;
    use crate::types::Secret;

    fn access() -> ApiAccess {
        let application = |key: &str, secret: &str| Application {
            key: key.to_owned(),
            secrets: vec![ApplicationSecret::own(Secret::new(secret.to_owned()))],
            authorize_open: true,
            client_publish: false,
            tenant: Some(key.to_owned()),
            schema: None,
            ..Application::placeholder()
        };
        let list = vec![application("shop", "s1"), application("other", "s2")];
        ApiAccess::new(Some(&Applications { list, anonymous: None }), &DefaultLimits::default())
    }

    const NOW: u64 = 1_800_000_000;

    fn shown(headers: &HeaderMap) -> ShownRequest<'_> {
        let target = SignedTarget { method: "POST", path: "/", query: "" };
        ShownRequest { headers, target, now: NOW }
    }

    fn code(application: &str, headers: &[(&'static str, &'static str)]) -> &'static str {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        match access().authenticate(application, shown(&map)) {
            Ok(found) => {
                if &*found.application.tenant.0 == application {
                    "ok"
                } else {
                    "another"
                }
            }
            Err(error) => error.code().text(),
        }
    }

    #[test]
    fn a_secret_opens_its_own_application_and_no_other() {
        assert_eq!(code("shop", &[("authorization", "Bearer s1")]), "ok");
        assert_eq!(code("shop", &[("authorization", "bearer  s1 ")]), "ok");
        assert_eq!(code("shop", &[("x-api-key", "s1")]), "ok");
        for (application, secret) in [
            ("shop", "Bearer s2"),
            ("shop", "Bearer "),
            ("shop", "Bearer s1x"),
            ("nobody", "Bearer s1"),
            ("-", "Bearer s1"),
        ] {
            assert_eq!(code(application, &[("authorization", secret)]), "invalid_credentials");
        }
    }

    #[test]
    fn each_secret_counts_until_it_expires_and_its_use_is_noted() {
        let secret = |id: &str, expires| ApplicationSecret {
            expires,
            ..ApplicationSecret::named(id.to_owned(), Secret::new(format!("{id}-text")))
        };
        let with = |secrets| {
            let (key, api) = ("shop".to_owned(), ApiRights::default());
            let application = Application { key, secrets, api, ..Application::placeholder() };
            let applications = Applications { list: vec![application], anonymous: None };
            ApiAccess::new(Some(&applications), &DefaultLimits::default())
        };
        let access = with(vec![secret("own", None), secret("old", Some(NOW + 1))]);
        let proves = |access: &ApiAccess, text: &str, now| {
            let mut headers = HeaderMap::new();
            headers.insert("x-api-key", HeaderValue::from_str(text).unwrap());
            access.authenticate("shop", ShownRequest { now, ..shown(&headers) }).is_ok()
        };
        assert!(proves(&access, "own-text", NOW) && proves(&access, "old-text", NOW));
        assert!(!proves(&access, "old-text", NOW + 1) && !proves(&access, "new-text", NOW));
        let renewed = with(vec![secret("old", Some(NOW + 1)), secret("new", None)]);
        renewed.keep_uses(&access);
        let uses: Vec<_> = renewed.secret_uses("shop", NOW + 1).collect();
        let expected = [
            SecretUse { id: "old", last_used: Some(NOW), is_expired: true },
            SecretUse { id: "new", last_used: None, is_expired: false },
        ];
        assert_eq!(uses, expected);
        assert_eq!(renewed.secret_uses("other", NOW).count(), 0);
    }

    #[test]
    fn missing_foreign_and_double_credentials_are_distinguished() {
        assert_eq!(code("shop", &[]), "missing_credentials");
        assert_eq!(code("shop", &[("authorization", "Basic czE6czE=")]), "missing_credentials");
        let both = [("authorization", "Bearer s1"), ("x-api-key", "s1")];
        assert_eq!(code("shop", &both), "multiple_credentials");
    }

    #[test]
    fn without_applications_there_is_one_that_needs_nothing() {
        let open = ApiAccess::new(None, &DefaultLimits::default());
        assert!(open.is_open() && open.authenticate("-", shown(&HeaderMap::new())).is_ok());
        assert!(open.authenticate("shop", shown(&HeaderMap::new())).is_err());
    }
}
