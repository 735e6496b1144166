//! The pauses that php-type clients need between two frames.

use std::time::Duration;

use super::outbox::PartKind;
use crate::worker::clock::Moment;

/// When a php-type client may get its next frame: it reads one frame with each read and throws
/// away whatever came with it (rules R1 and R2).
#[derive(Debug)]
pub(in crate::worker) struct Pacer {
    /// Between the 101 and `ready`.
    pub(in crate::worker) ready_gap: Duration,
    /// Between two frames.
    pub(in crate::worker) frame_gap: Duration,
    left_at: Option<(Moment, PartKind)>,
    /// It has sent something since the last frame left for it.
    has_answered: bool,
    /// When something last went in either direction.
    active_at: Moment,
}

impl Pacer {
    pub(in crate::worker) fn new(ready_gap: Duration, frame_gap: Duration) -> Self {
        Self { ready_gap, frame_gap, left_at: None, has_answered: false, active_at: Moment::START }
    }

    /// A data frame of the client came.
    pub(in crate::worker) fn on_message(&mut self) {
        self.has_answered = true;
    }

    /// A part left.
    pub(in crate::worker) fn on_sent(&mut self, kind: PartKind, now: Moment) {
        self.left_at = Some((now, kind));
        self.has_answered = false;
        self.active_at = now;
    }

    /// Something came from it.
    pub(in crate::worker) fn on_activity(&mut self, now: Moment) {
        self.active_at = now;
    }

    /// When something last went in either direction.
    pub(in crate::worker) fn active_at(&self) -> Moment {
        self.active_at
    }

    /// The moment from which the next part may leave. A client in lock-step waits for exactly one
    /// frame, so that one needs no gap; Close always keeps its distance.
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
