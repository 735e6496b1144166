//! Pings to other hosts, on behalf of an operator.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::cluster::pings::{EndedPing, ping, take_ended};
use crate::cluster::{BridgeCore, figures};
use crate::link::control::ChildEvent;
use crate::types::{HostId, PingedHost};

/// Commands of the supervisor to ping hosts.
#[derive(Debug, Default)]
pub(super) struct BridgePings {
    /// Those that are not over, by their number.
    commands: BTreeMap<u32, PingCommand>,
    /// The command of each ping, and the place of its host.
    open: BTreeMap<u64, PingPlace>,
}

#[derive(Debug)]
struct PingCommand {
    hosts: Vec<PingedHost>,
    /// Hosts that have not answered.
    missing: usize,
}

#[derive(Clone, Copy, Debug)]
struct PingPlace {
    command: u32,
    host: usize,
}

impl BridgePings {
    /// Pings the hosts with a name or an id, or all. Returns the event for the supervisor if there is none.
    pub(super) fn ping(
        &mut self,
        core: Option<&mut BridgeCore>,
        number: u32,
        name: Option<&str>,
        now: Instant,
    ) -> Option<ChildEvent> {
        let mut hosts = Vec::new();
        if let Some(core) = core {
            let is_meant = |it: &str| name.is_none_or(|name| name == it);
            for other in figures::others(core, now) {
                let Some(id) = HostId::parse(&other.id) else { continue };
                if !is_meant(&other.name) && !is_meant(&other.id) {
                    continue;
                }
                let place = PingPlace { command: number, host: hosts.len() };
                self.open.insert(ping(core, id, now), place);
                hosts.push(PingedHost { name: other.name, id: other.id, trip_us: None });
            }
        }
        if hosts.is_empty() {
            return Some(ChildEvent::Pinged { number, hosts });
        }
        let missing = hosts.len();
        self.commands.insert(number, PingCommand { hosts, missing });
        None
    }

    /// Returns the events of commands that are over.
    pub(super) fn take_ended(&mut self, core: &mut BridgeCore) -> Vec<ChildEvent> {
        let mut events = Vec::new();
        for EndedPing { number, trip } in take_ended(core) {
            let Some(PingPlace { command: number, host }) = self.open.remove(&number) else {
                continue;
            };
            let Some(command) = self.commands.get_mut(&number) else { continue };
            if let Some(host) = command.hosts.get_mut(host) {
                let micros = |trip: std::time::Duration| u64::try_from(trip.as_micros()).ok();
                host.trip_us = trip.and_then(micros);
            }
            command.missing -= 1;
            if command.missing == 0
                && let Some(PingCommand { hosts, .. }) = self.commands.remove(&number)
            {
                events.push(ChildEvent::Pinged { number, hosts });
            }
        }
        events
    }
}
