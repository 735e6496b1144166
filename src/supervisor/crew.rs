//! Who lives, who is to be started, told and killed: decided here, done elsewhere.
//!
//! A brain: deaths, reports, signals and the time come in, effects come out. It knows neither
//! processes nor threads.

mod effect;
mod ending;
mod post;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub use self::effect::{Effect, Member, Word};
use self::ending::Ending;
use self::post::{Life, Post};
use crate::link::control::Report;
use crate::types::limits::LINK_LOST_WAIT;
use crate::types::{Generation, Source, WorkerId};

/// One broker and its workers.
#[derive(Debug)]
pub struct Crew {
    broker: Post,
    workers: BTreeMap<WorkerId, Post>,
    /// Links that were lost without a death that explains it, and when the worker pays for it
    /// (rule L1).
    lost: Vec<LostLink>,
    ending: Ending,
    drain_time: Duration,
    announced: Announced,
}

#[derive(Debug)]
struct LostLink {
    worker: Source,
    broker: Generation,
    until: Instant,
    told_by: Side,
}

/// The side of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Worker,
    /// It goes on without that worker, and acknowledges what the worker will never hear.
    Broker,
}

/// Whether the world was told that the server is ready: once, when all workers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Announced {
    No,
    Yes,
}

impl Crew {
    /// A crew of which nobody lives yet.
    #[must_use]
    pub fn new(workers: u16, drain_time: Duration) -> Self {
        Self {
            broker: Post::default(),
            workers: (0..workers).map(|seat| (WorkerId(seat), Post::default())).collect(),
            lost: Vec::new(),
            ending: Ending::NotAsked,
            drain_time,
            announced: Announced::No,
        }
    }

    /// Starts everybody.
    pub fn start(&mut self, effects: &mut Vec<Effect>) {
        self.start_broker(effects);
        let seats: Vec<_> = self.workers.keys().copied().collect();
        for seat in seats {
            self.start_worker(seat, effects);
        }
    }

    /// Somebody is dead and reaped, and whoever started it holds nothing of it any more.
    pub fn died(&mut self, member: Member, now: Instant, effects: &mut Vec<Effect>) {
        if !self.lives(member) {
            return;
        }
        let replaced = self.ending.replaces(member);
        let post = match member {
            Member::Broker(_) => Some(&mut self.broker),
            Member::Worker(source) => self.workers.get_mut(&source.worker),
        };
        let Some(post) = post else { return };
        let pause = post.died(now, replaced);
        if pause > Duration::ZERO {
            effects.push(Effect::Wait { member, pause });
        }
        self.explain_lost(member, now);
        if let (Member::Worker(source), Some(broker)) = (member, self.living_broker()) {
            effects.push(Effect::Tell(broker, Word::WorkerDead(source)));
        }
        self.proceed(now, effects);
    }

    /// A member reported something.
    pub fn reported(
        &mut self,
        member: Member,
        report: Report,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        if !self.lives(member) {
            return;
        }
        match (report, member) {
            (Report::Ready, Member::Worker(source)) => self.became_ready(source, effects),
            (Report::Quiet, Member::Worker(source)) => {
                if let Some(post) = self.workers.get_mut(&source.worker) {
                    post.life = Life::Quiet;
                }
            }
            (Report::LinkLost { peer, broker }, _) => self.lost_link((peer, broker), member, now),
            (Report::Ready | Report::Quiet, Member::Broker(_)) => {}
        }
        self.proceed(now, effects);
    }

    /// The operator wants an end; a second time means at once.
    pub fn asked_to_end(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.ending == Ending::NotAsked {
            self.ending = Ending::quieting(now, self.drain_time);
            self.workers.values_mut().for_each(Post::vacate);
            effects.extend(self.living_workers().map(|one| Effect::Tell(one, Word::Quiesce)));
        } else {
            self.kill_all(effects);
        }
        self.proceed(now, effects);
    }

    /// The time has come to look; see [`Crew::wakes_at`].
    pub fn proceed(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.punish(now, effects);
        self.replace(now, effects);
        self.end(now, effects);
    }

