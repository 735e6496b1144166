//! The bridge and its broker: the beginning of a link, and the messages on it.

use std::io;
use std::time::Instant;

use tracing::info;

use super::link::BridgeLink;
use super::now;
use super::process::{BROKER, BridgeProcess, TURN_MESSAGES, name_of};
use super::queries::DirectiveTimes;
use super::told_connections::ToldConnections;
use crate::cluster::{
    BridgeCore, BridgeEpoch, BridgeIdentity, BridgeOptions, ClusterEffect, HeldBounds, HostRun,
    KeptForBridge, ReplayBounds, figures,
};
use crate::config::BridgeConfig;
use crate::link::bridge::{FromBridge, ToBridge};
use crate::link::control::ChildEvent;
use crate::link::message::{ForBridge, ToBroker, ToWorker};
use crate::link::transport::Transport;
use crate::reactor::poller::Interest;
use crate::telemetry::unix_seconds;
use crate::types::Generation;

impl BridgeProcess {
    /// Begins the link to a new broker. The old one is dead, and its link is read to the end.
    pub(super) fn connect(
        &mut self,
        broker: Generation,
        transport: Box<dyn Transport>,
    ) -> io::Result<()> {
        while self.link.is_some() {
            if let Some(link) = &mut self.link {
                link.mark_unread();
            }
            self.read_link(now());
            // Nothing more can arrive.
            if self.link.as_ref().is_some_and(|link| !link.is_busy()) {
                self.link = None;
            }
        }
        self.poller.watch(transport.ready(), BROKER, Interest::Edge)?;
        let mut link = BridgeLink::new(broker, transport, self.source);
        self.queries.broker_restarted();
        self.told = None;
        match &mut self.core {
            None => {
                link.say(FromBridge::Start);
                link.announced();
            }
            Some(core) => {
                link.say(FromBridge::Kept(Box::new(core.broker_restarted())));
                let effects = core.take_effects();
                let is_of_hosts = |effect: &ClusterEffect| {
                    matches!(effect, ClusterEffect::HostLive { .. } | ClusterEffect::HostGone(_))
                };
                let (hosts, rest): (Vec<_>, Vec<_>) = effects.into_iter().partition(is_of_hosts);
                rest.iter().for_each(|effect| self.queries.note_arrival(effect));
                for names in core.announced_names() {
                    link.say(FromBridge::Names(Box::new(names)));
                }
                hosts.into_iter().for_each(|effect| link.tell(effect));
                link.say(FromBridge::Sent(core.sent_to_one().collect()));
                link.announced();
                rest.into_iter().for_each(|effect| link.tell(effect));
            }
        }
        link.send(&ToBroker::WindowRepeated);
        self.link = Some(link);
        info!(event = "broker_linked", broker = broker.0, "linked to the broker");
        Ok(())
    }

    /// Applies messages of the broker.
    pub(super) fn read_link(&mut self, now: Instant) {
        for _ in 0..TURN_MESSAGES {
            let Some(link) = &mut self.link else { return };
            match link.next(&mut self.scratch) {
                Ok(Some(ForBridge::Forward(forward))) => {
                    let Some(core) = &mut self.core else { continue };
                    let publication = &forward.publication;
                    let is_counted = !publication.is_of_directory()
                        && !publication.is_of_watches()
                        && !publication.is_about_move();
                    self.notices.counts.items_out += u64::from(is_counted);
                    if publication.directive.is_some() {
                        let timeout = self.config.cluster.query_timeout;
                        let times = DirectiveTimes { now, timeout };
                        self.queries.direct(core, forward.copied(), times);
                    } else {
                        core.forward(forward, now);
                    }
                }
                Ok(Some(ForBridge::Other(message))) => self.on_message(message, now),
                Ok(None) => return,
                Err(error) => {
                    let broker = link.broker;
                    info!(
                        event = "broker_link_lost",
                        broker = broker.0,
                        %error,
                        "link to the broker lost"
                    );
                    self.link = None;
                    self.report(ChildEvent::LinkLost { peer: self.source, broker });
                    return;
                }
            }
        }
    }

