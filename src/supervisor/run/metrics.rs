//! Figures for the metrics: those of living processes, and sums of ended ones, so no counter falls.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;

use rustix::param::clock_ticks_per_second;
use rustix::process::{Resource, getrlimit};

use super::admin::descriptors;
use super::children::RunningChildren;
use crate::supervisor::child::{ChildHandle, Death};
use crate::supervisor::lifecycle::ChildId;
use crate::supervisor::memory_limit::resident_bytes;
use crate::types::limits::TOP_ROWS;
use crate::types::{
    ApplicationTable, ClusterReport, CountReport, EndedCounts, ExitCause, ExitCount,
    HistogramFamily, LabelledSeries, OutboxFigures, ProcessCounts, ProcessFigures, ProcessRole,
    SeriesFamily, ShownApplications, WorkerId,
};

/// Signal of an abort (SIGABRT).
const ABORT: i32 = 6;
/// Exit code of a program whose main thread panicked.
const PANIC: i32 = 101;

/// Role and number of processes that succeed each other.
type Seat = (ProcessRole, Option<WorkerId>);

/// What the supervisor remembers of its processes between two requests for the metrics.
#[derive(Debug, Default)]
pub(super) struct MetricsMemory {
    /// The last figures of each living process.
    last: BTreeMap<ChildId, LastFigures>,
    ended: EndedCounts,
    /// Counters with labels of ended processes.
    ended_series: LabelledSeries,
    /// Counters of applications of ended processes.
    ended_applications: ApplicationTable,
    /// The applications that have rows of their own.
    shown: ShownApplications,
    /// Processor time of ended processes in milliseconds.
    ended_cpu: BTreeMap<Seat, u64>,
    exits: BTreeMap<(ProcessRole, ExitCause), u64>,
    /// Causes of the kills of processes that have not ended yet. None for a planned end, such as that
    /// of a worker that is late in a drain.
    killed: BTreeMap<ChildId, Option<ExitCause>>,
}

#[derive(Clone, Debug, Default)]
struct LastFigures {
    counts: Option<ProcessCounts>,
    series: LabelledSeries,
    applications: ApplicationTable,
    outboxes: Vec<OutboxFigures>,
    cluster: Option<Box<ClusterReport>>,
    cpu_ms: u64,
}

impl MetricsMemory {
    /// Records the counters of a process.
    pub(super) fn counted(&mut self, child: ChildId, report: CountReport) {
        let last = self.last.entry(child).or_default();
        (last.counts, last.series) = (Some(report.counts), report.series);
        // It has them only if they were asked for.
        if !report.applications.is_empty() {
            last.applications = report.applications;
        }
        last.outboxes = report.outboxes;
        last.cluster = report.cluster;
    }

    /// Records that a process is killed: None if its end was planned. The first cause counts.
    pub(super) fn killed(&mut self, child: ChildId, cause: Option<ExitCause>) {
        self.killed.entry(child).or_insert(cause);
    }

    /// Adds the last figures of a process that has ended to the sums.
    pub(super) fn ended(&mut self, child: ChildId, death: &Death) {
        let last = self.last.remove(&child).unwrap_or_default();
        if let Some(counts) = &last.counts {
            self.ended.add(counts);
            if let ProcessCounts::Worker(counts) = counts {
                self.ended_series.one(SeriesFamily::ConnectionsClosed, "lost", counts.open);
            }
        }
        self.ended_series.add_ended(last.series);
        self.ended_applications.add_ended(&last.applications);
        *self.ended_cpu.entry(seat(child)).or_default() += last.cpu_ms;
        let killed = self.killed.remove(&child);
        if let Some(cause) = cause(death, killed) {
            *self.exits.entry((seat(child).0, cause)).or_default() += 1;
        }
    }

    /// Returns the figures of a process. `counts` are those that it just reported.
    fn figures(
        &mut self,
        child: ChildId,
        pid: Option<u32>,
        counts: Option<ProcessCounts>,
    ) -> ProcessFigures {
        let last = self.last.entry(child).or_default();
        last.cpu_ms = pid.and_then(cpu_ms).unwrap_or(last.cpu_ms);
        let (role, worker) = seat(child);
        let before = self.ended_cpu.get(&(role, worker)).copied().unwrap_or_default();
        ProcessFigures {
            role,
            worker,
            resident_bytes: pid.and_then(resident_bytes),
            descriptors: pid.and_then(descriptors),
            descriptors_max: descriptors_max(),
            cpu_ms: Some(before + last.cpu_ms),
            counts: counts.or(last.counts),
            is_stale: counts.is_none(),
            turns: last.series.histograms(HistogramFamily::EventLoopTurn).map(|(_, it)| *it).next(),
        }
    }

    /// Returns the figures of the supervisor and its children. `counts` are those that the children
    /// just reported.
    pub(super) fn processes(
        &mut self,
        children: &RunningChildren,
        counts: &BTreeMap<ChildId, ProcessCounts>,
    ) -> Vec<ProcessFigures> {
        let own = std::process::id();
        let supervisor = ProcessFigures {
            role: ProcessRole::Supervisor,
            worker: None,
            resident_bytes: resident_bytes(own),
            descriptors: descriptors(own),
            descriptors_max: descriptors_max(),
            cpu_ms: cpu_ms(own),
            counts: None,
            is_stale: false,
            turns: None,
        };
        let figures = |child| {
            let pid = children.get(child).and_then(ChildHandle::pid);
            self.figures(child, pid, counts.get(&child).copied())
        };
        [supervisor].into_iter().chain(children.members().map(figures)).collect()
    }

    /// Returns the sums of the processes that have ended.
    pub(super) fn ended_counts(&self) -> EndedCounts {
        self.ended
    }

