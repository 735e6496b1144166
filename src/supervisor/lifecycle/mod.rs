//! Which processes run, and which are to be started, commanded or killed: decided here, done elsewhere.
//!
//! A brain: deaths, reports, signals and the time come in, effects come out. It knows neither
//! processes nor threads.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub use self::action::{Action, ChildId};
use self::child_state::{ChildSlot, ChildState, Replaced};
use self::liveness::{Liveness, LivenessVerdict};
pub use self::rolling_restart::RestartInProgress;
use self::rolling_restart::RollingRestart;
use self::shutdown::Shutdown;
use crate::link::control::{
    BrokerCommand, ChildEvent, CommonCommand, PendingHandshakes, WorkerCommand,
};
use crate::types::limits::{LINK_LOST_WAIT, RESTART_PAUSE_MIN};
use crate::types::{Generation, WorkerId, WorkerIncarnation};

/// One broker and its workers.
#[derive(Debug)]
pub struct ProcessTable {
    broker: ChildSlot,
    /// One more than there are workers: the successor of one that is replaced in order begins
    /// before that one ends.
    workers: BTreeMap<WorkerId, ChildSlot>,
    size: u16,
    /// Links that were lost without a death that explains it, and when the worker pays for it
    /// (rule L1).
    lost: Vec<LostLink>,
    pulses: Liveness,
    ending: Shutdown,
    rolling: Option<RollingRestart>,
    drain_time: Duration,
    announced: Announced,
    /// The leader: the one worker that does what is done once.
    leader: Option<WorkerIncarnation>,
}

#[derive(Debug)]
struct LostLink {
    worker: WorkerIncarnation,
    broker: Generation,
    until: Instant,
    told_by: LinkSide,
}

/// The side of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkSide {
    Worker,
    /// It continues without that worker, and acknowledges what the worker will never receive.
    Broker,
}

/// Whether the server was announced as ready: once, when all workers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Announced {
    No,
    Yes,
}

impl ProcessTable {
    /// A table without running processes.
    #[must_use]
    pub fn new(workers: u16, drain_time: Duration) -> Self {
        Self {
            broker: ChildSlot::default(),
            workers: (0..=workers).map(|seat| (WorkerId(seat), ChildSlot::default())).collect(),
            size: workers,
            lost: Vec::new(),
            pulses: Liveness::default(),
            ending: Shutdown::NotAsked,
            rolling: None,
            drain_time,
            announced: Announced::No,
            leader: None,
        }
    }

    /// Starts all processes.
    pub fn start(&mut self, now: Instant, effects: &mut Vec<Action>) {
        self.pulses.start(now);
        self.start_broker(effects);
        for seat in 0..self.size {
            self.start_worker(WorkerId(seat), effects);
        }
    }

    /// What an end may take from now on.
    pub fn set_drain_time(&mut self, drain_time: Duration) {
        self.drain_time = drain_time;
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending != Shutdown::NotAsked
    }

    /// Whether the server was announced as ready.
    #[must_use]
    pub fn is_announced(&self) -> bool {
        self.announced == Announced::Yes
    }

    /// The processes that run or wait for their start, with their state; the broker first.
    pub fn members(&self) -> impl Iterator<Item = (ChildId, &'static str)> {
        let broker = self.broker.last().map(|it| (ChildId::Broker(it), self.broker.life));
        let workers = self.workers.iter().filter_map(|(worker, post)| {
            let source = WorkerIncarnation { worker: *worker, generation: post.last()? };
            Some((ChildId::Worker(source), post.life))
        });
        let said = broker.into_iter().chain(workers);
        said.filter_map(|(member, life)| Some((member, life.word()?)))
    }

    /// A process is dead and reaped, and the caller holds nothing of it any more.
    pub fn died(&mut self, member: ChildId, now: Instant, effects: &mut Vec<Action>) {
        if !self.lives(member) {
            return;
        }
        let rolling = self.rolling.as_ref().map(|rolling| rolling.replaces(member));
        let replaced = match rolling {
            Some(Replaced::No) => Replaced::No,
            _ => self.ending.replaces(member),
        };
        let post = match member {
            ChildId::Broker(_) => Some(&mut self.broker),
            ChildId::Worker(source) => self.workers.get_mut(&source.worker),
        };
        let Some(post) = post else { return };
        let mut pause = post.died(now, replaced);
        if self.ending != Shutdown::NotAsked {
            // The longest pause is longer than many a drain.
            post.hasten(now + RESTART_PAUSE_MIN);
            pause = pause.min(RESTART_PAUSE_MIN);
        }
        if pause > Duration::ZERO {
            effects.push(Action::Wait { member, pause });
        }
        self.forget_explained_links(member, now);
        self.pulses.forget(member);
        if let (ChildId::Worker(source), Some(broker)) = (member, self.living_broker()) {
            effects.push(Action::Send(broker, BrokerCommand::WorkerDead { source }.into()));
        }
        self.advance(now, effects);
    }

