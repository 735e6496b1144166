//! Which application a request speaks for, by the secret that it shows.

use std::collections::HashMap;

use hyper::HeaderMap;
use hyper::header::{self, HeaderValue};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::error::{ApiError, ErrorCode};
use crate::auth::{Application, Applications, MessageCheck};
use crate::types::Tenant;

/// The application of a server without applications.
pub(super) const OPEN_APPLICATION: &str = "-";

const API_KEY: &str = "x-api-key";

/// All applications, by their keys.
#[derive(Debug)]
pub(super) enum ApiAccess {
    /// There are none: everything is allowed.
    Open(Box<ApiApplication>),
    /// Those of auth.yml.
    Applications(HashMap<Box<str>, ApiApplication>),
}

/// An application, as the API knows it.
pub(super) struct ApiApplication {
    /// The space of its clients.
    pub(super) tenant: Tenant,
    /// What its messages have to fit.
    pub(super) check: Option<MessageCheck>,
    secret: [u8; 32],
}

/// Without the digest of its secret.
impl std::fmt::Debug for ApiApplication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiApplication").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl ApiApplication {
    fn new(application: &Application) -> Self {
        let tenant = application.tenant.as_deref().map(|name| Tenant(name.into()));
        Self {
            tenant: tenant.unwrap_or_else(Tenant::shared),
            check: application.schema.as_ref().map(MessageCheck::new),
            secret: application.secret.digest(),
        }
    }

    fn open() -> Self {
        Self { tenant: Tenant::shared(), check: None, secret: [0; 32] }
    }
}

impl ApiAccess {
    /// What these applications allow; none allow everything.
    pub(super) fn new(applications: Option<&Applications>) -> Self {
        match applications {
            None => Self::Open(Box::new(ApiApplication::open())),
            Some(applications) => {
                let entry = |it: &Application| (it.key.as_str().into(), ApiApplication::new(it));
                Self::Applications(applications.list.iter().map(entry).collect())
            }
        }
    }

    /// Whether requests need no credentials.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// The application for which a request may speak.
    ///
    /// # Errors
    ///
    /// When its credentials are missing or wrong. An unknown application takes as long as a wrong
    /// secret, and is answered in the same words.
    pub(super) fn authenticate(
        &self,
        application: &str,
        headers: &HeaderMap,
    ) -> Result<&ApiApplication, ApiError> {
        let applications = match self {
            Self::Open(open) if application == OPEN_APPLICATION => return Ok(open),
            Self::Open(_) => return Err(invalid_credentials()),
            Self::Applications(applications) => applications,
        };
        let secret = shown_secret(headers)?;
        let found = applications.get(application);
        let digest: [u8; 32] = Sha256::digest(secret).into();
        let expected = found.map_or([0; 32], |it| it.secret);
        let is_it: bool = digest.ct_eq(&expected).into();
        found.filter(|_| is_it && !secret.is_empty()).ok_or_else(invalid_credentials)
    }
}

fn invalid_credentials() -> ApiError {
    let message = "the application is unknown, or this is not its secret";
    ApiError::new(ErrorCode::InvalidCredentials, message)
}

/// The secret of a request, as a bearer token or as `X-API-Key`.
fn shown_secret(headers: &HeaderMap) -> Result<&[u8], ApiError> {
    let bearers = headers.get_all(header::AUTHORIZATION).iter().filter_map(bearer);
    let keys = headers.get_all(API_KEY).iter().map(|key| key.as_bytes().trim_ascii());
    let mut shown = bearers.chain(keys);
    match (shown.next(), shown.next()) {
        (Some(secret), None) => Ok(secret),
        (Some(_), Some(_)) => {
            let message = "credentials are shown more than once";
            Err(ApiError::new(ErrorCode::MultipleCredentials, message))
        }
        (None, _) => {
            let message = "this endpoint needs `Authorization: Bearer SECRET`";
            Err(ApiError::new(ErrorCode::MissingCredentials, message))
        }
    }
}

/// RFC 6750 §2.1. Another scheme counts as no credentials.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, rest) = value.as_bytes().split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Secret;

    fn access() -> ApiAccess {
        let application = |key: &str, secret: &str| Application {
            key: key.to_owned(),
            secret: Secret::new(secret.to_owned()),
            authorize_open: true,
            client_publish: false,
            tenant: Some(key.to_owned()),
            schema: None,
        };
        let list = vec![application("shop", "s1"), application("other", "s2")];
        ApiAccess::new(Some(&Applications { list, anonymous: None }))
    }

    fn code(application: &str, headers: &[(&'static str, &'static str)]) -> &'static str {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        match access().authenticate(application, &map) {
            Ok(found) => {
                if &*found.tenant.0 == application {
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
    fn nothing_another_scheme_and_two_secrets_are_told_apart() {
        assert_eq!(code("shop", &[]), "missing_credentials");
        assert_eq!(code("shop", &[("authorization", "Basic czE6czE=")]), "missing_credentials");
        let both = [("authorization", "Bearer s1"), ("x-api-key", "s1")];
        assert_eq!(code("shop", &both), "multiple_credentials");
    }

    #[test]
    fn without_applications_there_is_one_that_needs_nothing() {
        let open = ApiAccess::new(None);
        assert!(open.is_open() && open.authenticate("-", &HeaderMap::new()).is_ok());
        assert!(open.authenticate("shop", &HeaderMap::new()).is_err());
    }
}
