//! Pacing of a backlog that the server itself caused. After a broker or a worker stood still, or
//! when a new broker repeats publications that the old one had not acknowledged, the send windows
//! of all workers arrive at once. One outbox cannot hold that much. The worker therefore paces the
//! backlog instead of closing clients that keep up.
//!
//! During a backlog the worker pauses reading the link and writing deliveries as long as a client's
//! outbox is half full and is being emptied. Publications then wait at the broker, and finally at
//! the publishers (rule L4). The worker stops waiting for a client that does not empty its outbox
//! quickly, and closes it as a slow client at its limit (rule L7). One client therefore delays the
//! others by at most [`DRAIN_WAIT`] at a time and [`BACKLOG_MAX`] in total.

use super::table::ConnectionTable;
use crate::broker_client::BrokerClient;
use crate::types::Slot;
use crate::types::limits::{BACKLOG_MAX, DRAIN_WAIT, LINK_SILENCE, LINK_SILENCE_MAX, OUTBOX_MOVES};
use crate::worker::clock::Moment;

/// Pacing lasts this many times as long as the silence of the link did.
const CATCHING_UP: u32 = 4;
/// Most recipients that are written to between two checks for clients to wait for.
pub(in crate::worker) const STEP: usize = 16;

/// State of a backlog.
#[derive(Debug)]
pub(in crate::worker) struct BacklogPacing {
    /// Time of the last input on the link.
    last_input_at: Moment,
    /// During a backlog: the earliest time and the latest time at which pacing ends.
    lasts: Option<(Moment, Moment)>,
    /// Clients whose outbox the worker waits for, and the start of each wait.
    waited_for: Vec<(Slot, Moment)>,
    /// Clients that the worker no longer waits for, because they did not empty their outbox in
    /// time.
    slow: Vec<Slot>,
}

impl Default for BacklogPacing {
    fn default() -> Self {
        let (waits, slow) = (Vec::new(), Vec::new());
        Self { last_input_at: Moment::START, lasts: None, waited_for: waits, slow }
    }
}

impl BacklogPacing {
    /// Records input on the link. Input after a silence may be the start of a backlog. A backlog
    /// arrives with interruptions, because it takes the broker time too. The worker cannot
    /// distinguish a stopped broker from a time without publications. It paces in both cases, which
    /// does not slow down clients that read.
    pub(in crate::worker) fn on_input(&mut self, now: Moment) {
        let silence = now.until_then(self.last_input_at).min(LINK_SILENCE_MAX);
        if silence >= LINK_SILENCE {
            self.lasts = Some((now.after(silence * CATCHING_UP), now.after(BACKLOG_MAX)));
        }
        self.last_input_at = now;
    }

    /// Ends pacing.
    fn end(&mut self) {
        self.lasts = None;
        self.waited_for.clear();
        self.slow.clear();
    }

    /// Returns true if the worker waits for a client.
    pub(in crate::worker) fn is_waiting(&self) -> bool {
        !self.waited_for.is_empty()
    }

    /// Returns when to check the outboxes of these clients next.
    pub(in crate::worker) fn looks_at(&self, now: Moment) -> Option<Moment> {
        self.is_waiting().then(|| now.after(OUTBOX_MOVES / 16))
    }

    /// Returns true during pacing.
    pub(in crate::worker) fn is_paced(&self) -> bool {
        self.lasts.is_some()
    }

    /// Ends pacing at its latest time, or from its earliest time on once everything is written.
    pub(in crate::worker) fn end_when_due(&mut self, broker: &BrokerClient, now: Moment) {
        let Some((calm_at, end_at)) = self.lasts else { return };
        if end_at <= now || (!broker.is_busy() && !self.is_waiting() && calm_at <= now) {
            self.end();
        }
    }

    /// Records the fill level of a client's outbox. During pacing, the worker waits for a client
    /// whose outbox is more than half full.
    pub(in crate::worker) fn note_outbox(
        &mut self,
        slot: Slot,
        bytes: usize,
        bytes_max: usize,
        now: Moment,
    ) {
        if self.lasts.is_none() || bytes <= bytes_max / 2 {
            return;
        }
        let is_known =
            self.slow.contains(&slot) || self.waited_for.iter().any(|(known, _)| *known == slot);
        if !is_known {
            self.waited_for.push((slot, now));
        }
    }

    /// Stops waiting for clients that have emptied enough of their outbox, and for those that do
    /// not empty it.
    pub(in crate::worker) fn look_at_outboxes(
        &mut self,
        connections: &ConnectionTable,
        bytes_max: usize,
        now: Moment,
    ) {
        let Self { waited_for: waits, slow, .. } = self;
        waits.retain(|(slot, since)| {
            let Some(outbox) = connections.get(*slot).and_then(|it| it.outbox.as_ref()) else {
                return false;
            };
            if outbox.bytes() <= bytes_max / 4 {
                return false;
            }
            let is_slow = since.after(DRAIN_WAIT) <= now
                || outbox.moved_at().max(*since).after(OUTBOX_MOVES) <= now;
            if is_slow {
                slow.push(*slot);
            }
            !is_slow
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(millis: u64) -> Moment {
        Moment::START.after(Duration::from_millis(millis))
    }

    #[test]
    fn pacing_follows_a_silence_and_lasts_longer_after_a_longer_one() {
        let mut backlog = BacklogPacing::default();
        (1..100).for_each(|turn| backlog.on_input(at(turn * 100)));
        assert_eq!(backlog.lasts, None, "the link is in use");
        backlog.on_input(at(11_900));
        assert_eq!(backlog.lasts, Some((at(19_900), at(41_900))));
        backlog.on_input(at(11_910));
        assert_eq!(backlog.lasts, Some((at(19_900), at(41_900))), "more of the same");
        backlog.end();
        backlog.on_input(at(3_600_000));
        assert_eq!(backlog.lasts, Some((at(3_612_000), at(3_630_000))));
    }
}