    /// A member reported something.
    pub fn reported(
        &mut self,
        member: ChildId,
        report: ChildEvent,
        now: Instant,
        effects: &mut Vec<Action>,
    ) {
        if !self.lives(member) {
            return;
        }
        self.pulses.record_answer(member);
        match (report, member) {
            (ChildEvent::Ready, ChildId::Worker(source)) => self.became_ready(source, effects),
            (ChildEvent::Quiesced, ChildId::Worker(source)) => {
                if let Some(post) = self.workers.get_mut(&source.worker) {
                    post.life = ChildState::Quiet;
                }
            }
            (ChildEvent::LinkLost { peer, broker }, _) => {
                self.lost_link((peer, broker), member, now);
            }
            (ChildEvent::Ready, ChildId::Broker(_)) => self.broker.life = ChildState::Ready,
            (ChildEvent::Quiesced, ChildId::Broker(_))
            | (
                ChildEvent::Configured { .. }
                | ChildEvent::Counts { .. }
                | ChildEvent::Grown
                | ChildEvent::Reusable { .. }
                | ChildEvent::Heartbeat,
                _,
            ) => {}
        }
        self.advance(now, effects);
    }

    /// The operator wants an end; a second time means at once.
    pub fn request_shutdown(&mut self, now: Instant, effects: &mut Vec<Action>) {
        if self.ending == Shutdown::NotAsked {
            self.ending = Shutdown::quieting(now, self.drain_time);
            self.rolling = None;
            self.workers.values_mut().for_each(ChildSlot::vacate);
            self.broker.hasten(now + RESTART_PAUSE_MIN);
            let quiesce = WorkerCommand::Quiesce(PendingHandshakes::Refuse);
            let quiesce = |one| Action::Send(one, quiesce.clone().into());
            effects.extend(self.living_workers().map(quiesce));
        } else {
            self.kill_all(effects);
        }
        self.advance(now, effects);
    }

    /// The time has come to look; see [`ProcessTable::wakes_at`].
    pub fn proceed(&mut self, now: Instant, effects: &mut Vec<Action>) {
        self.check_liveness(now, effects);
        self.advance(now, effects);
    }

    fn advance(&mut self, now: Instant, effects: &mut Vec<Action>) {
        self.kill_unlinked_workers(now, effects);
        self.replace(now, effects);
        self.roll(now, effects);
        self.set_leader(effects);
        self.end(now, effects);
    }