    fn on_message(&mut self, message: ToWorker, now: Instant) {
        match (message, &mut self.core) {
            (ToWorker::Bridge(ToBridge::Kept(kept)), None) => self.begin(*kept, now),
            (ToWorker::Bridge(ToBridge::Missing(items)), Some(core)) => {
                core.forward_missing(items, now);
            }
            (ToWorker::Bridge(ToBridge::Clients(counts)), Some(core)) => {
                figures::set_connections(core, *counts);
            }
            (ToWorker::Bridge(ToBridge::Query(query)), Some(core)) => {
                self.queries.ask(core, *query, now);
            }
            (ToWorker::Answer { number, result, .. }, Some(core)) => {
                self.queries.answer(core, number, &result);
            }
            (ToWorker::Reached(counted), Some(core)) => self.queries.reached(core, &counted),
            (ToWorker::Tracked { number, outcome }, Some(core)) => {
                self.queries.asked(core, number.0, outcome);
            }
            (ToWorker::Outcome { number, outcome }, Some(core)) => {
                self.queries.outcome(core, number.0, *outcome);
            }
            (ToWorker::Acknowledged { up_to }, Some(core)) => {
                self.queries.acknowledged(up_to.0);
                core.acknowledged(up_to.0);
            }
            // Throttles are for publishers. There are no clients here.
            _ => {}
        }
    }

    /// Creates the rules with what earlier bridges have left.
    fn begin(&mut self, kept: KeptForBridge, now: Instant) {
        let BridgeConfig { cluster, host, uuid_key, profile } = &self.config;
        let (Ok(name), Some(key)) = (name_of(&self.config), uuid_key.bytes()) else { return };
        let mut random = [0; 32];
        if aws_lc_rs::rand::fill(&mut random).is_err() {
            return;
        }
        let identity = BridgeIdentity {
            host: *host,
            run: HostRun(cluster.run),
            epoch: BridgeEpoch(self.source.generation.0.saturating_add(1)),
        };
        let options = BridgeOptions {
            name,
            uuid_key: *key,
            identity,
            random,
            replay: ReplayBounds { bytes: cluster.replay_bytes, time: cluster.replay_time },
            held: HeldBounds::default(),
            kept,
            profile: profile.clone(),
            begun_s: cluster.begun_s,
        };
        let mut core = BridgeCore::new(options, now);
        if self.is_connected {
            core.connected(now);
        }
        self.core = Some(core);
        info!(event = "bridge_ready", host = %host, "bridge ready");
        self.report(ChildEvent::Ready);
    }

    /// Takes what other hosts ask and answer about revoked tokens, and their answers to pings, before the rest goes to
    /// the broker.
    pub(super) fn exchange_revocations(&mut self, now: Instant) {
        let until = self.query_end();
        let Some(core) = &mut self.core else { return };
        self.revocations.look(core, now, unix_seconds(), until);
        let mut answered = core.take_answered();
        let mut told = self.revocations.take_answers(core, &mut answered, until);
        let mut asked = core.take_asked();
        told.extend(self.revocations.take_questions(core, &mut asked));
        self.queries.note(answered, asked);
        told.extend(self.pings.take_ended(core));
        told.into_iter().for_each(|event| self.report(event));
    }

    /// Tells the broker what has happened. Returns whether it has all of it, so that messages may follow.
    pub(super) fn write_link(&mut self) -> io::Result<bool> {
        let Some(link) = &mut self.link else { return Ok(true) };
        if let Some(core) = &mut self.core {
            let time = now();
            for effect in core.take_effects() {
                self.notices.on_effect(&effect, time);
                self.queries.note_new_arrival(&effect);
                link.tell(effect);
            }
            self.queries.tell(core, link);
            if ToldConnections::are_needed(&self.config.cluster) {
                ToldConnections::tell(&mut self.told, core, link, now());
            }
        }
        let is_written = link.write();
        if let Some(interest) = link.next_interest() {
            self.poller.rewatch(link.ready(), BROKER, interest)?;
        }
        Ok(is_written)
    }
}
