//! What a bridge does with the messages of other hosts.

use std::time::Instant;

use super::{BridgeCore, NatsConnection, figures, queries};
use crate::cluster::effect::{ClusterEffect, LaneGap};
use crate::cluster::envelope::{BridgeIdentity, HostRun};
use crate::cluster::hosts::{FormerHost, HeartbeatMeaning, HostState, RemoteHost};
use crate::cluster::item::{ItemBody, LaneKey, LanePoint};
use crate::cluster::lanes_in::{GapReason, Passed};
use crate::cluster::message::{
    ClusterMessage, HostHeartbeat, LaneBatch, ListedHost, RepairRequest,
};
use crate::cluster::repairs::Repair;
use crate::cluster::subject::ClusterSubject;
use crate::cluster::taken::{LaneStart, PassedPublication, TakenLanes};
use crate::cluster::traffic::{ItemKind, TrafficLane};
use crate::cluster::wire::InvalidMessage;
use crate::types::HostId;

impl BridgeCore {
    /// Takes a message that has arrived on a subject.
    ///
    /// # Errors
    ///
    /// If it is not a message of a host of this cluster. It has had no effect then.
    pub fn receive(
        &mut self,
        subject: &str,
        message: &[u8],
        now: Instant,
    ) -> Result<(), InvalidMessage> {
        let opened = self.seal.open(subject, message).and_then(|(from, body)| {
            ClusterMessage::decode(body.into()).map(|message| (from, message))
        });
        let (from, decoded) = opened.inspect_err(|_| self.counts.invalid_messages += 1)?;
        self.note_traffic(&decoded, message.len());
        let message = decoded;
        match message {
            ClusterMessage::Echo { connection, number } if from == self.own => {
                if let Some(order) = self.echoes.returned(connection, number, now) {
                    self.lanes.confirm(order);
                    figures::note_echo(self);
                    self.note_waiting(now);
                }
            }
            ClusterMessage::Heartbeat(heartbeat) if from == self.own => {
                self.own_heartbeat(&heartbeat);
            }
            ClusterMessage::Heartbeat(heartbeat) => self.heartbeat_of(from, &heartbeat, now),
            ClusterMessage::Batch(batch) => self.batch(from, batch),
            ClusterMessage::Lost { lane, up_to } => {
                self.lost(from, LanePoint { lane, number: up_to });
            }
            ClusterMessage::Request(request) => self.request(from, &request),
            ClusterMessage::Challenge(bytes) => {
                self.control(ClusterSubject::Control(from.host), ClusterMessage::Proof(bytes));
            }
            ClusterMessage::Proof(bytes) => self.proof(from, bytes, now),
            ClusterMessage::Query(question) => queries::asked(self, from, question),
            ClusterMessage::Answer(answer) => queries::answered(self, from, answer),
            ClusterMessage::Echo { .. } => {}
        }
        Ok(())
    }

    fn note_traffic(&mut self, message: &ClusterMessage, bytes: usize) {
        let incoming = &mut self.counts.traffic.incoming;
        match message {
            ClusterMessage::Batch(batch) => incoming.note_batch(batch.lane, bytes),
            _ => incoming.note_bytes(TrafficLane::None, bytes),
        }
    }

    fn own_heartbeat(&mut self, heartbeat: &HostHeartbeat) {
        let Some(beat) = self.heartbeats.returned(heartbeat.number, heartbeat.beat) else { return };
        for host in self.hosts.count_silence(beat) {
            self.queries.host_gone(host);
            self.effects.push(ClusterEffect::HostGone(host));
        }
    }

    fn heartbeat_of(&mut self, from: BridgeIdentity, heartbeat: &HostHeartbeat, now: Instant) {
        match self.hosts.receive(from, heartbeat, now) {
            HeartbeatMeaning::Known(was) => {
                if matches!(self.connection, NatsConnection::Resuming { .. }) {
                    self.connection = NatsConnection::Up;
                }
                figures::receive(self, from, &heartbeat.news, now);
                self.known_heartbeat(from, heartbeat, was);
            }
            HeartbeatMeaning::Challenge(bytes) => {
                self.control(ClusterSubject::Control(from.host), ClusterMessage::Challenge(bytes));
            }
            HeartbeatMeaning::OwnId => self.effects.push(ClusterEffect::DuplicateHost),
            HeartbeatMeaning::Ignored => {}
        }
    }

    fn known_heartbeat(&mut self, from: BridgeIdentity, heartbeat: &HostHeartbeat, was: HostState) {
        let own = self.own;
        let Some(host) = self.hosts.of(from) else { return };
        let is_own = |it: &&ListedHost| (it.host, it.run) == (own.host, own.run);
        let listed = heartbeat.hosts.iter().find(is_own);
        // What it published while it did not know this host has no numbers that would show it.
        let is_unlisted = host.is_listing && listed.is_none();
        let was_forgotten = listed.is_some_and(|it| it.forgotten != host.listed);
        host.is_listing = listed.is_some();
        host.listed = listed.map_or(host.listed, |it| it.forgotten);
        if matches!(was, HostState::Gone | HostState::Forgotten) || was_forgotten {
            let taken = places(host);
            self.effects.push(ClusterEffect::HostLive { host: from.host, taken });
        }
        if host.lanes.is_present(from.epoch) {
            host.lanes.note_numbers(heartbeat.common, listed.map_or(0, |it| it.number));
        }
        if heartbeat.is_last {
            host.state = HostState::Forgotten;
            self.repairs.remove(from.host);
            self.queries.host_gone(from.host);
            self.effects.push(ClusterEffect::HostGone(from.host));
            self.effects.push(ClusterEffect::HostForgotten(from.host));
        } else if is_unlisted || was_forgotten {
            self.unknown_gap(from, GapReason::HostGone);
        }
        self.pass_on(from.host);
    }

