//! What the supervisor orders, and the stages that follow from it.

pub(crate) mod drain;
pub(crate) mod overload;
pub(crate) mod reload;

use std::io;
use std::time::Duration;

use tracing::{error, info, warn};

use self::drain::DrainSchedule;
use super::connection::{AWAY, Phase};
use super::event_loop::{EventLoop, LINK, LoopState, WorkerStage};
use crate::http::{Refusal, RefusalStatus};
use crate::link::control::{
    ChildEvent, ControlPeer, ExitReason, PendingHandshakes, SupervisorCommand,
};
use crate::link::transport::Transport;
use crate::reactor::poller::Interest;
use crate::telemetry::set_level;
use crate::types::limits::{ORDERS_WAIT, ORPHAN_WAIT};
use crate::types::{Generation, Slot, TurnBudget};

/// The part of the time to close that is kept for the clients' answers: a quarter.
const CLOSING_PART: u32 = 4;
/// Times that a link is read before clients are closed: each takes up to a megabyte, and the kernel
/// holds less.
const LAST_READS_MAX: usize = 8;
const DRAINING: Refusal = Refusal::new(RefusalStatus::Unavailable, "the server goes away");

impl EventLoop {
    /// Hears what the supervisor has to say, or that it is gone.
    pub(super) fn listen_to_supervisor(&mut self) -> io::Result<LoopState> {
        self.orders_due = self.now.after(ORDERS_WAIT);
        let mut orders = Vec::new();
        let peer = self.control.orders(&mut orders).unwrap_or_else(|error| {
            error!(%error, "the control link broke");
            ControlPeer::Gone
        });
        let next = self.obey(orders)?;
        if peer == ControlPeer::Gone
            && !matches!(self.stage, WorkerStage::Draining { end: ExitReason::SupervisorLost, .. })
        {
            info!("the supervisor is gone");
            // Its end of the control link would wake the loop for ever.
            drop(self.poller.forget(self.control.ready()));
            self.drain(ORPHAN_WAIT, ExitReason::SupervisorLost);
        }
        Ok(next)
    }

    /// Does what was ordered.
    pub(super) fn obey(&mut self, orders: Vec<SupervisorCommand>) -> io::Result<LoopState> {
        for order in orders {
            match order {
                SupervisorCommand::Listen(sockets) => {
                    self.listen(sockets)?;
                    self.report(ChildEvent::Ready);
                }
                SupervisorCommand::PushSocket(socket) => self.take_push_socket(socket),
                SupervisorCommand::Link { broker, transport } => self.connect(broker, transport)?,
                SupervisorCommand::Quiesce(newcomers) => self.quiesce(newcomers),
                SupervisorCommand::Drain { within } => self.drain(within, ExitReason::Requested),
                SupervisorCommand::Stop => return Ok(LoopState::End(ExitReason::Requested)),
                SupervisorCommand::Configure { number, json } => self.reconfigure(number, &json),
                SupervisorCommand::Count { number } => {
                    let counts = self.counts();
                    self.report(ChildEvent::Counts { number, counts });
                }
                SupervisorCommand::LogLevel(level) => set_level(level),
                SupervisorCommand::Heartbeat => self.beat_back(),
                SupervisorCommand::SetRole(duty) => self.appoint(duty),
                SupervisorCommand::Accept(accepting) => self.accept_or_not(accepting),
                SupervisorCommand::Pressure(pressure) => self.feel_pressure(pressure),
                SupervisorCommand::LiveWorkers { .. }
                | SupervisorCommand::WorkerLink { .. }
                | SupervisorCommand::WorkerDead { .. } => {}
            }
        }
        Ok(LoopState::Turn)
    }

    /// Says that this loop turns, and looks at the doors: the kernel wakes one worker for a newcomer,
    /// and that one may have stopped or died before it came to accept.
    fn beat_back(&mut self) {
        self.report(ChildEvent::Heartbeat);
        self.log_unshown();
        self.shed_again();
        if matches!(self.stage, WorkerStage::Serving) {
            self.accept();
        }
    }

    pub(super) fn report(&mut self, report: ChildEvent) {
        if let Err(error) = self.control.report(report) {
            error!(%error, "the supervisor cannot be told");
        }
    }

