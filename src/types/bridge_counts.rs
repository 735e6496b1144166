//! Counters and state of the bridge to other hosts.

use serde::{Deserialize, Serialize};

/// Whether publications pass between this host and others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterState {
    /// They do.
    Connected,
    /// There is no connection to a NATS server.
    #[default]
    Disconnected,
    /// This host does not receive its own heartbeats.
    CannotReceive,
    /// What this host sends does not come back.
    CannotSend,
}

/// Why there is no connection to a NATS server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NatsFault {
    /// The name of the server cannot be resolved.
    Name,
    /// The server cannot be reached, or has closed the connection.
    Unreachable,
    /// The server did not answer in time.
    Timeout,
    /// The server refuses the credentials.
    Credentials,
    /// A file of the configuration cannot be read, or has no credentials in it.
    File,
    /// TLS with the server failed.
    Tls,
    /// The server takes no messages of the size that is needed.
    MaxPayload,
    /// The server is about to be stopped.
    LameDuck,
}

impl NatsFault {
    /// Returns a short text.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Name => "the server's name cannot be resolved",
            Self::Unreachable => "the server cannot be reached",
            Self::Timeout => "the server does not answer",
            Self::Credentials => "the server refuses the credentials",
            Self::File => "a file with credentials cannot be read",
            Self::Tls => "TLS failed",
            Self::MaxPayload => "max_payload of the server is too small",
            Self::LameDuck => "the server is about to be stopped",
        }
    }
}

/// The counters and gauges of a bridge. Counters start with the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeCounts {
    /// Whether publications pass between hosts.
    pub state: ClusterState,
    /// Seconds since the state has changed.
    pub state_s: u64,
    /// Why there is no connection.
    pub fault: Option<NatsFault>,
    /// Live hosts, this one included.
    pub hosts_live: u64,
    /// Hosts that have been silent for a moment.
    pub hosts_silent: u64,
    /// Hosts that are gone, and for which items are still kept.
    pub hosts_gone: u64,
    /// Publications of other hosts.
    pub items_in: u64,
    /// Publications for other hosts.
    pub items_out: u64,
    /// Messages from NATS.
    pub messages_in: u64,
    /// Messages to NATS.
    pub messages_out: u64,
    /// Bytes of messages from NATS.
    pub bytes_in: u64,
    /// Bytes of messages to NATS.
    pub bytes_out: u64,
    /// Messages from NATS that were dropped because too many waited.
    pub overflows: u64,
    /// Messages that are not of a host of this cluster.
    pub invalid_messages: u64,
    /// Items that had arrived before.
    pub duplicates_dropped: u64,
    /// Requests for missing items.
    pub repair_requests: u64,
    /// Items that were sent again on request.
    pub repaired_items: u64,
    /// Items that were dropped before the NATS server had taken them.
    pub evicted_unconfirmed: u64,
    /// Bytes in the replay buffer.
    pub replay_buffer_bytes: u64,
    /// Items of other hosts that wait for earlier ones.
    pub buffered_items: u64,
    /// Gaps in what other hosts have sent.
    pub gaps: u64,
    /// Items that are missing in gaps, as far as their number is known.
    pub lost_items: u64,
    /// Questions to other hosts that all have answered in time.
    pub queries_complete: u64,
    /// Questions that some other hosts have not answered in time.
    pub queries_partial: u64,
    /// Connections to NATS that were made.
    pub connects: u64,
}

impl BridgeCounts {
    /// Adds the counters of another bridge, without its state and its gauges.
    pub fn add_counters(&mut self, other: &Self) {
        self.items_in += other.items_in;
        self.items_out += other.items_out;
        self.messages_in += other.messages_in;
        self.messages_out += other.messages_out;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.overflows += other.overflows;
        self.invalid_messages += other.invalid_messages;
        self.duplicates_dropped += other.duplicates_dropped;
        self.repair_requests += other.repair_requests;
        self.repaired_items += other.repaired_items;
        self.evicted_unconfirmed += other.evicted_unconfirmed;
        self.gaps += other.gaps;
        self.lost_items += other.lost_items;
        self.queries_complete += other.queries_complete;
        self.queries_partial += other.queries_partial;
        self.connects += other.connects;
    }
}
