//! Requests to the supervisor over its control socket, as the commands of the command line make them.

use crate::admin::{self, AdminRequest, AdminResponse, EventPage, EventPosition, ServerStatus};
use crate::api::config::ApiConfig;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::response::ApiAnswer;

/// Returns the status of the server.
///
/// # Errors
///
/// 503 if the supervisor does not answer.
pub(in crate::api) async fn status(config: &ApiConfig) -> Result<ServerStatus, ApiError> {
    match first_answer(config, AdminRequest::Status).await? {
        AdminResponse::Status(status) => Ok(*status),
        _ => Err(unavailable()),
    }
}

/// Returns the events after a position.
///
/// # Errors
///
/// 503 if the supervisor does not answer.
pub(in crate::api) async fn events(
    config: &ApiConfig,
    after: Option<EventPosition>,
) -> Result<EventPage, ApiError> {
    match first_answer(config, AdminRequest::Events { after }).await? {
        AdminResponse::Events(page) => Ok(*page),
        _ => Err(unavailable()),
    }
}

/// Carries out an order of an operator.
///
/// # Errors
///
/// 409 with the reasons if the server does not follow it; 503 if the supervisor does not answer.
pub(super) async fn order(config: &ApiConfig, order: AdminRequest) -> Result<ApiAnswer, ApiError> {
    match first_answer(config, order).await? {
        AdminResponse::Failed(lines) | AdminResponse::Unconfirmed(lines) => {
            Err(ApiError::new(ErrorCode::NotPossible, lines.join("; ")))
        }
        AdminResponse::Done(lines) => {
            let lines = serde_json::to_string(&lines).unwrap_or_default();
            Ok(ApiAnswer::ok(format!("{{\"lines\":{lines}}}")))
        }
        AdminResponse::Progress(_)
        | AdminResponse::Status(_)
        | AdminResponse::Figures(_)
        | AdminResponse::Cluster(_)
        | AdminResponse::Pinged(_)
        | AdminResponse::Revoked { .. }
        | AdminResponse::Events(_)
        | AdminResponse::Full { .. } => Ok(ApiAnswer::accepted()),
    }
}

/// Sends a request, and returns the first line of its answer.
pub(in crate::api) async fn first_answer(
    config: &ApiConfig,
    request: AdminRequest,
) -> Result<AdminResponse, ApiError> {
    let folder = config.state_folder.clone();
    let asked = tokio::task::spawn_blocking(move || admin::ask(&folder, &request)?.next_answer());
    let answer = asked.await.ok().and_then(Result::ok).flatten();
    answer.ok_or_else(unavailable)
}

fn unavailable() -> ApiError {
    ApiError::new(ErrorCode::Busy, "the supervisor does not answer")
}
