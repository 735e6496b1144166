//! A backlog of the server's own making: a broker or a worker stood still, or another broker repeats
//! what the last one had not acknowledged, and the windows of all workers come at once. That is more
//! than one client may have waiting, so it is paced and not charged to those who keep up.
//!
//! While such a backlog lasts, nothing more is taken from the link and written as long as somebody has
//! half an outbox full and empties it. What waits then waits at the broker, and in the end at the
//! publishers (L4). Whoever does not empty it quickly is waited for no longer, and is closed as slow as
//! ever (L7): nobody can hold up the others for more than [`DRAIN_WAIT`] at a time, nor for longer than
//! [`BACKLOG_MAX`] in all.

use crate::types::Slot;
use crate::types::limits::{
    BACKLOG_MAX, DRAIN_WAIT, FANOUT_SLICE, LINK_SILENCE, LINK_SILENCE_MAX, OUTBOX_MOVES,
};
use crate::worker::clock::Moment;
use crate::worker::event_loop::EventLoop;

/// How much longer than the silence it takes until all is as ever.
const CATCHING_UP: u32 = 4;
/// Recipients that are written to before somebody may be waited for.
const STEP: usize = 16;

/// What is known of a backlog.
#[derive(Debug)]
pub(in crate::worker) struct BacklogPacing {
    /// When something came on the link last.
    heard_at: Moment,
    /// While there is one: when it may be over, and when it is over in any case.
    lasts: Option<(Moment, Moment)>,
    /// Who empties an outbox, and since when that is waited for.
    waits: Vec<(Slot, Moment)>,
    /// Who was waited for in vain.
    slow: Vec<Slot>,
}

impl Default for BacklogPacing {
    fn default() -> Self {
        let (waits, slow) = (Vec::new(), Vec::new());
        Self { heard_at: Moment::START, lasts: None, waits, slow }
    }
}

impl BacklogPacing {
    /// Something comes on the link. After a silence it may be the first of much, which does not come
    /// without a pause: the broker needs time for it too. The worker cannot know whether nobody had
    /// anything to say; then it paces for nothing, which costs nobody anything that reads.
    fn heard(&mut self, now: Moment) {
        let silence = now.until_then(self.heard_at).min(LINK_SILENCE_MAX);
        if silence >= LINK_SILENCE {
            self.lasts = Some((now.after(silence * CATCHING_UP), now.after(BACKLOG_MAX)));
        }
        self.heard_at = now;
    }

    /// All of it is written.
    fn end(&mut self) {
        self.lasts = None;
        self.waits.clear();
        self.slow.clear();
    }

    /// Whether somebody is waited for.
    pub(in crate::worker) fn is_waiting(&self) -> bool {
        !self.waits.is_empty()
    }

    /// When those who are waited for are looked at again.
    pub(in crate::worker) fn looks_at(&self, now: Moment) -> Option<Moment> {
        self.is_waiting().then(|| now.after(OUTBOX_MOVES / 16))
    }
}

impl EventLoop {
    /// Takes what the broker sent, and writes it to the sockets: a slice of it, or less while a
    /// backlog is paced.
    pub(in crate::worker) fn deliver_what_came(&mut self) {
        if self.relay.is_unread() {
            self.backlog.heard(self.now);
        }
        match self.backlog.lasts {
            None => self.deliver_slice(),
            Some((calm_at, end)) => {
                self.deliver_paced();
                let is_done = !self.backlog.is_waiting() && !self.relay.is_busy();
                if end <= self.now || (is_done && calm_at <= self.now) {
                    self.backlog.end();
                }
            }
        }
    }

    fn deliver_slice(&mut self) {
        if self.relay.takes_more() {
            self.read_link();
        }
        self.flush_fanout(FANOUT_SLICE);
    }

    fn deliver_paced(&mut self) {
        self.look_at_outboxes();
        if !self.backlog.is_waiting() && self.relay.takes_more() {
            self.read_link();
        }
        // Small steps: a slice may be many messages for each of a few.
        for _ in 0..FANOUT_SLICE / STEP {
            if self.backlog.is_waiting() {
                break;
            }
            self.flush_fanout(STEP);
        }
    }

    /// Something was put into the outbox of a client. While a backlog is paced, the client is waited
    /// for when that is half full.
    pub(in crate::worker) fn note_outbox(&mut self, slot: Slot, bytes: usize) {
        let BacklogPacing { lasts: Some(_), waits, slow, .. } = &mut self.backlog else { return };
        let is_known = slow.contains(&slot) || waits.iter().any(|(known, _)| *known == slot);
        if bytes > self.settings.outbox_bytes_max / 2 && !is_known {
            waits.push((slot, self.now));
        }
    }

    /// Who has emptied enough, or does not, is waited for no more.
    fn look_at_outboxes(&mut self) {
        let mut waits = std::mem::take(&mut self.backlog.waits);
        waits.retain(|(slot, since)| {
            let Some(outbox) = self.table.get(*slot).and_then(|it| it.outbox.as_ref()) else {
                return false;
            };
            if outbox.bytes() <= self.settings.outbox_bytes_max / 4 {
                return false;
            }
            let is_slow = since.after(DRAIN_WAIT) <= self.now
                || outbox.moved_at().max(*since).after(OUTBOX_MOVES) <= self.now;
            if is_slow {
                self.backlog.slow.push(*slot);
            }
            !is_slow
        });
        self.backlog.waits = waits;
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
        (1..100).for_each(|turn| backlog.heard(at(turn * 100)));
        assert_eq!(backlog.lasts, None, "the link is in use");
        backlog.heard(at(11_900));
        assert_eq!(backlog.lasts, Some((at(19_900), at(41_900))));
        backlog.heard(at(11_910));
        assert_eq!(backlog.lasts, Some((at(19_900), at(41_900))), "more of the same");
        backlog.end();
        backlog.heard(at(3_600_000));
        assert_eq!(backlog.lasts, Some((at(3_612_000), at(3_630_000))));
    }
}
