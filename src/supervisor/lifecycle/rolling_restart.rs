//! Restarts the workers one at a time. The successor starts first and the old worker exits last, so
//! that the number of workers never drops.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::child_state::ChildState;
use super::children::Children;
use super::shutdown::{quiesce_deadline, time_to_close};
use super::{Action, ChildId};
use crate::link::control::{Accepting, PendingHandshakes, WorkerCommand};
use crate::types::{WorkerId, WorkerIncarnation};

/// The rolling restart in progress, if any.
#[derive(Debug, Default)]
pub(super) struct RollingRestart(Option<RestartRound>);

/// A rolling restart in progress.
#[derive(Debug)]
struct RestartRound {
    /// Workers that have not been replaced yet.
    queue: VecDeque<WorkerIncarnation>,
    step: RestartStep,
    /// Whether these workers still accept connections.
    accepting: Accepting,
}

/// Progress of the replacement of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RestartStep {
    /// The next worker must be chosen.
    Next,
    /// The successor is not ready yet.
    Succeeding { old: WorkerIncarnation, successor: WorkerId },
    /// The old worker waits for the acknowledgements of its publications.
    Quiescing { old: WorkerIncarnation, drain_at: Instant, end_at: Instant },
    /// The old worker closes its clients.
    Leaving { old: WorkerIncarnation, end_at: Instant },
}

/// The reason why a rolling restart cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartInProgress {
    /// Another one is in progress.
    Restarting,
    /// The server is shutting down.
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
    /// Starts a rolling restart of all running workers.
    pub(super) fn begin(&mut self, children: &Children) {
        self.0 = Some(RestartRound {
            queue: children.living_sources().collect(),
            step: RestartStep::Next,
            accepting: Accepting::Yes,
        });
    }

    /// Cancels the rolling restart in its current step.
    pub(super) fn cancel(&mut self) {
        self.0 = None;
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// Returns true if a process is restarted after its death. A worker that is being replaced has
    /// a successor already.
    pub(super) fn replaces(&self, child: ChildId) -> bool {
        let old = self.0.as_ref().and_then(RestartRound::old);
        old.is_none_or(|old| child != ChildId::Worker(old))
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        match self.0.as_ref()?.step {
            RestartStep::Next | RestartStep::Succeeding { .. } => None,
            RestartStep::Quiescing { drain_at, .. } => Some(drain_at),
            RestartStep::Leaving { end_at, .. } => Some(end_at),
        }
    }

    /// Continues the rolling restart as far as possible.
    pub(super) fn advance(&mut self, mut turn: RestartTurn<'_>) {
        let Some(round) = &mut self.0 else { return };
        if !round.advance(&mut turn) {
            self.0 = None;
            turn.effects.push(Action::Restarted);
        }
    }
}

impl RestartRound {
    /// Takes all steps that are due. Returns true while the rolling restart continues.
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
                RestartStep::Quiescing { old, drain_at, end_at } => {
                    turn.when_quiesced(old, drain_at, end_at)
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
            | RestartStep::Quiescing { old, .. }
            | RestartStep::Leaving { old, .. } => Some(old),
        }
    }

    /// Returns the workers that have not been told to drain yet.
    fn waiting(&self) -> impl Iterator<Item = WorkerIncarnation> {
        let succeeding = match self.step {
            RestartStep::Succeeding { old, .. } => Some(old),
            RestartStep::Next | RestartStep::Quiescing { .. } | RestartStep::Leaving { .. } => None,
        };
        succeeding.into_iter().chain(self.queue.iter().copied())
    }

    /// Returns true if a worker is ready that will not be replaced in this rolling restart.
    fn has_new(&self, children: &Children) -> bool {
        let is_old = |source| self.old() == Some(source) || self.queue.contains(&source);
        children.ready_sources().any(|source| !is_old(source))
    }

    /// Tells the old workers to stop accepting as soon as a new worker accepts. Otherwise clients
    /// that one old worker closes would connect to the next one and be closed again. If no new
    /// worker accepts, the old ones accept again.
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

/// The inputs and outputs of a step.
pub(super) struct RestartTurn<'t> {
    pub(super) children: &'t mut Children,
    pub(super) now: Instant,
    /// Maximum time for the shutdown of one worker.
    pub(super) drain_time: Duration,
    pub(super) effects: &'t mut Vec<Action>,
}

impl RestartTurn<'_> {
    /// Chooses the next worker. A worker that has died in the meantime already has a successor.
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
        let drain_at = quiesce_deadline(self.now, self.drain_time);
        RestartStep::Quiescing { old, drain_at, end_at: self.now + self.drain_time }
    }

    fn when_quiesced(
        &mut self,
        old: WorkerIncarnation,
        drain_at: Instant,
        end_at: Instant,
    ) -> RestartStep {
        if !self.lives(old) {
            return RestartStep::Next;
        }
        let state = self.children.worker_state(old.worker);
        if state != Some(ChildState::Quiesced) && self.now < drain_at {
            return RestartStep::Quiescing { old, drain_at, end_at };
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
            // Now wait for its death.
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
