//! Measures the gaps between frames at the receiver.

use std::time::Duration;

use super::raw::Frame;

/// The gap that php-type clients need between two frames (`frameGap`), reduced by the delay with
/// which a busy receiver may read the first of them.
pub const FRAME_GAP: Duration = Duration::from_millis(4);

/// The gap that php-type clients need between the 101 and `ready`.
pub const READY_GAP: Duration = Duration::from_millis(10);

/// Measurements per median; an odd number.
const ROUNDS: usize = 9;

/// Returns the time between two frames. Zero if one read returned bytes of both.
pub fn gap(first: &Frame, second: &Frame) -> Duration {
    let apart = first.alone && second.alone;
    if apart { second.arrived.duration_since(first.arrived) } else { Duration::ZERO }
}

/// Maximum number of medians per measurement.
const TRIES: usize = 10;

/// Returns the median of several measurements. A receiver that wakes up late on a busy machine sees
/// a shortened gap now and then; a server without gaps never shows any. On a very busy machine most
/// gaps may be shortened, so further medians are measured until one reaches `wanted`, up to a
/// maximum.
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