    fn unknown_gap(&mut self, from: BridgeIdentity, reason: GapReason) {
        let BridgeIdentity { host, run, .. } = from;
        figures::note_gap(self, host, None);
        let gap = self.arrivals.gap(LaneGap { host, run, lost: None, reason });
        self.effects.push(gap);
    }

    fn batch(&mut self, from: BridgeIdentity, batch: LaneBatch) {
        let LaneBatch { lane, first, items } = batch;
        let Some(host) = self.hosts.of(from) else { return };
        if !host.lanes.is_present(from.epoch) {
            let is_later = from.epoch > host.lanes.epoch() && lane == LaneKey::COMMON && first == 1;
            let hello = items.first().filter(|_| is_later);
            let hello = hello.map(|item| ItemBody::decode(item.body.clone()));
            let Some(Ok(ItemBody::Hello(ends))) = hello else { return };
            let passed = host.lanes.begin_epoch(from.epoch, &ends, &mut self.held_total);
            self.apply(from.host, from.run, passed);
        }
        for (number, item) in (first..).zip(items) {
            let Some(host) = self.hosts.of(from) else { return };
            if !host.lanes.offer(LanePoint { lane, number }, item, &mut self.held_total) {
                self.counts.duplicates_dropped += 1;
            }
            // At once, so that few are held at a time.
            self.pass_on(from.host);
        }
    }

    fn lost(&mut self, from: BridgeIdentity, point: LanePoint) {
        let Some(host) = self.hosts.of(from) else { return };
        if host.lanes.is_present(from.epoch) {
            host.lanes.lose(point.lane, point.number);
            self.pass_on(from.host);
        }
    }

    fn request(&mut self, from: BridgeIdentity, request: &RepairRequest) {
        let is_own = (request.run, request.epoch) == (self.own.run, self.own.epoch);
        let is_known = self.hosts.of(from).is_some();
        let may_have = [LaneKey::COMMON, LaneKey::private(from.run)].contains(&request.lane);
        if is_own && is_known && may_have {
            let last = request.last.min(self.lanes.last_of(request.lane));
            let repair = Repair::new(from.host, request.lane, request.first, last);
            if request.first <= last {
                self.repairs.request(repair);
            }
        }
    }

    fn proof(&mut self, from: BridgeIdentity, bytes: [u8; 16], now: Instant) {
        let Some(start) = self.hosts.prove(from, bytes) else { return };
        let taken = TakenLanes::begin(from.run, from.epoch, start);
        if let Some(former) = self.add_host(from.host, &taken, now) {
            self.remove(former);
        }
        self.effects.push(ClusterEffect::HostLive { host: from.host, taken });
        if self.lost_places.is_some_and(|until| now < until) {
            self.unknown_gap(from, GapReason::Epoch);
        }
    }

    /// Ends the lanes of a run that never returns.
    fn remove(&mut self, former: FormerHost) {
        let FormerHost { id, mut host } = former;
        self.repairs.remove(id);
        let mut passed = Vec::new();
        host.lanes.finish(GapReason::HostGone, &mut self.held_total, &mut passed);
        self.apply(id, host.run, passed);
        host.lanes.release(&mut self.held_total);
        let lane = LaneKey::private(host.run);
        self.lanes.close_lane(lane);
        self.ends.close(lane);
        self.effects.push(ClusterEffect::LaneClosed(lane));
    }

    /// Passes on what has its turn while the broker's window has room.
    pub(super) fn pass_on(&mut self, id: HostId) {
        let mut passed = std::mem::take(&mut self.passed);
        while self.arrivals.has_room()
            && let Some(host) = self.hosts.get_mut(id)
        {
            let steps = host.lanes.pass(1, &mut self.held_total, &mut passed);
            let run = host.run;
            self.apply(id, run, passed.drain(..));
            if steps == 0 {
                break;
            }
        }
        self.passed = passed;
    }

    pub(super) fn apply(
        &mut self,
        host: HostId,
        run: HostRun,
        passed: impl IntoIterator<Item = Passed>,
    ) {
        for passed in passed {
            match passed {
                Passed::Publication { epoch, point, publication } => {
                    let kind = publication.item_kind();
                    self.counts.traffic.incoming.note_item(point.lane, kind);
                    let (source, number) = (publication.source, publication.number);
                    let taken = PassedPublication { host, epoch, point, source, number };
                    self.effects.push(self.arrivals.publication(taken, publication));
                }
                Passed::Gap { lost, reason } => {
                    figures::note_gap(self, host, lost);
                    self.effects.push(self.arrivals.gap(LaneGap { host, run, lost, reason }));
                }
                Passed::Repeated => self.counts.duplicates_dropped += 1,
                Passed::Ping { lane, number } => {
                    self.counts.traffic.incoming.note_item(lane, ItemKind::Ping);
                    self.pings.note_ping(host, number);
                }
                Passed::Pong { lane, number } => {
                    self.counts.traffic.incoming.note_item(lane, ItemKind::Ping);
                    self.pings.note_pong(host, number);
                }
            }
        }
    }
}

/// Returns how far the lanes of a host were taken.
pub(super) fn places(remote: &RemoteHost) -> TakenLanes {
    let mut taken = TakenLanes::begin(remote.run, remote.lanes.epoch(), LaneStart::default());
    remote.lanes.taken(&mut taken);
    taken.forgotten = remote.forgotten;
    taken.listed = remote.listed;
    taken
}
