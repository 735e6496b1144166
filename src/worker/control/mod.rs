//! Commands of the supervisor, and the resulting stages.

pub(crate) mod drain;
pub(crate) mod overload;
pub(crate) mod reload;
mod reusable;
pub(crate) mod revoke;
pub(crate) mod supervisor_link;

use std::io;
use std::time::Duration;

use tracing::{info, warn};

use self::drain::{DrainSchedule, Stage};
use super::connection::{AWAY, Connection, Phase, bye, close, readiness};
use super::context::Context;
use super::event_loop::EventLoop;
use super::handshake::{hello, refusals};
use super::hosts;
use super::stats;
use super::tokens::Token;
use crate::http::{Refusal, RefusalStatus};
use crate::link::control::{
    Attachment, ChildEvent, CommonCommand, ControlMessage, ControlPeer, ExitReason,
    PendingHandshakes, WorkerCommand,
};
use crate::link::transport::Transport;
use crate::reactor::poller::Interest;
use crate::telemetry::set_level;
use crate::types::limits::ORPHAN_WAIT;
use crate::types::{Generation, TurnBudget};

/// Divisor of the drain time. One quarter of it is reserved for the clients' Close answers.
const CLOSING_PART: u32 = 4;
/// Most reads of the link before clients are closed. Each reads up to two megabytes, which is
/// more than the kernel buffers.
const LAST_READS_MAX: usize = 8;
const DRAINING: Refusal = Refusal::new(RefusalStatus::Unavailable, "the server goes away");

impl EventLoop {
    /// Applies received commands. Starts a drain if the supervisor is gone.
    pub(super) fn read_commands(&mut self) -> io::Result<()> {
        let mut commands = Vec::new();
        let now = self.context.clock.now();
        let peer = self.context.supervisor.recv(&mut commands, now);
        self.apply_commands(commands)?;
        if peer == ControlPeer::Gone && !self.context.stage.has_lost_supervisor() {
            info!(event = "supervisor_lost", "supervisor lost");
            // The closed control link would wake the loop all the time.
            drop(self.context.poller.forget(self.context.supervisor.ready()));
            self.drain(ORPHAN_WAIT, ExitReason::SupervisorLost);
        }
        Ok(())
    }

    /// Applies commands in order.
    pub(super) fn apply_commands(
        &mut self,
        commands: Vec<ControlMessage<WorkerCommand>>,
    ) -> io::Result<()> {
        for ControlMessage { command, attachment } in commands {
            let Self { context, connections, listeners, ticks, push_socket, .. } = self;
            match (command, attachment) {
                (WorkerCommand::Listen { sockets }, Attachment::Sockets(listening)) => {
                    let sockets = listening.into_iter().zip(sockets).collect();
                    listeners.listen(sockets, &context.poller)?;
                    context.supervisor.report(ChildEvent::Ready);
                }
                (WorkerCommand::PushSocket, Attachment::Sockets(sockets)) => {
                    sockets.into_iter().for_each(|socket| push_socket.set_socket(socket));
                    self.watch_push_socket();
                }
                (WorkerCommand::Handover, Attachment::Sockets(sockets)) => {
                    context.handover = sockets.into_iter().next();
                }
                (WorkerCommand::Link { broker }, Attachment::Link(transport)) => {
                    self.connect(broker, transport)?;
                }
                (
                    WorkerCommand::Listen { .. }
                    | WorkerCommand::PushSocket
                    | WorkerCommand::Handover
                    | WorkerCommand::Link { .. },
                    _,
                ) => {}
                (WorkerCommand::Quiesce(handshakes), _) => self.quiesce(handshakes),
                (WorkerCommand::Drain { within }, _) => self.drain(within, ExitReason::Requested),
                (WorkerCommand::SetRole(role), _) => {
                    info!(event = "role_assigned", to = ?role, "role assigned");
                    ticks.set_role(role, context.clock.now());
                    self.watch_push_socket();
                }
                (WorkerCommand::Accept(accepting), _) => {
                    listeners.set_accepting(accepting, context, connections);
                }
                (WorkerCommand::Pressure(allowed), _) => {
                    overload::on_pressure(context, connections, allowed);
                }
                (WorkerCommand::Revoke { number, entries }, _) => {
                    revoke::revoke(context, connections, number, &entries);
                }
                (WorkerCommand::Common(command), attachment) => {
                    self.apply_common(command, attachment);
                }
            }
        }
        Ok(())
    }

