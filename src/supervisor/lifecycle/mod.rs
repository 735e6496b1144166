//! Decides which processes are started, commanded and killed. The decisions are executed elsewhere.
//!
//! This module is pure: its inputs are deaths, events, signals and the time, its outputs are
//! actions. It does not know whether the roles are processes or threads.

use std::time::{Duration, Instant};

pub use self::action::{Action, ChildId};
use self::child_state::ChildState;
use self::children::Children;
use self::leader::Leader;
use self::liveness::{Liveness, LivenessVerdict};
use self::lost_links::{LinkEnds, LostLinks};
use self::readiness::ReadinessNotice;
pub use self::rolling_restart::RestartInProgress;
use self::rolling_restart::{RestartTurn, RollingRestart};
use self::shutdown::Shutdown;
use crate::link::control::{
    ApiCommand, BrokerCommand, ChildEvent, CommonCommand, PendingHandshakes, WorkerCommand,
};
use crate::types::limits::RESTART_PAUSE_MIN;
use crate::types::{Readiness, WorkerId, WorkerIncarnation};

/// The processes of one server: a broker, its workers, the API process, and the bridge to other hosts.
#[derive(Debug)]
pub struct ProcessTable {
    children: Children,
    /// Number of workers.
    size: u16,
    lost: LostLinks,
    liveness: Liveness,
    shutdown: Shutdown,
    rolling: RollingRestart,
    drain_time: Duration,
    /// True once the server has been announced as ready, which happens when all workers are ready.
    is_announced: bool,
    leader: Leader,
    notice: ReadinessNotice,
}

impl ProcessTable {
    /// Creates a table without running processes.
    #[must_use]
    pub fn new(workers: u16, drain_time: Duration) -> Self {
        Self {
            children: Children::new(workers),
            size: workers,
            lost: LostLinks::default(),
            liveness: Liveness::default(),
            shutdown: Shutdown::default(),
            rolling: RollingRestart::default(),
            drain_time,
            is_announced: false,
            leader: Leader::default(),
            notice: ReadinessNotice::default(),
        }
    }

    /// The same with an API process.
    #[must_use]
    pub fn with_api(mut self) -> Self {
        self.children.add_api();
        self
    }

    /// The same with a bridge to other hosts.
    #[must_use]
    pub fn with_bridge(mut self) -> Self {
        self.children.add_bridge();
        self
    }

    /// Starts all processes.
    pub fn start(&mut self, now: Instant, effects: &mut Vec<Action>) {
        self.liveness.start(now);
        self.children.start_broker(effects);
        self.children.start_worker(WorkerId::BRIDGE, effects);
        self.children.start_worker(WorkerId::API, effects);
        for worker_id in 0..self.size {
            self.children.start_worker(WorkerId(worker_id), effects);
        }
    }

    /// Sets the time that a shutdown may take from now on.
    pub fn set_drain_time(&mut self, drain_time: Duration) {
        self.drain_time = drain_time;
    }

