//! Traces: the spans of requests whose caller records a trace, sent to an OpenTelemetry receiver.

mod exporter;
mod publication;
mod span;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use hyper::{HeaderMap, Uri};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::warn;

use self::exporter::Exporter;
pub(super) use self::exporter::export;
pub(super) use self::publication::PublicationTrace;
use self::span::{SpanId, SpanKind, TraceSpan};
use crate::http::TraceParent;
use crate::telemetry::unix_time;
use crate::types::SpanTimes;
use crate::types::limits::{TRACE_BATCH_MAX, TRACE_EXPORT_EVERY, TRACE_SPANS_MAX};

/// The header that names the trace of a request.
const HEADER: &str = "traceparent";

/// Spans that wait for the exporter, and what was counted.
#[derive(Debug, Default)]
pub(super) struct Traces {
    /// Sends spans, if a receiver is configured.
    exporter: RefCell<Option<Rc<Exporter>>>,
    waiting: RefCell<VecDeque<TraceSpan>>,
    /// Signals that spans wait.
    wake: Notify,
    /// Publications whose reports are awaited.
    open: Cell<usize>,
    /// Spans that the exporter is sending.
    sending: Cell<usize>,
    /// Spans are not collected any longer, but sent as they come.
    is_ending: Cell<bool>,
    ending: Notify,
    exported: Cell<u64>,
    dropped: Cell<u64>,
}

/// A request whose caller records a trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestTrace {
    parent: TraceParent,
    /// The span of the request.
    span: SpanId,
    began: Duration,
}

impl Traces {
    /// Sends spans to this receiver from now on; without one, no request is traced.
    pub(super) fn configure(&self, endpoint: Option<&Uri>) {
        let mut exporter = self.exporter.borrow_mut();
        if exporter.as_ref().map(|it| it.endpoint()) == endpoint {
            return;
        }
        *exporter = endpoint.and_then(|endpoint| match Exporter::new(endpoint.clone()) {
            Ok(exporter) => Some(Rc::new(exporter)),
            Err(error) => {
                warn!(event = "trace_export_failed", why = %error, "failed to send spans");
                None
            }
        });
    }

    /// Begins the trace of a request, if there is a receiver and the caller records the trace.
    pub(super) fn begin(&self, headers: &HeaderMap) -> Option<RequestTrace> {
        self.exporter.borrow().as_ref()?;
        let mut values = headers.get_all(HEADER).iter();
        let parent = TraceParent::parse(values.next()?.as_bytes())?;
        let is_traced = parent.is_sampled && values.next().is_none();
        is_traced.then(|| RequestTrace { parent, span: new_span(), began: unix_time() })
    }

    /// Ends the trace of a request.
    pub(super) fn end(&self, request: RequestTrace, route: &str, status: u16) {
        let RequestTrace { parent, span, began } = request;
        self.push(TraceSpan {
            trace: parent.trace,
            id: span,
            parent: parent.span,
            name: "tagcast.http",
            kind: SpanKind::Server,
            times: SpanTimes { began, ended: unix_time() },
            attributes: vec![
                ("http.route", json!(route)),
                ("http.response.status_code", json!(status)),
            ],
            is_error: status >= 500,
        });
    }

    /// Spans that the receiver has taken.
    pub(super) fn exported(&self) -> u64 {
        self.exported.get()
    }

    /// Spans that were not sent, and publications that were not traced.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Sends spans as they come from now on, because the process is about to exit.
    pub(super) fn flush(&self) {
        self.is_ending.set(true);
        self.ending.notify_one();
    }

    /// Returns true if no span waits, and none is expected.
    pub(super) fn is_flushed(&self) -> bool {
        self.unsent() == 0 && self.open.get() == 0
    }

    /// Warns about the spans that are lost with the process.
    pub(super) fn log_unsent(&self) {
        let unsent = self.unsent();
        if unsent > 0 {
            let why = "the process exits";
            warn!(event = "trace_export_failed", why, unsent, "failed to send spans");
        }
    }

    fn unsent(&self) -> usize {
        self.waiting.borrow().len() + self.sending.get()
    }

    /// Waits for spans, and then for a time in which more are collected.
    async fn collected(&self) {
        self.wake.notified().await;
        if !self.is_ending.get() {
            tokio::select! {
                () = sleep(TRACE_EXPORT_EVERY) => {}
                () = self.ending.notified() => {}
            }
        }
    }

    fn exporter(&self) -> Option<Rc<Exporter>> {
        self.exporter.borrow().clone()
    }

    /// Takes the spans of the next export; `None` if there are none. Those of the one before are done.
    fn take(&self) -> Option<Vec<TraceSpan>> {
        let mut waiting = self.waiting.borrow_mut();
        let count = waiting.len().min(TRACE_BATCH_MAX);
        self.sending.set(count);
        (count > 0).then(|| waiting.drain(..count).collect())
    }

    fn push(&self, span: TraceSpan) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= TRACE_SPANS_MAX {
            return self.note_dropped(1);
        }
        waiting.push_back(span);
        self.wake.notify_one();
    }

    fn note_exported(&self, count: usize) {
        self.exported.set(self.exported.get() + count as u64);
    }

    fn note_dropped(&self, count: usize) {
        self.dropped.set(self.dropped.get() + count as u64);
    }
}

/// Returns a random identifier. That of a UUID of version 4 is never zero.
fn new_span() -> SpanId {
    let bytes = uuid::Uuid::new_v4().into_bytes();
    bytes.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (HEADER.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_sampled_requests_are_traced_while_there_is_a_receiver() {
        let traces = Traces::default();
        let sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(traces.begin(&headers(&[sampled])).is_none(), "there is no receiver");
        traces.configure(Some(&Uri::from_static("http://127.0.0.1:4318/v1/traces")));
        assert!(traces.begin(&headers(&[sampled])).is_some());
        let unsampled = sampled.replace("-01", "-00");
        for none in [&[][..], &[&*unsampled], &["x"], &[sampled, sampled]] {
            assert!(traces.begin(&headers(none)).is_none(), "{none:?}");
        }
        traces.configure(None);
        assert!(traces.begin(&headers(&[sampled])).is_none());
    }

    #[test]
    fn spans_above_the_limit_are_dropped_and_counted() {
        let traces = Traces::default();
        traces.configure(Some(&Uri::from_static("http://127.0.0.1:4318/v1/traces")));
        let value = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let request = traces.begin(&headers(&[value])).unwrap();
        (0..TRACE_SPANS_MAX + 3).for_each(|_| traces.end(request, "/v1/info", 200));
        assert_eq!(traces.dropped(), 3);
        assert_eq!(traces.take().map(|spans| spans.len()), Some(TRACE_BATCH_MAX));
    }
}
