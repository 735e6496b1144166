//! Replacing the workers one after the other: first the successor, then the end of the old one, so
//! that there is never one less.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::child_state::ChildState;
use super::children::Children;
use super::shutdown::{quiet_by, time_to_close};
use super::{Action, ChildId};
use crate::link::control::{Accepting, PendingHandshakes, WorkerCommand};
use crate::types::{WorkerId, WorkerIncarnation};

/// The replacement of all workers, while it is under way.
#[derive(Debug, Default)]
pub(super) struct RollingRestart(Option<RestartRound>);

/// A round of replacements.
#[derive(Debug)]
struct RestartRound {
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
    /// Begins a round with all workers that live.
    pub(super) fn begin(&mut self, children: &Children) {
        self.0 = Some(RestartRound {
            queue: children.living_sources().collect(),
            step: RestartStep::Next,
            accepting: Accepting::Yes,
        });
    }

    /// Ends a round where it is.
    pub(super) fn cancel(&mut self) {
        self.0 = None;
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a process that dies gets a successor: a worker that is being replaced has one.
    pub(super) fn replaces(&self, member: ChildId) -> bool {
        let old = self.0.as_ref().and_then(RestartRound::old);
        old.is_none_or(|old| member != ChildId::Worker(old))
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        match self.0.as_ref()?.step {
            RestartStep::Next | RestartStep::Succeeding { .. } => None,
            RestartStep::Quieting { drain_at, .. } => Some(drain_at),
            RestartStep::Leaving { end_at, .. } => Some(end_at),
        }
    }

    /// Goes on with the replacements as far as it can.
    pub(super) fn advance(&mut self, mut turn: RestartTurn<'_>) {
        let Some(round) = &mut self.0 else { return };
        if !round.advance(&mut turn) {
            self.0 = None;
            turn.effects.push(Action::Restarted);
        }
    }
}

impl RestartRound {
    /// Takes the steps whose time has come; returns whether the round goes on.
    fn advance(&mut self, turn: &mut RestartTurn<'_>) -> bool {
        loop {
            let before = self.step;
            self.step = match before {
                RestartStep::Next => match turn.next_step(&mut self.queue) {
                    Some(step) => step,
                    None => {
                        self.notify_waiting(Accepting::Yes, turn);
                        return false;
                    }
                },
                RestartStep::Succeeding { old, successor } => turn.when_ready(old, successor),
                RestartStep::Quieting { old, drain_at, end_at } => {
                    turn.when_quiet(old, drain_at, end_at)
                }
                RestartStep::Leaving { old, end_at } => turn.when_gone(old, end_at),
            };
            if self.step == before {
                break;
            }
        }
        let accepting = if self.has_new(turn.children) { Accepting::No } else { Accepting::Yes };
        self.notify_waiting(accepting, turn);
        true
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

    /// Whether a worker is ready that will not be replaced in this round.
    fn has_new(&self, children: &Children) -> bool {
        let is_old = |source| self.old() == Some(source) || self.queue.contains(&source);
        children.ready_sources().any(|source| !is_old(source))
    }

    /// As soon as a new worker accepts, the old ones leave newcomers to it: the clients that one of
    /// them closes would come to the next one, and be closed again. Where none accepts they go on.
    fn notify_waiting(&mut self, accepting: Accepting, turn: &mut RestartTurn<'_>) {
        if self.accepting == accepting {
            return;
        }
        self.accepting = accepting;
        let RestartTurn { children, effects, .. } = turn;
        let waiting = self.waiting().map(ChildId::Worker).filter(|it| children.lives(*it));
        let command = |it| Action::Send(it, WorkerCommand::Accept(accepting).into());
        effects.extend(waiting.map(command));
    }
}

/// One look at the round: what a step decides by, and what it changes.
pub(super) struct RestartTurn<'t> {
    pub(super) children: &'t mut Children,
    pub(super) now: Instant,
    /// What the end of one worker may take.
    pub(super) drain_time: Duration,
    pub(super) effects: &'t mut Vec<Action>,
}

impl RestartTurn<'_> {
    /// A worker that died meanwhile has a successor already.
    fn next_step(&mut self, queue: &mut VecDeque<WorkerIncarnation>) -> Option<RestartStep> {
        let old = loop {
            let old = queue.pop_front()?;
            if self.lives(old) {
                break old;
            }
        };
        let successor = self.children.spare()?;
        self.children.start_worker(successor, self.effects);
        self.effects.push(Action::Restarting { old, successor });
        Some(RestartStep::Succeeding { old, successor })
    }

    fn when_ready(&mut self, old: WorkerIncarnation, successor: WorkerId) -> RestartStep {
        if !self.lives(old) {
            return RestartStep::Next;
        }
        if self.children.worker_state(successor) != Some(ChildState::Ready) {
            return RestartStep::Succeeding { old, successor };
        }
        self.send(old, WorkerCommand::Quiesce(PendingHandshakes::Finish));
        let drain_at = quiet_by(self.now, self.drain_time);
        RestartStep::Quieting { old, drain_at, end_at: self.now + self.drain_time }
    }

    fn when_quiet(
        &mut self,
        old: WorkerIncarnation,
        drain_at: Instant,
        end_at: Instant,
    ) -> RestartStep {
        if !self.lives(old) {
            return RestartStep::Next;
        }
        let state = self.children.worker_state(old.worker);
        if state != Some(ChildState::Quiet) && self.now < drain_at {
            return RestartStep::Quieting { old, drain_at, end_at };
        }
        self.send(old, WorkerCommand::Drain { within: time_to_close(self.now, end_at) });
        self.children.mark_leaving(old.worker);
        RestartStep::Leaving { old, end_at }
    }

    fn when_gone(&mut self, old: WorkerIncarnation, end_at: Instant) -> RestartStep {
        if !self.lives(old) {
            return RestartStep::Next;
        }
        if end_at <= self.now {
            self.effects.push(Action::Late);
            self.effects.push(Action::Kill(ChildId::Worker(old)));
            // Its death is what is awaited now.
            return RestartStep::Leaving { old, end_at: self.now + self.drain_time };
        }
        RestartStep::Leaving { old, end_at }
    }

    fn lives(&self, worker: WorkerIncarnation) -> bool {
        self.children.lives(ChildId::Worker(worker))
    }

    fn send(&mut self, worker: WorkerIncarnation, command: WorkerCommand) {
        self.effects.push(Action::Send(ChildId::Worker(worker), command.into()));
    }
}
