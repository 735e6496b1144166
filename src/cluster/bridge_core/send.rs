//! What a bridge sends: messages in the order of their urgency, and the work of its timers.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{BridgeCore, NatsConnection, WaitingMessage, figures, pings, queries};
use crate::cluster::carried::CarriedPublication;
use crate::cluster::directory::DirectoryItem;
use crate::cluster::effect::{ClusterEffect, DegradedReason, ForwardReach, SentToOne};
use crate::cluster::hosts::{HostState, RemoteHost};
use crate::cluster::item::LaneKey;
use crate::cluster::lanes_in::GapReason;
use crate::cluster::lanes_out::pause_between_small_batches;
use crate::cluster::message::{ClusterMessage, HostHeartbeat, ListedHost, RepairRequest};
use crate::cluster::subject::ClusterSubject;
use crate::cluster::traffic::{ItemKind, TrafficLane};
use crate::types::HostId;
use crate::types::limits::{
    CLUSTER_CONTROL_MAX, CLUSTER_HEARTBEAT, CLUSTER_HELD_TIME, CLUSTER_REPAIR_PAUSE,
    CLUSTER_RESUME_WAIT, CLUSTER_SENT_TO_ONE_MAX,
};

pub(super) const RESUME_WAIT: Duration = CLUSTER_RESUME_WAIT;

/// A message for NATS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// Its subject.
    pub subject: ClusterSubject,
    /// The sealed bytes.
    pub bytes: Vec<u8>,
}

/// Notes what other hosts get to know of own names.
pub(super) fn note_own_names<B: AsRef<[u8]>>(
    core: &mut BridgeCore,
    reach: ForwardReach,
    names: &CarriedPublication<B>,
) {
    // A snapshot for another host says what is known already.
    let is_for_all = reach == ForwardReach::All || reach == ForwardReach::One(core.own.host);
    let read = || DirectoryItem::decode(Bytes::copy_from_slice(names.payload.as_ref()));
    if is_for_all && let Ok(item) = read() {
        core.directory.note(core.own.host, &item);
    }
}

/// Notes a publication that goes to one host, and is for one client therefore.
pub(super) fn note_sent_to_one<B>(
    core: &mut BridgeCore,
    reach: ForwardReach,
    publication: &CarriedPublication<B>,
) {
    let is_plain = publication.item_kind() == ItemKind::Publication;
    if let ForwardReach::One(host) = reach
        && is_plain
    {
        if core.sent_to_one.len() >= CLUSTER_SENT_TO_ONE_MAX {
            core.sent_to_one.pop_front();
        }
        let (source, number) = (publication.source, publication.number);
        core.sent_to_one.push_back(SentToOne { source, number, host });
    }
}

impl BridgeCore {
    /// Returns the next message, if there is one and the bridge is connected. The shell calls it while its carrier
    /// has room.
    pub fn next_message(&mut self, now: Instant) -> Option<OutgoingMessage> {
        if self.connection == NatsConnection::Down {
            return None;
        }
        if let Some(WaitingMessage { subject, message }) = self.control.pop_front() {
            return Some(self.sealed(subject, &message.encode()));
        }
        if self.connection != NatsConnection::Up {
            return None;
        }
        // Questions, answers and messages of the lanes take turns.
        if !self.queries_out.was_last
            && let Some(message) = queries::next_message(self)
        {
            return Some(message);
        }
        if let Some(batch) = self.next_batch(now) {
            self.queries_out.was_last = false;
            return Some(batch);
        }
        let (sent, confirmed) = (self.lanes.sent_order(), self.lanes.confirmed_order());
        if let Some(number) = self.echoes.due(sent, confirmed, now) {
            let connection = self.echoes.connection();
            let echo = ClusterMessage::Echo { connection, number };
            return Some(self.sealed(ClusterSubject::Echo(self.own.host), &echo.encode()));
        }
        if let Some(message) = queries::next_message(self) {
            return Some(message);
        }
        let repair = self.repairs.next(&self.lanes, now)?;
        self.counts.repaired_items += repair.items;
        let subject = ClusterSubject::Private { to: repair.to, from: self.own.host };
        Some(match repair.items {
            0 => self.sealed(subject, &repair.body),
            _ => {
                let bytes = self.seal.seal(subject, &repair.body);
                self.batch_message(subject, repair.lane, bytes)
            }
        })
    }

