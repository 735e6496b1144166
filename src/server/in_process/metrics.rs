//! Figures of the threads, for the metrics. The system has none for each thread's memory and descriptors.

use std::collections::{BTreeMap, BTreeSet};

use crate::supervisor::lifecycle::ChildId;
use crate::types::{
    ApplicationTable, CountDetail, CountReport, EndedCounts, LabelledSeries, MetricsSnapshot,
    ProcessFigures, ProcessRole, ShownApplications,
};

/// Collects the counters of all threads when the API asks for them.
#[derive(Debug, Default)]
pub(super) struct ThreadMetrics {
    number: u32,
    /// The API thread that waits.
    asker: Option<(ChildId, CountDetail)>,
    /// Threads that have not reported yet.
    waits: BTreeSet<ChildId>,
    last: BTreeMap<ChildId, CountReport>,
    ended: EndedCounts,
    ended_series: LabelledSeries,
    ended_applications: ApplicationTable,
    shown: ShownApplications,
}

/// What the server is doing.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerState {
    pub(super) started_at: u64,
    pub(super) state: &'static str,
    pub(super) configuration: u32,
}

impl ThreadMetrics {
    /// Begins a collection from these threads. Returns its number.
    pub(super) fn begin(
        &mut self,
        asker: ChildId,
        detail: CountDetail,
        threads: BTreeSet<ChildId>,
    ) -> u32 {
        self.number = self.number.wrapping_add(1);
        (self.asker, self.waits) = (Some((asker, detail)), threads);
        self.number
    }

    /// Records the counters of a thread.
    pub(super) fn counted(&mut self, child: ChildId, number: u32, report: CountReport) {
        self.last.insert(child, report);
        if number == self.number {
            self.waits.remove(&child);
        }
    }

    /// Adds the last counters of a thread that has ended to the sums.
    pub(super) fn ended(&mut self, child: ChildId) {
        self.waits.remove(&child);
        if let Some(report) = self.last.remove(&child) {
            self.ended.add(&report.counts);
            self.ended_series.add_ended(report.series);
            self.ended_applications.add_ended(&report.applications);
        }
    }

    /// Returns the API thread and the figures for it, once all threads have reported.
    pub(super) fn take_complete(
        &mut self,
        server: ServerState,
    ) -> Option<(ChildId, MetricsSnapshot)> {
        let (asker, detail) = self.asker.take_if(|_| self.waits.is_empty())?;
        let applications = (detail.has_applications()).then(|| {
            let mut all = self.ended_applications.clone();
            self.last.values().for_each(|report| all.add_all(&report.applications));
            self.shown.choose(&all)
        });
        let mut series = self.ended_series.clone();
        self.last.values().for_each(|report| series.add(&report.series));
        let figures = |(child, report): (&ChildId, &CountReport)| {
            let (role, worker) = match child {
                ChildId::Broker(_) => (ProcessRole::Broker, None),
                ChildId::Api(_) => (ProcessRole::Api, None),
                ChildId::Bridge(_) => (ProcessRole::Bridge, None),
                ChildId::Worker(source) => (ProcessRole::Worker, Some(source.worker)),
            };
            let (resident_bytes, descriptors, descriptors_max) = (None, None, None);
            let (counts, cpu_ms, is_stale) = (Some(report.counts), None, false);
            ProcessFigures {
                role,
                worker,
                resident_bytes,
                descriptors,
                descriptors_max,
                cpu_ms,
                counts,
                is_stale,
                turns: None,
            }
        };
        let snapshot = MetricsSnapshot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: server.started_at,
            state: server.state.to_owned(),
            configuration: server.configuration,
            last_reload: None,
            memory: None,
            processes: self.last.iter().map(figures).collect(),
            ended: self.ended,
            exits: Vec::new(),
            series,
            applications,
            cluster: None,
        };
        Some((asker, snapshot))
    }
}
