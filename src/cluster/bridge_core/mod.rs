//! The core of a bridge: all rules between hosts, without a socket or a clock.
//!
//! Its shell passes in what arrives, and sends what [`BridgeCore::next_message`] returns on two connections: batches and
//! echoes on one, the rest on the other. What [`BridgeCore::take_effects`] returns is for the broker.

pub mod figures;
pub mod pings;
mod queries;
mod receive;
mod send;

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use bytes::Bytes;

use super::arrivals::Arrivals;
use super::carried::CarriedPublication;
use super::confirmation::{Echoes, Forwards};
use super::directory::{AnnouncedNames, DirectoryCopy};
use super::effect::{
    ClusterCounts, ClusterEffect, DegradedReason, Forward, ForwardReach, KeptForBridge, SentToOne,
};
use super::envelope::{BridgeIdentity, ClusterSeal};
use super::heartbeats::OwnHeartbeats;
use super::hello::EpochEnds;
use super::host_figures::OwnNews;
use super::hosts::{FormerHost, HostState, Hosts, RemoteHost};
use super::item::{ItemBody, LaneKey};
use super::lanes_in::{HeldBounds, LanesIn, Passed, PassedSources};
use super::lanes_out::LanesOut;
use super::lost_items::LostItems;
use super::message::ClusterMessage;
use super::queries::{AnsweredQuery, AskedQuestion, OpenHostQueries, QueriesOut};
use super::repairs::Repairs;
use super::replay_buffer::ReplayBounds;
use super::subject::{ClusterName, ClusterSubject};
use super::taken::{TakenLanes, TakenTable};
use crate::types::{HostId, HostProfile, QueryReach};

pub use self::send::OutgoingMessage;
use self::{figures::ClusterTimes, pings::LanePings, receive::places};

/// What a bridge is created with.
pub struct BridgeOptions {
    /// The name of the cluster.
    pub name: ClusterName,
    /// The key that all hosts have.
    pub uuid_key: [u8; 32],
    /// The identity of the bridge. It must be a new one.
    pub identity: BridgeIdentity,
    /// Random bytes, for challenges and for waits.
    pub random: [u8; 32],
    /// Bounds of the replay buffer.
    pub replay: ReplayBounds,
    /// Bounds of items that wait for earlier ones.
    pub held: HeldBounds,
    /// What the broker has kept from earlier bridges of the run.
    pub kept: KeptForBridge,
    /// What this host says about itself.
    pub profile: HostProfile,
    /// When the server was started, in seconds since 1970.
    pub begun_s: u64,
}

/// Shows no secret.
impl fmt::Debug for BridgeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeOptions")
            .field("name", &self.name)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// The connection to a NATS server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NatsConnection {
    Down,
    /// Connected. Other hosts may not have subscribed yet, so items wait for one of their heartbeats.
    Resuming {
        until: Instant,
    },
    Up,
}

/// The core of a bridge.
#[derive(Debug)]
pub struct BridgeCore {
    own: BridgeIdentity,
    seal: ClusterSeal,
    random: u64,
    replay: ReplayBounds,
    held: HeldBounds,
    connection: NatsConnection,
    hosts: Hosts,
    heartbeats: OwnHeartbeats,
    lanes: LanesOut,
    /// Memory for the beginning of an item.
    item_head: Vec<u8>,
    ends: EpochEnds,
    echoes: Echoes,
    forwards: Forwards,
    /// The last publication of each worker that was forwarded.
    forwarded: PassedSources,
    repairs: Repairs,
    control: VecDeque<WaitingMessage>,
    queries: OpenHostQueries,
    /// Questions of other hosts.
    asked: Vec<AskedQuestion>,
    queries_out: QueriesOut,
    pings: LanePings,
    arrivals: Arrivals,
    /// Empty memory for what has its turn in a lane.
    passed: Vec<Passed>,
    directory: DirectoryCopy,
    /// The last publications that went to one host.
    sent_to_one: VecDeque<SentToOne>,
    /// Bytes that the lanes of all hosts hold.
    held_total: usize,
    /// Nothing is known of earlier bridges of this run, so items of hosts that are added before may be missing.
    lost_places: Option<Instant>,
    degraded: Option<DegradedReason>,
    effects: Vec<ClusterEffect>,
    counts: ClusterCounts,
    news: OwnNews,
    times: ClusterTimes,
}

/// A message that is not a part of a lane.
#[derive(Debug)]
struct WaitingMessage {
    subject: ClusterSubject,
    message: ClusterMessage,
}

