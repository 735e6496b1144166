//! `GET /metrics` on the API's own addresses: the figures of all processes, for Prometheus.

mod text;

use std::cell::RefCell;
use std::sync::Arc;

use hyper::Method;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

use super::error::{ApiError, ErrorCode};
use super::parameters::Parameters;
use super::response::ApiAnswer;
use super::route;
use super::state::ApiState;
use crate::types::MetricsSnapshot;
use crate::types::limits::{METRICS_AGE_MAX, METRICS_WAIT};

/// Path of the metrics.
pub(super) const PATH: &str = "/metrics";
/// Media type of OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The figures that the supervisor sent last, and the requests that wait for new ones.
#[derive(Debug, Default)]
pub(super) struct MetricsCollector {
    last: RefCell<Option<(Instant, Arc<MetricsSnapshot>)>>,
    waiting: RefCell<Vec<oneshot::Sender<Arc<MetricsSnapshot>>>>,
    /// Signals that the supervisor should be asked.
    wanted: Notify,
}

impl MetricsCollector {
    /// Waits until a request needs new figures.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Takes new figures of the supervisor.
    pub(super) fn received(&self, snapshot: MetricsSnapshot) {
        let snapshot = Arc::new(snapshot);
        self.last.replace(Some((Instant::now(), Arc::clone(&snapshot))));
        for waiting in self.waiting.take() {
            // A request that has ended needs no answer.
            let _ended = waiting.send(Arc::clone(&snapshot));
        }
    }

    /// Returns figures that are not too old. None if the supervisor does not answer.
    pub(super) async fn snapshot(&self) -> Option<Arc<MetricsSnapshot>> {
        if let Some((at, snapshot)) = &*self.last.borrow()
            && at.elapsed() < METRICS_AGE_MAX
        {
            return Some(Arc::clone(snapshot));
        }
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.waiting.borrow_mut();
            waiting.retain(|one| !one.is_closed());
            waiting.push(sender);
        }
        self.wanted.notify_one();
        timeout(METRICS_WAIT, receiver).await.ok()?.ok()
    }
}

/// Answers a request for the metrics.
///
/// # Errors
///
/// For a wrong method or a parameter, and if the supervisor does not answer.
pub(super) async fn answer(
    state: &ApiState,
    method: &Method,
    query: Option<&str>,
) -> Result<ApiAnswer, ApiError> {
    if let Some(methods) = route::check_read(method)? {
        return Ok(methods);
    }
    Parameters::read(query, &[])?;
    let Some(snapshot) = state.metrics.snapshot().await else {
        return Err(ApiError::new(ErrorCode::Busy, "the supervisor does not answer"));
    };
    let text = text::encode(snapshot)
        .map_err(|_| ApiError::new(ErrorCode::InternalError, "the metrics cannot be written"))?;
    Ok(ApiAnswer::text(OPEN_METRICS, text))
}
