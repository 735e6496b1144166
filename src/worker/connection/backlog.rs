//! A backlog of the server's own making: a broker or a worker stood still, or another broker repeats
//! what the last one had not acknowledged, and the windows of all workers come at once. That is more
//! than one client may have waiting, so it is paced and not charged to the clients that keep up.
//!
//! While such a backlog lasts, nothing more is taken from the link and written as long as a client has
//! half an outbox full and empties it. What waits then waits at the broker, and in the end at the
//! publishers (L4). A client that does not empty it quickly is waited for no longer, and is closed as slow
//! (L7): no client can hold up the others for more than [`DRAIN_WAIT`] at a time, nor for longer than
//! [`BACKLOG_MAX`] in all.

use super::table::ConnectionTable;
use crate::broker_client::BrokerClient;
use crate::types::Slot;
use crate::types::limits::{BACKLOG_MAX, DRAIN_WAIT, LINK_SILENCE, LINK_SILENCE_MAX, OUTBOX_MOVES};
use crate::worker::clock::Moment;

/// How many times the silence it takes until the backlog is written.
const CATCHING_UP: u32 = 4;
/// Recipients that are written to before a client may be waited for.
pub(in crate::worker) const STEP: usize = 16;

/// What is known of a backlog.
#[derive(Debug)]
pub(in crate::worker) struct BacklogPacing {
    /// When something came on the link last.
    last_input_at: Moment,
    /// While there is one: when it may be over, and when it is over in any case.
    lasts: Option<(Moment, Moment)>,
    /// Clients that empty an outbox, and since when that is waited for.
    waited_for: Vec<(Slot, Moment)>,
    /// Clients that were waited for in vain.
    slow: Vec<Slot>,
}

impl Default for BacklogPacing {
    fn default() -> Self {
        let (waits, slow) = (Vec::new(), Vec::new());
        Self { last_input_at: Moment::START, lasts: None, waited_for: waits, slow }
    }
}

impl BacklogPacing {
    /// Something comes on the link. After a silence it may be the first of much, which does not come
    /// without a pause: the broker needs time for it too. The worker cannot know whether no client had
    /// anything to publish; then it paces for nothing, which costs nothing to a client that reads.
    pub(in crate::worker) fn on_input(&mut self, now: Moment) {
        let silence = now.until_then(self.last_input_at).min(LINK_SILENCE_MAX);
        if silence >= LINK_SILENCE {
            self.lasts = Some((now.after(silence * CATCHING_UP), now.after(BACKLOG_MAX)));
        }
        self.last_input_at = now;
    }

    /// All of it is written.
    fn end(&mut self) {
        self.lasts = None;
        self.waited_for.clear();
        self.slow.clear();
    }

    /// Whether a client is waited for.
    pub(in crate::worker) fn is_waiting(&self) -> bool {
        !self.waited_for.is_empty()
    }

    /// When the clients that are waited for are looked at again.
    pub(in crate::worker) fn looks_at(&self, now: Moment) -> Option<Moment> {
        self.is_waiting().then(|| now.after(OUTBOX_MOVES / 16))
    }

    /// Whether one lasts, so that what comes is paced.
    pub(in crate::worker) fn is_paced(&self) -> bool {
        self.lasts.is_some()
    }

    /// Ends the pacing when its time is over, or when all is written and it may be over.
    pub(in crate::worker) fn end_when_due(&mut self, broker: &BrokerClient, now: Moment) {
        let Some((calm_at, end_at)) = self.lasts else { return };
        if end_at <= now || (!broker.is_busy() && !self.is_waiting() && calm_at <= now) {
            self.end();
        }
    }

    /// Something was put into the outbox of a client. While a backlog is paced, the client is waited
    /// for when that is half full.
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

    /// A client that has emptied enough, or does not, is waited for no more.
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
    fn only_what_comes_after_a_silence_is_paced_and_for_longer_after_a_longer_one() {
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
