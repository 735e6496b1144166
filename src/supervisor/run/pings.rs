//! Requests to ping other hosts, which the bridge carries out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::children::RunningChildren;
use super::now;
use crate::admin::AdminResponse;
use crate::link::control::BridgeCommand;
use crate::supervisor::control_socket::AdminConnection;
use crate::supervisor::lifecycle::ChildId;
use crate::types::PingedHost;
use crate::types::limits::CLUSTER_PING_WAIT;

/// How much longer than the other hosts the bridge may take. One that hangs is replaced.
const BRIDGE_GRACE: Duration = Duration::from_secs(1);

/// Admin connections that wait for pings. The admin socket bounds their number.
#[derive(Debug, Default)]
pub(super) struct WaitingPings {
    last_number: u32,
    open: BTreeMap<u32, WaitingPing>,
}

#[derive(Debug)]
struct WaitingPing {
    requester: AdminConnection,
    until: Instant,
}

impl WaitingPings {
    /// Has the hosts with a name or an id pinged, or all.
    pub(super) fn request(
        &mut self,
        host: Option<Box<str>>,
        requester: AdminConnection,
        children: &RunningChildren,
    ) {
        let is_bridge = |child: &ChildId| matches!(child, ChildId::Bridge(_));
        let Some(bridge) = children.members().find(is_bridge) else {
            return requester.answer(failed("the bridge does not run"));
        };
        self.last_number = self.last_number.wrapping_add(1);
        let number = self.last_number;
        children.send(bridge, BridgeCommand::Ping { number, host });
        let until = now() + CLUSTER_PING_WAIT + BRIDGE_GRACE;
        self.open.insert(number, WaitingPing { requester, until });
    }

    /// Answers a request.
    pub(super) fn pinged(&mut self, number: u32, hosts: Vec<PingedHost>) {
        if let Some(ping) = self.open.remove(&number) {
            ping.requester.answer(AdminResponse::Pinged(hosts));
        }
    }

    /// Answers the requests for which the bridge takes too long.
    pub(super) fn check(&mut self) {
        let now = now();
        for (_, ping) in self.open.extract_if(.., |_, ping| ping.until <= now) {
            ping.requester.answer(failed("the bridge does not answer"));
        }
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.open.values().map(|ping| ping.until).min()
    }
}

fn failed(text: &str) -> AdminResponse {
    AdminResponse::Failed(vec![text.to_owned()])
}
