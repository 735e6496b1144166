//! What a child reports to the supervisor.

use serde::{Deserialize, Serialize};

use crate::types::{ConfigNumber, Generation, ProcessCounts, WorkerIncarnation};

/// What a child reports to the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChildEvent {
    /// A worker accepts, or a broker resolves (all announcements that it awaited have come).
    Ready,
    /// A link ended or was ended for a message that broke its rules (rule L1).
    LinkLost {
        /// The worker of that link.
        peer: WorkerIncarnation,
        /// The broker of that link.
        broker: Generation,
    },
    /// A worker after [`WorkerCommand::Quiesce`](super::WorkerCommand::Quiesce): nothing is
    /// unacknowledged any more.
    Quiesced,
    /// A worker's connections have taken in so much that the memory should be looked at.
    Grown,
    /// A worker: of the memory that its process has, so much is free, though the system did not get it
    /// back.
    Reusable {
        /// How much.
        bytes: u64,
    },
    /// This configuration is in use from now on, in this process.
    Configured {
        /// Which one.
        number: ConfigNumber,
    },
    /// What was counted, as [`CommonCommand::Count`](super::CommonCommand::Count) asked.
    Counts {
        /// Of the question.
        number: u32,
        /// The answer.
        counts: ProcessCounts,
    },
    /// The answer to [`CommonCommand::Heartbeat`](super::CommonCommand::Heartbeat).
    Heartbeat,
}
