//! The state of a running server.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types::{
    ApiCounts, BridgeCounts, BrokerCounts, ClusterState, NatsFault, Pressure, ProcessCounts,
    WorkerCounts,
};

/// A running server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Version of the program.
    pub version: String,
    /// Process id of the supervisor.
    pub pid: u32,
    /// The stage of the server's life.
    pub stage: ServerStage,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Addresses that the server listens on.
    pub listen: Vec<String>,
    /// The active configuration.
    pub configuration: Configuration,
    /// Memory usage and limit. None without a limit.
    pub memory: Option<MemoryStatus>,
    /// The cluster of this host. None if it runs alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The name of this host, if it is one of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The broker, followed by the API process, the bridge and the workers.
    pub processes: Vec<ProcessStatus>,
}

/// The stage of a server's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerStage {
    /// Some processes are not ready yet.
    Starting,
    /// All processes are ready.
    Serving,
    /// The server is restarting its workers one at a time.
    RestartingWorkers,
    /// The server is shutting down.
    Draining,
}

/// The active configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Number of the configuration, counted from 1 at the start.
    pub number: u32,
    /// Path of the configuration file. None without a file.
    pub file: Option<String>,
    /// Result of the last reload. None before the first reload.
    pub last_reload: Option<String>,
    /// Changes that need a restart to take effect.
    pub waits_for_restart: Vec<String>,
}

/// Memory of all processes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStatus {
    /// Bytes in use.
    pub used_bytes: u64,
    /// The limit in bytes.
    pub ceiling_bytes: u64,
    /// The current overload stage.
    pub pressure: Pressure,
}

/// A process of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// `broker`, `api`, `bridge` or `worker 0`.
    pub role: String,
    /// Process id. None while the restart of the process is delayed.
    pub pid: Option<u32>,
    /// Generation of the process: how many processes have had this role.
    pub generation: u32,
    /// `starting`, `ready`, `leaving`, `waiting`.
    pub state: String,
    /// Seconds since its start.
    pub uptime_s: u64,
    /// Resident memory in bytes. None if unknown.
    pub resident_bytes: Option<u64>,
    /// Open file descriptors. None if unknown.
    pub descriptors: Option<u64>,
    /// Counters of the process. None if it did not answer in time.
    pub counts: Option<ProcessCounts>,
}

impl ServerStatus {
    /// Returns the number of connected clients, over the workers that answered.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.workers().map(|counts| counts.open).sum()
    }

    /// Returns the counters of the workers that answered.
    pub fn workers(&self) -> impl Iterator<Item = WorkerCounts> {
        self.processes.iter().filter_map(|process| match process.counts {
            Some(ProcessCounts::Worker(counts)) => Some(counts),
            _ => None,
        })
    }

    /// Returns the counters of the API process. None if it did not answer.
    #[must_use]
    pub fn api(&self) -> Option<ApiCounts> {
        self.processes.iter().find_map(|process| match process.counts {
            Some(ProcessCounts::Api(counts)) => Some(counts),
            _ => None,
        })
    }

    /// Returns the counters of the bridge. None if it did not answer.
    #[must_use]
    pub fn bridge(&self) -> Option<BridgeCounts> {
        self.processes.iter().find_map(|process| match process.counts {
            Some(ProcessCounts::Bridge(counts)) => Some(counts),
            _ => None,
        })
    }

    /// Returns the counters of the broker. None if it did not answer.
    #[must_use]
    pub fn broker(&self) -> Option<BrokerCounts> {
        self.processes.iter().find_map(|process| match process.counts {
            Some(ProcessCounts::Broker(counts)) => Some(counts),
            _ => None,
        })
    }
}

impl fmt::Display for ServerStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::RestartingWorkers => "serving, restarting workers",
            Self::Draining => "draining",
        })
    }
}

