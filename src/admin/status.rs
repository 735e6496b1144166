//! What runs, and how.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types::{BrokerCounts, Pressure, ProcessCounts, WorkerCounts};

/// A running server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// The version of the program.
    pub version: String,
    /// The supervisor.
    pub pid: u32,
    /// What it is about.
    pub stage: ServerStage,
    /// Since its start, in seconds.
    pub uptime_s: u64,
    /// Where it listens.
    pub listen: Vec<String>,
    /// What holds.
    pub configuration: Configuration,
    /// How much memory there is; none without a ceiling.
    pub memory: Option<MemoryStatus>,
    /// The broker, then the workers.
    pub processes: Vec<ProcessStatus>,
}

/// What a server is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerStage {
    /// Some processes are not ready yet.
    Starting,
    /// It serves.
    Serving,
    /// It serves, and replaces its workers one after the other.
    RestartingWorkers,
    /// It ends.
    Draining,
}

/// The configuration that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Counts the configurations; 1 is that of the start.
    pub number: u32,
    /// The file, if there is one.
    pub file: Option<String>,
    /// What became of the last reload, if there was one.
    pub last_reload: Option<String>,
    /// What a restart would change.
    pub waits_for_restart: Vec<String>,
}

/// The memory of all processes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStatus {
    /// What they have, in bytes.
    pub used_bytes: u64,
    /// What they may have, in bytes.
    pub ceiling_bytes: u64,
    /// What is done about it.
    pub pressure: Pressure,
}

/// A process of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// `broker` or `worker 0`.
    pub role: String,
    /// Its number; none while a successor waits to be started.
    pub pid: Option<u32>,
    /// Which process in that place.
    pub generation: u32,
    /// `starting`, `ready`, `leaving`, `waiting`.
    pub state: String,
    /// Since its start, in seconds.
    pub uptime_s: u64,
    /// Memory that it holds, in bytes.
    pub resident_bytes: Option<u64>,
    /// Descriptors that it holds.
    pub descriptors: Option<u64>,
    /// What it has counted; none when it did not answer in time.
    pub counts: Option<ProcessCounts>,
}

impl ServerStatus {
    /// The connected clients, as far as the workers answered.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.workers().map(|counts| counts.open).sum()
    }

    /// What the workers counted that answered.
    pub fn workers(&self) -> impl Iterator<Item = WorkerCounts> {
        self.processes.iter().filter_map(|process| match process.counts {
            Some(ProcessCounts::Worker(counts)) => Some(counts),
            _ => None,
        })
    }

    /// What the broker counted, if it answered.
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

/// For people: a line about the server, then a table of its processes.
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
        writeln!(f)?;
        let titles = ["role", "pid", "gen", "state", "up", "memory", "files", "clients"];
        row(f, titles.map(str::to_owned))?;
        self.processes.iter().try_for_each(|process| row(f, process.cells()))
    }
}

impl ProcessStatus {
    fn cells(&self) -> [String; 8] {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let clients = match self.counts {
            Some(ProcessCounts::Worker(counts)) => counts.open.to_string(),
            Some(ProcessCounts::Broker(counts)) => counts.clients.to_string(),
            None if self.pid.is_some() => "no answer".to_owned(),
            None => "-".to_owned(),
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

#[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Seconds in the two largest units.
struct Span(u64);

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
    fn spans_are_said_in_their_two_largest_units() {
        let said = [0, 59, 61, 3_600, 90_061].map(|seconds| Span(seconds).to_string());
        assert_eq!(said, ["0s", "59s", "1m 1s", "1h 0m", "1d 1h"]);
    }
}