    /// Returns the figures with labels of all processes, living and ended.
    pub(super) fn series(&self) -> LabelledSeries {
        let mut all = self.ended_series.clone();
        self.last.values().for_each(|last| all.add(&last.series));
        all
    }

    /// Returns the figures of applications of all processes, living and ended.
    pub(super) fn applications(&mut self) -> ApplicationTable {
        let mut all = self.ended_applications.clone();
        self.last.values().for_each(|last| all.add_all(&last.applications));
        self.shown.choose(&all)
    }

    /// Returns the largest outboxes of all workers.
    pub(super) fn outboxes(&self) -> Vec<OutboxFigures> {
        let mut all: Vec<_> = self.last.values().flat_map(|last| last.outboxes.clone()).collect();
        all.sort_by_key(|outbox| Reverse(outbox.bytes));
        all.truncate(TOP_ROWS);
        all
    }

    /// Returns what the bridge has shown of the hosts of the cluster.
    pub(super) fn cluster(&self) -> Option<Box<ClusterReport>> {
        self.last.values().find_map(|last| last.cluster.clone())
    }

    /// Returns the unplanned ends of processes.
    pub(super) fn exits(&self) -> Vec<ExitCount> {
        let exit = |((role, cause), count): (&(ProcessRole, ExitCause), &u64)| ExitCount {
            role: *role,
            cause: *cause,
            count: *count,
        };
        self.exits.iter().map(exit).collect()
    }
}

/// Returns the cause of an unplanned end; `None` for a process that ended in good order.
fn cause(death: &Death, killed: Option<Option<ExitCause>>) -> Option<ExitCause> {
    let status = match death {
        Death::NotStarted(_) => return Some(ExitCause::NotStarted),
        Death::Ended(status) if status.success() => return None,
        Death::Ended(status) => status,
    };
    killed.unwrap_or_else(|| {
        Some(match (status.signal(), status.code()) {
            (Some(ABORT), _) | (_, Some(PANIC)) => ExitCause::Panicked,
            (Some(_), _) => ExitCause::Killed,
            _ => ExitCause::Failed,
        })
    })
}

fn seat(child: ChildId) -> Seat {
    match child {
        ChildId::Broker(_) => (ProcessRole::Broker, None),
        ChildId::Api(_) => (ProcessRole::Api, None),
        ChildId::Bridge(_) => (ProcessRole::Bridge, None),
        ChildId::Worker(source) => (ProcessRole::Worker, Some(source.worker)),
    }
}

/// The limit of this process, which its children inherit.
fn descriptors_max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Returns the processor time of a process in milliseconds: fields 14 and 15 of `/proc/PID/stat` (proc(5)).
fn cpu_ms(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in field 2 may have blanks and parentheses.
    let (_, fields) = text.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some((user + system) * 1000 / clock_ticks_per_second().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Generation, WorkerCounts, WorkerIncarnation};
    use std::process::ExitStatus;

    fn worker(generation: u32) -> ChildId {
        let generation = Generation(generation);
        ChildId::Worker(WorkerIncarnation { worker: WorkerId(0), generation })
    }

    #[test]
    fn sums_stay_when_a_process_ends() {
        let mut memory = MetricsMemory::default();
        let counts = WorkerCounts {
            accepted: 5,
            open: 2,
            closed: 3,
            matched: 10,
            delivered: 7,
            missed: 1,
            waiting: 2,
            ..WorkerCounts::default()
        };
        let mut series = LabelledSeries::default();
        series.one(SeriesFamily::ConnectionsOpened, "phpws", 5);
        series.one(SeriesFamily::Clients, "phpws", 2);
        memory.counted(worker(0), CountReport::of_process(ProcessCounts::Worker(counts), series));
        let opened = |memory: &MetricsMemory| {
            let all = memory.series();
            let sum = |family| all.rows(family).map(|(_, value)| value).sum::<u64>();
            (sum(SeriesFamily::ConnectionsOpened), sum(SeriesFamily::Clients))
        };
        assert_eq!(opened(&memory), (5, 2));
        memory.ended(worker(0), &Death::Ended(ExitStatus::from_raw(9)));
        let ended = memory.ended.worker;
        assert_eq!((ended.accepted, ended.open, ended.closed), (5, 0, 5));
        assert_eq!((ended.matched, ended.delivered, ended.missed, ended.waiting), (10, 7, 3, 0));
        assert_eq!(opened(&memory), (5, 0));
        assert_eq!(
            memory.exits(),
            [ExitCount { role: ProcessRole::Worker, cause: ExitCause::Killed, count: 1 }]
        );
    }

    #[test]
    fn each_unplanned_end_has_a_cause() {
        let ended = |status| Death::Ended(ExitStatus::from_raw(status));
        assert_eq!(cause(&ended(0), None), None);
        assert_eq!(cause(&ended(9), None), Some(ExitCause::Killed));
        assert_eq!(cause(&ended(9), Some(Some(ExitCause::Hung))), Some(ExitCause::Hung));
        assert_eq!(cause(&ended(9), Some(None)), None, "a planned end");
        assert_eq!(cause(&ended(ABORT), None), Some(ExitCause::Panicked));
        assert_eq!(cause(&ended(PANIC << 8), None), Some(ExitCause::Panicked));
        assert_eq!(cause(&ended(1 << 8), None), Some(ExitCause::Failed));
    }

    #[test]
    fn time_of_the_processor_grows_with_its_use() {
        let used = || cpu_ms(std::process::id()).unwrap();
        let begin = used();
        while used() <= begin {
            std::hint::black_box((0..100_000).sum::<u64>());
        }
        assert!(begin < 3_600_000, "{begin} ms is not the time of this process");
    }
}
