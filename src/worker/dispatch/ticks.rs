//! Ticks: calls that resources get from time to time, from the worker that is the leader alone.

use std::time::Duration;

use super::without_client;
use crate::link::control::WorkerRole;
use crate::resource::ResourceId;
use crate::worker::clock::Moment;
use crate::worker::context::Context;

/// When which resource is called.
#[derive(Debug, Default)]
pub(in crate::worker) struct TickScheduler {
    role: WorkerRole,
    ticks: Vec<Tick>,
}

#[derive(Debug)]
struct Tick {
    resource: ResourceId,
    every: Duration,
    next: Moment,
}

impl TickScheduler {
    /// Whether this worker does what is to be done once.
    pub(in crate::worker) fn is_leader(&self) -> bool {
        self.role == WorkerRole::Leader
    }

    /// When the next tick is due; never in a worker that is not the leader.
    pub(in crate::worker) fn next(&self) -> Option<Moment> {
        self.ticks.iter().filter(|_| self.is_leader()).map(|tick| tick.next).min()
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

    /// The supervisor has chosen the leader.
    pub(in crate::worker) fn set_role(&mut self, role: WorkerRole, now: Moment) {
        self.role = role;
        for tick in &mut self.ticks {
            tick.next = now;
        }
    }

    /// Calls the resources whose time has come, as far as the time of this part of the turn allows.
    pub(in crate::worker) fn run_due(&mut self, context: &mut Context) {
        if !context.stage.is_serving() {
            return;
        }
        let mut part = None;
        while let Some(resource) = self.due(context.clock.now()) {
            let part = *part.get_or_insert_with(|| context.clock.part());
            without_client::call_without_client(context, resource, |resource, call| {
                resource.on_tick(call);
            });
            if context.clock.is_over(part) {
                return;
            }
        }
    }

    /// One resource whose time has come.
    fn due(&mut self, now: Moment) -> Option<ResourceId> {
        if !self.is_leader() {
            return None;
        }
        let tick = self.ticks.iter_mut().find(|tick| tick.next <= now)?;
        // What was missed while the worker did something else is not made up for.
        tick.next = now.after(tick.every);
        Some(tick.resource)
    }
}
