//! `GET /metrics` and `/metrics/applications`: the figures of all processes and applications, for Prometheus.

mod applications;
mod hosts;
mod labelled;
mod text;

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use hyper::Method;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

use super::error::{ApiError, ErrorCode};
use super::parameters::Parameters;
use super::response::ApiAnswer;
use super::route;
use super::state::ApiState;
use crate::types::limits::{METRICS_AGE_MAX, METRICS_WAIT};
use crate::types::{CountDetail, MetricsSnapshot};

/// Returns what the page with this path shows, if it is one of the metrics.
pub(super) fn page_of(path: &str) -> Option<CountDetail> {
    match path {
        "/metrics" => Some(CountDetail::Process),
        "/metrics/applications" => Some(CountDetail::Applications),
        _ => None,
    }
}

/// Media type of OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The figures that the supervisor sent last, and the requests that wait for new ones.
#[derive(Debug, Default)]
pub(super) struct MetricsCollector {
    processes: MetricsFeed,
    applications: MetricsFeed,
    /// What the supervisor should be asked for.
    detail: Cell<CountDetail>,
    /// Signals that the supervisor should be asked.
    wanted: Notify,
}

/// The last figures of one page, and the requests for it that wait for new ones.
#[derive(Debug, Default)]
struct MetricsFeed {
    last: RefCell<Option<(Instant, Arc<MetricsSnapshot>)>>,
    waiting: RefCell<Vec<oneshot::Sender<Arc<MetricsSnapshot>>>>,
}

impl MetricsFeed {
    fn recent(&self) -> Option<Arc<MetricsSnapshot>> {
        let last = self.last.borrow();
        let (at, snapshot) = last.as_ref()?;
        (at.elapsed() < METRICS_AGE_MAX).then(|| Arc::clone(snapshot))
    }

    fn received(&self, snapshot: &Arc<MetricsSnapshot>) {
        self.last.replace(Some((Instant::now(), Arc::clone(snapshot))));
        for waiting in self.waiting.take() {
            // A request that has ended needs no answer.
            let _ended = waiting.send(Arc::clone(snapshot));
        }
    }

    /// Queues a request for new figures. Returns true with it if no other one waits, so that they are not asked
    /// for twice.
    fn wait(&self) -> (oneshot::Receiver<Arc<MetricsSnapshot>>, bool) {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|one| !one.is_closed());
        waiting.push(sender);
        (receiver, waiting.len() == 1)
    }
}

impl MetricsCollector {
    /// Waits until a request needs new figures.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Returns what the supervisor should be asked for.
    pub(super) fn take_detail(&self) -> CountDetail {
        self.detail.take()
    }

    /// Takes new figures of the supervisor.
    pub(super) fn received(&self, snapshot: MetricsSnapshot) {
        let snapshot = Arc::new(snapshot);
        self.processes.received(&snapshot);
        if snapshot.applications.is_some() {
            self.applications.received(&snapshot);
        }
    }

    /// Returns figures of all processes that are not too old. None if the supervisor does not answer.
    pub(super) async fn snapshot(&self) -> Option<Arc<MetricsSnapshot>> {
        self.of(CountDetail::Process).await
    }

    async fn of(&self, detail: CountDetail) -> Option<Arc<MetricsSnapshot>> {
        let feed = if detail.has_applications() { &self.applications } else { &self.processes };
        if let Some(recent) = feed.recent() {
            return Some(recent);
        }
        let (receiver, is_first) = feed.wait();
        if is_first {
            self.detail.set(self.detail.get().max(detail));
            self.wanted.notify_one();
        }
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
    page: CountDetail,
    method: &Method,
    query: Option<&str>,
) -> Result<ApiAnswer, ApiError> {
    if let Some(methods) = route::check_read(method)? {
        return Ok(methods);
    }
    Parameters::read(query, &[])?;
    let Some(snapshot) = state.metrics.of(page).await else {
        return Err(ApiError::new(ErrorCode::Busy, "the supervisor does not answer"));
    };
    let text = text::encode(snapshot, page)
        .map_err(|_| ApiError::new(ErrorCode::InternalError, "the metrics cannot be written"))?;
    Ok(ApiAnswer::text(OPEN_METRICS, text))
}