    fn next_batch(&mut self, now: Instant) -> Option<OutgoingMessage> {
        let pause = pause_between_small_batches(self.hosts.counted().count());
        while let Some(batch) = self.lanes.next_batch(now, pause) {
            self.heartbeats.note_sent(now);
            self.repairs.note_sent(batch.message.body_bytes());
            let subject = if batch.lane == LaneKey::COMMON {
                ClusterSubject::Common(self.own.host)
            } else if let Some(to) = self.host_of(batch.lane) {
                ClusterSubject::Private { to, from: self.own.host }
            } else {
                continue;
            };
            let bytes = self.seal.seal_in_place(subject, batch.message);
            return Some(self.batch_message(subject, batch.lane, bytes));
        }
        None
    }

    fn host_of(&self, lane: LaneKey) -> Option<HostId> {
        let mut hosts = self.hosts.counted();
        hosts.find(|(_, host)| LaneKey::private(host.run) == lane).map(|(id, _)| id)
    }

    fn batch_message(
        &mut self,
        subject: ClusterSubject,
        lane: LaneKey,
        bytes: Vec<u8>,
    ) -> OutgoingMessage {
        self.counts.traffic.outgoing.note_batch(lane, bytes.len());
        OutgoingMessage { subject, bytes }
    }

    pub(super) fn sealed(&mut self, subject: ClusterSubject, body: &[u8]) -> OutgoingMessage {
        let message = OutgoingMessage { subject, bytes: self.seal.seal(subject, body) };
        self.counts.traffic.outgoing.note_bytes(TrafficLane::None, message.bytes.len());
        message
    }

    pub(super) fn control(&mut self, subject: ClusterSubject, message: ClusterMessage) {
        if self.control.len() < CLUSTER_CONTROL_MAX {
            self.control.push_back(WaitingMessage { subject, message });
        } else {
            self.counts.control_dropped += 1;
        }
    }

    /// Does what time requires. The shell calls it at [`BridgeCore::wake_at`], or more often.
    pub fn tick(&mut self, now: Instant) {
        if let NatsConnection::Resuming { until } = self.connection
            && until <= now
        {
            self.connection = NatsConnection::Up;
        }
        self.lanes.expire(now);
        self.queries.expire(now);
        for host in self.hosts.forget(self.replay.time, now) {
            self.repairs.remove(host);
            self.effects.push(ClusterEffect::HostForgotten(host));
        }
        if self.connection != NatsConnection::Down && self.heartbeats.due(now) {
            let heartbeat = self.heartbeat(now);
            self.control(ClusterSubject::Heartbeats, ClusterMessage::Heartbeat(heartbeat));
        }
        pings::tick(self, now);
        self.request_missing(now);
        self.give_up_on_silent(now);
        self.note_waiting(now);
        self.note_degraded(now);
    }

    /// Returns when [`BridgeCore::tick`] and [`BridgeCore::next_message`] have something to do, at the latest.
    #[must_use]
    pub fn wake_at(&self, now: Instant) -> Instant {
        let mut at = now + CLUSTER_HEARTBEAT;
        let mut note = |other: Option<Instant>| at = other.map_or(at, |other| at.min(other));
        note(self.queries.wake_at());
        note(self.echoes.overdue_at().filter(|overdue| *overdue > now));
        match self.connection {
            NatsConnection::Down => return at,
            NatsConnection::Resuming { until } => note(Some(until)),
            NatsConnection::Up => {
                note(self.lanes.wake_at());
                note(self.echoes.wake_at(self.lanes.sent_order()));
                note((!self.repairs.is_empty()).then(|| now + CLUSTER_REPAIR_PAUSE));
            }
        }
        note(Some(self.heartbeats.wake_at()));
        self.hosts.counted().for_each(|(_, host)| note(host.lanes.wake_at()));
        at
    }

