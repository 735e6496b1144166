//! Pauses that php-type clients need between two frames.

use std::time::Duration;

use super::outbox::PartKind;
use crate::worker::clock::Moment;

/// Schedule of frames to a php-type client. Such a client reads one frame per read call and
/// discards other bytes that arrived with it (rules R1 and R2).
#[derive(Debug)]
pub(in crate::worker) struct Pacer {
    /// Gap between the 101 response and `ready`.
    pub(in crate::worker) ready_gap: Duration,
    /// Gap between two frames.
    pub(in crate::worker) frame_gap: Duration,
    left_at: Option<(Moment, PartKind)>,
    /// The client has sent a message since the last frame to it.
    has_answered: bool,
    /// Time of the last data in either direction.
    active_at: Moment,
}

impl Pacer {
    pub(in crate::worker) fn new(ready_gap: Duration, frame_gap: Duration) -> Self {
        Self { ready_gap, frame_gap, left_at: None, has_answered: false, active_at: Moment::START }
    }

    /// Records a data frame from the client.
    pub(in crate::worker) fn on_message(&mut self) {
        self.has_answered = true;
    }

    /// Records that a part was sent.
    pub(in crate::worker) fn on_sent(&mut self, kind: PartKind, now: Moment) {
        self.left_at = Some((now, kind));
        self.has_answered = false;
        self.active_at = now;
    }

    /// Records data from the client.
    pub(in crate::worker) fn on_activity(&mut self, now: Moment) {
        self.active_at = now;
    }

    /// Returns the time of the last data in either direction.
    pub(in crate::worker) fn active_at(&self) -> Moment {
        self.active_at
    }

    /// Returns the earliest time at which the next part may be sent. A lock-step client that has
    /// answered the last step waits for exactly one frame, so no gap is needed. A Close frame
    /// always needs the gap.
    pub(in crate::worker) fn free_at(&self, next: PartKind) -> Moment {
        match self.left_at {
            None => Moment::START,
            Some((at, PartKind::Head)) => at.after(self.ready_gap),
            Some((_, PartKind::Step)) if self.has_answered && next != PartKind::Close => {
                Moment::START
            }
            Some((at, _)) => at.after(self.frame_gap),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_millis(5);

    fn at(millis: u64) -> Moment {
        Moment::START.after(Duration::from_millis(millis))
    }

    #[test]
    fn the_gap_is_waived_in_lock_step_only() {
        let mut pace = Pacer::new(4 * GAP, GAP);
        assert_eq!(pace.free_at(PartKind::Head), at(0));
        pace.on_sent(PartKind::Head, at(100));
        assert_eq!(pace.free_at(PartKind::Step), at(120));
        pace.on_sent(PartKind::Step, at(120));
        assert_eq!(pace.free_at(PartKind::Frames), at(125), "it has sent nothing since");
        pace.on_message();
        assert_eq!(pace.free_at(PartKind::Step), at(0));
        assert_eq!(pace.free_at(PartKind::Close), at(125));
        pace.on_sent(PartKind::Frames, at(130));
        pace.on_message();
        assert_eq!(pace.free_at(PartKind::Step), at(135), "after a delivery the gap always holds");
    }
}
