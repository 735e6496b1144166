//! Counts of what passes the lanes, by direction, lane and kind of item.

use super::carried::{CarriedPublication, CarriedReplay};
use super::item::LaneKey;
use crate::types::WorkerId;

/// Defines the kinds: variant, word, help.
macro_rules! item_kinds {
    ($($name:ident = $word:literal, $help:literal;)+) => {
        /// What an item is for. Items that only lanes need (a hello, a number of missing items) are of no kind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ItemKind { $(#[doc = $help] $name),+ }

        impl ItemKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the word for this kind in metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }
        }
    };
}

item_kinds! {
    Publication = "publication", "A publication.";
    Directive = "directive", "A command about clients.";
    Question = "question", "A publication to one client whose answer is awaited.";
    Records = "records", "Nonces and ids of requests.";
    Directory = "directory", "Names of clients.";
    Presence = "presence", "Watched queries, or the clients that match them.";
    Move = "move", "A client that resumes on another host.";
    Ping = "ping", "A ping, or the answer to one.";
}

impl ItemKind {
    /// Returns whether a client misses something if an item is lost.
    #[must_use]
    pub const fn is_for_clients(self) -> bool {
        match self {
            Self::Publication | Self::Directive | Self::Question => true,
            Self::Records | Self::Directory | Self::Presence | Self::Move | Self::Ping => false,
        }
    }
}

impl<B> CarriedPublication<B> {
    /// Returns whether it is about a client that moves between hosts.
    #[must_use]
    pub fn is_about_move(&self) -> bool {
        self.source.worker == WorkerId::MOVES
    }

    /// Returns what it is for.
    #[must_use]
    pub fn item_kind(&self) -> ItemKind {
        if matches!(self.replay, CarriedReplay::Records) {
            return ItemKind::Records;
        }
        if self.report_ms.is_some() {
            return ItemKind::Publication;
        }
        match (self.directive, self.question) {
            (None, _) if self.is_of_directory() => ItemKind::Directory,
            (None, _) if self.is_of_watches() => ItemKind::Presence,
            (None, _) if self.is_about_move() => ItemKind::Move,
            (None, _) => ItemKind::Publication,
            (Some(_), None) => ItemKind::Directive,
            (Some(_), Some(_)) => ItemKind::Question,
        }
    }
}

/// To which lane traffic belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficLane {
    /// The lane to all hosts.
    Common,
    /// The lanes to one host.
    Private,
    /// No lane: heartbeats, echoes, requests, questions and answers.
    None,
}

impl TrafficLane {
    /// All lanes.
    pub const ALL: [Self; 3] = [Self::Common, Self::Private, Self::None];

    /// Returns the word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Common => "common",
            Self::Private => "private",
            Self::None => "none",
        }
    }
}

impl From<LaneKey> for TrafficLane {
    fn from(lane: LaneKey) -> Self {
        if lane == LaneKey::COMMON { Self::Common } else { Self::Private }
    }
}

/// What has passed in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneTraffic {
    /// Items of the common lane and of private lanes, by kind. Those that are sent or arrive again on request do not count.
    items: [[u64; ItemKind::ALL.len()]; 2],
    /// Batches of the common lane and of private lanes, those that are sent again included.
    batches: [u64; 2],
    /// Bytes of messages, by lane.
    bytes: [u64; TrafficLane::ALL.len()],
}

impl LaneTraffic {
    /// Returns the items of a kind in a lane.
    #[must_use]
    pub fn items(&self, lane: TrafficLane, kind: ItemKind) -> u64 {
        let of_lane = self.items.get(lane as usize);
        of_lane.and_then(|kinds| kinds.get(kind as usize)).copied().unwrap_or(0)
    }

    /// Returns the batches of a lane.
    #[must_use]
    pub fn batches(&self, lane: TrafficLane) -> u64 {
        self.batches.get(lane as usize).copied().unwrap_or(0)
    }

    /// Returns the bytes of messages of a lane.
    #[must_use]
    pub fn bytes(&self, lane: TrafficLane) -> u64 {
        self.bytes.get(lane as usize).copied().unwrap_or(0)
    }

    pub(super) fn note_item(&mut self, lane: LaneKey, kind: ItemKind) {
        let lane = TrafficLane::from(lane) as usize;
        if let Some(count) = self.items.get_mut(lane).and_then(|it| it.get_mut(kind as usize)) {
            *count += 1;
        }
    }

    /// Notes a message with items of a lane.
    pub(super) fn note_batch(&mut self, lane: LaneKey, bytes: usize) {
        let lane = TrafficLane::from(lane);
        if let Some(count) = self.batches.get_mut(lane as usize) {
            *count += 1;
        }
        self.note_bytes(lane, bytes);
    }

    /// Notes the bytes of a message.
    pub(super) fn note_bytes(&mut self, lane: TrafficLane, bytes: usize) {
        if let Some(count) = self.bytes.get_mut(lane as usize) {
            *count += bytes as u64;
        }
    }
}

/// What has passed in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterTraffic {
    /// From other hosts: items that were passed on.
    pub incoming: LaneTraffic,
    /// To other hosts: items that got a number.
    pub outgoing: LaneTraffic,
}
