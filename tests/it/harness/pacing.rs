//! How far apart frames left, as seen by whoever receives them.

use std::time::Duration;

use super::raw::Frame;

/// What php-type clients need between two frames (`frameGap`), less what a receiver may be late
/// for the first of them and in time for the second.
pub const FRAME_GAP: Duration = Duration::from_millis(4);

/// What php-type clients need between the 101 and `ready`.
pub const READY_GAP: Duration = Duration::from_millis(10);

/// An odd number, so that there is a middle one.
const ROUNDS: usize = 9;

/// The time between two frames; none at all when one read brought bytes of both.
pub fn gap(first: &Frame, second: &Frame) -> Duration {
    let apart = first.alone && second.alone;
    if apart { second.arrived.duration_since(first.arrived) } else { Duration::ZERO }
}

/// How many of such middles are looked for at most.
const TRIES: usize = 10;

/// The middle one of several measurements: a receiver that a busy machine woke up late sees one
/// gap shortened, a server without gaps shows none at all. A machine may be so busy that most of some are
/// shortened: they are measured again until a middle is as long as it should be, a few times at most.
pub fn typical_gap(wanted: Duration, mut measure: impl FnMut() -> Duration) -> Duration {
    let middle = |_| {
        let mut gaps: Vec<_> = (0..ROUNDS).map(|_| measure()).collect();
        gaps.sort_unstable();
        gaps[ROUNDS / 2]
    };
    let mut longest = Duration::ZERO;
    for gap in (0..TRIES).map(middle) {
        longest = longest.max(gap);
        if longest >= wanted {
            break;
        }
    }
    longest
}
