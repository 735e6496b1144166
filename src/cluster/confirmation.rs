//! What the NATS server has taken: echoes that a host sends to itself, and forwards that are safe.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::item::LanePoint;
use crate::types::limits::{CLUSTER_ECHO_EVERY, CLUSTER_ECHO_WAIT, CLUSTER_ECHOES_MAX};

/// An echo that has not come back.
#[derive(Debug)]
struct AwaitedEcho {
    number: u64,
    /// Everything up to this order was sent before it.
    covers: u64,
    sent: Instant,
}

/// Echoes on the present connection. NATS handles the messages of a connection in order, so an echo that comes back
/// shows that everything before it was taken.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    connection: u64,
    /// Number of the last echo.
    number: u64,
    awaited: VecDeque<AwaitedEcho>,
    /// When the last was sent.
    sent: Option<Instant>,
    /// Since when something has waited for its echo.
    waiting: Option<Instant>,
    /// How long the last one took.
    returned_after: Duration,
}

impl Echoes {
    /// A new connection. Echoes of earlier ones confirm nothing.
    pub(super) fn connected(&mut self) {
        self.connection += 1;
        self.awaited.clear();
        self.sent = None;
    }

    pub(super) fn connection(&self) -> u64 {
        self.connection
    }

    /// Returns the number of the next echo if one is due, for everything up to an order.
    pub(super) fn due(&mut self, sent_order: u64, confirmed: u64, now: Instant) -> Option<u64> {
        let covered = self.awaited.back().map_or(confirmed, |last| last.covers);
        let is_paced = self.awaited.is_empty() || self.next_at().is_none_or(|next| next <= now);
        if sent_order <= covered && !self.is_overdue(now) || !is_paced || sent_order <= confirmed {
            return None;
        }
        if self.awaited.len() >= CLUSTER_ECHOES_MAX {
            if !self.is_overdue(now) {
                return None;
            }
            self.awaited.clear();
        }
        self.number += 1;
        self.sent = Some(now);
        let (number, covers) = (self.number, sent_order);
        self.awaited.push_back(AwaitedEcho { number, covers, sent: now });
        Some(self.number)
    }

    /// Returns when the next echo may be sent, if there is something for it to confirm.
    pub(super) fn wake_at(&self, sent_order: u64) -> Option<Instant> {
        let is_covered = self.awaited.back().is_some_and(|last| sent_order <= last.covers);
        self.next_at().filter(|_| !is_covered && !self.awaited.is_empty())
    }

    fn next_at(&self) -> Option<Instant> {
        self.sent.map(|sent| sent + CLUSTER_ECHO_EVERY)
    }

    /// Returns when publishers no longer wait for what waits now.
    pub(super) fn overdue_at(&self) -> Option<Instant> {
        self.waiting.map(|since| since + CLUSTER_ECHO_WAIT)
    }

    /// An echo has come back. Returns the order up to which everything was taken.
    pub(super) fn returned(&mut self, connection: u64, number: u64, now: Instant) -> Option<u64> {
        if connection != self.connection {
            return None;
        }
        let place = self.awaited.iter().position(|echo| echo.number == number)?;
        let AwaitedEcho { covers, sent, .. } = self.awaited.drain(..=place).next_back()?;
        self.returned_after = now.saturating_duration_since(sent);
        self.waiting = self.waiting.map(|_| now);
        Some(covers)
    }

    /// Returns how long the last echo took that came back.
    pub(super) fn last_trip(&self) -> Duration {
        self.returned_after
    }

    /// Notes that something waits for its echo now, or that nothing does.
    pub(super) fn note_waiting(&mut self, now: Option<Instant>) {
        self.waiting = now.map(|now| self.waiting.unwrap_or(now));
    }

    /// Returns whether something has waited for so long that publishers no longer wait for it.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.overdue_at().is_some_and(|at| at <= now)
    }
}

/// A publication that the broker has forwarded.
#[derive(Clone, Copy, Debug)]
struct AwaitedForward {
    /// Order of its last part.
    order: u64,
    /// Its point, or `None` if the bridge had it already.
    point: Option<LanePoint>,
}

/// Forwards of the broker that are not safe yet, in order. The windows of the workers bound their number.
#[derive(Debug, Default)]
pub(super) struct Forwards {
    awaited: VecDeque<AwaitedForward>,
    /// Forwards at the front that an earlier broker sent.
    of_earlier_broker: usize,
    /// Forwards of this broker that are safe.
    carried: u64,
}

