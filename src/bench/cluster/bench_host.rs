//! A host of a run: a server with `[cluster]`, and its processes by part.

use std::time::Duration;

use serde_json::Value;

use crate::bench::clock::{RunClock, nanos};
use crate::bench::cores::Shares;
use crate::bench::error::{At, BenchError};
use crate::bench::process::Tree;
use crate::bench::server::OwnServer;
use crate::bench::target::{BenchProtocol, BenchTarget};

/// Maximum time until hosts know each other, and until one is gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks. Each is a command, which takes longer.
const ATTEMPT: Duration = Duration::from_millis(2);

/// The name of the cluster, and of another one on the same NATS server.
const NAME: &str = "bench-hosts";
const OTHER_NAME: &str = "bench-others";

/// A server, as a host of the cluster of the run.
#[derive(Debug)]
pub(super) struct BenchHost {
    pub(super) server: OwnServer,
}

/// How all hosts of a run are started.
#[derive(Clone, Debug)]
pub(super) struct HostSettings {
    pub(super) workers: usize,
    pub(super) shares: Shares,
    /// The lines of the cluster in the configuration.
    lines: String,
}

impl HostSettings {
    /// Hosts that use the NATS server with this port.
    pub(super) fn new(workers: usize, shares: &Shares, port: u16) -> Self {
        let (one, other) = (uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        let lines = format!(
            "uuidKey = {one}{other}\n[cluster]\nnats = nats://127.0.0.1:{port}\nname = {NAME}\n"
        );
        Self { workers, shares: shares.clone(), lines }
    }

    /// The same for hosts that know none of the others.
    pub(super) fn of_another_cluster(&self) -> Self {
        let lines = self.lines.replace(NAME, OTHER_NAME);
        Self { lines, ..self.clone() }
    }
}

impl BenchHost {
    pub(super) fn start(settings: &HostSettings) -> Result<Self, BenchError> {
        let HostSettings { workers, shares, lines } = settings;
        Ok(Self { server: OwnServer::start_configured(*workers, lines, shares)? })
    }

    /// Starts a server of no cluster.
    pub(super) fn start_alone(settings: &HostSettings) -> Result<Self, BenchError> {
        let HostSettings { workers, shares, .. } = settings;
        Ok(Self { server: OwnServer::start_configured(*workers, "", shares)? })
    }

    /// Returns where clients of a dialect connect.
    pub(super) fn target(&self, wire: BenchProtocol) -> BenchTarget {
        let mut target = self.server.target.clone();
        target.wire = wire;
        target
    }

    pub(super) fn tree(&self) -> Tree {
        Tree::of(self.server.pid())
    }

    /// Returns a process of each role whose name begins with this word.
    pub(super) fn pids_of(&self, role: &str) -> Result<Vec<u32>, BenchError> {
        let status = self.json(&["status", "--json"])?;
        let all = status.get("processes").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_of = |process: &Value| {
            let name = process.get("role").and_then(Value::as_str);
            name.is_some_and(|name| name.starts_with(role))
        };
        let pid = |process: &Value| u32::try_from(process.get("pid")?.as_u64()?).ok();
        Ok(all.iter().filter(|it| is_of(it)).filter_map(pid).collect())
    }

    /// Returns the processes of a role.
    pub(super) fn part(&self, role: &str) -> Result<Tree, BenchError> {
        Ok(Tree::these(self.pids_of(role)?))
    }

    /// Kills the process of a role.
    pub(super) fn kill(&self, role: &str) -> Result<(), BenchError> {
        let tree = self.part(role)?;
        tree.kill();
        Ok(())
    }

    /// Waits until this host shows a number of others in a state.
    pub(super) fn await_others(&self, state: &str, count: usize) -> Result<(), BenchError> {
        let clock = RunClock::start();
        while clock.nanos() < nanos(PATIENCE) {
            let shown = self.json(&["cluster", "--json"]).unwrap_or_default();
            let others = shown.get("others").and_then(Value::as_array);
            let is_it = |host: &&Value| host.get("state").and_then(Value::as_str) == Some(state);
            if others.is_some_and(|others| others.iter().filter(is_it).count() >= count) {
                return Ok(());
            }
            super::pause(ATTEMPT);
        }
        Err(BenchError::Silent(PATIENCE.as_secs(), "another host of the cluster"))
    }

    fn json(&self, words: &[&str]) -> Result<Value, BenchError> {
        let output = self.server.command(words)?.output().at("running a command of the server")?;
        serde_json::from_slice(&output.stdout)
            .map_err(|error| BenchError::Plan(format!("`tagcast {}`: {error}", words.join(" "))))
    }
}

/// Starts hosts, and waits until each knows all others.
pub(super) fn start_hosts(
    count: usize,
    settings: &HostSettings,
) -> Result<Vec<BenchHost>, BenchError> {
    let hosts: Vec<BenchHost> =
        (0..count).map(|_| BenchHost::start(settings)).collect::<Result<_, _>>()?;
    hosts.iter().try_for_each(|host| host.await_others("live", count - 1))?;
    Ok(hosts)
}