    fn apply_common(&mut self, command: CommonCommand, attachment: Attachment) {
        let Self { context, connections, .. } = self;
        match (command, attachment) {
            (CommonCommand::Configure { number }, Attachment::Config(json)) => {
                self.reconfigure(number, json);
            }
            (CommonCommand::Configure { .. }, _) => {}
            (CommonCommand::Count { number, detail }, _) => {
                let report = Box::new(stats::counts(context, connections, detail));
                context.supervisor.report(ChildEvent::Counts { number, report });
            }
            (CommonCommand::LogLevel { level }, _) => set_level(level),
            (CommonCommand::Heartbeat, _) => self.answer_heartbeat(),
        }
    }

    /// Answers the liveness check, then accepts waiting connections. The kernel wakes only one
    /// worker per new connection, and that worker may have hung or died before it accepted.
    fn answer_heartbeat(&mut self) {
        let Self { context, connections, listeners, .. } = self;
        context.supervisor.report(ChildEvent::Heartbeat);
        refusals::log_unshown(context);
        overload::shed_again(context, connections);
        if context.stage.is_serving() {
            listeners.accept_pending(context, connections);
        }
    }

    /// Connects to a new broker. The old link is read to its end, then the new broker gets
    /// everything that the old one knew (rule L6). Messages from the old link are delivered in
    /// slices as usual. Slots that become free wait until these are written (rule L3).
    fn connect(&mut self, broker: Generation, transport: Box<dyn Transport>) -> io::Result<()> {
        self.context.broker.mark_unread();
        let mut scratch = std::mem::take(&mut self.context.buffers.scratch);
        while let Some(event) = self.context.broker.next_until_end(&mut scratch) {
            self.on_broker_event(event);
        }
        let Context { buffers, broker: client, poller, throttle, clock, .. } = &mut self.context;
        buffers.scratch = scratch;
        client.connect(broker, transport);
        throttle.release_tenants(clock.now());
        if let Some(ready) = client.link_ready() {
            poller.watch(ready, Token::Link.into(), Interest::Edge)?;
            self.is_room_watched = false;
        }
        self.context.unlinked_since = None;
        info!(
            event = "broker_linked",
            broker = broker.0,
            connections = self.connections.count(),
            "linked to the broker"
        );
        Ok(())
    }

    /// Stops accepting and reading, so that pending work can finish.
    fn quiesce(&mut self, handshakes: PendingHandshakes) {
        let Self { context, connections, listeners, .. } = self;
        if handshakes == PendingHandshakes::Finish {
            listeners.accept_last(context, connections);
        }
        listeners.close(&context.poller);
        if !context.stage.is_serving() {
            return;
        }
        let walk = connections.walk();
        context.stage = Stage::Quiescing { handshakes, walk, is_reported: false };
        self.follow_stage();
    }

    /// Closes all connections one after the other. Messages that the broker has already sent are
    /// delivered first.
    fn drain(&mut self, within: Duration, end: ExitReason) {
        self.listeners.close(&self.context.poller);
        self.read_link_to_end();
        let Self { context, connections, .. } = self;
        let spread = match end {
            ExitReason::Requested => within - within / CLOSING_PART,
            ExitReason::SupervisorLost | ExitReason::Failed(_) => Duration::ZERO,
        };
        let now = context.clock.now();
        let schedule = DrainSchedule::new(connections.slots(), now, spread);
        let (until, walk) = (now.after(within), connections.walk());
        context.stage = Stage::Draining { until, end, schedule, walk };
        info!(
            event = "drain_started",
            connections = connections.count(),
            "closing all connections"
        );
        self.follow_stage();
        self.close_due();
    }

    /// Continues work on all connections that takes more than one turn.
    pub(super) fn continue_walks(&mut self) {
        self.review_some();
        revoke::check_some(&mut self.context, &mut self.connections);
        let last_serial = self.listeners.last_serial();
        hosts::continue_report(&mut self.context, &mut self.connections, last_serial);
        self.follow_stage();
        self.close_due();
        overload::continue_shedding(&mut self.context, &mut self.connections);
    }

