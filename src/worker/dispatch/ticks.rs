//! What resources do without a client: ticks, which one worker of all has, the steward, and answers to
//! what a resource asked for itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tracing::{error, info};

use crate::link::control::WorkerRole;
use crate::resource::{Effect, Effects, Presence, Resource, ResourceContext, ResourceId};
use crate::types::{Pressure, TagQuery, Tenant};
use crate::worker::clock::{Moment, unix_time};
use crate::worker::event_loop::{EventLoop, WorkerStage};

/// What a worker has to do for its resources and not for a client.
#[derive(Debug, Default)]
pub(in crate::worker) struct TickScheduler {
    duty: WorkerRole,
    ticks: Vec<Tick>,
    /// What resources have asked for themselves, with what they know it by.
    inquiries: Vec<(u32, ResourceId, u64)>,
}

#[derive(Debug)]
struct Tick {
    resource: ResourceId,
    every: Duration,
    next: Moment,
}

impl TickScheduler {
    /// When the next tick is due; never for who is not the steward.
    pub(in crate::worker) fn next(&self) -> Option<Moment> {
        self.ticks.iter().filter(|_| self.duty == WorkerRole::Leader).map(|tick| tick.next).min()
    }

    /// Takes over which resources tick; those that did keep their time.
    pub(in crate::worker) fn set(&mut self, ticking: Vec<(ResourceId, Duration)>, now: Moment) {
        let before = std::mem::take(&mut self.ticks);
        let next = |(resource, every)| {
            let known = before.iter().find(|it| it.resource == resource && it.every == every);
            Tick { resource, every, next: known.map_or(now, |tick| tick.next) }
        };
        self.ticks = ticking.into_iter().map(next).collect();
    }

    fn appoint(&mut self, duty: WorkerRole, now: Moment) {
        self.duty = duty;
        for tick in &mut self.ticks {
            tick.next = now;
        }
    }

    /// One resource whose time has come.
    fn due(&mut self, now: Moment) -> Option<ResourceId> {
        if self.duty == WorkerRole::Follower {
            return None;
        }
        let tick = self.ticks.iter_mut().find(|tick| tick.next <= now)?;
        // What was missed while the worker did something else is not made up for.
        tick.next = now.after(tick.every);
        Some(tick.resource)
    }

    fn answered(&mut self, number: u32) -> Option<(ResourceId, u64)> {
        let at = self.inquiries.iter().position(|(open, _, _)| *open == number)?;
        let (_, resource, about) = self.inquiries.swap_remove(at);
        Some((resource, about))
    }
}

impl EventLoop {
    /// The supervisor says who is the steward.
    pub(in crate::worker) fn appoint(&mut self, duty: WorkerRole) {
        info!(?duty, "appointed");
        self.rounds.appoint(duty, self.now);
        self.watch_pushes();
    }

    /// Calls the resources whose time has come.
    pub(in crate::worker) fn make_rounds(&mut self) {
        if !matches!(self.stage, WorkerStage::Serving) {
            return;
        }
        let mut part = None;
        while let Some(resource) = self.rounds.due(self.now) {
            let part = *part.get_or_insert_with(|| self.part());
            self.call_at_desk(resource, |resource, desk| resource.on_tick(desk));
            if self.is_over(part) {
                return;
            }
        }
    }

    /// Asks the broker something for a resource itself.
    pub(in crate::worker) fn inquire(
        &mut self,
        (resource, about): (ResourceId, u64),
        what: (Tenant, TagQuery, Box<str>),
    ) {
        if let Some(number) = self.relay.uplink.inquire(what) {
            self.rounds.inquiries.push((number, resource, about));
        }
    }

    /// The answer.
    pub(in crate::worker) fn tell_findings(&mut self, number: u32, who: &Presence) {
        let Some((resource, about)) = self.rounds.answered(number) else { return };
        self.call_at_desk(resource, |resource, desk| resource.on_findings(desk, about, who));
    }

    /// Whether this worker does what is to be done once.
    pub(in crate::worker) fn is_steward(&self) -> bool {
        self.rounds.duty == WorkerRole::Leader && matches!(self.stage, WorkerStage::Serving)
    }

    /// Calls a resource for no client. Of a panic nothing is left but a line in the log.
    pub(in crate::worker) fn call_at_desk(
        &mut self,
        id: ResourceId,
        call: impl FnOnce(&mut dyn Resource, &mut ResourceContext<'_>),
    ) {
        let Self { services, settings, .. } = self;
        let Some(resource) = services.get_mut(id) else { return };
        let mut desk = ResourceContext::new(&settings.rules, unix_time());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            call(resource.as_mut(), &mut desk);
            desk.into_effects()
        }));
        match outcome {
            Ok(effects) => self.carry_out_for(id, effects),
            Err(_) => error!("a resource panicked when it was called for no client"),
        }
    }

    pub(in crate::worker) fn carry_out_for(&mut self, id: ResourceId, effects: Effects) {
        for effect in effects {
            match effect {
                // Nobody waits for it; who publishes for a client is told instead.
                Effect::Publish { .. } if self.memory.pressure() == Pressure::Busy => {}
                Effect::Publish { tenant, address, form, payload } => {
                    self.relay.uplink.publish((&tenant, &address), (form, payload.bytes(b"")));
                }
                Effect::Inquire { about, tenant, query, tag } => {
                    self.inquire((id, about), (tenant, query, tag));
                }
                Effect::Post(post) => self.post_own(id, post),
                // A desk knows no client.
                Effect::ReplyText(_)
                | Effect::ReplyBinary(_)
                | Effect::Reply(_)
                | Effect::Retag(_)
                | Effect::Fyi(_)
                | Effect::Register { .. }
                | Effect::IgnoredTags
                | Effect::Ask { .. }
                | Effect::Close(_) => {}
            }
        }
    }
}
