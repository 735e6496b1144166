//! The state that all requests share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tracing::warn;

use super::answers::AnswerMemory;
use super::config::ApiConfig;
use super::connection::registry::ConnectionRegistry;
use super::health::ApiHealth;
use super::metrics::MetricsCollector;
use super::operators::OperatorState;
use super::publisher::ApiPublisher;
use super::rate_limits::RequestLimits;
use super::refusals::Refusals;
use super::request_ids::RequestIds;
use super::request_stats::RequestStats;
use super::traces::Traces;
pub(super) use crate::telemetry::unix_seconds;
use crate::telemetry::{LogThrottle, lines_lost};
use crate::types::limits::{API_BODIES_BYTES_MAX, API_REQUESTS_MAX, IDS_EVICTED_LOG_EVERY};
use crate::types::{
    ApiCounts, ApplicationFigures, ApplicationTable, CountDetail, CountReport, LabelledSeries,
    Pressure, ProcessCounts, RateLimitedCounts, SeriesFamily, WorkerIncarnation,
};

/// Minimum interval between two log lines about wrong credentials.
const WRONG_CREDENTIALS_EVERY: Duration = Duration::from_secs(60);

/// The state of the API, for its connections.
#[derive(Debug)]
pub(super) struct ApiState {
    config: RefCell<Rc<ApiConfig>>,
    pub(super) publisher: ApiPublisher,
    pub(super) connections: ConnectionRegistry,
    /// One permit for each concurrent request.
    pub(super) requests: Semaphore,
    /// One permit for each byte of all bodies.
    pub(super) bodies: Arc<Semaphore>,
    /// Memory of large answers.
    pub(super) answers: AnswerMemory,
    pub(super) request_ids: RequestIds,
    stage: Cell<ServingStage>,
    stage_changed: Notify,
    pub(super) health: ApiHealth,
    pub(super) metrics: MetricsCollector,
    pub(super) operators: OperatorState,
    pub(super) traces: Rc<Traces>,
    pub(super) pressure: Cell<Pressure>,
    /// One change of the tags of many clients is under way at a time: a new broker completes only the last one.
    pub(super) bulk_changes: Arc<Semaphore>,
    pub(super) answered: Cell<u64>,
    pub(super) refused: Cell<u64>,
    pub(super) refusals: RefCell<Refusals>,
    pub(super) request_stats: RequestStats,
    /// Limits of the rate of requests.
    pub(super) rate_limits: RequestLimits,
    started: Instant,
    wrong_credentials: RefCell<LogThrottle>,
    evicted_ids: EvictedIds,
}

/// What is accepted, in the order of an orderly end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ServingStage {
    Serving,
    /// No request but health checks. Pending requests are finished.
    Draining,
    /// No connection either.
    Leaving,
}

/// What was logged about ids that were forgotten early.
#[derive(Debug, Default)]
struct EvictedIds {
    logged: Cell<u64>,
    next: Cell<Option<Instant>>,
}

fn warn_of_wrong_credentials(count: u64) {
    warn!(event = "api_credentials_refused", count, "wrong credentials for the API were refused");
}

impl ApiState {
    /// Without connections.
    pub(super) fn new(source: WorkerIncarnation, config: ApiConfig) -> Self {
        let publisher = ApiPublisher::new(source);
        publisher.limit_ids(config.ids_max);
        let rate_limits = RequestLimits::new(&config);
        let traces = Rc::<Traces>::default();
        traces.configure(config.otlp_endpoint.as_ref());
        Self {
            config: RefCell::new(Rc::new(config)),
            publisher,
            evicted_ids: EvictedIds::default(),
            connections: ConnectionRegistry::default(),
            requests: Semaphore::new(API_REQUESTS_MAX),
            bodies: Arc::new(Semaphore::new(API_BODIES_BYTES_MAX)),
            answers: AnswerMemory::default(),
            request_ids: RequestIds::default(),
            stage: Cell::new(ServingStage::Serving),
            stage_changed: Notify::new(),
            health: ApiHealth::default(),
            metrics: MetricsCollector::default(),
            operators: OperatorState::default(),
            traces,
            pressure: Cell::new(Pressure::None),
            bulk_changes: Arc::new(Semaphore::new(1)),
            answered: Cell::new(0),
            refused: Cell::new(0),
            refusals: RefCell::default(),
            request_stats: RequestStats::default(),
            rate_limits,
            started: Instant::now(),
            wrong_credentials: RefCell::new(LogThrottle::new(1, WRONG_CREDENTIALS_EVERY)),
        }
    }

    /// Returns the current configuration. A request keeps the one that it started with.
    pub(super) fn config(&self) -> Rc<ApiConfig> {
        Rc::clone(&self.config.borrow())
    }

