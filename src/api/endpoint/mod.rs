//! The endpoints: one file for each kind.

pub(super) mod ask;
mod batch;
mod commanded;
pub(super) mod connection;
pub(super) mod connections;
mod connections_of_hosts;
pub(super) mod disconnect;
pub(super) mod explain;
pub(super) mod info;
pub(super) mod issue;
mod matching;
pub(super) mod openapi;
mod over_hosts;
mod payload;
pub(super) mod probe;
mod publish;
mod recipients;
pub(super) mod retag;
pub(super) mod revocation;
pub(super) mod server;
pub(super) mod stats;
pub(super) mod tags;
mod tags_of_hosts;
mod taken;
pub(super) mod token;
mod written;

use tokio::time::Instant;

use super::access::ApiApplication;
use super::config::ApiConfig;
use super::error::{ApiError, ErrorCode};
use super::idempotency::IdempotencyKey;
use super::state::ApiState;
use super::traces::PublicationTrace;
use super::window_waits::BatchTurn;
use crate::link::query::{QueryKind, QueryResult};

/// What an endpoint needs besides the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndpointContext<'a> {
    pub(super) state: &'a ApiState,
    pub(super) config: &'a ApiConfig,
    pub(super) application: &'a ApiApplication,
    /// The header `Idempotency-Key`.
    pub(super) key: Option<&'a IdempotencyKey<'a>>,
    /// End of the time that the request waits for the broker, for room and for its answers together.
    pub(super) until: Instant,
    /// The trace of the request, if its caller records one.
    pub(super) trace: Option<PublicationTrace<'a>>,
    /// The turn of the batch that the request is, if it is one.
    pub(super) turn: Option<&'a BatchTurn>,
}

/// Asks the broker about the clients of the application's space.
///
/// # Errors
///
/// If it does not answer in time.
async fn broker_answer(
    context: EndpointContext<'_>,
    kind: QueryKind,
) -> Result<QueryResult, ApiError> {
    let EndpointContext { state, application, until, .. } = context;
    let answer = state.publisher.query(&application.tenant, kind, until).await;
    answer.ok_or_else(ApiError::broker_unavailable)
}

/// The error about an answer of another kind than the question.
fn unexpected() -> ApiError {
    ApiError::new(ErrorCode::InternalError, "a fault of the server")
}

/// The error about a UUID of this server whose client is not connected in the space.
fn not_connected() -> ApiError {
    let message = "no such client is connected in this space";
    ApiError::new(ErrorCode::ConnectionNotFound, message)
}

/// The member `cursor` of a list: none on the last page.
fn cursor_json(cursor: Option<String>) -> String {
    cursor.map_or_else(|| "null".to_owned(), |cursor| format!("\"{cursor}\""))
}
