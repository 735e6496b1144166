//! Pings through the lanes and back: how long a publication takes between two bridges.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{BridgeCore, NatsConnection};
use crate::cluster::envelope::BridgeEpoch;
use crate::cluster::hosts::HostState;
use crate::cluster::item::{ItemBody, LaneKey, PING, PONG};
use crate::cluster::traffic::ItemKind;
use crate::cluster::wire::put_varint;
use crate::types::HostId;
use crate::types::limits::{CLUSTER_PING_WAIT, CLUSTER_PINGS_MAX};

/// Pings on their way, in both directions.
#[derive(Debug)]
pub(super) struct LanePings {
    last_number: u64,
    open: BTreeMap<u64, OpenPing>,
    /// Answers that have arrived since the last tick.
    returned: Vec<u64>,
    /// Pings of other hosts since the last tick.
    arrived: Vec<ArrivedPing>,
    ended: Vec<EndedPing>,
}

#[derive(Clone, Copy, Debug)]
struct OpenPing {
    host: HostId,
    sent: Instant,
}

#[derive(Clone, Copy, Debug)]
struct ArrivedPing {
    host: HostId,
    number: u64,
}

/// A ping that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedPing {
    /// What [`ping`] has returned.
    pub number: u64,
    /// The time until the answer. `None` if there was none in time.
    pub trip: Option<Duration>,
}

impl LanePings {
    /// No number is one of an earlier bridge, whose answers may still arrive.
    pub(super) fn new(epoch: BridgeEpoch) -> Self {
        let (returned, arrived, ended) = (Vec::new(), Vec::new(), Vec::new());
        let last_number = u64::from(epoch.0) << 32;
        Self { last_number, open: BTreeMap::new(), returned, arrived, ended }
    }

    /// Notes a ping of another host. What exceeds the bound is not answered.
    pub(super) fn note_ping(&mut self, host: HostId, number: u64) {
        if self.arrived.len() < CLUSTER_PINGS_MAX {
            self.arrived.push(ArrivedPing { host, number });
        }
    }

    /// Notes the answer of a host.
    pub(super) fn note_pong(&mut self, host: HostId, number: u64) {
        let is_of_host = |ping: &OpenPing| ping.host == host;
        if self.open.get(&number).is_some_and(is_of_host) && !self.returned.contains(&number) {
            self.returned.push(number);
        }
    }

    fn end(&mut self, number: u64, trip: Option<Duration>) {
        self.open.remove(&number);
        self.ended.push(EndedPing { number, trip });
    }
}

impl ItemBody {
    /// Returns the encoding of a ping.
    #[must_use]
    pub fn ping(number: u64) -> Bytes {
        numbered(PING, number)
    }

    /// Returns the encoding of the answer to a ping.
    #[must_use]
    pub fn pong(number: u64) -> Bytes {
        numbered(PONG, number)
    }
}

fn numbered(kind: u8, number: u64) -> Bytes {
    let mut out = vec![kind];
    put_varint(&mut out, number);
    out.into()
}

/// Sends a ping in the private lane to a host. Returns its number, by which [`take_ended`] has the end. A host that is
/// gone does not answer, and without a connection none does.
pub fn ping(core: &mut BridgeCore, host: HostId, now: Instant) -> u64 {
    core.pings.last_number += 1;
    let number = core.pings.last_number;
    let lane = lane_to(core, host).filter(|_| core.pings.open.len() < CLUSTER_PINGS_MAX);
    core.pings.open.insert(number, OpenPing { host, sent: now });
    match lane {
        Some(lane) => {
            send(core, lane, &ItemBody::ping(number), now);
            core.note_waiting(now);
        }
        None => core.pings.end(number, None),
    }
    number
}

/// Returns the pings that are over since the last call.
#[must_use]
pub fn take_ended(core: &mut BridgeCore) -> Vec<EndedPing> {
    std::mem::take(&mut core.pings.ended)
}

/// Returns the private lane to a host that is here.
fn lane_to(core: &BridgeCore, host: HostId) -> Option<LaneKey> {
    let remote = core.hosts.get(host).filter(|_| core.connection != NatsConnection::Down)?;
    let is_here = matches!(remote.state, HostState::Live | HostState::Silent);
    is_here.then(|| LaneKey::private(remote.run))
}

fn send(core: &mut BridgeCore, lane: LaneKey, body: &[u8], now: Instant) {
    core.counts.traffic.outgoing.note_item(lane, ItemKind::Ping);
    core.lanes.append(lane, [body, &[]], now);
}

/// Answers pings of other hosts, and ends own ones.
pub(super) fn tick(core: &mut BridgeCore, now: Instant) {
    for ArrivedPing { host, number } in std::mem::take(&mut core.pings.arrived) {
        if let Some(lane) = lane_to(core, host) {
            send(core, lane, &ItemBody::pong(number), now);
        }
    }
    for number in std::mem::take(&mut core.pings.returned) {
        let sent = core.pings.open.get(&number).map(|ping| ping.sent);
        core.pings.end(number, sent.map(|sent| now.saturating_duration_since(sent)));
    }
    // Numbers rise with the time.
    while let Some((number, ping)) = core.pings.open.first_key_value()
        && ping.sent + CLUSTER_PING_WAIT <= now
    {
        core.pings.end(*number, None);
    }
}
