//! Ticks: periodic calls of resources. Only the leader runs them.

use std::time::Duration;

use super::without_client;
use crate::link::control::WorkerRole;
use crate::resource::ResourceId;
use crate::worker::clock::Moment;
use crate::worker::context::Context;

/// Schedule of ticks.
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
    /// Returns true if this worker is the leader.
    pub(in crate::worker) fn is_leader(&self) -> bool {
        self.role == WorkerRole::Leader
    }

    /// Returns the time of the next tick, or `None` if this worker is not the leader.
    pub(in crate::worker) fn next(&self) -> Option<Moment> {
        self.ticks.iter().filter(|_| self.is_leader()).map(|tick| tick.next).min()
    }

    /// Replaces the schedule. Resources with an unchanged interval keep the time of their next
    /// tick.
    pub(in crate::worker) fn set(&mut self, ticking: Vec<(ResourceId, Duration)>, now: Moment) {
        let before = std::mem::take(&mut self.ticks);
        let next = |(resource, every)| {
            let known = before.iter().find(|it| it.resource == resource && it.every == every);
            Tick { resource, every, next: known.map_or(now, |tick| tick.next) }
        };
        self.ticks = ticking.into_iter().map(next).collect();
    }

    /// Records whether the supervisor has chosen this worker as the leader. All ticks become due.
    pub(in crate::worker) fn set_role(&mut self, role: WorkerRole, now: Moment) {
        self.role = role;
        for tick in &mut self.ticks {
            tick.next = now;
        }
    }

    /// Calls the resources whose tick is due, within the time budget of this part of the turn.
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

    /// Returns one resource whose tick is due, and schedules its next tick.
    fn due(&mut self, now: Moment) -> Option<ResourceId> {
        if !self.is_leader() {
            return None;
        }
        let tick = self.ticks.iter_mut().find(|tick| tick.next <= now)?;
        // Missed ticks are not repeated.
        tick.next = now.after(tick.every);
        Some(tick.resource)
    }
}
