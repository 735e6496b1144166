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
    /// The API process.
    Api(Generation),
    /// The bridge to other hosts.
    Bridge(Generation),
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
        /// The worker, or the API process or the bridge on its seat.
        source: WorkerIncarnation,
        /// A broker.
        broker: Generation,
    },
    /// Send a command without an attachment. Links have an action of their own.
    Send(ChildId, ChildCommand),
    /// Log that this process is unresponsive. A `Kill` follows.
    Hangs(ChildId),
    /// Log that this process has lost its link to a broker that lives. A `Kill` follows.
    Unlinked(ChildId),
    /// Kill a process. Its death is reported like any other.
    Kill(ChildId),
    /// Log that this process crashed so often that its restart is delayed.
    Wait {
        /// The process that crashed.
        child: ChildId,
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
            Self::Api(_) => write!(f, "api"),
            Self::Bridge(_) => write!(f, "bridge"),
            Self::Worker(source) => write!(f, "worker {}", source.worker),
        }
    }
}

impl ChildId {
    /// The process at the worker's end of a link.
    #[must_use]
    pub fn of(source: WorkerIncarnation) -> Self {
        match source.worker {
            WorkerId::API => Self::Api(source.generation),
            WorkerId::BRIDGE => Self::Bridge(source.generation),
            _ => Self::Worker(source),
        }
    }

    /// The number by which the broker knows this process. `None` for the broker itself.
    #[must_use]
    pub fn source(self) -> Option<WorkerIncarnation> {
        match self {
            Self::Broker(_) => None,
            Self::Api(generation) => Some(WorkerIncarnation { worker: WorkerId::API, generation }),
            Self::Bridge(generation) => {
                Some(WorkerIncarnation { worker: WorkerId::BRIDGE, generation })
            }
            Self::Worker(source) => Some(source),
        }
    }

    /// Returns the generation of the process.
    #[must_use]
    pub fn generation(self) -> Generation {
        match self {
            Self::Broker(generation) | Self::Api(generation) | Self::Bridge(generation) => {
                generation
            }
            Self::Worker(source) => source.generation,
        }
    }
}