    /// Applies another configuration.
    pub(super) fn configure(&self, config: ApiConfig) {
        self.publisher.limit_ids(config.ids_max);
        let former = self.config.replace(Rc::new(config));
        self.config().access.keep_uses(&former.access);
        self.operators.configured.notify_waiters();
        self.traces.configure(self.config().otlp_endpoint.as_ref());
        self.rate_limits.configure(&self.config());
        if former.signatures != self.config().signatures {
            self.publisher.set_window(self.config().signatures, unix_seconds());
        }
    }

    /// Returns true if requests are refused because the server is stopping.
    pub(super) fn is_draining(&self) -> bool {
        self.stage.get() >= ServingStage::Draining
    }

    /// Moves on to a stage. There is no way back.
    pub(super) fn move_on(&self, stage: ServingStage) {
        self.stage.set(stage.max(self.stage.get()));
        self.stage_changed.notify_waiters();
    }

    /// Waits for a stage.
    pub(super) async fn reached(&self, stage: ServingStage) {
        loop {
            let changed = self.stage_changed.notified();
            if self.stage.get() >= stage {
                return;
            }
            changed.await;
        }
    }

    /// Records wrong credentials. At most one log line per minute reports their number.
    pub(super) fn note_wrong_credentials(&self) {
        if self.wrong_credentials.borrow_mut().admits(self.started.elapsed()) {
            warn_of_wrong_credentials(1);
        }
    }

    /// Writes the line about wrong credentials that were counted, once its minute is over.
    pub(super) fn log_wrong_credentials(&self) {
        if let Some(count) = self.wrong_credentials.borrow_mut().unshown(self.started.elapsed()) {
            warn_of_wrong_credentials(count);
        }
    }

    /// Writes the last line about wrong credentials, before the process exits.
    pub(super) fn log_last_wrong_credentials(&self) {
        if let Some(count) = self.wrong_credentials.borrow_mut().take_unshown() {
            warn_of_wrong_credentials(count);
        }
    }

    /// Warns about ids of publications that were forgotten early, at most once a minute.
    pub(super) fn log_evicted_ids(&self) {
        let evicted = self.publisher.ids_evicted();
        let EvictedIds { logged, next } = &self.evicted_ids;
        let (count, now) = (evicted - logged.get(), Instant::now());
        if count == 0 || next.get().is_some_and(|next| now < next) {
            return;
        }
        logged.set(evicted);
        next.set(Some(now + IDS_EVICTED_LOG_EVERY));
        warn!(
            event = "ids_evicted",
            count, "ids of publications were forgotten before their time; raise idempotencyMax"
        );
    }

    /// Returns true if no request is pending.
    pub(super) fn is_quiet(&self) -> bool {
        self.requests.available_permits() == API_REQUESTS_MAX
            && self.publisher.unacknowledged() == 0
    }

    /// Returns all counters.
    pub(super) fn report(&self, detail: CountDetail) -> CountReport {
        let mut series = LabelledSeries::default();
        self.request_stats.report(&mut series);
        series.one(SeriesFamily::Publications, "http", self.publisher.published());
        let in_flight = API_REQUESTS_MAX - self.requests.available_permits();
        series.plain(SeriesFamily::ApiRequestsInFlight, in_flight as u64);
        let remembered = self.publisher.remembered();
        series.plain(SeriesFamily::NoncesStored, remembered.nonces as u64);
        series.plain(SeriesFamily::IdempotencyKeysStored, remembered.ids as u64);
        series.plain(SeriesFamily::IdempotencyKeysEvicted, self.publisher.ids_evicted());
        let link = self.publisher.link_bytes();
        series.one(SeriesFamily::LinkBytes, "in", link.read);
        series.one(SeriesFamily::LinkBytes, "out", link.written);
        series.plain(SeriesFamily::LogLinesLost, lines_lost());
        series.one(SeriesFamily::TraceSpans, "exported", self.traces.exported());
        series.one(SeriesFamily::TraceSpans, "dropped", self.traces.dropped());
        if let Some(expires) = self.config().operators.report.certificate_expires {
            series.plain(SeriesFamily::CertificateExpiry, expires);
        }
        let mut report = CountReport::of_process(ProcessCounts::Api(self.counts()), series);
        report.applications = match detail.has_applications() {
            false => ApplicationTable::default(),
            true => {
                let mut table = self.request_stats.applications();
                // An application without requests has a row too.
                let none = ApplicationFigures::default();
                self.config().access.applications().for_each(|it| table.add(&it.key, &none));
                table
            }
        };
        report
    }

    fn counts(&self) -> ApiCounts {
        ApiCounts {
            open: self.connections.open() as u64,
            accepted: self.connections.accepted(),
            requests: self.answered.get(),
            refused: self.refused.get(),
            published: self.publisher.published(),
            unacknowledged: self.publisher.unacknowledged(),
            ids_evicted: self.publisher.ids_evicted(),
            rate_limited: RateLimitedCounts {
                fair_share: self.publisher.throttled(),
                ..self.rate_limits.counts()
            },
        }
    }
}
