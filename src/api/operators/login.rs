//! Login with a name and a password.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::time::{Instant, timeout};
use tracing::info;
use zeroize::Zeroizing;

use super::sessions::SESSION_TOKEN_PREFIX;
use super::tries::TooManyTries;
use crate::api::config::ApiConfig;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::json_object::{JsonObject, JsonPlace};
use crate::api::response::ApiAnswer;
use crate::api::state::{ApiState, unix_seconds};
use crate::auth::{Operator, Operators, TokenDigest};
use crate::config::is_password;
use crate::types::Secret;
use crate::types::limits::{OPERATOR_NAME_BYTES_MAX, OPERATOR_SESSION_TIME, PASSWORD_BYTES_MAX};

/// Members of the body.
pub(in crate::api) const LOGIN_MEMBERS: &[&str] = &["name", "password"];
/// Checked in place of the hash of an operator that does not exist, which must take as long.
const UNKNOWN: &str = "$argon2id$v=19$m=19456,t=2,p=1$dGFnY2FzdC11bmtub3du$\
                       Vm5vdGhpbmdmaXRzdGhpc2hhc2hhbmRub3RoaW5nd2k";

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

/// Answers a login.
///
/// # Errors
///
/// 401 for a wrong name or password; 429 after too many of them.
pub(super) async fn log_in(
    state: &ApiState,
    config: &ApiConfig,
    operators: &Operators,
    address: IpAddr,
    text: &str,
) -> Result<ApiAnswer, ApiError> {
    let body = JsonObject::read(text, JsonPlace::Body, LOGIN_MEMBERS)?;
    let member = |name: &str| {
        let right = format!("a login has `name` and `password`; `{name}` is missing");
        body.text(name)?.ok_or_else(|| body.missing(name, &right))
    };
    let (name, password) = (member("name")?, Zeroizing::new(member("password")?.into_owned()));
    if password.len() > PASSWORD_BYTES_MAX {
        let right = format!("`password` must have at most {PASSWORD_BYTES_MAX} bytes");
        return Err(body.invalid("password", right));
    }
    let known = operators.named(&name);
    // A name that no operator can have needs no memory of its own.
    let counted = if name.len() > OPERATOR_NAME_BYTES_MAX { "" } else { &*name };
    let begun = state.operators.tries.borrow_mut().begin(counted, address, Instant::now());
    begun.map_err(|TooManyTries(rest)| {
        let message = "too many attempts with this name from this address; wait a minute";
        let error = ApiError::new(ErrorCode::RateLimited, message).with_text("name", "login");
        error.retry_after(rest.as_secs().max(1))
    })?;
    let hash = known.and_then(|it| it.password.clone());
    let is_right = checked(state, config, password, hash.clone()).await?;
    let (Some(operator), Some(hash), true) = (known, hash, is_right) else {
        let message = "the name is unknown, or this is not its password";
        return Err(ApiError::new(ErrorCode::InvalidCredentials, message));
    };
    state.operators.tries.borrow_mut().succeeded(counted, address);
    begin_session(state, operator, hash)
}

/// Checks a password on another thread. An operator without a password takes as long.
async fn checked(
    state: &ApiState,
    config: &ApiConfig,
    password: Zeroizing<String>,
    hash: Option<Secret>,
) -> Result<bool, ApiError> {
    let turn = timeout(config.timeout, Arc::clone(&state.operators.check).acquire_owned()).await;
    let busy = || ApiError::new(ErrorCode::Busy, "too many logins are under way");
    let turn = turn.ok().and_then(Result::ok).ok_or_else(busy)?;
    let check = tokio::task::spawn_blocking(move || {
        // A request that is given up does not end the check, so the turn ends here.
        let _turn = turn;
        let is_known = hash.is_some();
        let hash = hash.unwrap_or_else(|| Secret::new(UNKNOWN.to_owned()));
        is_password(&password, &hash) && is_known
    });
    check.await.map_err(|_| ApiError::new(ErrorCode::InternalError, "a fault of the server"))
}

fn begin_session(
    state: &ApiState,
    operator: &Operator,
    password: Secret,
) -> Result<ApiAnswer, ApiError> {
    let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
    if getrandom(bytes.as_mut_slice(), GetRandomFlags::empty()) != Ok(TOKEN_BYTES) {
        return Err(ApiError::new(ErrorCode::InternalError, "no random numbers"));
    }
    let token = format!("{SESSION_TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.as_slice()));
    let digest = TokenDigest::of(token.as_bytes());
    state.operators.sessions.borrow_mut().begin(digest, operator, password, Instant::now());
    info!(event = "operator_logged_in", operator = operator.name, "operator logged in");
    let expires = unix_seconds() + OPERATOR_SESSION_TIME.as_secs();
    Ok(ApiAnswer::ok(format!("{{\"token\":\"{token}\",\"expires\":{expires}}}")))
}