impl BridgeCore {
    /// Creates the core of a bridge that is not connected.
    #[must_use]
    pub fn new(options: BridgeOptions, now: Instant) -> Self {
        let BridgeOptions { name, uuid_key, identity, random, replay, held, .. } = options;
        let BridgeOptions { kept, profile, begun_s, .. } = options;
        let KeptForBridge { is_complete, taken, mut ends } = kept;
        ends.fill(identity.epoch);
        let jitter = random.first_chunk().copied().unwrap_or_default();
        let first_query = random.last_chunk().copied().unwrap_or_default();
        let mut core = Self {
            own: identity,
            seal: ClusterSeal::new(&uuid_key, name, identity),
            random: u64::from_le_bytes(jitter),
            replay,
            held,
            connection: NatsConnection::Down,
            hosts: Hosts::new(identity, random),
            heartbeats: OwnHeartbeats::new(now),
            lanes: LanesOut::new(replay, &ItemBody::hello(&ends), now),
            item_head: Vec::new(),
            ends,
            echoes: Echoes::default(),
            forwards: Forwards::default(),
            forwarded: PassedSources::default(),
            repairs: Repairs::new(now),
            control: VecDeque::new(),
            queries: OpenHostQueries::new(u64::from_le_bytes(first_query) >> 1),
            asked: Vec::new(),
            queries_out: QueriesOut::default(),
            pings: LanePings::new(identity.epoch),
            arrivals: Arrivals::default(),
            passed: Vec::new(),
            directory: DirectoryCopy::default(),
            sent_to_one: VecDeque::new(),
            held_total: 0,
            lost_places: (!is_complete).then(|| now + replay.time),
            degraded: Some(DegradedReason::Disconnected),
            effects: Vec::new(),
            counts: ClusterCounts::default(),
            news: OwnNews { profile, begun_s, ..OwnNews::default() },
            times: ClusterTimes::default(),
        };
        core.directory.add_host(identity.host);
        for (host, lanes) in taken.iter() {
            core.add_host(host, lanes, now);
            core.directory.add_host(host);
        }
        // The next bridge must know that this one has lived.
        core.ends.note(identity.epoch, &[]);
        let (forwards, epoch) = (0, identity.epoch);
        core.effects.push(ClusterEffect::Carried { forwards, epoch, points: Vec::new() });
        core
    }

    fn own_lane(&self) -> LaneKey {
        LaneKey::private(self.own.run)
    }

    /// Adds a host whose lanes continue after these places. Returns the host whose place it takes.
    fn add_host(&mut self, host: HostId, taken: &TakenLanes, now: Instant) -> Option<FormerHost> {
        let lanes = LanesIn::new(taken, self.own_lane(), self.held);
        self.lanes.open_lane(LaneKey::private(taken.run));
        let former = self.hosts.make_room(host);
        self.hosts.add(host, RemoteHost::new(taken, lanes, now), former.as_ref());
        former
    }

    /// A connection to a NATS server was made, and all subscriptions were sent.
    pub fn connected(&mut self, now: Instant) {
        self.connection = NatsConnection::Resuming { until: now + send::RESUME_WAIT };
        self.echoes.connected();
        self.heartbeats.connected(now);
        self.lanes.rewind();
    }

    /// The connection was lost.
    pub fn disconnected(&mut self) {
        self.connection = NatsConnection::Down;
        self.queries_out.clear();
    }

    /// Numbers a publication for other hosts. It waits for the connection.
    pub fn forward<B: AsRef<[u8]>>(&mut self, forward: Forward<B>, now: Instant) {
        let Forward { reach, publication } = forward;
        if self.forwarded.has(publication.source, publication.number) {
            // A new broker repeats what its predecessor had forwarded. It is safe when the first one is.
            self.forwards.push(self.lanes.last_order(), None);
            return;
        }
        self.forwarded.note(publication.source, publication.number);
        if publication.is_of_directory() {
            send::note_own_names(self, reach, &publication);
        }
        send::note_sent_to_one(self, reach, &publication);
        let lane = match reach {
            ForwardReach::All => LaneKey::COMMON,
            ForwardReach::One(host) if host == self.own.host => {
                // It is for the copy of the directory only.
                self.forwards.push(self.lanes.last_order(), None);
                self.note_waiting(now);
                return;
            }
            ForwardReach::One(host) => self.private_lane(host),
        };
        self.counts.traffic.outgoing.note_item(lane, publication.item_kind());
        self.item_head.clear();
        let before = self.lanes.numbers_for_clients(lane);
        ItemBody::put_head(&mut self.item_head, &publication, before);
        let point = self.lanes.append(lane, [&self.item_head, publication.payload.as_ref()], now);
        self.forwards.push(self.lanes.last_order(), Some(point));
        self.note_waiting(now);
    }

    /// Numbers a command for other hosts, as [`BridgeCore::forward`] does. Returns the id by which
    /// [`BridgeCore::take_answered`] has the outcomes; `None` if an earlier broker has forwarded it.
    pub fn direct(&mut self, mut forward: Forward, until: Instant, now: Instant) -> Option<u64> {
        let CarriedPublication { source, number, .. } = forward.publication;
        let is_new = !self.forwarded.has(source, number);
        let id = is_new.then(|| queries::await_outcomes(self, forward.reach, until));
        forward.publication.directive = Some(id.unwrap_or_default());
        self.forward(forward, now);
        id
    }

    /// Reports items that the broker has not kept for this bridge as a gap to all hosts. They count as one
    /// forward.
    pub fn forward_missing(&mut self, items: LostItems, now: Instant) {
        let missing = ItemBody::missing(items);
        let point = self.lanes.append(LaneKey::COMMON, [&missing[..], &[]], now);
        self.forwards.push(self.lanes.last_order(), Some(point));
        self.note_waiting(now);
    }