    /// When [`ProcessTable::proceed`] has something to do although nothing happened.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Instant> {
        let tick = self.pulses.next().filter(|_| self.ending.expects_answers());
        self.advances_at().into_iter().chain(tick).min()
    }

    fn advances_at(&self) -> Option<Instant> {
        let posts = self.workers.values().chain([&self.broker]);
        let starts = posts.filter_map(|post| match post.life {
            ChildState::Vacant { until } => until,
            _ => None,
        });
        let lost = self.lost.iter().map(|lost| lost.until);
        let rolling = self.rolling.as_ref().and_then(RollingRestart::wakes_at);
        starts.chain(lost).chain(self.ending.wakes_at()).chain(rolling).min()
    }

    fn became_ready(&mut self, source: WorkerIncarnation, effects: &mut Vec<Action>) {
        if let Some(post) = self.workers.get_mut(&source.worker)
            && post.life == ChildState::Starting
        {
            post.life = ChildState::Ready;
        }
        let ready = self.workers.values().filter(|post| post.life == ChildState::Ready).count();
        if ready >= usize::from(self.size) && self.announced == Announced::No {
            self.announced = Announced::Yes;
            effects.push(Action::Announce);
        }
    }

    /// Rule L1: who lost it is believed only while both sides of that very link live.
    fn lost_link(
        &mut self,
        (worker, broker): (WorkerIncarnation, Generation),
        by: ChildId,
        now: Instant,
    ) {
        if !self.lives(ChildId::Worker(worker)) || !self.lives(ChildId::Broker(broker)) {
            return;
        }
        let told_by =
            if by == ChildId::Worker(worker) { LinkSide::Worker } else { LinkSide::Broker };
        let is_it = |lost: &&mut LostLink| lost.worker == worker && lost.broker == broker;
        match self.lost.iter_mut().find(is_it) {
            Some(known) if told_by == LinkSide::Broker => known.told_by = told_by,
            Some(_) => {}
            None => {
                let until = now + LINK_LOST_WAIT;
                self.lost.push(LostLink { worker, broker, until, told_by });
            }
        }
    }

    /// A death explains the links that were lost with it, but for those that its broker had lost
    /// before: their workers have missed what was acknowledged since, so no other broker may take
    /// them on.
    fn forget_explained_links(&mut self, dead: ChildId, now: Instant) {
        self.lost.retain_mut(|lost| match dead {
            ChildId::Worker(source) => lost.worker != source,
            ChildId::Broker(generation) if lost.broker != generation => true,
            ChildId::Broker(_) => {
                lost.until = now;
                lost.told_by == LinkSide::Broker
            }
        });
    }

    /// Checks which processes have answered, and kills those that are unresponsive.
    fn check_liveness(&mut self, now: Instant, effects: &mut Vec<Action>) {
        if !self.ending.expects_answers() {
            return;
        }
        let living = self.living_workers().chain(self.living_broker());
        let expected = |member: &ChildId| self.ending.expects_answer_of(*member);
        let living: Vec<_> = living.filter(expected).collect();
        for finding in self.pulses.tick(now, living.into_iter()) {
            match finding {
                LivenessVerdict::Ask(member) => {
                    effects.push(Action::Send(member, CommonCommand::Heartbeat.into()));
                }
                LivenessVerdict::Hangs(member) => {
                    effects.extend([Action::Hangs(member), Action::Kill(member)]);
                }
            }
        }
    }

    fn kill_unlinked_workers(&mut self, now: Instant, effects: &mut Vec<Action>) {
        let due = self.lost.extract_if(.., |lost| lost.until <= now);
        effects.extend(due.map(|lost| Action::Kill(ChildId::Worker(lost.worker))));
    }

    fn replace(&mut self, now: Instant, effects: &mut Vec<Action>) {
        if self.broker.is_due(now) {
            self.start_broker(effects);
        }
        let due = self.workers.iter().filter(|(_, post)| post.is_due(now));
        let seats: Vec<_> = due.map(|(seat, _)| *seat).collect();
        for seat in seats {
            self.start_worker(seat, effects);
        }
    }

    fn start_worker(&mut self, worker: WorkerId, effects: &mut Vec<Action>) {
        let Some(post) = self.workers.get_mut(&worker) else { return };
        let source = WorkerIncarnation { worker, generation: post.take_up() };
        effects.push(Action::Start(ChildId::Worker(source)));
        if let Some(ChildId::Broker(broker)) = self.living_broker() {
            effects.push(Action::Link { source, broker });
        }
    }

    /// The list of live workers comes before any link (L6).
    fn start_broker(&mut self, effects: &mut Vec<Action>) {
        let broker = self.broker.take_up();
        let member = ChildId::Broker(broker);
        let sources: Vec<_> = self.living_sources().collect();
        effects.push(Action::Start(member));
        let living = BrokerCommand::LiveWorkers { sources: sources.clone() };
        effects.push(Action::Send(member, living.into()));
        effects.extend(sources.into_iter().map(|source| Action::Link { source, broker }));
    }

    fn lives(&self, member: ChildId) -> bool {
        match member {
            ChildId::Broker(generation) => self.broker.is_held_by(generation),
            ChildId::Worker(source) => self
                .workers
                .get(&source.worker)
                .is_some_and(|post| post.is_held_by(source.generation)),
        }
    }

    fn living_broker(&self) -> Option<ChildId> {
        self.broker.holder().map(ChildId::Broker)
    }

    fn living_workers(&self) -> impl Iterator<Item = ChildId> {
        self.living_sources().map(ChildId::Worker)
    }

    fn living_sources(&self) -> impl Iterator<Item = WorkerIncarnation> {
        self.workers.iter().filter_map(|(worker, post)| {
            post.holder().map(|generation| WorkerIncarnation { worker: *worker, generation })
        })
    }
}

mod action;
pub mod backoff;
mod child_state;
mod leader;
mod liveness;
mod rolling_restart;
mod shutdown;
#[cfg(test)]
mod tests;
