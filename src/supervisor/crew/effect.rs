//! What the crew wants done.

use std::fmt;
use std::time::Duration;

use crate::link::control::{Accepting, Duty, Newcomers, Order};
use crate::types::{Generation, Source, WorkerId};

/// One life of one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    /// The broker.
    Broker(Generation),
    /// A worker.
    Worker(Source),
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start it, with its configuration and (a worker) the listening sockets. If that fails, it
    /// died.
    Start(Member),
    /// Make a link and hand each of the two its end.
    Link {
        /// The worker.
        source: Source,
        /// The broker.
        broker: Generation,
    },
    /// Pass it on.
    Tell(Member, Word),
    /// Say that this one does not answer any more; its end follows.
    Hangs(Member),
    /// End it at once; its death is reported as any other.
    Kill(Member),
    /// Say that this one died so often that its successor waits.
    Wait {
        /// Who died.
        member: Member,
        /// How long its successor waits.
        pause: Duration,
    },
    /// Say that the server is ready.
    Announce,
    /// Say that a worker is being replaced.
    Restarting {
        /// The one that will end.
        old: Source,
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
pub enum Word {
    /// To a broker: the workers that live.
    Roster(Vec<Source>),
    /// To a broker: this worker is dead.
    WorkerDead(Source),
    /// To a worker: no more publications.
    Quiesce(Newcomers),
    /// To a worker: close everybody and end within this time.
    Drain(Duration),
    /// To a worker: whether it accepts connections.
    Accept(Accepting),
    /// To a worker: whether it is the steward.
    Appoint(Duty),
    /// To a broker: end.
    Stop,
    /// To anybody: answer.
    Beat,
}

impl<L> From<Word> for Order<L> {
    fn from(word: Word) -> Self {
        match word {
            Word::Roster(sources) => Self::Roster { sources },
            Word::WorkerDead(source) => Self::WorkerDead { source },
            Word::Quiesce(newcomers) => Self::Quiesce(newcomers),
            Word::Drain(within) => Self::Drain { within },
            Word::Appoint(duty) => Self::Appoint(duty),
            Word::Accept(accepting) => Self::Accept(accepting),
            Word::Stop => Self::Stop,
            Word::Beat => Self::Beat,
        }
    }
}

/// As in the list of processes and in the log.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(_) => write!(f, "broker"),
            Self::Worker(source) => write!(f, "worker {}", source.worker),
        }
    }
}

impl Member {
    /// Which process in its place.
    #[must_use]
    pub fn generation(self) -> Generation {
        match self {
            Self::Broker(generation) => generation,
            Self::Worker(source) => source.generation,
        }
    }
}
