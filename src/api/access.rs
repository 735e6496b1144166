//! Which application a request speaks for, by the secret that it shows.

use std::collections::HashMap;

use hmac::{Hmac, KeyInit};
use hyper::HeaderMap;
use hyper::header::{self, HeaderValue};
use sha2::Sha256;

use super::error::{ApiError, ErrorCode};
use super::signature::{SignedHeaders, SignedTarget};
use crate::auth::{
    ApiPermission, ApiRights, Application, Applications, AuthMethods, MessageCheck, SecretDigest,
};
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
    Applications(KnownApplications),
}

/// The applications of auth.yml.
#[derive(Debug)]
pub(super) struct KnownApplications {
    by_key: HashMap<Box<str>, ApiApplication>,
    /// Key with which signatures for unknown applications are computed, so that they take as long as others.
    unknown_key: SignatureKey,
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
    secret: SecretDigest,
    signature_key: SignatureKey,
}

/// The key of the signatures of an application.
struct SignatureKey {
    hmac: Hmac<Sha256>,
    /// False for an empty secret, with which anyone could sign.
    is_secret: bool,
}

/// Without the key.
impl std::fmt::Debug for SignatureKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignatureKey").finish_non_exhaustive()
    }
}

impl SignatureKey {
    fn new(secret: &str) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let hmac = Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
        Self { hmac, is_secret: !secret.is_empty() }
    }

    fn has_signed(&self, signed: &SignedHeaders, target: SignedTarget<'_>) -> bool {
        signed.is_by(&self.hmac, target) && self.is_secret
    }
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
            secret: SecretDigest::of(&application.secret),
            signature_key: SignatureKey::new(application.secret.expose()),
        }
    }

    fn open() -> Self {
        Self {
            key: OPEN_APPLICATION.into(),
            tenant: Tenant::shared(),
            check: None,
            rights: ApiRights::default(),
            secret: SecretDigest::NO_SECRET,
            signature_key: SignatureKey::new(""),
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

impl ApiAccess {
    /// What these applications allow; none allow everything.
    pub(super) fn new(applications: Option<&Applications>) -> Self {
        match applications {
            None => Self::Open(Box::new(ApiApplication::open())),
            Some(applications) => {
                let entry = |it: &Application| (it.key.as_str().into(), ApiApplication::new(it));
                Self::Applications(KnownApplications {
                    by_key: applications.list.iter().map(entry).collect(),
                    unknown_key: SignatureKey::new(""),
                })
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
        let KnownApplications { by_key, unknown_key } = match self {
            Self::Open(open) if application == OPEN_APPLICATION => {
                return Ok(Authenticated { application: open, signed: None });
            }
            Self::Open(_) => return Err(invalid_credentials()),
            Self::Applications(applications) => applications,
        };
        let found = by_key.get(application);
        let (signed, secret) = (SignedHeaders::read(shown.headers)?, shown_secret(shown.headers)?);
        let application = match (&signed, secret) {
            (Some(_), Some(_)) => return Err(multiple_credentials()),
            (Some(signed), None) => {
                let key = found.map_or(unknown_key, |it| &it.signature_key);
                let has_signed = key.has_signed(signed, shown.target);
                found
                    .filter(|it| has_signed && it.rights.methods.signed)
                    .ok_or_else(invalid_signature)?
            }
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
    let expected = found.map_or(SecretDigest::NO_SECRET, |it| it.secret);
    let is_it = SecretDigest::of_bytes(secret).is(expected);
    let found = found.filter(|_| is_it && !secret.is_empty()).ok_or_else(invalid_credentials)?;
    if found.rights.methods.bearer {
        return Ok(found);
    }
    let message = "this application accepts signed requests only (authMethods)";
    Err(ApiError::new(ErrorCode::SignatureRequired, message))
}

fn invalid_signature() -> ApiError {
    let message = "the signature is not that of this request by a secret of the application";
    ApiError::new(ErrorCode::InvalidSignature, message)
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
    fn missing_foreign_and_double_credentials_are_distinguished() {
        assert_eq!(code("shop", &[]), "missing_credentials");
        assert_eq!(code("shop", &[("authorization", "Basic czE6czE=")]), "missing_credentials");
        let both = [("authorization", "Bearer s1"), ("x-api-key", "s1")];
        assert_eq!(code("shop", &both), "multiple_credentials");
    }

    #[test]
    fn an_empty_secret_signs_nothing() {
        use hmac::Mac;
        use sha2::Digest;
        use std::fmt::Write;

        let target = SignedTarget { method: "POST", path: "/", query: "" };
        let content = Sha256::digest("").iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        let verdict = |secret: &str| {
            let key = SignatureKey::new(secret);
            let mut mac = key.hmac.clone();
            mac.update(format!("TAGCAST1\nPOST\n/\n\n1764345600\n12345678\n{content}").as_bytes());
            let mut signature = "v1=".to_owned();
            for byte in mac.finalize().into_bytes() {
                write!(signature, "{byte:02x}").unwrap();
            }
            let mut headers = HeaderMap::new();
            headers.insert("x-tagcast-timestamp", HeaderValue::from_static("1764345600"));
            headers.insert("x-tagcast-nonce", HeaderValue::from_static("12345678"));
            headers.insert("x-tagcast-signature", HeaderValue::from_str(&signature).unwrap());
            key.has_signed(&SignedHeaders::read(&headers).unwrap().unwrap(), target)
        };
        assert!(verdict("s1"));
        assert!(!verdict(""));
    }

    #[test]
    fn without_applications_there_is_one_that_needs_nothing() {
        let open = ApiAccess::new(None);
        assert!(open.is_open() && open.authenticate("-", shown(&HeaderMap::new())).is_ok());
        assert!(open.authenticate("shop", shown(&HeaderMap::new())).is_err());
    }
}
