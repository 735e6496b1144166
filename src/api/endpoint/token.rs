//! `PUT /connections/{uuid}/token`: gives a connection a new token.

use super::connection::push_token;
use super::over_hosts::ask_about;
use super::payload::check_memory;
use super::{EndpointContext, not_connected, unexpected};
use crate::api::error::{ApiError, ErrorCode};
use crate::api::json_object::{JsonObject, JsonPlace};
use crate::api::response::ApiAnswer;
use crate::link::query::{QueryKind, QueryResult, RefusedToken};
use crate::types::Secret;
use crate::types::limits::TOKEN_BYTES_MAX;

pub(super) const REFRESH_MEMBERS: &[&str] = &["token"];

/// Gives the connection of the path the token of the body.
///
/// # Errors
///
/// What is wrong with the body, or why the connection does not have the token.
pub(in crate::api) async fn refresh(
    context: EndpointContext<'_>,
    uuid: &str,
    text: &str,
) -> Result<ApiAnswer, ApiError> {
    let body = JsonObject::read(text, JsonPlace::Body, REFRESH_MEMBERS)?;
    let token = body.text("token")?;
    let token = token.ok_or_else(|| body.missing("token", "it is the new token"))?;
    let uuid = context.uuid(uuid, None)?;
    check_memory(context.state)?;
    if token.len() > TOKEN_BYTES_MAX {
        return Err(invalid("token_malformed", "it has more than 4096 bytes"));
    }
    let token = Secret::new(token.into_owned());
    let is_found = |answer: &QueryResult| !matches!(answer, QueryResult::Described(None));
    let query = QueryKind::RefreshToken { uuid, token };
    match ask_about(context, uuid, query, is_found).await? {
        QueryResult::Refreshed(token) => {
            let mut json = String::new();
            push_token(&mut json, Some(&token));
            Ok(ApiAnswer::ok(json))
        }
        QueryResult::TokenRefused(RefusedToken { code, why }) => Err(invalid(&code, &why)),
        QueryResult::Described(None) => Err(not_connected()),
        _ => Err(unexpected()),
    }
}

/// The exact reason is for the backend, which makes the tokens.
fn invalid(code: &str, why: &str) -> ApiError {
    let error = ApiError::at(ErrorCode::InvalidToken, "/token", why);
    error.with_text("reason", code)
}
