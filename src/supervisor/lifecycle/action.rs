//! Actions of the supervisor.

use std::fmt;
use std::time::Duration;

use crate::link::control::ChildCommand;
use crate::types::{Generation, WorkerId, WorkerIncarnation};

/// One process of one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChildId {
    /// A broker.
    Broker(Generation),
    /// A worker.
    Worker(WorkerIncarnation),
}

/// An action. Actions are executed in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a process with its configuration and, for a worker, the listening sockets. If that
    /// fails, it counts as died.
    Start(ChildId),
    /// Create a link and pass one end to each of these processes.
    Link {
        /// The worker.
        source: WorkerIncarnation,
        /// A broker.
        broker: Generation,
    },
    /// Send a command without an attachment. Links have an action of their own.
    Send(ChildId, ChildCommand),
    /// Log that this process is unresponsive. A `Kill` follows.
    Hangs(ChildId),
    /// Kill a process. Its death is reported like any other.
    Kill(ChildId),
    /// Log that this process crashed so often that its restart is delayed.
    Wait {
        /// The process that crashed.
        member: ChildId,
        /// Delay of the restart.
        pause: Duration,
    },
    /// Announce that the server is ready.
    Announce,
    /// Report that a worker is being replaced.
    Restarting {
        /// The worker that is being replaced.
        old: WorkerIncarnation,
        /// The number of its successor.
        successor: WorkerId,
    },
    /// Report that all workers have been replaced.
    Restarted,
    /// Log that the drain time is over and some processes have not exited.
    Late,
    /// No process is running and none will be started.
    End,
}

/// Displays the process as in the process list and in the log.
impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(_) => write!(f, "broker"),
            Self::Worker(source) => write!(f, "worker {}", source.worker),
        }
    }
}

impl ChildId {
    /// Returns the generation of the process.
    #[must_use]
    pub fn generation(self) -> Generation {
        match self {
            Self::Broker(generation) => generation,
            Self::Worker(source) => source.generation,
        }
    }
}
