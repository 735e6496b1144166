//! Events that a child reports to the supervisor.

use serde::{Deserialize, Serialize};

use crate::types::{
    ConfigNumber, CountDetail, CountReport, Generation, PingedHost, TokenRevocation,
    WorkerIncarnation,
};

/// An event that a child reports to the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChildEvent {
    /// A worker accepts connections, or the broker has received all announcements that it awaited and
    /// resolves addresses.
    Ready,
    /// A link closed, or was closed because a message broke the rules of the link (rule L1).
    LinkLost {
        /// The worker of the link.
        peer: WorkerIncarnation,
        /// The broker of the link.
        broker: Generation,
    },
    /// A worker has no unacknowledged publications left after
    /// [`WorkerCommand::Quiesce`](super::WorkerCommand::Quiesce).
    Quiesced,
    /// A worker's connections use so much more memory that the supervisor should check the total.
    Grown,
    /// Memory that a worker's process has freed but not returned to the system.
    Reusable {
        /// Free memory in bytes.
        bytes: u64,
    },
    /// This process now uses this configuration.
    Configured {
        /// Number of the configuration.
        number: ConfigNumber,
    },
    /// This worker accepts no token of this revocation or an earlier one, and has no connection of one.
    Revoked {
        /// Number of the command.
        number: u32,
    },
    /// Other hosts have stored revocations of this one.
    RevokedElsewhere {
        /// Number of the command.
        number: u32,
        /// Hosts that were asked, this one included. 0 if the bridge could ask none.
        asked: u32,
        /// Those that have stored them, this one included.
        answered: u32,
    },
    /// Other hosts have revoked tokens, at most [`REVOCATIONS_SENT_MAX`](crate::types::limits::REVOCATIONS_SENT_MAX).
    RevokedByHosts {
        /// What is confirmed by [`BridgeCommand::Stored`](super::BridgeCommand::Stored), if that is awaited.
        token: Option<u32>,
        /// The revocations.
        entries: Vec<TokenRevocation>,
    },
    /// How other hosts have answered a ping ([`BridgeCommand::Ping`](super::BridgeCommand::Ping)).
    Pinged {
        /// Number of the command.
        number: u32,
        /// The hosts. Empty if there is none.
        hosts: Vec<PingedHost>,
    },
    /// The counters, in answer to [`CommonCommand::Count`](super::CommonCommand::Count).
    Counts {
        /// Number of the request.
        number: u32,
        /// The counters.
        report: Box<CountReport>,
    },
    /// The API process needs the figures of all processes.
    MetricsWanted {
        /// What it needs.
        detail: CountDetail,
    },
    /// Answer to [`CommonCommand::Heartbeat`](super::CommonCommand::Heartbeat).
    Heartbeat,
}
