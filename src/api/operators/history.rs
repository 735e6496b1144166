//! Figures of the last minute, hour and day, for charts.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::types::{ApiCounts, MetricsSnapshot, ProcessCounts, WorkerCounts};

/// Interval of the samples.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// Names of the columns of a point.
pub(in crate::api) const COLUMNS: [&str; 11] = [
    "time",
    "connections",
    "clients",
    "messages",
    "publications",
    "deliveries",
    "missed",
    "waiting",
    "requests",
    "cpu_percent",
    "resident_bytes",
];

/// One point: the time in Unix seconds, then gauges at this time, and rates since the last point.
pub(in crate::api) type HistoryPoint = [f64; COLUMNS.len()];

/// The points of the last minute, hour and day.
#[derive(Debug, Serialize)]
pub(in crate::api) struct FigureHistory {
    second: PointSeries,
    minute: PointSeries,
    hour: PointSeries,
}

impl Default for FigureHistory {
    fn default() -> Self {
        let series = PointSeries::new;
        Self { second: series(1, 60), minute: series(60, 60), hour: series(3600, 24) }
    }
}

impl FigureHistory {
    /// Records the figures at a time in Unix seconds.
    pub(super) fn record(&mut self, now: u64, snapshot: &MetricsSnapshot) {
        let sample = Sample { at: now, figures: ServerFigures::of(snapshot) };
        for series in [&mut self.second, &mut self.minute, &mut self.hour] {
            series.record(&sample);
        }
    }
}

/// Sums over all processes, living and ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(in crate::api) struct ServerFigures {
    pub(in crate::api) connections: u64,
    pub(in crate::api) clients: u64,
    pub(in crate::api) messages: u64,
    pub(in crate::api) publications: u64,
    pub(in crate::api) deliveries: u64,
    pub(in crate::api) missed: u64,
    pub(in crate::api) waiting: u64,
    pub(in crate::api) requests: u64,
    pub(in crate::api) requests_refused: u64,
    pub(in crate::api) cpu_ms: u64,
    pub(in crate::api) resident_bytes: u64,
    /// Clients that were closed because they did not read.
    pub(in crate::api) closed_slow: u64,
    /// Clients that were closed because they sent nothing.
    pub(in crate::api) closed_silent: u64,
    /// Clients that were closed because memory was scarce.
    pub(in crate::api) closed_for_memory: u64,
    pub(in crate::api) webhook_events_failed: u64,
}

impl ServerFigures {
    /// Adds the figures of all processes.
    pub(in crate::api) fn of(snapshot: &MetricsSnapshot) -> Self {
        let (mut workers, mut api): (WorkerCounts, ApiCounts) =
            (snapshot.ended.worker, snapshot.ended.api);
        let mut figures = Self::default();
        for process in &snapshot.processes {
            figures.cpu_ms += process.cpu_ms.unwrap_or_default();
            figures.resident_bytes += process.resident_bytes.unwrap_or_default();
            match &process.counts {
                Some(ProcessCounts::Worker(counts)) => {
                    workers.add_counters(counts);
                    figures.connections += counts.open;
                    figures.waiting += counts.waiting;
                }
                Some(ProcessCounts::Api(counts)) => api.add_counters(counts),
                Some(ProcessCounts::Broker(counts)) => figures.clients += counts.clients,
                Some(ProcessCounts::Bridge(_)) | None => {}
            }
        }
        Self {
            messages: workers.messages,
            publications: workers.published + api.published,
            deliveries: workers.delivered,
            missed: workers.missed,
            requests: api.requests,
            requests_refused: api.refused,
            closed_slow: workers.slow,
            closed_silent: workers.silent,
            closed_for_memory: workers.shed,
            webhook_events_failed: workers.events_failed,
            ..figures
        }
    }

    /// Returns the point of these figures, with rates since earlier ones.
    #[expect(clippy::cast_precision_loss, reason = "charts need no more than 53 bits")]
    fn point(&self, since: &Sample, now: u64) -> HistoryPoint {
        let (before, seconds) = (&since.figures, now.saturating_sub(since.at).max(1) as f64);
        let rate = |after: u64, before: u64| {
            let rate = after.saturating_sub(before) as f64 / seconds;
            (rate * 1000.0).round() / 1000.0
        };
        [
            now as f64,
            self.connections as f64,
            self.clients as f64,
            rate(self.messages, before.messages),
            rate(self.publications, before.publications),
            rate(self.deliveries, before.deliveries),
            rate(self.missed, before.missed),
            self.waiting as f64,
            rate(self.requests, before.requests),
            rate(self.cpu_ms, before.cpu_ms) / 10.0,
            self.resident_bytes as f64,
        ]
    }
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: u64,
    figures: ServerFigures,
}

/// Points with the same distance, oldest first.
#[derive(Debug)]
struct PointSeries {
    every: u64,
    points_max: usize,
    last: Option<Sample>,
    points: VecDeque<HistoryPoint>,
}

impl Serialize for PointSeries {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(&self.points)
    }
}

impl PointSeries {
    fn new(every: u64, points_max: usize) -> Self {
        Self { every, points_max, last: None, points: VecDeque::new() }
    }

    fn record(&mut self, sample: &Sample) {
        let Some(last) = self.last else {
            self.last = Some(*sample);
            return;
        };
        if sample.at < last.at + self.every {
            return;
        }
        if self.points.len() == self.points_max {
            self.points.pop_front();
        }
        self.points.push_back(sample.figures.point(&last, sample.at));
        self.last = Some(*sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_have_rates_and_the_oldest_are_dropped() {
        let mut series = PointSeries::new(10, 3);
        for at in 0..=60 {
            let figures =
                ServerFigures { messages: at * 5, connections: at, ..ServerFigures::default() };
            series.record(&Sample { at, figures });
        }
        let points: Vec<_> =
            series.points.iter().map(|point| (point[0], point[1], point[3])).collect();
        assert_eq!(points, [(40.0, 40.0, 5.0), (50.0, 50.0, 5.0), (60.0, 60.0, 5.0)]);
    }

    #[test]
    fn a_gap_is_one_point_with_the_rate_over_it() {
        let mut series = PointSeries::new(1, 60);
        for (at, messages) in [(100, 0), (110, 50)] {
            let figures = ServerFigures { messages, ..ServerFigures::default() };
            series.record(&Sample { at, figures });
        }
        assert_eq!(series.points.len(), 1);
        assert_eq!(series.points[0][3], 5.0);
    }
}
