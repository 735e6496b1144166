//! The spans of a publication: taken over, resolved by the broker, written by each worker.

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::span::{SpanKind, TraceSpan};
use super::{RequestTrace, Traces, new_span};
use crate::api::tracked::ReportProgress;
use crate::telemetry::unix_time;
use crate::types::limits::{TRACE_TIME, TRACED_PUBLICATIONS_MAX, WRITE_REPORT_GRACE};
use crate::types::{SpanTimes, TrackedSubject, Tracking};

/// A publication of a request whose caller records a trace.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct PublicationTrace<'a> {
    traces: &'a Rc<Traces>,
    request: RequestTrace,
}

/// A place among the publications whose reports are awaited.
#[derive(Debug)]
struct OpenTrace(Rc<Traces>);

impl<'a> PublicationTrace<'a> {
    /// Traces a publication of this request.
    pub(in crate::api) fn of(
        traces: &'a Rc<Traces>,
        request: Option<RequestTrace>,
    ) -> Option<Self> {
        request.map(|request| Self { traces, request })
    }

    /// Whether there is room for the reports on one more publication.
    pub(in crate::api) fn has_room(&self) -> bool {
        self.traces.open.get() < TRACED_PUBLICATIONS_MAX
    }

    /// The publication is not traced, because there is no room.
    pub(in crate::api) fn skip(&self) {
        self.traces.note_dropped(1);
    }

    /// Returns the tracking with times. If the publication is not tracked, it is from now on.
    pub(in crate::api) fn timed(tracking: Option<Tracking>) -> Tracking {
        let within = tracking.map_or(TRACE_TIME, |tracking| tracking.within);
        Tracking { subject: TrackedSubject::TimedWrites, within }
    }

    /// Makes the spans once all reports have arrived, or when their time is over.
    pub(in crate::api) fn follow(&self, within: Duration, progress: &Rc<ReportProgress>) {
        let (began, progress) = (unix_time(), Rc::clone(progress));
        let open = OpenTrace::new(self.traces);
        let request = self.request;
        spawn_local(async move {
            let until = Instant::now() + within + WRITE_REPORT_GRACE;
            progress.settled(until).await;
            let times = SpanTimes { began, ended: unix_time() };
            spans(request, times, &progress).into_iter().for_each(|span| open.0.push(span));
        });
    }
}

impl OpenTrace {
    fn new(traces: &Rc<Traces>) -> Self {
        traces.open.set(traces.open.get() + 1);
        Self(Rc::clone(traces))
    }
}

impl Drop for OpenTrace {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

fn spans(request: RequestTrace, times: SpanTimes, progress: &ReportProgress) -> Vec<TraceSpan> {
    let (trace, id) = (request.parent.trace, new_span());
    let mut publish = TraceSpan {
        trace,
        id,
        parent: request.span,
        name: "tagcast.publish",
        kind: SpanKind::Producer,
        times,
        attributes: Vec::new(),
        is_error: false,
    };
    if let Some((matched, workers)) = progress.reached() {
        publish.attributes.push(("tagcast.matched", json!(matched)));
        publish.attributes.push(("tagcast.workers", json!(workers)));
    }
    let inside = |name, times| TraceSpan {
        id: new_span(),
        parent: id,
        name,
        kind: SpanKind::Internal,
        times,
        ..publish.clone()
    };
    let mut all = Vec::new();
    if let Some(times) = progress.resolved() {
        all.push(TraceSpan { attributes: Vec::new(), ..inside("tagcast.resolve", times) });
    }
    for part in progress.take_timed_parts() {
        let attributes = vec![
            ("tagcast.worker", json!(part.worker.0)),
            ("tagcast.written", json!(part.counts.written)),
            ("tagcast.slow", json!(part.counts.slow)),
        ];
        all.push(TraceSpan { attributes, ..inside("tagcast.fanout", part.times) });
    }
    all.insert(0, publish);
    all
}
