//! Replacing the workers one after the other: first the successor, then the end of the old one, so
//! that there is never one less.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::child_state::{ChildState, Replaced};
use super::shutdown::{quiet_by, time_to_close};
use super::{Action, ChildId, ProcessTable};
use crate::link::control::{Accepting, PendingHandshakes, WorkerCommand};
use crate::types::{WorkerId, WorkerIncarnation};

/// A round of replacements.
#[derive(Debug)]
pub(super) struct RollingRestart {
    /// Those whose turn is still to come.
    queue: VecDeque<WorkerIncarnation>,
    step: RestartStep,
    /// Whether those whose turn is still to come accept connections.
    accepting: Accepting,
}

/// How far the replacement of one worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RestartStep {
    /// The next one is to be looked for.
    Next,
    /// Its successor is not ready yet.
    Succeeding { old: WorkerIncarnation, successor: WorkerId },
    /// It finishes what it took from publishers.
    Quieting { old: WorkerIncarnation, drain_at: Instant, end_at: Instant },
    /// It closes its clients.
    Leaving { old: WorkerIncarnation, end_at: Instant },
}

/// Why a round of replacements does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartInProgress {
    /// One is under way.
    Restarting,
    /// The server ends.
    Ending,
}

impl std::fmt::Display for RestartInProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Restarting => "the workers are being restarted already",
            Self::Ending => "the server is shutting down",
        })
    }
}

impl RollingRestart {
    fn of(workers: impl Iterator<Item = WorkerIncarnation>) -> Self {
        Self { queue: workers.collect(), step: RestartStep::Next, accepting: Accepting::Yes }
    }

    fn old(&self) -> Option<WorkerIncarnation> {
        match self.step {
            RestartStep::Next => None,
            RestartStep::Succeeding { old, .. }
            | RestartStep::Quieting { old, .. }
            | RestartStep::Leaving { old, .. } => Some(old),
        }
    }

    /// Workers that have not been told to drain yet.
    fn waiting(&self) -> impl Iterator<Item = WorkerIncarnation> {
        let succeeding = match self.step {
            RestartStep::Succeeding { old, .. } => Some(old),
            RestartStep::Next | RestartStep::Quieting { .. } | RestartStep::Leaving { .. } => None,
        };
        succeeding.into_iter().chain(self.queue.iter().copied())
    }

    /// A worker that is being replaced gets no other successor when it dies.
    pub(super) fn replaces(&self, member: ChildId) -> Replaced {
        match (self.old(), member) {
            (Some(old), ChildId::Worker(source)) if old == source => Replaced::No,
            _ => Replaced::Yes,
        }
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        match self.step {
            RestartStep::Next | RestartStep::Succeeding { .. } => None,
            RestartStep::Quieting { drain_at, .. } => Some(drain_at),
            RestartStep::Leaving { end_at, .. } => Some(end_at),
        }
    }
}

impl ProcessTable {
    /// Replaces all workers, one after the other.
    ///
    /// # Errors
    ///
    /// While that is under way, or the server ends.
    pub fn restart_workers(
        &mut self,
        now: Instant,
        effects: &mut Vec<Action>,
    ) -> Result<(), RestartInProgress> {
        if self.is_ending() {
            return Err(RestartInProgress::Ending);
        }
        if self.rolling.is_some() {
            return Err(RestartInProgress::Restarting);
        }
        self.rolling = Some(RollingRestart::of(self.living_sources()));
        self.proceed(now, effects);
        Ok(())
    }

    /// Whether workers are being replaced.
    #[must_use]
    pub fn is_restarting(&self) -> bool {
        self.rolling.is_some()
    }

    /// Goes on with the replacements as far as it can.
    pub(super) fn roll(&mut self, now: Instant, effects: &mut Vec<Action>) {
        let Some(mut rolling) = self.rolling.take() else { return };
        loop {
            let before = rolling.step;
            rolling.step = match before {
                RestartStep::Next => match self.next_step(&mut rolling.queue, effects) {
                    Some(step) => step,
                    None => {
                        self.notify_waiting(&mut rolling, Accepting::Yes, effects);
                        return effects.push(Action::Restarted);
                    }
                },
                RestartStep::Succeeding { old, successor } => {
                    self.when_ready((old, successor), now, effects)
                }
                RestartStep::Quieting { old, drain_at, end_at } => {
                    self.when_quiet((old, drain_at, end_at), now, effects)
                }
                RestartStep::Leaving { old, end_at } => self.when_gone((old, end_at), now, effects),
            };
            if rolling.step == before {
                break;
            }
        }
        let accepting = if self.has_new(&rolling) { Accepting::No } else { Accepting::Yes };
        self.notify_waiting(&mut rolling, accepting, effects);
        self.rolling = Some(rolling);
    }

