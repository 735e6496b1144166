//! Liveness of the child processes. Each is probed, and a process that leaves a probe unanswered
//! for too many ticks counts as hung.
//!
//! The limit counts ticks and not time. While the supervisor itself is stopped, asleep or starved
//! there are no ticks, so stopping all processes or closing a laptop does not count against any
//! process.

use std::collections::BTreeMap;
use std::time::Instant;

use super::ChildId;
use crate::types::limits::{
    BEAT_EVERY, BEAT_GAP, BEATS_UNANSWERED_MAX, FIRST_BEATS_UNANSWERED_MAX,
};

/// The liveness of each process.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    last: Option<Instant>,
    pulses: BTreeMap<ChildId, ChildLiveness>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ChildLiveness {
    question: LivenessProbe,
    /// True if the process has ever sent anything. A new process has more time for that.
    was_heard: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LivenessProbe {
    #[default]
    None,
    /// A probe has been unanswered for this many ticks.
    Open(u32),
    /// The process is unresponsive, and this was reported.
    GivenUp,
}

/// The result of a tick for one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LivenessVerdict {
    /// A probe must be sent.
    Ask(ChildId),
    /// The process is hung.
    Hangs(ChildId),
}

impl Liveness {
    /// Starts counting ticks.
    pub(super) fn start(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// Returns the time of the next tick.
    pub(super) fn next(&self) -> Option<Instant> {
        self.last.map(|last| last + BEAT_EVERY)
    }

    /// Records an answer: any event of this process counts.
    pub(super) fn record_answer(&mut self, member: ChildId) {
        let pulse = self.pulses.entry(member).or_default();
        pulse.was_heard = true;
        if pulse.question != LivenessProbe::GivenUp {
            pulse.question = LivenessProbe::None;
        }
    }

    /// Removes a dead process.
    pub(super) fn forget(&mut self, member: ChildId) {
        self.pulses.remove(&member);
    }

    /// Runs one tick for all running processes if it is due. After a gap all of them get the full
    /// limit again, because they may have been stopped like the supervisor and continued after it.
    pub(super) fn tick(
        &mut self,
        now: Instant,
        living: impl Iterator<Item = ChildId>,
    ) -> Vec<LivenessVerdict> {
        let Some(last) = self.last.filter(|last| *last + BEAT_EVERY <= now) else {
            return Vec::new();
        };
        self.last = Some(now);
        if now.duration_since(last) > BEAT_GAP {
            self.pulses.values_mut().for_each(ChildLiveness::reset_misses);
        }
        let beat = |member| self.pulses.entry(member).or_default().beat(member);
        living.filter_map(beat).collect()
    }
}

impl ChildLiveness {
    fn beat(&mut self, member: ChildId) -> Option<LivenessVerdict> {
        let unanswered_max =
            if self.was_heard { BEATS_UNANSWERED_MAX } else { FIRST_BEATS_UNANSWERED_MAX };
        match &mut self.question {
            LivenessProbe::GivenUp => None,
            LivenessProbe::None => {
                self.question = LivenessProbe::Open(0);
                Some(LivenessVerdict::Ask(member))
            }
            LivenessProbe::Open(ticks) if *ticks + 1 < unanswered_max => {
                *ticks += 1;
                None
            }
            LivenessProbe::Open(_) => {
                self.question = LivenessProbe::GivenUp;
                Some(LivenessVerdict::Hangs(member))
            }
        }
    }

    fn reset_misses(&mut self) {
        if let LivenessProbe::Open(ticks) = &mut self.question {
            *ticks = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Generation;
    use std::time::Duration;

    const ONE: ChildId = ChildId::Broker(Generation(1));

    #[expect(clippy::disallowed_methods, reason = "a test needs a moment to count from")]
    fn start() -> (Liveness, Instant) {
        let (mut pulses, now) = (Liveness::default(), Instant::now());
        pulses.start(now);
        (pulses, now)
    }

    /// Runs this many ticks, each late by this time, and returns their results.
    fn ticks(
        (pulses, now): (&mut Liveness, &mut Instant),
        (count, late): (u32, Duration),
    ) -> Vec<LivenessVerdict> {
        let mut found = Vec::new();
        for _ in 0..count {
            *now = pulses.next().unwrap() + late;
            found.extend(pulses.tick(*now, [ONE].into_iter()));
        }
        found
    }

    const IN_TIME: Duration = Duration::ZERO;
    const HANGS: u32 = BEATS_UNANSWERED_MAX + 1;

    #[test]
    fn who_answers_is_asked_again_and_again() {
        let (mut pulses, mut now) = start();
        for _ in 0..100 {
            assert_eq!(ticks((&mut pulses, &mut now), (1, IN_TIME)), [LivenessVerdict::Ask(ONE)]);
            assert_eq!(pulses.tick(now, [ONE].into_iter()), [], "one tick at a time");
            pulses.record_answer(ONE);
        }
    }

    #[test]
    fn who_does_not_answer_hangs_within_three_seconds_and_this_is_said_once() {
        let (mut pulses, mut now) = start();
        pulses.record_answer(ONE);
        let silent_since = now;
        let found = ticks((&mut pulses, &mut now), (HANGS - 1, IN_TIME));
        assert_eq!(found, [LivenessVerdict::Ask(ONE)]);
        let found = ticks((&mut pulses, &mut now), (1, IN_TIME));
        assert_eq!(found, [LivenessVerdict::Hangs(ONE)]);
        assert!(now.duration_since(silent_since) <= Duration::from_secs(3));
        // An answer of a process that is being killed changes nothing.
        pulses.record_answer(ONE);
        assert_eq!(ticks((&mut pulses, &mut now), (100, IN_TIME)), []);
        pulses.forget(ONE);
        assert_eq!(ticks((&mut pulses, &mut now), (1, IN_TIME)), [LivenessVerdict::Ask(ONE)]);
    }

    #[test]
    fn who_begins_has_longer() {
        let (mut pulses, mut now) = start();
        let found = ticks((&mut pulses, &mut now), (FIRST_BEATS_UNANSWERED_MAX, IN_TIME));
        assert_eq!(found, [LivenessVerdict::Ask(ONE)]);
        let found = ticks((&mut pulses, &mut now), (1, IN_TIME));
        assert_eq!(found, [LivenessVerdict::Hangs(ONE)]);
    }

    #[test]
    fn a_gap_is_held_against_nobody_and_gives_the_whole_time_again() {
        let (mut pulses, mut now) = start();
        pulses.record_answer(ONE);
        ticks((&mut pulses, &mut now), (HANGS - 1, IN_TIME));
        let hour = Duration::from_secs(3600);
        assert_eq!(ticks((&mut pulses, &mut now), (1, hour)), []);
        assert_eq!(ticks((&mut pulses, &mut now), (BEATS_UNANSWERED_MAX - 2, IN_TIME)), []);
        let found = ticks((&mut pulses, &mut now), (1, IN_TIME));
        assert_eq!(found, [LivenessVerdict::Hangs(ONE)]);
    }

    #[test]
    fn a_supervisor_that_is_late_counts_its_ticks_and_not_the_time() {
        let (mut pulses, mut now) = start();
        pulses.record_answer(ONE);
        let late = BEAT_GAP - BEAT_EVERY;
        let found = ticks((&mut pulses, &mut now), (HANGS - 1, late));
        assert_eq!(found, [LivenessVerdict::Ask(ONE)]);
        assert_eq!(ticks((&mut pulses, &mut now), (1, late)), [LivenessVerdict::Hangs(ONE)]);
    }
}