    /// Announces the end of this host, after everything that was forwarded is safe.
    pub fn stop(&mut self, now: Instant) {
        let heartbeat = HostHeartbeat { is_last: true, ..self.heartbeat(now) };
        self.control(ClusterSubject::Heartbeats, ClusterMessage::Heartbeat(heartbeat));
    }

    fn heartbeat(&mut self, now: Instant) -> HostHeartbeat {
        let listed = |(host, remote): (HostId, &RemoteHost)| ListedHost {
            host,
            run: remote.run,
            forgotten: remote.forgotten,
            number: self.lanes.confirmed_of(LaneKey::private(remote.run)),
        };
        let hosts = self.hosts.counted().map(listed).collect();
        HostHeartbeat {
            number: self.heartbeats.next_number(),
            beat: self.heartbeats.beat(),
            is_last: false,
            common: self.lanes.confirmed_of(LaneKey::COMMON),
            hosts,
            news: figures::news(self, now),
        }
    }

    fn request_missing(&mut self, now: Instant) {
        if self.connection == NatsConnection::Down {
            return;
        }
        let mut requests = Vec::new();
        let random = &mut self.random;
        for (id, host) in self.hosts.iter_mut() {
            if host.state == HostState::Forgotten {
                continue;
            }
            let due = host.lanes.due_requests(now, &mut || Self::next_random(random));
            let run = host.run;
            requests.extend(due.into_iter().map(|it| (id, run, it)));
        }
        for (host, run, it) in requests {
            self.counts.repair_requests += 1;
            let (epoch, lane) = (it.epoch, it.lane);
            let request =
                RepairRequest { run, epoch, lane, first: it.hole.first, last: it.hole.last };
            self.control(ClusterSubject::Control(host), ClusterMessage::Request(request));
        }
    }

    /// Passes on what is held of hosts that cannot repeat what is missing before it.
    fn give_up_on_silent(&mut self, now: Instant) {
        let is_over = |host: &RemoteHost| {
            host.state != HostState::Live
                && host.lanes.held_items() > 0
                && host.silence(now) > CLUSTER_HELD_TIME
        };
        let over: Vec<HostId> =
            self.hosts.iter().filter(|(_, host)| is_over(host)).map(|(id, _)| id).collect();
        for id in over {
            let mut passed = Vec::new();
            let Some(host) = self.hosts.get_mut(id) else { continue };
            host.lanes.finish(GapReason::HostGone, &mut self.held_total, &mut passed);
            let run = host.run;
            self.apply(id, run, passed);
        }
    }

    /// Reports forwards that have become safe, and notes whether others wait for their echo.
    pub(super) fn note_waiting(&mut self, now: Instant) {
        let is_waiting = self.lanes.confirmed_order() < self.lanes.last_order();
        self.echoes.note_waiting(is_waiting.then_some(now));
        // Local publishers never wait for longer than a second for another host. What is in the replay buffer
        // is then enough.
        let safe = match self.echoes.is_overdue(now) {
            true => self.lanes.last_order(),
            false => self.lanes.confirmed_order(),
        };
        let mut points = Vec::new();
        if self.forwards.carry(safe, &mut points) {
            self.ends.note(self.own.epoch, &points);
            let (forwards, epoch) = (self.forwards.carried(), self.own.epoch);
            self.effects.push(ClusterEffect::Carried { forwards, epoch, points });
        }
    }

    fn note_degraded(&mut self, now: Instant) {
        let degraded = if self.connection == NatsConnection::Down {
            Some(DegradedReason::Disconnected)
        } else if self.heartbeats.are_missing() {
            Some(DegradedReason::CannotReceive)
        } else if self.echoes.is_overdue(now) {
            Some(DegradedReason::CannotSend)
        } else {
            None
        };
        if degraded != self.degraded {
            self.degraded = degraded;
            self.effects.push(ClusterEffect::Degraded(degraded));
        }
    }
}