    /// Whether a worker is ready that will not be replaced in this round.
    fn has_new(&self, rolling: &RollingRestart) -> bool {
        let is_old = |source| rolling.old() == Some(source) || rolling.queue.contains(&source);
        let ready = self.workers.iter().filter(|(_, post)| post.life == ChildState::Ready);
        let mut sources = ready.filter_map(|(worker, post)| {
            Some(WorkerIncarnation { worker: *worker, generation: post.holder()? })
        });
        sources.any(|source| !is_old(source))
    }

    /// As soon as a new worker accepts, the old ones leave newcomers to it: the clients that one of
    /// them closes would come to the next one, and be closed again. Where none accepts they go on.
    fn notify_waiting(
        &self,
        rolling: &mut RollingRestart,
        accepting: Accepting,
        effects: &mut Vec<Action>,
    ) {
        if rolling.accepting == accepting {
            return;
        }
        rolling.accepting = accepting;
        let waiting = rolling.waiting().map(ChildId::Worker).filter(|it| self.lives(*it));
        let command = |it| Action::Send(it, WorkerCommand::Accept(accepting).into());
        effects.extend(waiting.map(command));
    }

    /// A worker that died meanwhile has a successor already.
    fn next_step(
        &mut self,
        queue: &mut VecDeque<WorkerIncarnation>,
        effects: &mut Vec<Action>,
    ) -> Option<RestartStep> {
        let old = loop {
            let old = queue.pop_front()?;
            if self.lives(ChildId::Worker(old)) {
                break old;
            }
        };
        let spare = |life| life == ChildState::Vacant { until: None };
        let successor = self.workers.iter().find(|(_, post)| spare(post.life)).map(|it| *it.0)?;
        self.start_worker(successor, effects);
        effects.push(Action::Restarting { old, successor });
        Some(RestartStep::Succeeding { old, successor })
    }

    fn when_ready(
        &self,
        (old, successor): (WorkerIncarnation, WorkerId),
        now: Instant,
        effects: &mut Vec<Action>,
    ) -> RestartStep {
        if !self.lives(ChildId::Worker(old)) {
            return RestartStep::Next;
        }
        if self.workers.get(&successor).is_none_or(|post| post.life != ChildState::Ready) {
            return RestartStep::Succeeding { old, successor };
        }
        effects.push(Action::Send(
            ChildId::Worker(old),
            WorkerCommand::Quiesce(PendingHandshakes::Finish).into(),
        ));
        let (drain_at, end_at) = (quiet_by(now, self.drain_time), now + self.drain_time);
        RestartStep::Quieting { old, drain_at, end_at }
    }

    fn when_quiet(
        &mut self,
        (old, drain_at, end_at): (WorkerIncarnation, Instant, Instant),
        now: Instant,
        effects: &mut Vec<Action>,
    ) -> RestartStep {
        let life = self.workers.get(&old.worker).map(|post| post.life);
        if !self.lives(ChildId::Worker(old)) {
            return RestartStep::Next;
        }
        if life != Some(ChildState::Quiet) && now < drain_at {
            return RestartStep::Quieting { old, drain_at, end_at };
        }
        let within: Duration = time_to_close(now, end_at);
        let drain = WorkerCommand::Drain { within };
        effects.push(Action::Send(ChildId::Worker(old), drain.into()));
        if let Some(post) = self.workers.get_mut(&old.worker) {
            post.life = ChildState::Leaving;
        }
        RestartStep::Leaving { old, end_at }
    }

    fn when_gone(
        &self,
        (old, end_at): (WorkerIncarnation, Instant),
        now: Instant,
        effects: &mut Vec<Action>,
    ) -> RestartStep {
        if !self.lives(ChildId::Worker(old)) {
            return RestartStep::Next;
        }
        if end_at <= now {
            effects.push(Action::Late);
            effects.push(Action::Kill(ChildId::Worker(old)));
            // Its death is what is awaited now.
            return RestartStep::Leaving { old, end_at: now + self.drain_time };
        }
        RestartStep::Leaving { old, end_at }
    }
}
