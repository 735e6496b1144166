//! What the supervisor has to do next.

use std::fmt;
use std::time::Duration;

use crate::link::control::ChildCommand;
use crate::types::{Generation, WorkerId, WorkerIncarnation};

/// One life of one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChildId {
    /// The broker.
    Broker(Generation),
    /// A worker.
    Worker(WorkerIncarnation),
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start it, with its configuration and (a worker) the listening sockets. If that fails, it
    /// died.
    Start(ChildId),
    /// Make a link and hand each of the two its end.
    Link {
        /// The worker.
        source: WorkerIncarnation,
        /// The broker.
        broker: Generation,
    },
    /// Send it. It has no attachment; links have an action of their own.
    Send(ChildId, ChildCommand),
    /// Log that this process is unresponsive; its kill follows.
    Hangs(ChildId),
    /// End it at once; its death is reported as any other.
    Kill(ChildId),
    /// Log that this process died so often that its restart is delayed.
    Wait {
        /// The process that died.
        member: ChildId,
        /// How long its successor waits.
        pause: Duration,
    },
    /// Announce that the server is ready.
    Announce,
    /// Report that a worker is being replaced.
    Restarting {
        /// The one that will end.
        old: WorkerIncarnation,
        /// The seat of the one that takes its place.
        successor: WorkerId,
    },
    /// Report that all workers have been replaced.
    Restarted,
    /// Log that the drain time is over and some processes had not exited.
    Late,
    /// No process is running and none will be started.
    End,
}

/// As in the list of processes and in the log.
impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(_) => write!(f, "broker"),
            Self::Worker(source) => write!(f, "worker {}", source.worker),
        }
    }
}

impl ChildId {
    /// Which process in its place.
    #[must_use]
    pub fn generation(self) -> Generation {
        match self {
            Self::Broker(generation) => generation,
            Self::Worker(source) => source.generation,
        }
    }
}
