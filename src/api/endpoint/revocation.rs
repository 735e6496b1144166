//! `POST /tokens:revoke`: revokes connection tokens of the application.

use tokio::time::timeout_at;

use super::{EndpointContext, unexpected};
use crate::admin::{AdminRequest, AdminResponse};
use crate::api::error::{ApiError, ErrorCode};
use crate::api::json_object::{JsonObject, JsonPlace};
use crate::api::operators::first_answer;
use crate::api::response::ApiAnswer;
use crate::telemetry::unix_seconds;
use crate::types::RevokedTokens;
use crate::types::limits::{TOKEN_ID_BYTES_MAX, TOKEN_LEEWAY, TOKEN_SUBJECT_BYTES_MAX};

pub(super) const REVOKE_MEMBERS: &[&str] = &["jti", "sub", "issued_before"];
/// Seconds after which a request may be repeated when the list is full. Entries end after hours.
const RETRY_AFTER: u64 = 60;

/// Revokes tokens, and answers when no worker accepts them any more.
///
/// # Errors
///
/// What is wrong with the body, or why the tokens may still be accepted.
pub(in crate::api) async fn revoke(
    context: EndpointContext<'_>,
    text: &str,
) -> Result<ApiAnswer, ApiError> {
    let tokens = read_tokens(&JsonObject::read(text, JsonPlace::Body, REVOKE_MEMBERS)?)?;
    let EndpointContext { config, application, until, .. } = context;
    let application = Box::from(&*application.key);
    let request = AdminRequest::RevokeTokens { application, tokens };
    let answer = timeout_at(until, first_answer(config, request)).await;
    let late = || ApiError::new(ErrorCode::Busy, "the supervisor has not answered in time");
    match answer.map_err(|_| late())?? {
        AdminResponse::Done(_) => Ok(ApiAnswer::ok("{\"revoked\":true}".to_owned())),
        AdminResponse::Revoked { asked, answered } => {
            let hosts = match asked {
                0 => "\"partial\":true".to_owned(),
                _ => format!(
                    "\"hosts\":{{\"asked\":{asked},\"answered\":{answered}}},\"partial\":{}",
                    answered < asked
                ),
            };
            Ok(ApiAnswer::ok(format!("{{\"revoked\":true,{hosts}}}")))
        }
        AdminResponse::Unconfirmed(lines) => Err(ApiError::new(ErrorCode::Busy, lines.join("; "))),
        AdminResponse::Failed(lines) => {
            Err(ApiError::new(ErrorCode::NotPossible, lines.join("; ")))
        }
        AdminResponse::Full { limit } => {
            let message = format!("there are {limit} revocations, and no more fit");
            let error = ApiError::new(ErrorCode::RateLimited, message);
            let error = error.with_text("name", "revocations").with_number("limit", limit);
            Err(error.retry_after(RETRY_AFTER))
        }
        AdminResponse::Progress(_)
        | AdminResponse::Status(_)
        | AdminResponse::Figures(_)
        | AdminResponse::Cluster(_)
        | AdminResponse::Pinged(_)
        | AdminResponse::Events(_) => Err(unexpected()),
    }
}

fn read_tokens(body: &JsonObject<'_>) -> Result<RevokedTokens, ApiError> {
    let (jti, sub) = (body.text("jti")?, body.text("sub")?);
    let issued_before = body.count("issued_before")?;
    if issued_before.is_some_and(|time| time > unix_seconds() + TOKEN_LEEWAY.as_secs()) {
        return Err(body.invalid("issued_before", "`issued_before` is in the future".to_owned()));
    }
    let check = |member: &'static str, text: &str, bytes_max: usize| {
        let is_right = (1..=bytes_max).contains(&text.len());
        let why = || format!("`{member}` must have 1 to {bytes_max} bytes");
        if is_right { Ok(()) } else { Err(body.invalid(member, why())) }
    };
    match (jti, sub, issued_before) {
        (Some(jti), None, None) => {
            check("jti", &jti, TOKEN_ID_BYTES_MAX)?;
            Ok(RevokedTokens::Id { jti: jti.as_ref().into() })
        }
        (Some(_), ..) => {
            let why = "`jti` names one token; leave `sub` and `issued_before` out";
            Err(body.invalid("jti", why.to_owned()))
        }
        (None, Some(sub), Some(issued_before)) => {
            check("sub", &sub, TOKEN_SUBJECT_BYTES_MAX)?;
            Ok(RevokedTokens::Subject { sub: sub.as_ref().into(), issued_before })
        }
        (None, None, Some(issued_before)) => Ok(RevokedTokens::All { issued_before }),
        (None, Some(_), None) => {
            let why = "with `sub` it is needed: Unix seconds";
            Err(body.missing("issued_before", why))
        }
        (None, None, None) => {
            let why = "`jti`, or `issued_before` with or without `sub`, is needed";
            Err(body.missing("jti", why))
        }
    }
}
