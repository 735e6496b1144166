//! What the supervisor orders its children, and what they report: over a Unix socket, or in memory.

mod memory;
mod socket;
mod wire;

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::transport::Transport;
use crate::telemetry::LevelFilter;
use crate::types::{
    Allowance, ConfigNumber, Encryption, Generation, ProcessCounts, WorkerIncarnation,
};

pub use memory::{MemoryControl, MemorySupervisorEnd, memory_control};
pub use socket::{SocketControl, SocketSupervisorEnd, Terminator, control_pair};
pub use wire::{CONTROL_MESSAGE_BYTES_MAX, DESCRIPTORS_MAX};

/// A configuration as it travels, wiped when the last process that shares it is done with it.
pub type ConfigText = Arc<Zeroizing<String>>;

/// What the supervisor tells a worker or the broker.
///
/// `L` is the end of a link: ready to use for who receives it, a bare descriptor for a supervisor
/// that sends it to another process.
pub enum SupervisorCommand<L = Box<dyn Transport>> {
    /// The checked configuration: the first order of all, and later one that replaces it.
    Configure {
        /// Which one; [`Report::Configured`] says so back.
        number: ConfigNumber,
        /// The configuration, with its secrets, as JSON.
        json: ConfigText,
    },
    /// To a worker: accept from these sockets. Once.
    Listen(Vec<(OwnedFd, Encryption)>),
    /// To a worker: the socket that scripts push messages into, to be read while it is the steward.
    /// Once, if there is one.
    PushSocket(OwnedFd),
    /// To a worker: this is the link to this broker; the one before is dead.
    Link {
        /// Which broker.
        broker: Generation,
        /// The worker's end.
        transport: L,
    },
    /// To a broker, before any link: the workers whose announcements it must await (rule L6).
    LiveWorkers {
        /// The workers that live.
        sources: Vec<WorkerIncarnation>,
    },
    /// To a broker: the link to one worker.
    WorkerLink {
        /// Which worker.
        source: WorkerIncarnation,
        /// The broker's end.
        transport: L,
    },
    /// To a broker: this worker is dead and reaped.
    WorkerDead {
        /// Which worker.
        source: WorkerIncarnation,
    },
    /// To a worker: accept no more, read no more from publishers, and report [`Report::Quiet`] when
    /// the broker has acknowledged everything.
    Quiesce(PendingHandshakes),
    /// Close everybody with 1001 and return; a broker returns at once.
    Drain {
        /// How long that may take before the process is ended.
        within: Duration,
    },
    /// To a worker: how scarce memory is, and how much it may take until it is told again.
    Pressure(Allowance),
    /// To a worker: whether it is the steward from now on.
    SetRole(WorkerRole),
    /// Log from this level up.
    LogLevel(LevelFilter),
    /// To a worker: whether it accepts connections; those that it has it serves in any case.
    Accept(Accepting),
    /// Report what was counted, with this number.
    Count {
        /// Of the question.
        number: u32,
    },
    /// To a broker: return at once.
    Stop,
    /// Answer with [`Report::Beat`], in the loop that does the work: so the supervisor learns that it
    /// turns.
    Heartbeat,
}

impl<L> SupervisorCommand<L> {
    /// The same order with another kind of link end.
    ///
    /// # Errors
    ///
    /// What `convert` failed with.
    pub fn try_map_link<M, E>(
        self,
        convert: impl FnOnce(L) -> Result<M, E>,
    ) -> Result<SupervisorCommand<M>, E> {
        Ok(match self {
            Self::Link { broker, transport } => {
                SupervisorCommand::Link { broker, transport: convert(transport)? }
            }
            Self::WorkerLink { source, transport } => {
                SupervisorCommand::WorkerLink { source, transport: convert(transport)? }
            }
            Self::Configure { number, json } => SupervisorCommand::Configure { number, json },
            Self::Count { number } => SupervisorCommand::Count { number },
            Self::LogLevel(level) => SupervisorCommand::LogLevel(level),
            Self::Pressure(pressure) => SupervisorCommand::Pressure(pressure),
            Self::SetRole(duty) => SupervisorCommand::SetRole(duty),
            Self::Accept(accepting) => SupervisorCommand::Accept(accepting),
            Self::Listen(sockets) => SupervisorCommand::Listen(sockets),
            Self::PushSocket(socket) => SupervisorCommand::PushSocket(socket),
            Self::LiveWorkers { sources } => SupervisorCommand::LiveWorkers { sources },
            Self::WorkerDead { source } => SupervisorCommand::WorkerDead { source },
            Self::Quiesce(newcomers) => SupervisorCommand::Quiesce(newcomers),
            Self::Drain { within } => SupervisorCommand::Drain { within },
            Self::Stop => SupervisorCommand::Stop,
            Self::Heartbeat => SupervisorCommand::Heartbeat,
        })
    }
}

