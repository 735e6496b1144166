//! Which application a request speaks for, by the secret that it shows.

use std::collections::HashMap;

use hmac::{Hmac, KeyInit};
use hyper::HeaderMap;
use hyper::header::{self, HeaderValue};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::error::{ApiError, ErrorCode};
use super::signature::{SignedHeaders, SignedTarget};
use crate::auth::{ApiPermission, ApiRights, Application, Applications, AuthMethods, MessageCheck};
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
    /// Its name.
    pub(super) key: Box<str>,
    /// The space of its clients.
    pub(super) tenant: Tenant,
    /// What its messages have to fit.
    pub(super) check: Option<MessageCheck>,
    /// What it may do.
    pub(super) rights: ApiRights,
    secret: [u8; 32],
    /// Signatures under its secret.
    signing: Hmac<Sha256>,
}

/// What a request shows besides its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShownRequest<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) target: SignedTarget<'a>,
}

/// An application for which a request may speak.
#[derive(Debug)]
pub(super) struct Authenticated<'a> {
    pub(super) application: &'a ApiApplication,
    /// Its signature, where it is signed: time, nonce and body are still to be checked.
    pub(super) signed: Option<SignedHeaders>,
}

/// Without what its secret is recognised by.
impl std::fmt::Debug for ApiApplication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiApplication").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl ApiApplication {
    fn new(application: &Application) -> Self {
        let tenant = application.tenant.as_deref().map(|name| Tenant(name.into()));
        Self {
            key: application.key.as_str().into(),
            tenant: tenant.unwrap_or_else(Tenant::shared),
            check: application.schema.as_ref().map(MessageCheck::new),
            rights: ApiRights {
                methods: AuthMethods {
                    // Without the text of the secret, nothing can be compared with a signature.
                    signed: application.api.methods.signed && application.secret.is_text(),
                    ..application.api.methods
                },
                ..application.api
            },
            secret: application.secret.digest(),
            signing: signing(application.secret.expose()),
        }
    }

    fn open() -> Self {
        Self {
            key: OPEN_APPLICATION.into(),
            tenant: Tenant::shared(),
            check: None,
            rights: ApiRights::default(),
            secret: [0; 32],
            signing: signing(""),
        }
    }

    /// Whether it may do this.
    ///
    /// # Errors
    ///
    /// 403 with the name of the permission.
    pub(super) fn require(&self, permission: ApiPermission) -> Result<(), ApiError> {
        if self.rights.permissions.has(permission) {
            return Ok(());
        }
        let message = format!("the application has no permission `{}`", permission.name());
        let error = ApiError::new(ErrorCode::PermissionDenied, message);
        Err(error.with_text("permission", permission.name()))
    }
}

fn signing(secret: &str) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length")
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
        shown: ShownRequest<'_>,
    ) -> Result<Authenticated<'_>, ApiError> {
        let applications = match self {
            Self::Open(open) if application == OPEN_APPLICATION => {
                return Ok(Authenticated { application: open, signed: None });
            }
            Self::Open(_) => return Err(invalid_credentials()),
            Self::Applications(applications) => applications,
        };
        let found = applications.get(application);
        let (signed, secret) = (SignedHeaders::read(shown.headers)?, shown_secret(shown.headers)?);
        let application = match (&signed, secret) {
            (Some(_), Some(_)) => return Err(multiple_credentials()),
            (Some(signed), None) => proven_by_signature(found, signed, shown.target)?,
            (None, Some(secret)) => proven_by_secret(found, secret)?,
            (None, None) => {
                let message = "this endpoint needs `Authorization: Bearer SECRET`";
                return Err(ApiError::new(ErrorCode::MissingCredentials, message));
            }
        };
        Ok(Authenticated { application, signed })
    }
}

fn proven_by_secret<'a>(
    found: Option<&'a ApiApplication>,
    secret: &[u8],
) -> Result<&'a ApiApplication, ApiError> {
    let digest: [u8; 32] = Sha256::digest(secret).into();
    let expected = found.map_or([0; 32], |it| it.secret);
    let is_it: bool = digest.ct_eq(&expected).into();
    let found = found.filter(|_| is_it && !secret.is_empty()).ok_or_else(invalid_credentials)?;
    if found.rights.methods.bearer {
        return Ok(found);
    }
    let message = "this application accepts signed requests only (authMethods)";
    Err(ApiError::new(ErrorCode::SignatureRequired, message))
}

fn proven_by_signature<'a>(
    found: Option<&'a ApiApplication>,
    signed: &SignedHeaders,
    target: SignedTarget<'_>,
) -> Result<&'a ApiApplication, ApiError> {
    // An unknown application takes as long as another signature.
    let nobodys;
    let key = match found {
        Some(found) => &found.signing,
        None => {
            nobodys = signing("");
            &nobodys
        }
    };
    let is_it = signed.is_by(key, target);
    let accepts = |it: &&ApiApplication| is_it && it.rights.methods.signed;
    found.filter(accepts).ok_or_else(|| {
        let message = "the signature is not that of this request by a secret of the application";
        ApiError::new(ErrorCode::InvalidSignature, message)
    })
}

fn invalid_credentials() -> ApiError {
    let message = "the application is unknown, or this is not its secret";
    ApiError::new(ErrorCode::InvalidCredentials, message)
}

fn multiple_credentials() -> ApiError {
    let message = "the request has more than one set of credentials";
    ApiError::new(ErrorCode::MultipleCredentials, message)
}

/// The secret of a request, as a bearer token or as `X-API-Key`.
fn shown_secret(headers: &HeaderMap) -> Result<Option<&[u8]>, ApiError> {
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
    use crate::types::Secret;

    fn access() -> ApiAccess {
        let application = |key: &str, secret: &str| Application {
            key: key.to_owned(),
            secret: Secret::new(secret.to_owned()),
            authorize_open: true,
            client_publish: false,
            tenant: Some(key.to_owned()),
            schema: None,
            api: ApiRights::default(),
        };
        let list = vec![application("shop", "s1"), application("other", "s2")];
        ApiAccess::new(Some(&Applications { list, anonymous: None }))
    }

    fn shown(headers: &HeaderMap) -> ShownRequest<'_> {
        let target = SignedTarget { method: "POST", path: "/", query: "" };
        ShownRequest { headers, target }
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
    fn nothing_another_scheme_and_two_secrets_are_told_apart() {
        assert_eq!(code("shop", &[]), "missing_credentials");
        assert_eq!(code("shop", &[("authorization", "Basic czE6czE=")]), "missing_credentials");
        let both = [("authorization", "Bearer s1"), ("x-api-key", "s1")];
        assert_eq!(code("shop", &both), "multiple_credentials");
    }

    #[test]
    fn without_applications_there_is_one_that_needs_nothing() {
        let open = ApiAccess::new(None);
        assert!(open.is_open() && open.authenticate("-", shown(&HeaderMap::new())).is_ok());
        assert!(open.authenticate("shop", shown(&HeaderMap::new())).is_err());
    }
}
