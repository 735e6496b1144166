//! Lost links that no death has explained yet (rule L1).

use std::time::Instant;

use super::ChildId;
use crate::types::limits::LINK_LOST_WAIT;
use crate::types::{Generation, WorkerIncarnation};

/// The two processes of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkEnds {
    pub(super) worker: WorkerIncarnation,
    pub(super) broker: Generation,
}

/// The lost links, and the time at which the worker of each is killed.
#[derive(Debug, Default)]
pub(super) struct LostLinks(Vec<LostLink>);

#[derive(Debug)]
struct LostLink {
    ends: LinkEnds,
    until: Instant,
    /// True if the broker reported the loss. It then continues without that worker and acknowledges
    /// deliveries that the worker will never receive.
    is_lost_by_broker: bool,
}

impl LostLinks {
    /// Records that one process reports a lost link. Both processes must be running.
    pub(super) fn record(&mut self, ends: LinkEnds, by: ChildId, now: Instant) {
        let is_lost_by_broker = by != ChildId::of(ends.worker);
        match self.0.iter_mut().find(|lost| lost.ends == ends) {
            Some(known) => known.is_lost_by_broker |= is_lost_by_broker,
            None => {
                let until = now + LINK_LOST_WAIT;
                self.0.push(LostLink { ends, until, is_lost_by_broker });
            }
        }
    }

    /// Removes the lost links that a death explains. If a broker dies that had lost the link
    /// before, the link stays: its worker has missed acknowledged deliveries, so no other broker
    /// may accept it.
    pub(super) fn forget_explained(&mut self, dead: ChildId, now: Instant) {
        self.0.retain_mut(|lost| match dead {
            ChildId::Worker(_) | ChildId::Api(_) | ChildId::Bridge(_) => {
                ChildId::of(lost.ends.worker) != dead
            }
            ChildId::Broker(generation) if lost.ends.broker != generation => true,
            ChildId::Broker(_) => {
                lost.until = now;
                lost.is_lost_by_broker
            }
        });
    }

    /// Removes and returns the workers whose lost links were not explained in time.
    pub(super) fn take_due(&mut self, now: Instant) -> impl Iterator<Item = WorkerIncarnation> {
        self.0.extract_if(.., move |lost| lost.until <= now).map(|lost| lost.ends.worker)
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.0.iter().map(|lost| lost.until).min()
    }
}
