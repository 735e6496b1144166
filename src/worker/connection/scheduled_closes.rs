//! Closes that a backend has ordered: spread evenly over a time if wanted, and a bounded number in each turn.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::table::ConnectionTable;
use super::{close, readiness};
use crate::link::command::CloseOrder;
use crate::types::limits::CLOSE_ORDERS_MAX;
use crate::types::{CloseReason, Slot, SlotSet};
use crate::worker::clock::Moment;
use crate::worker::context::Context;

/// The orders that are not carried out yet. Usually there are none.
#[derive(Debug, Default)]
pub(in crate::worker) struct ScheduledCloses(VecDeque<ScheduledOrder>);

/// How connections are closed.
#[derive(Debug)]
pub(in crate::worker) struct CloseTerms {
    pub(in crate::worker) reason: CloseReason,
    /// The time over which the closes are spread evenly.
    pub(in crate::worker) spread: Duration,
    /// The serial number of the last connection that was accepted.
    pub(in crate::worker) last_serial: u64,
    pub(in crate::worker) began_at: Moment,
}

/// The connections of one order.
#[derive(Debug)]
struct ScheduledOrder {
    /// Connections that are not closed yet.
    rest: SlotSet,
    /// Number of all its connections.
    count: u64,
    began_at: Moment,
    spread: Duration,
    /// The serial number of the last connection at that time. A later connection in a slot of the order is not
    /// part of it (rule L3).
    last_serial: u64,
    reason: Rc<CloseReason>,
}

impl ScheduledOrder {
    /// Returns the time at which the next connection is closed: they are at even distances.
    fn next_at(&self) -> Moment {
        let done = self.count - self.rest.0.len();
        let micros = u128::from(done) * self.spread.as_micros() / u128::from(self.count.max(1));
        self.began_at.after(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)))
    }

    fn take_next(&mut self) -> Option<Slot> {
        let first = self.rest.0.min()?;
        self.rest.0.remove(first);
        Some(Slot(first))
    }
}

/// A connection that must be closed now.
struct DueClose {
    slot: Slot,
    last_serial: u64,
    reason: Rc<CloseReason>,
}

impl ScheduledCloses {
    /// Adds an order. `last_serial` is the serial number of the last connection that was accepted.
    pub(in crate::worker) fn add(&mut self, order: CloseOrder, last_serial: u64, now: Moment) {
        let CloseOrder { connections, reason, spread, .. } = order;
        let terms = CloseTerms { reason, spread, last_serial, began_at: now };
        self.add_all(connections.slots(), terms);
    }

    /// Adds an order for these connections.
    pub(in crate::worker) fn add_all(&mut self, rest: SlotSet, terms: CloseTerms) {
        let CloseTerms { reason, spread, last_serial, began_at } = terms;
        if rest.is_empty() {
            return;
        }
        let (count, reason) = (rest.0.len(), Rc::new(reason));
        self.0.push_back(ScheduledOrder { rest, count, began_at, spread, last_serial, reason });
        // Beyond that number, the oldest order is carried out without a pause.
        let excess = self.0.len().saturating_sub(CLOSE_ORDERS_MAX);
        self.0.iter_mut().take(excess).for_each(|order| order.spread = Duration::ZERO);
    }

    /// Returns the time at which the next connection must be closed.
    pub(in crate::worker) fn next_at(&self) -> Option<Moment> {
        self.0.iter().map(ScheduledOrder::next_at).min()
    }

    fn take_due(&mut self, now: Moment) -> Option<DueClose> {
        let at = self.0.iter().position(|order| order.next_at() <= now)?;
        let order = self.0.get_mut(at)?;
        let (slot, last_serial) = (order.take_next(), order.last_serial);
        let reason = Rc::clone(&order.reason);
        if order.rest.is_empty() {
            self.0.remove(at);
        }
        Some(DueClose { slot: slot?, last_serial, reason })
    }
}

/// Closes the connections that are due, within the time budget of this part of the turn.
pub(in crate::worker) fn run_due(context: &mut Context, connections: &mut ConnectionTable) {
    let mut part = None;
    while let Some(due) = context.scheduled_closes.take_due(context.clock.now()) {
        let part = *part.get_or_insert_with(|| context.clock.part());
        let is_meant = |serial| serial <= due.last_serial;
        if connections.get(due.slot).is_some_and(|it| it.is_open() && is_meant(it.serial))
            && let Some(mut connection) = connections.take(due.slot)
        {
            close::close(context, &mut connection, &due.reason);
            readiness::rearm(context, connections, connection);
        }
        if context.clock.is_over(part) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::command::ClosedConnections;
    use crate::types::{CloseCode, Generation, Number, WorkerId, WorkerIncarnation};

    fn order(slots: u32, spread: u64) -> CloseOrder {
        CloseOrder {
            source: WorkerIncarnation { worker: WorkerId::API, generation: Generation(1) },
            number: Number(1),
            connections: ClosedConnections::Set((0..slots).map(Slot).collect()),
            reason: CloseReason::new(CloseCode::NORMAL, "bye"),
            spread: Duration::from_millis(spread),
        }
    }

    fn due_at(closes: &mut ScheduledCloses, millis: u64) -> usize {
        let now = Moment::START.after(Duration::from_millis(millis));
        std::iter::from_fn(|| closes.take_due(now)).count()
    }

    #[test]
    fn closes_are_spread_evenly() {
        let mut closes = ScheduledCloses::default();
        closes.add(order(100, 2000), 7, Moment::START);
        let each: Vec<usize> = (0..=20).map(|n| due_at(&mut closes, n * 100)).collect();
        assert_eq!(each.iter().sum::<usize>(), 100);
        assert!(each.iter().all(|count| (0..=6).contains(count)), "{each:?}");
        assert_eq!((closes.next_at(), due_at(&mut closes, 5000)), (None, 0));
    }

    #[test]
    fn several_orders_run_at_once_and_their_number_is_bounded() {
        let mut closes = ScheduledCloses::default();
        closes.add(order(0, 1000), 1, Moment::START);
        assert_eq!(closes.next_at(), None, "an empty order");
        for _ in 0..CLOSE_ORDERS_MAX {
            closes.add(order(10, 1000), 1, Moment::START);
        }
        assert_eq!(due_at(&mut closes, 0), CLOSE_ORDERS_MAX);
        closes.add(order(1, 0), 1, Moment::START);
        assert_eq!(due_at(&mut closes, 0), 1 + 9, "the oldest order is carried out at once");
        assert_eq!(due_at(&mut closes, 1000), 9 * (CLOSE_ORDERS_MAX - 1));
    }
}