/// Without the configuration, since secrets are in it.
impl<L: fmt::Debug> fmt::Debug for SupervisorCommand<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configure { number, json } => {
                write!(f, "Configure({number}, {} bytes)", json.len())
            }
            Self::Count { number } => f.debug_tuple("Count").field(number).finish(),
            Self::LogLevel(level) => f.debug_tuple("LogLevel").field(level).finish(),
            Self::Pressure(pressure) => f.debug_tuple("Pressure").field(pressure).finish(),
            Self::SetRole(duty) => f.debug_tuple("Appoint").field(duty).finish(),
            Self::Accept(accepting) => f.debug_tuple("Accept").field(accepting).finish(),
            Self::Listen(sockets) => f.debug_tuple("Listen").field(sockets).finish(),
            Self::PushSocket(socket) => f.debug_tuple("PushSocket").field(socket).finish(),
            Self::Link { broker, transport } => {
                write!(f, "Link({broker}, {transport:?})")
            }
            Self::LiveWorkers { sources } => f.debug_tuple("Roster").field(sources).finish(),
            Self::WorkerLink { source, transport } => {
                write!(f, "WorkerLink({source:?}, {transport:?})")
            }
            Self::WorkerDead { source } => f.debug_tuple("WorkerDead").field(source).finish(),
            Self::Quiesce(newcomers) => f.debug_tuple("Quiesce").field(newcomers).finish(),
            Self::Drain { within } => f.debug_tuple("Drain").field(within).finish(),
            Self::Stop => f.write_str("Stop"),
            Self::Heartbeat => f.write_str("Beat"),
        }
    }
}

/// What becomes of those whose handshake is under way when a worker accepts no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PendingHandshakes {
    /// They are let in first: another worker takes over, and nobody shall be refused.
    Finish,
    /// They are refused: the server ends.
    Refuse,
}

/// Whether a worker accepts connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Accepting {
    /// It does.
    Yes,
    /// It leaves them to others: its clients will be closed soon, and a newcomer would be one of them.
    No,
}

/// Who does what is to be done once and not by every worker: ticks of resources, for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerRole {
    /// Another worker.
    #[default]
    Follower,
    /// This one. While one steward follows another there may be none, or for a moment two.
    Leader,
}

/// What a child tells the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChildEvent {
    /// A worker accepts, or a broker resolves (whoever it waited for has announced).
    Ready,
    /// A link ended or was ended for a message that broke its rules (rule L1).
    LinkLost {
        /// The worker of that link.
        peer: WorkerIncarnation,
        /// The broker of that link.
        broker: Generation,
    },
    /// A worker after [`SupervisorCommand::Quiesce`]: nothing is unacknowledged any more.
    Quiesced,
    /// A worker's connections have taken in so much that the memory should be looked at.
    Grown,
    /// A worker: of the memory that its process has, so much is free, though the system did not get it
    /// back.
    Reusable {
        /// How much.
        bytes: u64,
    },
    /// This configuration holds from now on, in this process.
    Configured {
        /// Which one.
        number: ConfigNumber,
    },
    /// What was counted, as [`SupervisorCommand::Count`] asked.
    Counts {
        /// Of the question.
        number: u32,
        /// The answer.
        counts: ProcessCounts,
    },
    /// The answer to [`SupervisorCommand::Beat`].
    Heartbeat,
}

/// The variable by which a worker knows how its supervisor was started: the page names the program so.
pub const PROGRAM_VARIABLE: &str = "TAGCAST_PROGRAM";

/// What a worker is told when it begins; everything else comes as an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerIdentity {
    /// Which worker it is, and which process in that place.
    pub source: WorkerIncarnation,
}

/// Why a role returned.
#[derive(Debug)]
pub enum ExitReason {
    /// It was ordered to ([`SupervisorCommand::Drain`], [`SupervisorCommand::Stop`]), and did.
    Requested,
    /// Its supervisor is gone; its clients were told so.
    SupervisorLost,
    /// It cannot go on; the supervisor starts another one.
    Failed(io::Error),
}

/// Whether the other end of a control link is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlPeer {
    /// It is.
    Alive,
    /// It is not, and will not come back: a child closes with 1001 and returns.
    Gone,
}

/// A child's end of its control link.
pub trait Control: Send + fmt::Debug {
    /// Adds what was ordered meanwhile. Never waits, and leaves nothing that has arrived.
    ///
    /// # Errors
    ///
    /// When the link broke or carried what no supervisor sends. The link is at an end then, as
    /// with [`Peer::Gone`].
    fn orders(&mut self, into: &mut Vec<SupervisorCommand>) -> io::Result<ControlPeer>;

    /// Tells the supervisor. What it does not take at once leaves with the next call of either.
    ///
    /// # Errors
    ///
    /// When the supervisor is gone, or has not read a great many reports.
    fn report(&mut self, report: ChildEvent) -> io::Result<()>;

    /// Readable when [`Control::orders`] has something to say; for epoll of either kind.
    fn ready(&self) -> BorrowedFd<'_>;
}

/// The supervisor's end of a control link.
pub trait SupervisorEnd: Send + fmt::Debug {
    /// How this desk hands over the end of a link.
    type LinkEnd;

    /// Sends an order, in order. Never waits: what the child does not take yet is kept.
    ///
    /// # Errors
    ///
    /// When the child is gone, or has left a great many orders unread: it hangs.
    fn order(&mut self, order: SupervisorCommand<Self::LinkEnd>) -> io::Result<()>;

    /// Sends what was kept.
    ///
    /// # Errors
    ///
    /// When the child is gone.
    fn flush(&mut self) -> io::Result<()>;

    /// Adds what was reported meanwhile. Never waits.
    ///
    /// # Errors
    ///
    /// When the link broke or carried what no child sends; it is at an end then.
    fn reports(&mut self, into: &mut Vec<ChildEvent>) -> io::Result<ControlPeer>;
}
