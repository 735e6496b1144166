//! What the crew wants done.

use std::fmt;
use std::time::Duration;

use crate::link::control::{Accepting, PendingHandshakes, SupervisorCommand, WorkerRole};
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
    /// Pass it on.
    Tell(ChildId, ChildCommand),
    /// Say that this one does not answer any more; its end follows.
    Hangs(ChildId),
    /// End it at once; its death is reported as any other.
    Kill(ChildId),
    /// Say that this one died so often that its successor waits.
    Wait {
        /// Who died.
        member: ChildId,
        /// How long its successor waits.
        pause: Duration,
    },
    /// Say that the server is ready.
    Announce,
    /// Say that a worker is being replaced.
    Restarting {
        /// The one that will end.
        old: WorkerIncarnation,
        /// The seat of the one that takes its place.
        successor: WorkerId,
    },
    /// Say that all workers have been replaced.
    Restarted,
    /// Say that the drain time is over and not everybody had ended.
    Late,
    /// Nobody lives and nobody is to be started.
    End,
}

/// What a member is told; links have an effect of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildCommand {
    /// To a broker: the workers that live.
    Roster(Vec<WorkerIncarnation>),
    /// To a broker: this worker is dead.
    WorkerDead(WorkerIncarnation),
    /// To a worker: no more publications.
    Quiesce(PendingHandshakes),
    /// To a worker: close everybody and end within this time.
    Drain(Duration),
    /// To a worker: whether it accepts connections.
    Accept(Accepting),
    /// To a worker: whether it is the steward.
    Appoint(WorkerRole),
    /// To a broker: end.
    Stop,
    /// To anybody: answer.
    Beat,
}

impl<L> From<ChildCommand> for SupervisorCommand<L> {
    fn from(word: ChildCommand) -> Self {
        match word {
            ChildCommand::Roster(sources) => Self::LiveWorkers { sources },
            ChildCommand::WorkerDead(source) => Self::WorkerDead { source },
            ChildCommand::Quiesce(newcomers) => Self::Quiesce(newcomers),
            ChildCommand::Drain(within) => Self::Drain { within },
            ChildCommand::Appoint(duty) => Self::SetRole(duty),
            ChildCommand::Accept(accepting) => Self::Accept(accepting),
            ChildCommand::Stop => Self::Stop,
            ChildCommand::Beat => Self::Heartbeat,
        }
    }
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