    fn private_lane(&self, host: HostId) -> LaneKey {
        let known = self.hosts.get(host).filter(|host| host.state != HostState::Forgotten);
        known.map_or(LaneKey::COMMON, |host| LaneKey::private(host.run))
    }

    /// The broker has acknowledged publications and gaps up to a number.
    pub fn acknowledged(&mut self, up_to: u64) {
        self.arrivals.acknowledge(up_to);
        let hosts: Vec<HostId> = self.hosts.iter().map(|(host, _)| host).collect();
        for host in hosts {
            self.pass_on(host);
        }
    }

    /// The broker was replaced. Returns what the new one keeps for the next bridge. The effects that follow
    /// repeat the live hosts and what the old one had not acknowledged.
    pub fn broker_restarted(&mut self) -> KeptForBridge {
        self.forwards.broker_restarted();
        let mut taken = TakenTable::default();
        self.effects.clear();
        for (host, remote) in self.hosts.iter() {
            taken.set(host, places(remote));
            match remote.state {
                HostState::Live | HostState::Silent => {
                    self.effects.push(ClusterEffect::HostLive { host, taken: places(remote) });
                }
                HostState::Gone => {
                    self.effects.push(ClusterEffect::HostLive { host, taken: places(remote) });
                    self.effects.push(ClusterEffect::HostGone(host));
                }
                HostState::Forgotten => {}
            }
        }
        self.effects.extend(self.arrivals.unacknowledged().cloned());
        self.effects.push(ClusterEffect::Degraded(self.degraded));
        let is_complete = self.lost_places.is_none();
        KeptForBridge { is_complete, taken, ends: self.ends.clone() }
    }

    /// Returns what has happened since the last call.
    #[must_use]
    pub fn take_effects(&mut self) -> Vec<ClusterEffect> {
        let effects = std::mem::take(&mut self.effects);
        effects.iter().for_each(|effect| self.directory.on_effect(effect));
        effects
    }

    /// Returns the last publications that were given to one other host. A new broker gives them to no other client (rule
    /// L6).
    pub fn sent_to_one(&self) -> impl Iterator<Item = SentToOne> {
        self.sent_to_one.iter().copied()
    }

    /// Returns the names that a new broker is to know, once it has been told the effects.
    #[must_use]
    pub fn announced_names(&self) -> Vec<AnnouncedNames> {
        self.directory.announcements()
    }

    /// Asks other hosts. Returns the id by which [`BridgeCore::take_answered`] has the answers, at this time at the
    /// latest. A host that is gone is not asked. Without a connection, none answers.
    pub fn query(&mut self, reach: QueryReach, question: &Bytes, until: Instant) -> u64 {
        queries::ask(self, reach, question, until)
    }

    /// Returns the questions of this host that are over.
    #[must_use]
    pub fn take_answered(&mut self) -> Vec<AnsweredQuery> {
        self.queries.take_answered()
    }

    /// Returns the questions of other hosts.
    #[must_use]
    pub fn take_asked(&mut self) -> Vec<AskedQuestion> {
        std::mem::take(&mut self.asked)
    }

    /// Answers a question of another host. `None`: this host has no answer, and is not waited for.
    pub fn answer(&mut self, to: HostId, id: u64, answer: Option<&[u8]>) {
        if self.connection != NatsConnection::Down {
            self.queries_out.push(to, id, answer);
        }
    }

    /// Returns the states of the other hosts.
    pub fn hosts(&self) -> impl Iterator<Item = (HostId, HostState)> {
        self.hosts.iter().map(|(id, host)| (id, host.state))
    }

    /// Returns the counts of this bridge.
    #[must_use]
    pub fn counts(&self) -> ClusterCounts {
        let held_items = self.hosts.iter().map(|(_, host)| host.lanes.held_items()).sum();
        ClusterCounts {
            evicted_unconfirmed: self.lanes.evicted_unconfirmed(),
            replay_buffer_bytes: self.lanes.buffer_bytes(),
            held_items,
            unconfirmed_items: self.lanes.last_order() - self.lanes.confirmed_order(),
            queries_complete: self.queries.complete,
            queries_partial: self.queries.partial,
            ..self.counts
        }
    }

    /// Returns whether everything that was forwarded is safe, and nothing of other hosts is missing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let is_behind = self.hosts.iter().any(|(_, host)| host.lanes.is_behind());
        self.forwards.is_empty() && !is_behind
    }

    /// Returns a pseudo-random number (SplitMix64). Only waits depend on it.
    fn next_random(random: &mut u64) -> u64 {
        *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = *random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

#[cfg(test)]
mod ping_tests;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(in crate::cluster) use self::moment::any_moment;

#[cfg(test)]
mod moment {
    use std::time::Instant;

    /// Returns an arbitrary time, from which a test counts.
    #[expect(clippy::disallowed_methods, reason = "the one time that is not an argument")]
    pub(in crate::cluster) fn any_moment() -> Instant {
        Instant::now()
    }
}
