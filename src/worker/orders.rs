//! What the supervisor orders, and the stages that follow from it.

use std::io;

use tracing::{error, info};

use super::broker_link::BrokerLink;
use super::connection::{AWAY, Phase};
use super::hub::{Hub, LINK, Next, Stage};
use crate::http::{Refusal, Status};
use crate::link::control::{Order, Peer, Report, RoleEnd};
use crate::link::poller::Interest;
use crate::link::transport::Transport;
use crate::types::Generation;
use crate::types::limits::{ORDERS_WAIT, ORPHAN_WAIT};

const DRAINING: Refusal = Refusal::new(Status::Unavailable, "the server goes away");

impl Hub {
    /// Hears what the supervisor has to say, or that it is gone.
    pub(super) fn listen_to_supervisor(&mut self) -> io::Result<Next> {
        self.orders_due = self.now.after(ORDERS_WAIT);
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
                Order::Beat => self.report(Report::Beat),
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
    /// old one knew (rule L6). What was read is written in slices as ever: slots that become free
    /// now wait for it (rule L3).
    fn connect(&mut self, broker: Generation, transport: Box<dyn Transport>) -> io::Result<()> {
        if let Some(old) = &mut self.link {
            old.is_unread = true;
        }
        while self.link.as_ref().is_some_and(|old| old.is_unread) {
            self.read_link();
        }
        if self.link.take().is_some() {
            // The supervisor has reaped its broker, so nothing more can come.
            self.fanout.forget_sets();
            self.uplink.unlinked();
        }
        let link = BrokerLink::new(broker, transport);
        self.poller.watch(link.ready(), LINK, Interest::Edge)?;
        self.link = Some(link);
        for slot in self.uplink.linked() {
            self.release(slot);
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
        if let Some(link) = &mut self.link {
            link.is_unread = true;
        }
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
            Stage::Quiescing { is_reported: false } if self.uplink.is_quiet() => {
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