    /// Returns true if a shutdown was requested.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.shutdown.is_requested()
    }

    /// Returns true while a rolling restart is in progress.
    #[must_use]
    pub fn is_restarting(&self) -> bool {
        self.rolling.is_under_way()
    }

    /// Returns true if the server has been announced as ready.
    #[must_use]
    pub fn is_announced(&self) -> bool {
        self.is_announced
    }

    /// Returns all processes that are running or waiting for a restart, with their states. The
    /// broker is first.
    pub fn members(&self) -> impl Iterator<Item = (ChildId, &'static str)> {
        self.children.members()
    }

    /// Handles the death of a process. It must be reaped, and the caller must have released all its
    /// resources.
    pub fn died(&mut self, child: ChildId, now: Instant, effects: &mut Vec<Action>) {
        if !self.children.lives(child) {
            return;
        }
        let mut pause = Duration::ZERO;
        if self.rolling.replaces(child) && self.shutdown.replaces(child) {
            pause = self.children.died(child, now);
        } else {
            self.children.retire(child);
        }
        if self.is_ending() {
            // Do not wait for the full delay, because it can be longer than the drain time.
            self.children.restart_broker_by(now + RESTART_PAUSE_MIN);
            pause = pause.min(RESTART_PAUSE_MIN);
        }
        if pause > Duration::ZERO {
            effects.push(Action::Wait { child, pause });
        }
        self.lost.forget_explained(child, now);
        self.liveness.forget(child);
        if let (Some(source), Some(broker)) = (child.source(), self.children.living_broker()) {
            effects.push(Action::Send(broker, BrokerCommand::WorkerDead { source }.into()));
        }
        self.advance(now, effects);
    }

    /// Handles an event of a process.
    pub fn reported(
        &mut self,
        child: ChildId,
        report: ChildEvent,
        now: Instant,
        effects: &mut Vec<Action>,
    ) {
        if !self.children.lives(child) {
            return;
        }
        self.liveness.record_answer(child);
        match (report, child) {
            (ChildEvent::Ready, ChildId::Worker(source)) => self.became_ready(source, effects),
            (ChildEvent::Quiesced, ChildId::Worker(source)) => {
                self.children.mark_quiesced(source.worker);
            }
            (ChildEvent::Ready, ChildId::Api(_)) => self.children.mark_api(ChildState::Ready),
            (ChildEvent::Ready, ChildId::Bridge(_)) => self.children.mark_bridge_ready(),
            (ChildEvent::Quiesced, ChildId::Api(_)) => self.children.mark_api(ChildState::Quiesced),
            (ChildEvent::LinkLost { peer, broker }, _) => {
                self.link_lost(LinkEnds { worker: peer, broker }, child, now);
            }
            (ChildEvent::Ready, ChildId::Broker(_)) => self.children.mark_broker_ready(),
            (ChildEvent::Quiesced, ChildId::Broker(_) | ChildId::Bridge(_))
            | (
                ChildEvent::Configured { .. }
                | ChildEvent::Revoked { .. }
                | ChildEvent::RevokedElsewhere { .. }
                | ChildEvent::RevokedByHosts { .. }
                | ChildEvent::Pinged { .. }
                | ChildEvent::Counts { .. }
                | ChildEvent::Grown
                | ChildEvent::MetricsWanted { .. }
                | ChildEvent::Reusable { .. }
                | ChildEvent::Heartbeat,
                _,
            ) => {}
        }
        self.advance(now, effects);
    }

    /// Starts a rolling restart of all workers.
    ///
    /// # Errors
    ///
    /// If one is already in progress, or the server is shutting down.
    pub fn restart_workers(
        &mut self,
        now: Instant,
        effects: &mut Vec<Action>,
    ) -> Result<(), RestartInProgress> {
        if self.is_ending() {
            return Err(RestartInProgress::Ending);
        }
        if self.is_restarting() {
            return Err(RestartInProgress::Restarting);
        }
        self.rolling.begin(&self.children);
        self.proceed(now, effects);
        Ok(())
    }

    /// Starts a shutdown. A second request kills all processes.
    pub fn request_shutdown(&mut self, now: Instant, effects: &mut Vec<Action>) {
        if self.is_ending() {
            self.shutdown.kill_all(&mut self.children, effects);
        } else {
            self.shutdown = Shutdown::quiescing(now, self.drain_time);
            self.rolling.cancel();
            self.children.vacate_workers();
            self.children.restart_broker_by(now + RESTART_PAUSE_MIN);
            let quiesce = WorkerCommand::Quiesce(PendingHandshakes::Refuse);
            let quiesce = |one| Action::Send(one, quiesce.clone().into());
            effects.extend(self.children.living_workers().map(quiesce));
            let quiesce = |api| Action::Send(api, ApiCommand::Quiesce.into());
            effects.extend(self.children.living_api().map(quiesce));
        }
        self.advance(now, effects);
    }

    /// Executes everything that is due; see [`ProcessTable::wakes_at`].
    pub fn proceed(&mut self, now: Instant, effects: &mut Vec<Action>) {
        self.check_liveness(now, effects);
        self.advance(now, effects);
    }

    fn advance(&mut self, now: Instant, effects: &mut Vec<Action>) {
        let unlinked = self.lost.take_due(now).map(ChildId::of);
        effects.extend(unlinked.flat_map(|child| [Action::Unlinked(child), Action::Kill(child)]));
        self.children.start_due(now, effects);
        let (children, drain_time) = (&mut self.children, self.drain_time);
        self.rolling.advance(RestartTurn { children, now, drain_time, effects });
        self.leader.choose(&self.children, effects);
        self.shutdown.advance(&mut self.children, now, effects);
        self.notice.tell(self.children.living_api(), self.readiness(), effects);
    }

    /// Returns whether the server takes traffic, as far as its workers decide it.
    fn readiness(&self) -> Readiness {
        if self.is_ending() {
            Readiness::Draining
        } else if !self.is_announced {
            Readiness::Starting
        } else if self.children.ready_sources().next().is_none() {
            Readiness::NoWorkersReady
        } else {
            Readiness::Ready
        }
    }

    /// Returns the time at which [`ProcessTable::proceed`] must be called even if no event occurs.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Instant> {
        let tick = self.liveness.next().filter(|_| self.shutdown.expects_answers());
        self.advances_at().into_iter().chain(tick).min()
    }

    fn advances_at(&self) -> Option<Instant> {
        let moments = [
            self.children.next_start(),
            self.lost.wakes_at(),
            self.shutdown.wakes_at(),
            self.rolling.wakes_at(),
        ];
        moments.into_iter().flatten().min()
    }

    fn became_ready(&mut self, source: WorkerIncarnation, effects: &mut Vec<Action>) {
        self.children.mark_ready(source.worker);
        let ready = self.children.ready_sources().count();
        if ready >= usize::from(self.size) && !self.is_announced {
            self.is_announced = true;
            effects.push(Action::Announce);
        }
    }

    /// Rule L1: a report of a lost link counts only while both of its processes are running.
    fn link_lost(&mut self, ends: LinkEnds, by: ChildId, now: Instant) {
        let LinkEnds { worker, broker } = ends;
        let live = self.children.lives(ChildId::of(worker))
            && self.children.lives(ChildId::Broker(broker));
        if live {
            self.lost.record(ends, by, now);
        }
    }

    /// Probes all processes and kills the unresponsive ones.
    fn check_liveness(&mut self, now: Instant, effects: &mut Vec<Action>) {
        if !self.shutdown.expects_answers() {
            return;
        }
        let children = &self.children;
        let living = children.living_workers().chain(children.living_broker());
        let living = living.chain(children.living_api()).chain(children.living_bridge());
        let expected = living.filter(|child| self.shutdown.expects_answer_of(*child));
        for finding in self.liveness.tick(now, expected) {
            match finding {
                LivenessVerdict::Ask(child) => {
                    effects.push(Action::Send(child, CommonCommand::Heartbeat.into()));
                }
                LivenessVerdict::Hangs(child) => {
                    effects.extend([Action::Hangs(child), Action::Kill(child)]);
                }
            }
        }
    }
}

mod action;
pub mod backoff;
mod child_state;
mod children;
mod leader;
mod liveness;
mod lost_links;
mod readiness;
mod rolling_restart;
mod shutdown;
#[cfg(test)]
mod tests;
