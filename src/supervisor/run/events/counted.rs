//! Events about what processes only count: refusals, and limits that were reached.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::admin::ServerEventKind;
use crate::types::limits::COUNTED_EVENT_EVERY;
use crate::types::{ApiCounts, MetricsSnapshot, ProcessCounts, SeriesFamily, WorkerCounts};

/// Status of the openings whose credentials were refused. They are counted by their reasons.
const UNAUTHORIZED: &str = "401";

/// Counters of which events were made. There is one for each row of the metrics, whose number is bounded.
#[derive(Debug, Default)]
pub(super) struct CountedEvents {
    noted: BTreeMap<EventCounter, NotedCount>,
}

/// A counter: what its events are about, and what it counts.
type EventCounter = (ServerEventKind, String);

#[derive(Clone, Copy, Debug)]
struct NotedCount {
    count: u64,
    at: Instant,
}

impl CountedEvents {
    /// Returns an event for each counter that is greater than before. Each counter has one event in
    /// [`COUNTED_EVENT_EVERY`] at most, with the sum of that time, so a flood leaves room for other events.
    pub(super) fn update(
        &mut self,
        snapshot: &MetricsSnapshot,
        now: Instant,
    ) -> Vec<(ServerEventKind, String)> {
        let mut events = Vec::new();
        for (counter, count) in counters(snapshot) {
            let noted = self.noted.get(&counter);
            let more = count.saturating_sub(noted.map_or(0, |noted| noted.count));
            let is_due = noted.is_none_or(|it| now.duration_since(it.at) >= COUNTED_EVENT_EVERY);
            if more > 0 && is_due {
                let (kind, what) = &counter;
                events.push((*kind, format!("{more} {what}")));
                self.noted.insert(counter, NotedCount { count, at: now });
            }
        }
        events
    }
}

/// Returns the counters of all processes, living and ended.
fn counters(snapshot: &MetricsSnapshot) -> Vec<(EventCounter, u64)> {
    let (mut workers, mut api): (WorkerCounts, ApiCounts) =
        (snapshot.ended.worker, snapshot.ended.api);
    let mut tenants = snapshot.ended.broker.tenant_throttles;
    for process in &snapshot.processes {
        match &process.counts {
            Some(ProcessCounts::Worker(counts)) => workers.add_counters(counts),
            Some(ProcessCounts::Api(counts)) => api.add_counters(counts),
            Some(ProcessCounts::Broker(counts)) => tenants += counts.tenant_throttles,
            Some(ProcessCounts::Bridge(_)) | None => {}
        }
    }
    let mut all = Vec::new();
    for ([operation, reason, _], count) in snapshot.series.rows(SeriesFamily::AuthFailures) {
        // Rows above the greatest number of rows have no labels.
        let reason = if reason.is_empty() { "other reasons" } else { reason };
        let what = format!("credentials refused ({operation}): {reason}");
        all.push(((ServerEventKind::Refusals, what), count));
    }
    for ([status, ..], count) in snapshot.series.rows(SeriesFamily::HandshakesRefused) {
        if status != UNAUTHORIZED {
            let what = format!("openings refused with the status {status}");
            all.push(((ServerEventKind::Refusals, what), count));
        }
    }
    let limited = api.rate_limited;
    for (limit, count) in [
        ("requests", limited.requests),
        ("requests_per_ip", limited.requests_per_ip),
        ("publications", limited.publications),
        ("bytes", limited.bytes),
        ("fair_share", limited.fair_share),
    ] {
        let what = format!("requests answered with 429: {limit}");
        all.push(((ServerEventKind::RateLimited, what), count));
    }
    for (what, count) in [
        ("waits of publishers for a limit", workers.throttled),
        ("waits of publishers for the fair share of their tenant", workers.fair_share_throttled),
        ("throttles of a tenant above its fair share", tenants),
    ] {
        all.push(((ServerEventKind::Throttles, what.to_owned()), count));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::types::{EndedCounts, LabelledSeries};

    fn snapshot(expired: u64, throttled: u64) -> MetricsSnapshot {
        let mut series = LabelledSeries::default();
        series.two(SeriesFamily::AuthFailures, "open", "token_expired", expired);
        series.one(SeriesFamily::HandshakesRefused, "401", expired);
        let worker = WorkerCounts { throttled, ..WorkerCounts::default() };
        MetricsSnapshot {
            version: String::new(),
            started_at: 0,
            state: String::new(),
            configuration: 1,
            last_reload: None,
            memory: None,
            processes: Vec::new(),
            ended: EndedCounts { worker, ..EndedCounts::default() },
            exits: Vec::new(),
            series,
            applications: None,
            cluster: None,
        }
    }

    #[test]
    fn a_counter_that_grows_makes_one_event_a_minute() {
        let mut counted = CountedEvents::default();
        let start = crate::supervisor::run::now();
        let mut update = |seconds, expired, throttled| {
            let now = start + Duration::from_secs(seconds);
            let events = counted.update(&snapshot(expired, throttled), now);
            events.into_iter().map(|(_, text)| text).collect::<Vec<_>>()
        };
        assert!(update(0, 0, 0).is_empty());
        assert_eq!(update(1, 2, 0), ["2 credentials refused (open): token_expired"]);
        assert_eq!(update(2, 9, 1), ["1 waits of publishers for a limit"]);
        assert!(update(60, 9, 1).is_empty());
        assert_eq!(update(61, 12, 1), ["10 credentials refused (open): token_expired"]);
        assert!(update(200, 12, 1).is_empty());
    }
}
