//! Counts the requests of the API by route, with their time, and what was refused.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use super::error::ErrorCode;
use super::route::RouteLabel;
use crate::protocol::v1::{ANSWERED, UNHANDLED};
use crate::types::{
    ApplicationFigures, ApplicationTable, Histogram, HistogramFamily, LabelledSeries, SeriesFamily,
};

/// The counters of all requests since the process started.
#[derive(Debug, Default)]
pub(super) struct RequestStats(RefCell<RequestCounters>);

#[derive(Debug, Default)]
struct RequestCounters {
    answered: BTreeMap<(RouteLabel, u16), u64>,
    times: BTreeMap<RouteLabel, Histogram>,
    auth_failures: BTreeMap<(&'static str, &'static str), u64>,
    denied: BTreeMap<&'static str, u64>,
    asks: BTreeMap<&'static str, u64>,
    repeated: u64,
    applications: ApplicationTable,
}

impl RequestStats {
    /// Counts an answer.
    pub(super) fn note(&self, route: RouteLabel, status: u16, took: Duration) {
        let mut counters = self.0.borrow_mut();
        *counters.answered.entry((route, status)).or_default() += 1;
        counters.times.entry(route).or_default().record_time(took);
    }

    /// Counts an error, if it is about credentials.
    pub(super) fn note_error(&self, route: RouteLabel, code: ErrorCode) {
        if code.status() == 401 {
            let failure = (route.operation(), code.text());
            *self.0.borrow_mut().auth_failures.entry(failure).or_default() += 1;
        }
    }

    /// Counts a publication that was denied, if the error is a reason for that.
    pub(super) fn note_denied(&self, code: ErrorCode) {
        let reason = match code {
            ErrorCode::PermissionDenied | ErrorCode::SignatureRequired => "permission",
            ErrorCode::SchemaViolation => "schema",
            ErrorCode::PayloadTooLarge => "size",
            ErrorCode::RateLimited => "rate_limit",
            _ => return,
        };
        *self.0.borrow_mut().denied.entry(reason).or_default() += 1;
    }

    /// Counts a question to a client, by its outcome. The words are those of `tagcast.v1`.
    pub(super) fn note_ask(&self, error: Option<ErrorCode>) {
        let outcome = match error {
            None => ANSWERED,
            Some(ErrorCode::AskUnsupported) => "unsupported",
            Some(ErrorCode::Unhandled) => UNHANDLED,
            Some(ErrorCode::Refused) => "refused",
            Some(ErrorCode::RateLimited) => "limit_exceeded",
            Some(ErrorCode::Away) => "away",
            Some(ErrorCode::ConnectionClosed | ErrorCode::ConnectionNotFound) => "gone",
            Some(_) => "timeout",
        };
        *self.0.borrow_mut().asks.entry(outcome).or_default() += 1;
    }

    /// Counts a publication whose id was used before.
    pub(super) fn note_repeated(&self) {
        self.0.borrow_mut().repeated += 1;
    }

    /// Counts a publication of an application.
    pub(super) fn note_publication(&self, application: &str, bytes: usize) {
        let (publications, bytes_in) = (1, bytes as u64);
        let one = ApplicationFigures { publications, bytes_in, ..ApplicationFigures::default() };
        self.0.borrow_mut().applications.add(application, &one);
    }

    /// Counts an error of an application that is in the configuration.
    pub(super) fn note_error_of(&self, application: &str, code: ErrorCode) {
        let mut one = ApplicationFigures::default();
        match code.status() {
            401 => one.auth_failures = 1,
            429 => one.rate_limited = 1,
            _ => return,
        }
        self.0.borrow_mut().applications.add(application, &one);
    }

    /// Returns the figures of applications.
    pub(super) fn applications(&self) -> ApplicationTable {
        self.0.borrow().applications.clone()
    }

    /// Adds the figures with labels.
    pub(super) fn report(&self, series: &mut LabelledSeries) {
        let counters = self.0.borrow();
        for ((route, status), count) in &counters.answered {
            series.two(SeriesFamily::ApiRequests, route.text(), status.to_string(), *count);
        }
        for (route, times) in &counters.times {
            series.record(HistogramFamily::ApiRequest, route.text(), times);
        }
        for ((operation, reason), count) in &counters.auth_failures {
            series.two(SeriesFamily::AuthFailures, *operation, *reason, *count);
        }
        for (reason, count) in &counters.denied {
            series.one(SeriesFamily::PublicationsDenied, *reason, *count);
        }
        for (outcome, count) in &counters.asks {
            series.one(SeriesFamily::Asks, *outcome, *count);
        }
        series.plain(SeriesFamily::IdempotencyKeysRepeated, counters.repeated);
    }
}