    /// When [`Crew::proceed`] has something to do although nothing happened.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Instant> {
        let posts = self.workers.values().chain([&self.broker]);
        let starts = posts.filter_map(|post| match post.life {
            Life::Vacant { until } => until,
            _ => None,
        });
        let lost = self.lost.iter().map(|lost| lost.until);
        starts.chain(lost).chain(self.ending.wakes_at()).min()
    }

    fn became_ready(&mut self, source: Source, effects: &mut Vec<Effect>) {
        if let Some(post) = self.workers.get_mut(&source.worker)
            && post.life == Life::Starting
        {
            post.life = Life::Ready;
        }
        let all = self.workers.values().all(|post| post.life == Life::Ready);
        if all && self.announced == Announced::No {
            self.announced = Announced::Yes;
            effects.push(Effect::Announce);
        }
    }

    /// Rule L1: who lost it is believed only while both sides of that very link live.
    fn lost_link(&mut self, (worker, broker): (Source, Generation), by: Member, now: Instant) {
        if !self.lives(Member::Worker(worker)) || !self.lives(Member::Broker(broker)) {
            return;
        }
        let told_by = if by == Member::Worker(worker) { Side::Worker } else { Side::Broker };
        let is_it = |lost: &&mut LostLink| lost.worker == worker && lost.broker == broker;
        match self.lost.iter_mut().find(is_it) {
            Some(known) if told_by == Side::Broker => known.told_by = told_by,
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
    fn explain_lost(&mut self, dead: Member, now: Instant) {
        self.lost.retain_mut(|lost| match dead {
            Member::Worker(source) => lost.worker != source,
            Member::Broker(generation) if lost.broker != generation => true,
            Member::Broker(_) => {
                lost.until = now;
                lost.told_by == Side::Broker
            }
        });
    }

    fn punish(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let due = self.lost.extract_if(.., |lost| lost.until <= now);
        effects.extend(due.map(|lost| Effect::Kill(Member::Worker(lost.worker))));
    }

    fn replace(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.broker.is_due(now) {
            self.start_broker(effects);
        }
        let due = self.workers.iter().filter(|(_, post)| post.is_due(now));
        let seats: Vec<_> = due.map(|(seat, _)| *seat).collect();
        for seat in seats {
            self.start_worker(seat, effects);
        }
    }

    fn start_worker(&mut self, worker: WorkerId, effects: &mut Vec<Effect>) {
        let Some(post) = self.workers.get_mut(&worker) else { return };
        let source = Source { worker, generation: post.take_up() };
        effects.push(Effect::Start(Member::Worker(source)));
        if let Some(Member::Broker(broker)) = self.living_broker() {
            effects.push(Effect::Link { source, broker });
        }
    }

    /// Rule L6: the list of those it must hear comes before any link.
    fn start_broker(&mut self, effects: &mut Vec<Effect>) {
        let broker = self.broker.take_up();
        let member = Member::Broker(broker);
        let sources: Vec<_> = self.living_sources().collect();
        effects.push(Effect::Start(member));
        effects.push(Effect::Tell(member, Word::Roster(sources.clone())));
        effects.extend(sources.into_iter().map(|source| Effect::Link { source, broker }));
    }

    fn end(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if let Ending::Quieting { drain_at, end_at } = self.ending
            && (drain_at <= now || self.all_quiet())
        {
            self.ending = Ending::Draining { end_at };
            self.vacate();
            let within = ending::time_to_close(now, end_at);
            effects.extend(self.living_workers().map(|one| Effect::Tell(one, Word::Drain(within))));
        }
        if let Ending::Draining { end_at } = self.ending
            && self.living_workers().next().is_none()
        {
            self.ending = Ending::Stopping { end_at };
            effects.extend(self.living_broker().map(|one| Effect::Tell(one, Word::Stop)));
        }
        if self.ending.is_overdue(now) {
            effects.push(Effect::Late);
            self.kill_all(effects);
        }
        if self.ending.is_last() && self.living_broker().is_none() && self.all_dead() {
            effects.push(Effect::End);
        }
    }

    fn kill_all(&mut self, effects: &mut Vec<Effect>) {
        self.ending = Ending::Killed;
        self.vacate();
        effects.extend(self.living_workers().chain(self.living_broker()).map(Effect::Kill));
    }

    /// Nobody is started any more.
    fn vacate(&mut self) {
        self.workers.values_mut().chain([&mut self.broker]).for_each(Post::vacate);
    }

    fn all_quiet(&self) -> bool {
        self.workers.values().all(|post| matches!(post.life, Life::Quiet | Life::Vacant { .. }))
    }

    fn all_dead(&self) -> bool {
        self.living_sources().next().is_none()
    }

    fn lives(&self, member: Member) -> bool {
        match member {
            Member::Broker(generation) => self.broker.is_held_by(generation),
            Member::Worker(source) => self
                .workers
                .get(&source.worker)
                .is_some_and(|post| post.is_held_by(source.generation)),
        }
    }

    fn living_broker(&self) -> Option<Member> {
        self.broker.holder().map(Member::Broker)
    }

    fn living_workers(&self) -> impl Iterator<Item = Member> {
        self.living_sources().map(Member::Worker)
    }

    fn living_sources(&self) -> impl Iterator<Item = Source> {
        self.workers.iter().filter_map(|(worker, post)| {
            post.holder().map(|generation| Source { worker: *worker, generation })
        })
    }
}

#[cfg(test)]
mod tests;
