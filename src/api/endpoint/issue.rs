//! `POST /tokens`: signs a connection token with a key of the application, for backends without a library.

use std::fmt::Write;

use super::retag::read_tags;
use super::{EndpointContext, unexpected};
use crate::api::error::{ApiError, ErrorCode};
use crate::api::json_object::{JsonObject, JsonPlace};
use crate::api::response::ApiAnswer;
use crate::auth::{ShownToken, TokenKey, TokenKeyMaterial, TokenSettings, sign_token};
use crate::json;
use crate::telemetry::unix_seconds;
use crate::types::Secret;

/// Members that become claims, as they are written.
const CLAIMS: [&str; 9] = ["sub", "jti", "tags", "ident", "user", "info", "caps", "lim", "tenant"];
pub(super) const ISSUE_MEMBERS: &[&str] =
    &["sub", "jti", "tags", "ident", "user", "info", "caps", "lim", "tenant", "lifetime_s", "kid"];
/// Seconds for which a token is valid, if the request does not say.
const LIFETIME: u64 = 3600;

/// Signs a token, if the server would accept it.
///
/// # Errors
///
/// What is wrong with the body, or that the application has no key to sign with.
pub(in crate::api) fn issue(
    context: EndpointContext<'_>,
    text: &str,
) -> Result<ApiAnswer, ApiError> {
    let EndpointContext { config, application, .. } = context;
    let body = JsonObject::read(text, JsonPlace::Body, ISSUE_MEMBERS)?;
    let Some(settings) = application.tokens.as_deref() else {
        return Err(no_key("the application accepts no tokens (`tokens` in auth.yml)"));
    };
    read_tags(&body, "tags")?;
    let now = unix_seconds();
    let (key, secret) = signing_key(settings, &body, now)?;
    let exp = now.saturating_add(lifetime(&body, settings)?);
    let mut claims = String::from("{\"aud\":");
    json::push_text(&application.key, &mut claims);
    let _written = write!(claims, ",\"iat\":{now},\"exp\":{exp}");
    if let Some(issuer) = &settings.issuer {
        claims.push_str(",\"iss\":");
        json::push_text(issuer, &mut claims);
    }
    for name in CLAIMS {
        if let Some(value) = body.raw(name) {
            let _written = write!(claims, ",\"{name}\":{value}");
        }
    }
    claims.push('}');
    let token = sign_token(&claims, key.algorithm, secret, &key.id).map_err(|_| unexpected())?;
    let shown = ShownToken { token: &token, key: Some(&application.key), now };
    config.token_rules.verify_token(shown).map_err(|error| {
        let refused = ApiError::new(ErrorCode::InvalidToken, error.why);
        refused.with_text("reason", error.fault.code())
    })?;
    Ok(ApiAnswer::ok(format!("{{\"token\":\"{token}\",\"exp\":{exp}}}")))
}

/// The key with this id, or the first one that can sign.
fn signing_key<'a>(
    settings: &'a TokenSettings,
    body: &JsonObject<'_>,
    now: u64,
) -> Result<(&'a TokenKey, &'a Secret), ApiError> {
    let kid = body.text("kid")?;
    let is_wanted = |key: &&TokenKey| kid.as_ref().is_none_or(|kid| *kid == key.id);
    let is_valid = |key: &&TokenKey| key.expires.is_none_or(|expires| now < expires);
    let mut wanted = settings.keys.iter().filter(is_wanted).filter(is_valid).peekable();
    if wanted.peek().is_none() {
        let ids: Vec<&str> = settings.keys.iter().map(|key| &*key.id).collect();
        return Err(body.invalid("kid", format!("no key has this id: {}", ids.join(", "))));
    }
    wanted
        .find_map(|key| match &key.material {
            TokenKeyMaterial::Secret(secret) => Some((key, secret)),
            TokenKeyMaterial::Public(_) => None,
        })
        .ok_or_else(|| no_key("only HS256 keys can sign here; the others are public keys"))
}

/// Seconds for which the token is valid.
fn lifetime(body: &JsonObject<'_>, settings: &TokenSettings) -> Result<u64, ApiError> {
    let most = settings.max_age.as_secs();
    let lifetime = body.count("lifetime_s")?.unwrap_or_else(|| LIFETIME.min(most));
    if (1..=most).contains(&lifetime) {
        return Ok(lifetime);
    }
    Err(body.invalid("lifetime_s", format!("it must be 1 to {most} (tokenMaxAge)")))
}

fn no_key(why: &str) -> ApiError {
    ApiError::new(ErrorCode::NoSigningKey, why)
}