    /// Processes connections because the stage has changed, within the time budget of this part of the
    /// turn: updates what is watched of their sockets, and refuses those that are not open in a drain.
    /// An open connection is served until it is due.
    fn follow_stage(&mut self) {
        let Self { context, connections, .. } = self;
        let mut part = None;
        while let Some(slot) = context.stage.next_changed(connections) {
            let part = *part.get_or_insert_with(|| context.clock.part());
            let Some(mut connection) = connections.take(slot) else { continue };
            if context.stage.is_draining() && !connection.is_open() {
                send_away(context, &mut connection);
            }
            readiness::rearm(context, connections, connection);
            if context.clock.is_over(part) {
                return;
            }
        }
    }

    /// Closes connections that are due, within the time budget of this part of the turn.
    /// Acknowledged publications are on the link already (rule L5) and are delivered first.
    pub(super) fn close_due(&mut self) {
        let mut part = None;
        while let Some(slot) = self.context.stage.next_to_close(self.context.clock.now()) {
            let part = *part.get_or_insert_with(|| {
                self.read_link_to_end();
                self.context.clock.part()
            });
            self.delivery().flush_for(slot);
            let Self { context, connections, .. } = self;
            if let Some(mut connection) = connections.take(slot) {
                send_away(context, &mut connection);
                readiness::rearm(context, connections, connection);
            }
            if context.clock.is_over(part) {
                return;
            }
        }
    }

    /// Reads all messages that are on the link now, without a time budget. A draining worker is not
    /// checked for liveness.
    fn read_link_to_end(&mut self) {
        self.context.broker.mark_unread();
        for _ in 0..LAST_READS_MAX {
            self.read_link_within(TurnBudget::new(self.context.clock.time(), Duration::MAX));
            if !self.context.broker.is_unread() {
                return;
            }
        }
    }

    /// At the end of a stage, reports that the worker is quiesced, or returns the exit reason.
    pub(super) fn finish_stage(&mut self) -> Option<ExitReason> {
        let Self { context, connections, .. } = self;
        let Context { stage, broker, webhooks, supervisor, handshakes: pending, .. } = context;
        let has_large = !context.offload.is_idle() || context.serving.has_large();
        match stage {
            Stage::Quiescing { handshakes, walk, is_reported }
                if !*is_reported
                    && walk.is_over()
                    && broker.uplink.is_quiet()
                    && !has_large
                    && (*handshakes == PendingHandshakes::Refuse
                        || (pending.is_empty() && !webhooks.has_openings())) =>
            {
                *is_reported = true;
                supervisor.report(ChildEvent::Quiesced);
                None
            }
            Stage::Draining { until, end, .. }
                if (connections.count() == 0 && broker.uplink.is_quiet() && webhooks.is_idle())
                    || *until <= context.clock.now() =>
            {
                if !webhooks.is_idle() {
                    warn!(
                        event = "exit_with_webhooks",
                        events = webhooks.count(),
                        "exiting before all webhooks were answered"
                    );
                }
                if connections.count() > 0 {
                    info!(
                        event = "exit_with_connections",
                        connections = connections.count(),
                        "exiting with open connections"
                    );
                }
                Some(std::mem::replace(end, ExitReason::Requested))
            }
            _ => None,
        }
    }
}

/// Closes a connection because the worker drains.
fn send_away(context: &mut Context, connection: &mut Connection) {
    if !connection.is_open() && bye::is_greeted(connection) {
        return hello::refuse(context, connection, &AWAY);
    }
    match &mut connection.phase {
        Phase::Head(_) | Phase::Authorizing(_) | Phase::Joining(_) => {
            refusals::refuse(context, connection, &DRAINING);
        }
        Phase::Open(_) => close::close(context, connection, &AWAY),
        Phase::Piping(pipe) => pipe.end_input(),
        Phase::Closing { .. }
        | Phase::Answering { .. }
        | Phase::Ending { .. }
        | Phase::Greeting(_)
        | Phase::HandedOver
        | Phase::Gone => {}
    }
}
