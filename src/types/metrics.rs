//! What the supervisor knows for the metrics: figures of all processes, and sums of the dead ones.

use serde::{Deserialize, Serialize};

use super::{
    ApiCounts, ApplicationTable, BridgeCounts, BrokerCounts, ClusterReport, Histogram,
    LabelledSeries, Pressure, ProcessCounts, WorkerCounts, WorkerId,
};

/// The figures of a server at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsSnapshot {
    /// Version of the program.
    pub version: String,
    /// Start of the server in seconds since 1970.
    pub started_at: u64,
    /// `starting`, `serving`, `restarting` or `draining`.
    pub state: String,
    /// Number of the configuration, counted from 1 at the start.
    pub configuration: u32,
    /// The last reload. None before the first.
    pub last_reload: Option<ReloadResult>,
    /// Memory of all processes. None without a limit.
    pub memory: Option<MemoryFigures>,
    /// The supervisor and its children.
    pub processes: Vec<ProcessFigures>,
    /// Sums of the processes that have ended.
    pub ended: EndedCounts,
    /// Unplanned ends of processes.
    pub exits: Vec<ExitCount>,
    /// Figures with labels of all processes, living and ended.
    #[serde(default)]
    pub series: LabelledSeries,
    /// Figures of applications, if they were asked for.
    #[serde(default)]
    pub applications: Option<ApplicationTable>,
    /// The hosts of the cluster, if this is one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Box<ClusterReport>>,
}

/// Result of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadResult {
    /// Whether the configuration was applied.
    pub is_applied: bool,
    /// Time of the last one that was applied, in seconds since 1970.
    pub applied_at: Option<u64>,
}

/// Memory in use and the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryFigures {
    /// Bytes in use.
    pub used: u64,
    /// The limit in bytes.
    pub limit: u64,
    /// The overload stage.
    pub pressure: Pressure,
}

/// Role of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessRole {
    /// The process that starts the others.
    Supervisor,
    /// The broker.
    Broker,
    /// The API process.
    Api,
    /// The bridge to other hosts.
    Bridge,
    /// A worker.
    Worker,
}

impl ProcessRole {
    /// Returns the name, as the label `role` has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Supervisor => "supervisor",
            Self::Broker => "broker",
            Self::Api => "api",
            Self::Bridge => "bridge",
            Self::Worker => "worker",
        }
    }
}

/// Figures of one running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessFigures {
    /// Its role.
    pub role: ProcessRole,
    /// Its number, if it is a worker.
    pub worker: Option<WorkerId>,
    /// Resident memory in bytes. None if unknown, as for all that follow.
    pub resident_bytes: Option<u64>,
    /// Open file descriptors.
    pub descriptors: Option<u64>,
    /// Maximum number of open file descriptors.
    pub descriptors_max: Option<u64>,
    /// Processor time in milliseconds of all processes that have had this role and number.
    pub cpu_ms: Option<u64>,
    /// Counters. None if the process has not answered yet.
    pub counts: Option<ProcessCounts>,
    /// Whether it did not answer this time, so its counters are older.
    pub is_stale: bool,
    /// How long the turns of its event loop took, if it has one.
    #[serde(default)]
    pub turns: Option<Histogram>,
}

/// Sums of processes that have ended. They keep the counters of the server from falling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedCounts {
    /// Of workers.
    pub worker: WorkerCounts,
    /// Of brokers.
    pub broker: BrokerCounts,
    /// Of API processes.
    pub api: ApiCounts,
    /// Of bridges.
    #[serde(default)]
    pub bridge: BridgeCounts,
}

/// A number of unplanned ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitCount {
    /// Role of the processes.
    pub role: ProcessRole,
    /// Cause of the ends.
    pub cause: ExitCause,
    /// Number of ends.
    pub count: u64,
}

/// Reason of an unplanned end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitCause {
    /// A signal, such as SIGKILL of the kernel when memory is short.
    Killed,
    /// A panic, or an abort.
    Panicked,
    /// An exit code other than 0.
    Failed,
    /// No answer to the supervisor in time.
    Hung,
    /// The link between two living processes broke.
    LinkLost,
    /// It could not be started.
    NotStarted,
}

impl ExitCause {
    /// Returns the name, as the label `reason` has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Panicked => "panicked",
            Self::Failed => "failed",
            Self::Hung => "hung",
            Self::LinkLost => "link_lost",
            Self::NotStarted => "not_started",
        }
    }
}

impl EndedCounts {
    /// Adds the last counters of a process that has ended. What was open there is closed, and what waited
    /// there is missed, so the counters still balance.
    pub fn add(&mut self, counts: &ProcessCounts) {
        match counts {
            ProcessCounts::Worker(counts) => {
                let worker = &mut self.worker;
                worker.add_counters(counts);
                worker.closed += counts.open;
                worker.missed += counts.waiting;
            }
            ProcessCounts::Broker(counts) => self.broker.publications += counts.publications,
            ProcessCounts::Api(counts) => self.api.add_counters(counts),
            ProcessCounts::Bridge(counts) => self.bridge.add_counters(counts),
        }
    }
}