impl Forwards {
    pub(super) fn push(&mut self, order: u64, point: Option<LanePoint>) {
        self.awaited.push_back(AwaitedForward { order, point });
    }

    /// A new broker counts its forwards from the start.
    pub(super) fn broker_restarted(&mut self) {
        self.of_earlier_broker = self.awaited.len();
        self.carried = 0;
    }

    /// Everything up to an order is safe. Appends the points of the forwards that have become safe: of those that
    /// follow each other in a lane, the last one. Returns
    /// whether any has.
    pub(super) fn carry(&mut self, order: u64, points: &mut Vec<LanePoint>) -> bool {
        let before = self.awaited.len();
        while let Some(first) = self.awaited.front()
            && first.order <= order
        {
            match (points.last_mut(), first.point) {
                // Those before the last one of a lane are not needed.
                (Some(last), Some(point)) if last.lane == point.lane => *last = point,
                (_, point) => points.extend(point),
            }
            self.awaited.pop_front();
            match self.of_earlier_broker {
                0 => self.carried += 1,
                _ => self.of_earlier_broker -= 1,
            }
        }
        self.awaited.len() < before
    }

    /// Returns how many forwards of this broker are safe.
    pub(super) fn carried(&self) -> u64 {
        self.carried
    }

    pub(super) fn is_empty(&self) -> bool {
        self.awaited.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::item::LaneKey;
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an arbitrary time for a test")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn an_echo_confirms_what_was_sent_before_it_on_its_connection() {
        let (mut echoes, now) = (Echoes::default(), start());
        echoes.connected();
        assert_eq!(echoes.due(0, 0, now), None, "nothing was sent");
        assert_eq!(echoes.due(3, 0, now), Some(1));
        assert_eq!(echoes.due(3, 0, now + CLUSTER_ECHO_EVERY), None, "nothing more was sent");
        assert_eq!(echoes.due(5, 0, now), None, "one was just sent");
        assert_eq!(echoes.due(5, 0, now + CLUSTER_ECHO_EVERY), Some(2));
        assert_eq!(echoes.returned(0, 1, now), None, "of another connection");
        assert_eq!(echoes.returned(1, 1, now), Some(3));
        assert_eq!(echoes.returned(1, 1, now), None, "twice");
        echoes.connected();
        assert_eq!(echoes.returned(2, 2, now), None, "of the lost connection");
        assert_eq!(echoes.due(5, 3, now), Some(3));
    }

    #[test]
    fn a_late_echo_ends_the_wait_of_publishers_after_a_second() {
        let (mut echoes, now) = (Echoes::default(), start());
        echoes.connected();
        echoes.note_waiting(Some(now));
        assert!(!echoes.is_overdue(now + CLUSTER_ECHO_WAIT - Duration::from_millis(1)));
        let mut number = None;
        for place in 0..10 * CLUSTER_ECHOES_MAX as u64 {
            let at = now + CLUSTER_ECHO_EVERY * u32::try_from(place).unwrap();
            number = echoes.due(place + 1, 0, at).or(number);
            assert!(echoes.awaited.len() <= CLUSTER_ECHOES_MAX);
        }
        let late = now + CLUSTER_ECHO_WAIT * 4;
        assert!(echoes.is_overdue(late));
        let last = echoes.awaited.back().unwrap().number;
        assert!(echoes.returned(1, last, late).is_some());
        assert!(!echoes.is_overdue(late));
        echoes.note_waiting(None);
        assert!(!echoes.is_overdue(late + CLUSTER_ECHO_WAIT));
    }

    #[test]
    fn forwards_are_carried_in_order_and_counted_for_the_present_broker() {
        let point = |number| Some(LanePoint { lane: LaneKey::COMMON, number });
        let mut forwards = Forwards::default();
        forwards.push(2, point(2));
        forwards.push(4, point(4));
        forwards.broker_restarted();
        forwards.push(4, None);
        forwards.push(5, point(5));
        let mut points = Vec::new();
        assert!(forwards.carry(4, &mut points));
        assert_eq!(forwards.carried(), 1, "the repeat, once its first is safe");
        assert_eq!(points, [point(4)].map(Option::unwrap), "the last one of the lane");
        assert!(!forwards.carry(4, &mut points));
        assert!(forwards.carry(5, &mut points) && forwards.is_empty());
        assert_eq!(forwards.carried(), 2);
    }
}
