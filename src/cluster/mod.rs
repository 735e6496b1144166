//! The rules between hosts: numbered lanes, repair, gaps, epochs of bridges, and which hosts are live.
//!
//! NATS may lose, repeat and overtake messages. A host therefore numbers what it sends in *lanes*: the common lane to
//! all other hosts, and a private lane to each. It keeps what it has sent for a while (`replay_buffer`), and sends again
//! what another host lacks. Fences keep the order of a publisher between lanes. What cannot be recovered is a gap,
//! which is always reported. `docs/architecture.md` explains the rules.

mod arrivals;
mod bridge_core;
mod carried;
mod confirmation;
mod directory;
mod effect;
mod envelope;
mod heartbeats;
mod hello;
mod host_figures;
mod hosts;
mod item;
mod item_blocks;
mod kept;
mod lane_key;
mod lanes_in;
mod lanes_out;
mod lost_items;
mod message;
mod news;
mod queries;
mod repairs;
mod replay_buffer;
mod replay_records;
mod round_trips;
mod subject;
mod taken;
mod traffic;
mod wire;

pub use bridge_core::{BridgeCore, BridgeOptions, OutgoingMessage, figures, pings};
pub use carried::{CarriedId, CarriedPublication, CarriedQuestion, CarriedReplay};
pub use directory::{
    AnnouncedNames, DirectoryBounds, DirectoryCopy, DirectoryCounts, DirectoryItem, DirectoryName,
    NameChange, NameDirectory, NameKind, NameRange, NameStamp, SharedDirectory, SharedItem,
};
pub use effect::{
    Arrival, ClusterCounts, ClusterEffect, DegradedReason, Forward, ForwardReach, KeptForBridge,
    LaneGap, SentToOne,
};
pub use envelope::{
    BridgeEpoch, BridgeIdentity, CLUSTER_FORMAT, CLUSTER_MESSAGE_BYTES_MAX, ClusterSeal, HostRun,
};
pub use hello::{EpochEnds, LaneEnds};
pub use hosts::HostState;
pub use item::{Fence, ItemBody, ItemFault, ItemPart, LaneItem, LaneKey, LanePoint};
pub use lanes_in::{GapReason, HeldBounds, PassedSources};
pub use lost_items::{LostItems, Tombstone};
pub use message::{
    ClusterMessage, HostHeartbeat, HostQuestion, LaneBatch, ListedHost, QueryAnswer, RepairRequest,
};
pub use news::{HostNews, ReturnedTime};
pub use queries::{AnsweredQuery, AskedQuestion};
pub use replay_buffer::ReplayBounds;
pub use replay_records::{decode_records, encode_records};
pub use subject::{ClusterName, ClusterSubject};
pub use taken::{CommonPlace, LaneStart, PassedPublication, TakenLane, TakenLanes, TakenTable};
pub use traffic::{ClusterTraffic, ItemKind, LaneTraffic, TrafficLane};
pub use wire::InvalidMessage;