    /// A new broker: the old link is read to its end, then the new one hears everything that the
    /// old one knew (rule L6). What was read is written in slices as ever: slots that become free
    /// now wait for it (rule L3).
    fn connect(&mut self, broker: Generation, transport: Box<dyn Transport>) -> io::Result<()> {
        self.relay.mark_unread();
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some(arrival) = self.relay.last_word(&mut scratch) {
            self.take_arrival(arrival);
        }
        self.scratch = scratch;
        self.relay.connect(broker, transport);
        if let Some(ready) = self.relay.link_ready() {
            self.poller.watch(ready, LINK, Interest::Edge)?;
        }
        info!(broker = broker.0, connections = self.table.count(), "linked to the broker");
        Ok(())
    }

    /// Stops accepting and reading, so that what is under way can end.
    fn quiesce(&mut self, newcomers: PendingHandshakes) {
        if newcomers == PendingHandshakes::Finish {
            self.accept_the_last();
        }
        self.close_doors();
        if !matches!(self.stage, WorkerStage::Serving) {
            return;
        }
        self.stage = WorkerStage::Quiescing { newcomers, is_reported: false };
        for slot in self.table.slots() {
            self.rewatch(slot);
        }
    }

    /// Closes everybody, one after the other. What the broker has already sent is delivered first.
    fn drain(&mut self, within: Duration, end: ExitReason) {
        self.close_doors();
        self.hear_link_out();
        let spread = match end {
            ExitReason::Requested => within - within / CLOSING_PART,
            ExitReason::SupervisorLost | ExitReason::Failed(_) => Duration::ZERO,
        };
        let farewell = DrainSchedule::new(self.table.slots(), (self.now, spread));
        self.stage = WorkerStage::Draining { until: self.now.after(within), end, farewell };
        info!(connections = self.table.count(), "closing all connections");
        for slot in self.table.slots() {
            // Whoever is open is served until its turn comes.
            self.send_away(slot, CloseSelection::NotOpenYet);
        }
        self.say_farewell();
    }

    /// Closes those whose turn has come, as far as the time of this part of the turn allows. What was
    /// acknowledged is on the link already (rule L5): they are still told that.
    pub(super) fn say_farewell(&mut self) {
        let mut part = None;
        while let WorkerStage::Draining { farewell, .. } = &mut self.stage
            && let Some(slot) = farewell.due(self.now)
        {
            let part = *part.get_or_insert_with(|| {
                self.hear_link_out();
                self.part()
            });
            self.flush_fanout_for(slot);
            self.send_away(slot, CloseSelection::Everybody);
            if self.is_over(part) {
                return;
            }
        }
    }

    /// Takes what is on the link by now, however long that takes: a worker that drains is not judged.
    fn hear_link_out(&mut self) {
        self.relay.mark_unread();
        for _ in 0..LAST_READS_MAX {
            self.read_link_within(TurnBudget::new(self.clock.time(), Duration::MAX));
            if !self.relay.is_unread() {
                return;
            }
        }
    }

    fn send_away(&mut self, slot: Slot, whom: CloseSelection) {
        let Some(mut connection) = self.table.take(slot) else { return };
        match &connection.phase {
            Phase::Head(_) | Phase::Authorizing(_) | Phase::Joining(_) => {
                self.refuse(slot, &mut connection, &DRAINING);
            }
            Phase::Open(_) if whom == CloseSelection::Everybody => {
                self.close(slot, &mut connection, &AWAY);
            }
            Phase::Open(_)
            | Phase::Closing { .. }
            | Phase::Answering { .. }
            | Phase::Ending { .. }
            | Phase::Gone => {}
        }
        self.put_back(slot, connection);
    }

    /// Whether the stage has come to its end.
    pub(super) fn stage_over(&mut self) -> LoopState {
        match &mut self.stage {
            WorkerStage::Quiescing { newcomers, is_reported }
                if !*is_reported
                    && self.relay.uplink.is_quiet()
                    && (*newcomers == PendingHandshakes::Refuse
                        || (self.doors.handshakes == 0 && !self.errands.is_asking())) =>
            {
                *is_reported = true;
                self.report(ChildEvent::Quiesced);
                LoopState::Turn
            }
            WorkerStage::Draining { until, end, .. }
                if (self.table.count() == 0
                    && self.relay.uplink.is_quiet()
                    && self.errands.is_idle())
                    || *until <= self.now =>
            {
                if !self.errands.is_idle() {
                    warn!(events = self.errands.count(), "ended before backends had answered");
                }
                if self.table.count() > 0 {
                    info!(connections = self.table.count(), "ended with connections open");
                }
                LoopState::End(std::mem::replace(end, ExitReason::Requested))
            }
            _ => LoopState::Turn,
        }
    }
}

/// Who is sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CloseSelection {
    /// Those whose handshake is not answered yet.
    NotOpenYet,
    /// Those and everybody whose WebSocket is open.
    Everybody,
}
