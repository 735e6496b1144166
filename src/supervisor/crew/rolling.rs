//! Replacing the workers one after the other: first the successor, then the end of the old one, so
//! that there is never one less.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::ending::{quiet_by, time_to_close};
use super::post::{Life, Replaced};
use super::{Crew, Effect, Member, Word};
use crate::link::control::{Accepting, Newcomers};
use crate::types::{Source, WorkerId};

/// A round of replacements.
#[derive(Debug)]
pub(super) struct Rolling {
    /// Those whose turn is still to come.
    queue: VecDeque<Source>,
    step: Step,
    /// Whether those whose turn is still to come accept connections.
    accepting: Accepting,
}

/// How far the replacement of one worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The next one is to be looked for.
    Next,
    /// Its successor is not ready yet.
    Succeeding { old: Source, successor: WorkerId },
    /// It finishes what it took from publishers.
    Quieting { old: Source, drain_at: Instant, end_at: Instant },
    /// It closes its clients.
    Leaving { old: Source, end_at: Instant },
}

/// Why a round of replacements does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// One is under way.
    Restarting,
    /// The server ends.
    Ending,
}

impl std::fmt::Display for NotNow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Restarting => "the workers are being restarted already",
            Self::Ending => "the server is ending",
        })
    }
}

impl Rolling {
    fn of(workers: impl Iterator<Item = Source>) -> Self {
        Self { queue: workers.collect(), step: Step::Next, accepting: Accepting::Yes }
    }

    fn old(&self) -> Option<Source> {
        match self.step {
            Step::Next => None,
            Step::Succeeding { old, .. }
            | Step::Quieting { old, .. }
            | Step::Leaving { old, .. } => Some(old),
        }
    }

    /// Those that are still to be told to go.
    fn waiting(&self) -> impl Iterator<Item = Source> {
        let succeeding = match self.step {
            Step::Succeeding { old, .. } => Some(old),
            Step::Next | Step::Quieting { .. } | Step::Leaving { .. } => None,
        };
        succeeding.into_iter().chain(self.queue.iter().copied())
    }

    /// Whoever is being replaced gets no other successor when it dies.
    pub(super) fn replaces(&self, member: Member) -> Replaced {
        match (self.old(), member) {
            (Some(old), Member::Worker(source)) if old == source => Replaced::No,
            _ => Replaced::Yes,
        }
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        match self.step {
            Step::Next | Step::Succeeding { .. } => None,
            Step::Quieting { drain_at, .. } => Some(drain_at),
            Step::Leaving { end_at, .. } => Some(end_at),
        }
    }
}

impl Crew {
    /// Replaces all workers, one after the other.
    ///
    /// # Errors
    ///
    /// While that is under way, or the server ends.
    pub fn restart_workers(
        &mut self,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Result<(), NotNow> {
        if self.is_ending() {
            return Err(NotNow::Ending);
        }
        if self.rolling.is_some() {
            return Err(NotNow::Restarting);
        }
        self.rolling = Some(Rolling::of(self.living_sources()));
        self.proceed(now, effects);
        Ok(())
    }

    /// Whether workers are being replaced.
    #[must_use]
    pub fn is_restarting(&self) -> bool {
        self.rolling.is_some()
    }

    /// Goes on with the replacements as far as it can.
    pub(super) fn roll(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Some(mut rolling) = self.rolling.take() else { return };
        loop {
            let before = rolling.step;
            rolling.step = match before {
                Step::Next => match self.next_step(&mut rolling.queue, effects) {
                    Some(step) => step,
                    None => {
                        self.tell_waiting(&mut rolling, Accepting::Yes, effects);
                        return effects.push(Effect::Restarted);
                    }
                },
                Step::Succeeding { old, successor } => {
                    self.when_ready((old, successor), now, effects)
                }
                Step::Quieting { old, drain_at, end_at } => {
                    self.when_quiet((old, drain_at, end_at), now, effects)
                }
                Step::Leaving { old, end_at } => self.when_gone((old, end_at), now, effects),
            };
            if rolling.step == before {
                break;
            }
        }
        let accepting = if self.has_new(&rolling) { Accepting::No } else { Accepting::Yes };
        self.tell_waiting(&mut rolling, accepting, effects);
        self.rolling = Some(rolling);
    }

    /// Whether a worker is ready that will not be replaced in this round.
    fn has_new(&self, rolling: &Rolling) -> bool {
        let is_old = |source| rolling.old() == Some(source) || rolling.queue.contains(&source);
        let ready = self.workers.iter().filter(|(_, post)| post.life == Life::Ready);
        let mut sources = ready.filter_map(|(worker, post)| {
            Some(Source { worker: *worker, generation: post.holder()? })
        });
        sources.any(|source| !is_old(source))
    }

    /// As soon as a new worker accepts, the old ones leave newcomers to it: the clients that one of
    /// them closes would come to the next one, and be closed again. Where none accepts they go on.
    fn tell_waiting(&self, rolling: &mut Rolling, accepting: Accepting, effects: &mut Vec<Effect>) {
        if rolling.accepting == accepting {
            return;
        }
        rolling.accepting = accepting;
        let waiting = rolling.waiting().map(Member::Worker).filter(|it| self.lives(*it));
        effects.extend(waiting.map(|it| Effect::Tell(it, Word::Accept(accepting))));
    }

    /// Who died meanwhile has a successor already.
    fn next_step(
        &mut self,
        queue: &mut VecDeque<Source>,
        effects: &mut Vec<Effect>,
    ) -> Option<Step> {
        let old = loop {
            let old = queue.pop_front()?;
            if self.lives(Member::Worker(old)) {
                break old;
            }
        };
        let spare = |life| life == Life::Vacant { until: None };
        let successor = self.workers.iter().find(|(_, post)| spare(post.life)).map(|it| *it.0)?;
        self.start_worker(successor, effects);
        effects.push(Effect::Restarting { old, successor });
        Some(Step::Succeeding { old, successor })
    }

    fn when_ready(
        &self,
        (old, successor): (Source, WorkerId),
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Step {
        if !self.lives(Member::Worker(old)) {
            return Step::Next;
        }
        if self.workers.get(&successor).is_none_or(|post| post.life != Life::Ready) {
            return Step::Succeeding { old, successor };
        }
        effects.push(Effect::Tell(Member::Worker(old), Word::Quiesce(Newcomers::Finish)));
        let (drain_at, end_at) = (quiet_by(now, self.drain_time), now + self.drain_time);
        Step::Quieting { old, drain_at, end_at }
    }

    fn when_quiet(
        &mut self,
        (old, drain_at, end_at): (Source, Instant, Instant),
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Step {
        let life = self.workers.get(&old.worker).map(|post| post.life);
        if !self.lives(Member::Worker(old)) {
            return Step::Next;
        }
        if life != Some(Life::Quiet) && now < drain_at {
            return Step::Quieting { old, drain_at, end_at };
        }
        let within: Duration = time_to_close(now, end_at);
        effects.push(Effect::Tell(Member::Worker(old), Word::Drain(within)));
        if let Some(post) = self.workers.get_mut(&old.worker) {
            post.life = Life::Leaving;
        }
        Step::Leaving { old, end_at }
    }

    fn when_gone(
        &self,
        (old, end_at): (Source, Instant),
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Step {
        if !self.lives(Member::Worker(old)) {
            return Step::Next;
        }
        if end_at <= now {
            effects.push(Effect::Late);
            effects.push(Effect::Kill(Member::Worker(old)));
            // Its death is what is awaited now.
            return Step::Leaving { old, end_at: now + self.drain_time };
        }
        Step::Leaving { old, end_at }
    }
}
