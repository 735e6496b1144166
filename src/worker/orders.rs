//! What the supervisor orders, and the stages that follow from it.

use std::io;

use tracing::{error, info};

use super::connection::{AWAY, Phase};
use super::hub::{Hub, LINK, Next, Stage};
use crate::http::{Refusal, Status};
use crate::link::control::{Order, Peer, Report, RoleEnd};
use crate::link::poller::Interest;
use crate::link::transport::Transport;
use crate::types::Generation;
use crate::types::limits::ORPHAN_WAIT;

const DRAINING: Refusal = Refusal::new(Status::Unavailable, "the server goes away");

impl Hub {
    /// Hears what the supervisor has to say, or that it is gone.
    pub(super) fn listen_to_supervisor(&mut self) -> io::Result<Next> {
        let mut orders = Vec::new();
        let peer = self.control.orders(&mut orders).unwrap_or_else(|error| {
            error!(%error, "the control link broke");
            Peer::Gone
        });
        let next = self.obey(orders)?;
        if peer == Peer::Gone && !matches!(self.stage, Stage::Draining { end: RoleEnd::Alone, .. })
        {
            info!("the supervisor is gone");
            // Its end of the control link would wake the loop for ever.
            drop(self.poller.forget(self.control.ready()));
            self.drain(ORPHAN_WAIT, RoleEnd::Alone);
        }
        Ok(next)
    }

    /// Does what was ordered.
    pub(super) fn obey(&mut self, orders: Vec<Order>) -> io::Result<Next> {
        for order in orders {
            match order {
                Order::Listen(sockets) => {
                    self.listen(sockets)?;
                    self.report(Report::Ready);
                }
                Order::Link { broker, transport } => self.connect(broker, transport)?,
                Order::Quiesce => self.quiesce(),
                Order::Drain { within } => self.drain(within, RoleEnd::Told),
                Order::Stop => return Ok(Next::End(RoleEnd::Told)),
                Order::Configure { .. }
                | Order::Roster { .. }
                | Order::WorkerLink { .. }
                | Order::WorkerDead { .. } => {}
            }
        }
        Ok(Next::Turn)
    }

    fn report(&mut self, report: Report) {
        if let Err(error) = self.control.report(report) {
            error!(%error, "the supervisor cannot be told");
        }
    }

    /// A new broker: the old link is read to its end, then the new one hears everything that the
    /// old one knew (rule L6).
    fn connect(&mut self, broker: Generation, transport: Box<dyn Transport>) -> io::Result<()> {
        self.relay.mark_unread();
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some(arrival) = self.relay.last_word(&mut scratch) {
            self.take_arrival(arrival);
        }
        self.scratch = scratch;
        self.flush_fanout(usize::MAX);
        self.relay.connect(broker, transport);
        if let Some(ready) = self.relay.link_ready() {
            self.poller.watch(ready, LINK, Interest::Edge)?;
        }
        info!(broker = broker.0, connections = self.table.count(), "linked to the broker");
        Ok(())
    }

    /// Stops accepting and reading, so that what is under way can end.
    fn quiesce(&mut self) {
        self.close_doors();
        self.stage = Stage::Quiescing { is_reported: false };
        for slot in self.table.slots() {
            self.rewatch(slot);
        }
    }

    /// Closes everybody. What the broker has already sent is delivered first.
    fn drain(&mut self, within: std::time::Duration, end: RoleEnd) {
        self.close_doors();
        self.relay.mark_unread();
        self.read_link();
        self.flush_fanout(usize::MAX);
        self.stage = Stage::Draining { until: self.now.after(within), end };
        info!(connections = self.table.count(), "closing all connections");
        for slot in self.table.slots() {
            self.send_away(slot);
        }
    }

    fn send_away(&mut self, slot: crate::types::Slot) {
        let Some(mut connection) = self.table.take(slot) else { return };
        match &connection.phase {
            Phase::Head(_) | Phase::Joining(_) => self.refuse(slot, &mut connection, &DRAINING),
            Phase::Open(_) => self.close(slot, &mut connection, &AWAY),
            Phase::Closing { .. }
            | Phase::Answering { .. }
            | Phase::Ending { .. }
            | Phase::Gone => {}
        }
        self.put_back(slot, connection);
    }

    /// Whether the stage has come to its end.
    pub(super) fn stage_over(&mut self) -> Next {
        match &mut self.stage {
            Stage::Quiescing { is_reported: false } if self.relay.uplink.is_quiet() => {
                self.stage = Stage::Quiescing { is_reported: true };
                self.report(Report::Quiet);
                Next::Turn
            }
            Stage::Draining { until, end } if self.table.count() == 0 || *until <= self.now => {
                if self.table.count() > 0 {
                    info!(connections = self.table.count(), "ended with connections open");
                }
                Next::End(std::mem::replace(end, RoleEnd::Told))
            }
            _ => Next::Turn,
        }
    }
}