/// Displays a line about the server, followed by a table of its processes.
impl fmt::Display for ServerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, pid, stage, configuration, .. } = self;
        writeln!(
            f,
            "tagcast {version}, process {pid}: {stage}, up {}, {} connections",
            Span(self.uptime_s),
            self.connections()
        )?;
        writeln!(f, "listens on: {}", self.listen.join(", "))?;
        let file = configuration.file.as_deref().unwrap_or("no file, defaults");
        writeln!(f, "configuration {}: {file}", configuration.number)?;
        if let Some(reload) = &configuration.last_reload {
            writeln!(f, "last reload: {reload}")?;
        }
        for change in &configuration.waits_for_restart {
            writeln!(f, "waits for a restart: {change}")?;
        }
        if let Some(MemoryStatus { used_bytes, ceiling_bytes, pressure }) = self.memory {
            let [used, ceiling] = [used_bytes, ceiling_bytes].map(megabytes);
            writeln!(f, "memory: {used:.1} MB of {ceiling:.1} MB, {}", pressure.text())?;
        }
        if let Some(name) = &self.cluster {
            let text = cluster_text(self.bridge().as_ref());
            let host = self.host.as_deref().unwrap_or("-");
            writeln!(f, "cluster {name}: {text}; this host is {host}")?;
        }
        writeln!(f)?;
        let titles = ["role", "pid", "gen", "state", "up", "memory", "files", "clients"];
        row(f, titles.map(str::to_owned))?;
        self.processes.iter().try_for_each(|process| row(f, process.cells()))
    }
}

/// Returns whether publications pass between hosts, and which hosts there are.
fn cluster_text(bridge: Option<&BridgeCounts>) -> String {
    let Some(bridge) = bridge else { return "the bridge does not answer".to_owned() };
    let state = cluster_state(bridge.state, bridge.state_s, bridge.fault);
    let BridgeCounts { hosts_live, hosts_silent, hosts_gone, gaps, .. } = bridge;
    let mut text = format!("{state}, {hosts_live} hosts live");
    for (count, what) in [(hosts_silent, "silent"), (hosts_gone, "gone")] {
        if *count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text.push_str(&format!(", {gaps} gaps"));
    text
}

/// Returns whether publications pass between hosts, and since when they do not.
pub(super) fn cluster_state(state: ClusterState, seconds: u64, fault: Option<NatsFault>) -> String {
    let since = Span(seconds);
    match state {
        ClusterState::Connected => "connected to NATS".to_owned(),
        ClusterState::Disconnected => {
            let fault = fault.map_or("not connected yet", NatsFault::text);
            format!("disconnected for {since}: {fault}")
        }
        ClusterState::CannotReceive => {
            format!(
                "cannot receive for {since}: does the NATS user have the permission to subscribe?"
            )
        }
        ClusterState::CannotSend => {
            format!("cannot send for {since}: does the NATS user have the permission to publish?")
        }
    }
}

impl ProcessStatus {
    fn cells(&self) -> [String; 8] {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let clients = match self.counts {
            Some(ProcessCounts::Worker(counts)) => counts.open.to_string(),
            Some(ProcessCounts::Api(counts)) => counts.open.to_string(),
            Some(ProcessCounts::Broker(counts)) => counts.clients.to_string(),
            None if self.pid.is_some() => "no answer".to_owned(),
            Some(ProcessCounts::Bridge(_)) | None => "-".to_owned(),
        };
        [
            self.role.clone(),
            or_dash(self.pid.map(|pid| pid.to_string())),
            self.generation.to_string(),
            self.state.clone(),
            Span(self.uptime_s).to_string(),
            or_dash(self.resident_bytes.map(|bytes| format!("{:.1} MB", megabytes(bytes)))),
            or_dash(self.descriptors.map(|count| count.to_string())),
            clients,
        ]
    }
}

fn row(f: &mut fmt::Formatter<'_>, cells: [String; 8]) -> fmt::Result {
    let [role, pid, generation, state, up, memory, files, clients] = cells;
    writeln!(
        f,
        "{role:<11} {pid:>8} {generation:>4} {state:<9} {up:>9} {memory:>10} {files:>7} {clients:>9}"
    )
}

#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// A time in seconds, displayed in its two largest units.
pub(super) struct Span(pub(super) u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, hours, minutes, seconds) =
            (self.0 / 86_400, self.0 / 3600 % 24, self.0 / 60 % 60, self.0 % 60);
        let text = match (days, hours, minutes) {
            (0, 0, 0) => format!("{seconds}s"),
            (0, 0, _) => format!("{minutes}m {seconds}s"),
            (0, ..) => format!("{hours}h {minutes}m"),
            _ => format!("{days}d {hours}h"),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_printed_in_their_two_largest_units() {
        let printed = [0, 59, 61, 3_600, 90_061].map(|seconds| Span(seconds).to_string());
        assert_eq!(printed, ["0s", "59s", "1m 1s", "1h 0m", "1d 1h"]);
    }
}
