//! Health endpoints on the API's own addresses and on kept connections.

use std::cell::Cell;
use std::fmt::Write;

use hyper::Method;
use tokio::time::Instant;

use super::connection::registry::ConnectionOrigin;
use super::error::ApiError;
use super::parameters::Parameters;
use super::response::ApiAnswer;
use super::route;
use super::state::ApiState;
use crate::http::HealthEndpoint;
use crate::types::limits::OUTAGE_TOLERATED;
use crate::types::{Pressure, Readiness};

/// What the API process knows about the health of the server.
#[derive(Debug)]
pub(super) struct ApiHealth {
    /// What the supervisor said last.
    told: Cell<Readiness>,
    /// Time since which there has been no link to a broker.
    unlinked_since: Cell<Option<Instant>>,
}

impl Default for ApiHealth {
    fn default() -> Self {
        let (told, unlinked_since) =
            (Cell::new(Readiness::Starting), Cell::new(Some(Instant::now())));
        Self { told, unlinked_since }
    }
}

impl ApiHealth {
    /// Notes what the supervisor says about the workers.
    pub(super) fn told(&self, readiness: Readiness) {
        self.told.set(readiness);
    }

    /// Notes a link to a broker.
    pub(super) fn linked(&self) {
        self.unlinked_since.set(None);
    }

    /// Notes the loss of the link.
    pub(super) fn unlinked(&self) {
        self.unlinked_since.set(Some(Instant::now()));
    }

    /// Returns true while there is a link to a broker.
    pub(super) fn is_linked(&self) -> bool {
        self.unlinked_since.get().is_none()
    }

    fn broker(&self) -> Readiness {
        match self.unlinked_since.get() {
            Some(since) if since.elapsed() >= OUTAGE_TOLERATED => Readiness::BrokerUnavailable,
            _ => Readiness::Ready,
        }
    }
}

/// The checks of the health endpoints, in the order in which their reasons are reported.
struct HealthChecks(Vec<(&'static str, Readiness)>);

impl HealthChecks {
    fn of(state: &ApiState) -> Self {
        let workers = match state.is_draining() {
            true => Readiness::Draining,
            false => state.health.told.get(),
        };
        let memory = match state.pressure.get() {
            Pressure::None => Readiness::Ready,
            _ => Readiness::MemoryPressure,
        };
        let mut checks = vec![("workers", workers), ("broker", state.health.broker())];
        if state.config().needs_cluster {
            let cluster = state.publisher.state.borrow().cluster;
            let is_long = |since: Instant| since.elapsed() >= OUTAGE_TOLERATED;
            checks.push(("cluster", cluster.readiness(is_long)));
        }
        checks.push(("memory", memory));
        Self(checks)
    }

    fn readiness(&self) -> Readiness {
        self.0.iter().fold(Readiness::Ready, |found, (_, next)| found.and(*next))
    }

    /// Returns a line for each check.
    fn lines(&self) -> String {
        self.0.iter().fold(String::new(), |mut lines, (check, readiness)| {
            let _cannot_fail = writeln!(lines, "{check} {}", readiness.word());
            lines
        })
    }
}

/// Answers a request to a health endpoint. The parameter `verbose` adds a line for each check.
///
/// # Errors
///
/// For a wrong method or an unknown parameter.
pub(super) fn answer(
    state: &ApiState,
    origin: ConnectionOrigin,
    endpoint: HealthEndpoint,
    method: &Method,
    query: Option<&str>,
) -> Result<ApiAnswer, ApiError> {
    if let Some(methods) = route::check_read(method)? {
        return Ok(methods);
    }
    let parameters = Parameters::read(query, &["verbose"])?;
    let checks = HealthChecks::of(state);
    let readiness = endpoint.judge(checks.readiness());
    let mut body = endpoint.body(readiness);
    // The addresses of the WebSockets are open to strangers, who get the word alone.
    if origin == ConnectionOrigin::Own
        && endpoint == HealthEndpoint::Ready
        && parameters.text("verbose").is_some()
    {
        body.push_str(&checks.lines());
    }
    Ok(ApiAnswer::health(readiness, endpoint.content_type(), body))
}
