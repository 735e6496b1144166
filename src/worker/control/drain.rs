//! Stage of a worker: serving, quiescing or draining.
//!
//! A drain closes connections evenly over its time, so that clients do not all reconnect at once.

use std::time::Duration;

use crate::link::control::{ExitReason, PendingHandshakes};
use crate::types::Slot;
use crate::worker::clock::Moment;
use crate::worker::connection::table::{ConnectionTable, TableWalk};

/// Stage of a worker.
#[derive(Debug)]
pub(in crate::worker) enum Stage {
    Serving,
    /// No connection is accepted and no publisher is read until all publications are acknowledged.
    Quiescing {
        handshakes: PendingHandshakes,
        /// Walk over the connections whose sockets are to be watched otherwise.
        walk: TableWalk,
        is_reported: bool,
    },
    /// All connections are closed one after the other.
    Draining {
        until: Moment,
        end: ExitReason,
        schedule: DrainSchedule,
        /// Walk that refuses the connections that are not open. Open ones have a schedule.
        walk: TableWalk,
    },
}

impl Stage {
    pub(in crate::worker) fn is_serving(&self) -> bool {
        matches!(self, Self::Serving)
    }

    pub(in crate::worker) fn is_quiescing(&self) -> bool {
        matches!(self, Self::Quiescing { .. })
    }

    pub(in crate::worker) fn is_draining(&self) -> bool {
        matches!(self, Self::Draining { .. })
    }

    /// Returns true if the drain was caused by the loss of the supervisor.
    pub(in crate::worker) fn has_lost_supervisor(&self) -> bool {
        matches!(self, Self::Draining { end: ExitReason::SupervisorLost, .. })
    }

    /// Returns the next connection to process because the stage has changed.
    pub(in crate::worker) fn next_changed(
        &mut self,
        connections: &ConnectionTable,
    ) -> Option<Slot> {
        match self {
            Self::Quiescing { walk, .. } | Self::Draining { walk, .. } => connections.next_of(walk),
            Self::Serving => None,
        }
    }

    /// Returns the next time at which the stage has work to do.
    pub(in crate::worker) fn next(&self) -> Option<Moment> {
        match self {
            Self::Draining { until, schedule, .. } => {
                Some(schedule.next().map_or(*until, |next| next.min(*until)))
            }
            Self::Serving | Self::Quiescing { .. } => None,
        }
    }

    /// Returns one connection that is due to be closed.
    pub(in crate::worker) fn next_to_close(&mut self, now: Moment) -> Option<Slot> {
        match self {
            Self::Draining { schedule, .. } => schedule.due(now),
            Self::Serving | Self::Quiescing { .. } => None,
        }
    }
}

/// Schedule of closing connections.
#[derive(Debug)]
pub(in crate::worker) struct DrainSchedule {
    /// Slots that are still to be closed, in reverse order.
    waiting: Vec<Slot>,
    all: usize,
    begun_at: Moment,
    spread: Duration,
}

impl DrainSchedule {
    /// Creates a schedule that closes the slots evenly over `spread`. The first is due at
    /// `begun_at`.
    pub(in crate::worker) fn new(mut slots: Vec<Slot>, begun_at: Moment, spread: Duration) -> Self {
        slots.reverse();
        Self { all: slots.len(), waiting: slots, begun_at, spread }
    }

    /// Returns the time at which the next slot is due.
    pub(in crate::worker) fn next(&self) -> Option<Moment> {
        let closed = u32::try_from(self.all - self.waiting.len()).unwrap_or(u32::MAX);
        let all = u32::try_from(self.all).unwrap_or(u32::MAX);
        let pause = || self.begun_at.after(self.spread.mul_f64(f64::from(closed) / f64::from(all)));
        (!self.waiting.is_empty()).then(pause)
    }

    /// Removes one slot that is due.
    pub(in crate::worker) fn due(&mut self, now: Moment) -> Option<Slot> {
        self.next().filter(|at| *at <= now)?;
        self.waiting.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_is_closed_once_and_evenly() {
        let at = |millis| Moment::START.after(Duration::from_millis(millis));
        let slots = (0..10).map(Slot).collect();
        let mut schedule = DrainSchedule::new(slots, at(1000), Duration::from_secs(3));
        let mut due = |now| std::iter::from_fn(|| schedule.due(now)).collect::<Vec<_>>();
        assert_eq!(due(at(1000)), [Slot(0)]);
        assert_eq!(due(at(1299)), []);
        assert_eq!(due(at(1900)), [Slot(1), Slot(2), Slot(3)]);
        assert_eq!(due(at(9999)).len(), 6);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn without_a_spread_every_connection_is_closed_at_once() {
        let mut schedule =
            DrainSchedule::new((0..3).map(Slot).collect(), Moment::START, Duration::ZERO);
        assert_eq!(std::iter::from_fn(|| schedule.due(Moment::START)).count(), 3);
    }
}
