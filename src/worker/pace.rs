//! The pauses that php-type clients need between two frames.

use std::time::Duration;

use super::clock::Moment;
use super::outbox::Kind;

/// When a php-type client may get its next frame: it reads one frame with each read and throws
/// away whatever came with it (rules R1 and R2).
#[derive(Debug)]
pub(super) struct Pace {
    /// Between the 101 and `ready`.
    pub(super) ready_gap: Duration,
    /// Between two frames.
    pub(super) frame_gap: Duration,
    left_at: Option<(Moment, Kind)>,
    /// It has sent something since the last frame left for it.
    heard: bool,
    /// When something last went in either direction.
    active_at: Moment,
}

impl Pace {
    pub(super) fn new(ready_gap: Duration, frame_gap: Duration) -> Self {
        Self { ready_gap, frame_gap, left_at: None, heard: false, active_at: Moment::START }
    }

    /// A data frame of the client came.
    pub(super) fn heard(&mut self) {
        self.heard = true;
    }

    /// A part left.
    pub(super) fn left(&mut self, kind: Kind, now: Moment) {
        self.left_at = Some((now, kind));
        self.heard = false;
        self.active_at = now;
    }

    /// Something came from it.
    pub(super) fn active(&mut self, now: Moment) {
        self.active_at = now;
    }

    /// When something last went in either direction.
    pub(super) fn active_at(&self) -> Moment {
        self.active_at
    }

    /// The moment from which the next part may leave. A client in lock-step waits for exactly one
    /// frame, so that one needs no gap; Close always keeps its distance.
    pub(super) fn free_at(&self, next: Kind) -> Moment {
        match self.left_at {
            None => Moment::START,
            Some((at, Kind::Head)) => at.after(self.ready_gap),
            Some((_, Kind::Step)) if self.heard && next != Kind::Close => Moment::START,
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
        let mut pace = Pace::new(4 * GAP, GAP);
        assert_eq!(pace.free_at(Kind::Head), at(0));
        pace.left(Kind::Head, at(100));
        assert_eq!(pace.free_at(Kind::Step), at(120));
        pace.left(Kind::Step, at(120));
        assert_eq!(pace.free_at(Kind::Frames), at(125), "it has sent nothing since");
        pace.heard();
        assert_eq!(pace.free_at(Kind::Step), at(0));
        assert_eq!(pace.free_at(Kind::Close), at(125));
        pace.left(Kind::Frames, at(130));
        pace.heard();
        assert_eq!(pace.free_at(Kind::Step), at(135), "after a delivery the gap always holds");
    }
}
