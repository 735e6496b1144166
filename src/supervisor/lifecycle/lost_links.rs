//! Links that were lost without a death that explains it (rule L1).

use std::time::Instant;

use super::ChildId;
use crate::types::limits::LINK_LOST_WAIT;
use crate::types::{Generation, WorkerIncarnation};

/// The two ends of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkEnds {
    pub(super) worker: WorkerIncarnation,
    pub(super) broker: Generation,
}

/// The lost links, and when the worker of each is killed for it.
#[derive(Debug, Default)]
pub(super) struct LostLinks(Vec<LostLink>);

#[derive(Debug)]
struct LostLink {
    ends: LinkEnds,
    until: Instant,
    /// The broker reported it. It continues without that worker, and acknowledges what the worker
    /// will never receive.
    is_lost_by_broker: bool,
}

impl LostLinks {
    /// One of the two ends reports that it lost a link whose ends both live.
    pub(super) fn record(&mut self, ends: LinkEnds, by: ChildId, now: Instant) {
        let is_lost_by_broker = by != ChildId::Worker(ends.worker);
        match self.0.iter_mut().find(|lost| lost.ends == ends) {
            Some(known) => known.is_lost_by_broker |= is_lost_by_broker,
            None => {
                let until = now + LINK_LOST_WAIT;
                self.0.push(LostLink { ends, until, is_lost_by_broker });
            }
        }
    }

    /// A death explains the links that were lost with it, but for those that its broker had lost
    /// before: their workers have missed what was acknowledged since, so no other broker may take
    /// them on.
    pub(super) fn forget_explained(&mut self, dead: ChildId, now: Instant) {
        self.0.retain_mut(|lost| match dead {
            ChildId::Worker(source) => lost.ends.worker != source,
            ChildId::Broker(generation) if lost.ends.broker != generation => true,
            ChildId::Broker(_) => {
                lost.until = now;
                lost.is_lost_by_broker
            }
        });
    }

    /// The workers whose loss nothing has explained in time.
    pub(super) fn take_due(&mut self, now: Instant) -> impl Iterator<Item = WorkerIncarnation> {
        self.0.extract_if(.., move |lost| lost.until <= now).map(|lost| lost.ends.worker)
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.0.iter().map(|lost| lost.until).min()
    }
}
