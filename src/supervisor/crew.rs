//! Who lives, who is to be started, told and killed: decided here, done elsewhere.
//!
//! A brain: deaths, reports, signals and the time come in, effects come out. It knows neither
//! processes nor threads.

mod effect;
mod ending;
mod post;
mod pulse;
mod rolling;
mod steward;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub use self::effect::{Effect, Member, Word};
use self::ending::Ending;
use self::post::{Life, Post, Replaced};
use self::pulse::{Finding, Pulses};
pub use self::rolling::NotNow;
use self::rolling::Rolling;
use crate::link::control::{Newcomers, Report};
use crate::types::limits::{LINK_LOST_WAIT, RESTART_PAUSE_MIN};
use crate::types::{Generation, Source, WorkerId};

/// One broker and its workers.
#[derive(Debug)]
pub struct Crew {
    broker: Post,
    /// One more than there are workers: the successor of one that is replaced in order begins
    /// before that one ends.
    workers: BTreeMap<WorkerId, Post>,
    size: u16,
    /// Links that were lost without a death that explains it, and when the worker pays for it
    /// (rule L1).
    lost: Vec<LostLink>,
    pulses: Pulses,
    ending: Ending,
    rolling: Option<Rolling>,
    drain_time: Duration,
    announced: Announced,
    /// Who does what is to be done once, as long as somebody serves.
    steward: Option<Source>,
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
            workers: (0..=workers).map(|seat| (WorkerId(seat), Post::default())).collect(),
            size: workers,
            lost: Vec::new(),
            pulses: Pulses::default(),
            ending: Ending::NotAsked,
            rolling: None,
            drain_time,
            announced: Announced::No,
            steward: None,
        }
    }

    /// Starts everybody.
    pub fn start(&mut self, now: Instant, effects: &mut Vec<Effect>) {
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
        self.ending != Ending::NotAsked
    }

    /// Whether the world was told that the server is ready.
    #[must_use]
    pub fn is_announced(&self) -> bool {
        self.announced == Announced::Yes
    }

    /// Who lives, or waits to be started, with a word about it: the broker first.
    pub fn members(&self) -> impl Iterator<Item = (Member, &'static str)> {
        let broker = self.broker.last().map(|it| (Member::Broker(it), self.broker.life));
        let workers = self.workers.iter().filter_map(|(worker, post)| {
            let source = Source { worker: *worker, generation: post.last()? };
            Some((Member::Worker(source), post.life))
        });
        let said = broker.into_iter().chain(workers);
        said.filter_map(|(member, life)| Some((member, life.word()?)))
    }

    /// Somebody is dead and reaped, and whoever started it holds nothing of it any more.
    pub fn died(&mut self, member: Member, now: Instant, effects: &mut Vec<Effect>) {
        if !self.lives(member) {
            return;
        }
        let rolling = self.rolling.as_ref().map(|rolling| rolling.replaces(member));
        let replaced = match rolling {
            Some(Replaced::No) => Replaced::No,
            _ => self.ending.replaces(member),
        };
        let post = match member {
            Member::Broker(_) => Some(&mut self.broker),
            Member::Worker(source) => self.workers.get_mut(&source.worker),
        };
        let Some(post) = post else { return };
        let mut pause = post.died(now, replaced);
        if self.ending != Ending::NotAsked {
            // The longest pause is longer than many a drain.
            post.hasten(now + RESTART_PAUSE_MIN);
            pause = pause.min(RESTART_PAUSE_MIN);
        }
        if pause > Duration::ZERO {
            effects.push(Effect::Wait { member, pause });
        }
        self.explain_lost(member, now);
        self.pulses.forget(member);
        if let (Member::Worker(source), Some(broker)) = (member, self.living_broker()) {
            effects.push(Effect::Tell(broker, Word::WorkerDead(source)));
        }
        self.settle(now, effects);
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
        self.pulses.heard(member);
        match (report, member) {
            (Report::Ready, Member::Worker(source)) => self.became_ready(source, effects),
            (Report::Quiet, Member::Worker(source)) => {
                if let Some(post) = self.workers.get_mut(&source.worker) {
                    post.life = Life::Quiet;
                }
            }
            (Report::LinkLost { peer, broker }, _) => self.lost_link((peer, broker), member, now),
            (Report::Ready, Member::Broker(_)) => self.broker.life = Life::Ready,
            (Report::Quiet, Member::Broker(_))
            | (
                Report::Configured { .. }
                | Report::Counts { .. }
                | Report::Grown
                | Report::Reusable { .. }
                | Report::Beat,
                _,
            ) => {}
        }
        self.settle(now, effects);
    }

    /// The operator wants an end; a second time means at once.
    pub fn asked_to_end(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.ending == Ending::NotAsked {
            self.ending = Ending::quieting(now, self.drain_time);
            self.rolling = None;
            self.workers.values_mut().for_each(Post::vacate);
            self.broker.hasten(now + RESTART_PAUSE_MIN);
            let word = Word::Quiesce(Newcomers::Refuse);
            effects.extend(self.living_workers().map(|one| Effect::Tell(one, word.clone())));
        } else {
            self.kill_all(effects);
        }
        self.settle(now, effects);
    }

    /// The time has come to look; see [`Crew::wakes_at`].
    pub fn proceed(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.feel_pulses(now, effects);
        self.settle(now, effects);
    }

    fn settle(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.punish(now, effects);
        self.replace(now, effects);
        self.roll(now, effects);
        self.appoint(effects);
        self.end(now, effects);
    }

    /// When [`Crew::proceed`] has something to do although nothing happened.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Instant> {
        let tick = self.pulses.next().filter(|_| self.ending.expects_answers());
        self.settles_at().into_iter().chain(tick).min()
    }

    fn settles_at(&self) -> Option<Instant> {
        let posts = self.workers.values().chain([&self.broker]);
        let starts = posts.filter_map(|post| match post.life {
            Life::Vacant { until } => until,
            _ => None,
        });
        let lost = self.lost.iter().map(|lost| lost.until);
        let rolling = self.rolling.as_ref().and_then(Rolling::wakes_at);
        starts.chain(lost).chain(self.ending.wakes_at()).chain(rolling).min()
    }

    fn became_ready(&mut self, source: Source, effects: &mut Vec<Effect>) {
        if let Some(post) = self.workers.get_mut(&source.worker)
            && post.life == Life::Starting
        {
            post.life = Life::Ready;
        }
        let ready = self.workers.values().filter(|post| post.life == Life::Ready).count();
        if ready >= usize::from(self.size) && self.announced == Announced::No {
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

    /// Asks who has answered, and gives up who has not for too long.
    fn feel_pulses(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if !self.ending.expects_answers() {
            return;
        }
        let living = self.living_workers().chain(self.living_broker());
        let expected = |member: &Member| self.ending.expects_answer_of(*member);
        let living: Vec<_> = living.filter(expected).collect();
        for finding in self.pulses.tick(now, living.into_iter()) {
            match finding {
                Finding::Ask(member) => effects.push(Effect::Tell(member, Word::Beat)),
                Finding::Hangs(member) => {
                    effects.extend([Effect::Hangs(member), Effect::Kill(member)]);
                }
            }
        }
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
