//! What operators read about the whole server.

pub(in crate::api) mod applications;
pub(in crate::api) mod events;
pub(in crate::api) mod overview;
mod publication_json;
mod stream;
pub(in crate::api) mod tail;

use serde::Serialize;

use crate::api::config::ApiConfig;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::json_object::{JsonObject, JsonPlace};
use crate::api::operators::supervisor;
use crate::api::response::ApiAnswer;
use crate::api::state::unix_seconds;
use crate::auth::Operator;

/// Returns an answer with this value as JSON.
fn json(value: &impl Serialize) -> Result<ApiAnswer, ApiError> {
    let text = serde_json::to_string(value);
    let failed = |_| ApiError::new(ErrorCode::InternalError, "a fault of the server");
    text.map(ApiAnswer::ok).map_err(failed)
}

/// Checks that a body has no members.
///
/// # Errors
///
/// If it has some.
pub(in crate::api) fn check_empty(text: &str) -> Result<(), ApiError> {
    if text.is_empty() { Ok(()) } else { JsonObject::read(text, JsonPlace::Body, &[]).map(drop) }
}

/// The error about an application that does not exist, or that the operator may not see.
pub(in crate::api) fn no_such_application() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "there is no such application")
}

/// The operator of a request.
#[derive(Debug, Serialize)]
struct OperatorShown<'a> {
    name: &'a str,
    role: &'static str,
    applications: Option<&'a [String]>,
    payloads: bool,
    /// Unix second at which the session ends. `None`: the request has the token of the operator.
    session_expires: Option<u64>,
}

/// Answers with the operator of the request, whose session lasts for this many seconds more.
///
/// # Errors
///
/// Only by a fault of the server.
pub(in crate::api) fn me(operator: &Operator, rest: Option<u64>) -> Result<ApiAnswer, ApiError> {
    json(&OperatorShown {
        name: &operator.name,
        role: operator.role.word(),
        applications: operator.applications.as_deref(),
        payloads: operator.payloads,
        session_expires: rest.map(|rest| unix_seconds() + rest),
    })
}

/// Answers with the status of the server, as `tagcast status --json` prints it.
///
/// # Errors
///
/// 503 if the supervisor does not answer.
pub(in crate::api) async fn processes(config: &ApiConfig) -> Result<ApiAnswer, ApiError> {
    json(&supervisor::status(config).await?)
}

/// Answers with the value and the source of each key.
///
/// # Errors
///
/// Only by a fault of the server.
pub(in crate::api) fn configuration(config: &ApiConfig) -> Result<ApiAnswer, ApiError> {
    json(&config.operators.report)
}
