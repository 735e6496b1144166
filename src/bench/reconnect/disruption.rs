//! The event that ends the connections of a run: a kill or a rolling restart.

use std::process::{Child, Stdio};

use serde_json::Value;

use crate::bench::cores::Shares;
use crate::bench::error::{At, BenchError};
use crate::bench::process::Tree;
use crate::bench::server::OwnServer;

/// The event that ends the connections of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disruption {
    /// The worker with most connections is killed. The supervisor replaces it.
    Worker,
    /// All processes of the server are killed, and it is started again.
    Server,
    /// The workers are replaced one after the other, by `tagcast restart-workers`.
    Rolling,
}

/// The connections that a disruption will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DisruptionAim {
    /// The worker with most connections.
    worker: u32,
    /// The connections.
    pub(super) connections: u64,
}

/// A disruption that has started.
#[derive(Debug)]
pub(super) enum RunningDisruption {
    /// This worker was killed.
    KilledWorker(Tree),
    /// These processes, all of the server, were killed.
    KilledServer(Tree),
    /// The command that replaces the workers.
    Command(Child),
}

impl Disruption {
    /// Returns the name of the disruption for the report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Worker => "a worker killed",
            Self::Server => "the server killed and started again",
            Self::Rolling => "the workers replaced",
        }
    }

    /// Returns true if some connections survive, provided that there are several workers.
    pub(super) fn spares_clients(self) -> bool {
        self == Self::Worker
    }

    /// Finds the connections that the disruption will end, before it starts.
    pub(super) fn aim(self, server: &OwnServer) -> Result<DisruptionAim, BenchError> {
        let workers = connections_of_workers(server)?;
        let all = workers.iter().map(|(_, open)| open).sum();
        let busiest = workers.iter().copied().max_by_key(|(_, open)| *open);
        match (self, busiest) {
            (Self::Worker, Some((worker, open))) => Ok(DisruptionAim { worker, connections: open }),
            (_, Some((worker, _))) => Ok(DisruptionAim { worker, connections: all }),
            (_, None) => Err(BenchError::Plan("the server has no worker".to_owned())),
        }
    }

    pub(super) fn begin(
        self,
        aim: DisruptionAim,
        server: &OwnServer,
    ) -> Result<RunningDisruption, BenchError> {
        match self {
            Self::Worker => {
                let worker = Tree::only(aim.worker);
                worker.kill();
                Ok(RunningDisruption::KilledWorker(worker))
            }
            Self::Server => {
                let tree = Tree::of(server.pid());
                tree.kill();
                Ok(RunningDisruption::KilledServer(tree))
            }
            Self::Rolling => {
                let mut command = server.command(&["restart-workers"])?;
                let command = command.stdout(Stdio::null()).spawn();
                Ok(RunningDisruption::Command(command.at("starting `tagcast restart-workers`")?))
            }
        }
    }
}

/// Returns the process ids of the workers, with the number of connections of each.
fn connections_of_workers(server: &OwnServer) -> Result<Vec<(u32, u64)>, BenchError> {
    let output = server.command(&["status", "--json"])?.output().at("running `tagcast status`")?;
    let status: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| BenchError::Plan(format!("`tagcast status --json`: {error}")))?;
    let processes =
        status.get("processes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let worker = |process: &Value| {
        let open = process.pointer("/counts/worker/open")?.as_u64()?;
        Some((u32::try_from(process.get("pid")?.as_u64()?).ok()?, open))
    };
    Ok(processes.iter().filter_map(worker).collect())
}

impl RunningDisruption {
    /// Continues the disruption without waiting. Returns true once it is over.
    pub(super) fn is_over(
        &mut self,
        server: &mut OwnServer,
        shares: &Shares,
    ) -> Result<bool, BenchError> {
        match self {
            Self::KilledWorker(tree) => Ok(tree.is_gone()),
            Self::KilledServer(tree) if !tree.is_gone() => Ok(false),
            Self::KilledServer(_) => {
                server.start_again(shares)?;
                Ok(true)
            }
            Self::Command(child) => match child.try_wait().at("waiting for restart-workers")? {
                None => Ok(false),
                Some(status) if status.success() => Ok(true),
                Some(status) => {
                    Err(BenchError::NotStarted(format!("restart-workers ended with {status}")))
                }
            },
        }
    }
}
