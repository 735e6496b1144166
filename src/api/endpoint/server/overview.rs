//! `GET /v1/server/overview`: whether the server is healthy, what has changed, and figures for charts.

use serde::Serialize;

use super::json;
use crate::admin::MemoryStatus;
use crate::api::config::ApiConfig;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::operators::history::{COLUMNS, FigureHistory, ServerFigures};
use crate::api::operators::supervisor;
use crate::api::response::ApiAnswer;
use crate::api::state::{ApiState, unix_seconds};
use crate::types::ExitCount;

#[derive(Debug, Serialize)]
struct ServerOverview<'a> {
    time: u64,
    version: String,
    state: &'a str,
    started_at: u64,
    listen: Vec<String>,
    configuration: ConfigurationShown<'a>,
    memory: Option<MemoryStatus>,
    certificate: Option<CertificateShown>,
    broker_linked: bool,
    exits: &'a [ExitCount],
    totals: ServerFigures,
    columns: [&'static str; COLUMNS.len()],
    history: &'a FigureHistory,
}

#[derive(Debug, Serialize)]
struct ConfigurationShown<'a> {
    number: u32,
    file: Option<String>,
    last_reload: Option<String>,
    waits_for_restart: Vec<String>,
    warnings: &'a [String],
}

#[derive(Debug, Serialize)]
struct CertificateShown {
    /// Unix second from which it is not valid any more.
    expires: u64,
}

/// Returns the answer.
///
/// # Errors
///
/// 503 if the supervisor does not answer.
pub(in crate::api) async fn show(
    state: &ApiState,
    config: &ApiConfig,
) -> Result<ApiAnswer, ApiError> {
    let no_answer = || ApiError::new(ErrorCode::Busy, "the supervisor does not answer");
    let snapshot = state.metrics.snapshot().await.ok_or_else(no_answer)?;
    let status = supervisor::status(config).await?;
    let history = state.operators.history.borrow();
    json(&ServerOverview {
        time: unix_seconds(),
        version: status.version,
        state: &snapshot.state,
        started_at: snapshot.started_at,
        listen: status.listen,
        configuration: ConfigurationShown {
            number: status.configuration.number,
            file: status.configuration.file,
            last_reload: status.configuration.last_reload,
            waits_for_restart: status.configuration.waits_for_restart,
            warnings: &config.operators.report.warnings,
        },
        memory: status.memory,
        certificate: config
            .operators
            .report
            .certificate_expires
            .map(|expires| CertificateShown { expires }),
        broker_linked: state.health.is_linked(),
        exits: &snapshot.exits,
        totals: ServerFigures::of(&snapshot),
        columns: COLUMNS,
        history: &history,
    })
}
