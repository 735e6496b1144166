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
    FIRST_LIVENESS_UNANSWERED_MAX, LIVENESS_GAP, LIVENESS_INTERVAL, LIVENESS_UNANSWERED_MAX,
};

/// The liveness of each process.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    last: Option<Instant>,
    children: BTreeMap<ChildId, ChildLiveness>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ChildLiveness {
    probe_state: LivenessProbe,
    /// True if the process has ever sent anything. A new process has more time for that.
    has_responded: bool,
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
        self.last.map(|last| last + LIVENESS_INTERVAL)
    }

    /// Records an answer: any event of this process counts.
    pub(super) fn record_answer(&mut self, child: ChildId) {
        let liveness = self.children.entry(child).or_default();
        liveness.has_responded = true;
        if liveness.probe_state != LivenessProbe::GivenUp {
            liveness.probe_state = LivenessProbe::None;
        }
    }

    /// Removes a dead process.
    pub(super) fn forget(&mut self, child: ChildId) {
        self.children.remove(&child);
    }

    /// Runs one tick for all running processes if it is due. After a gap all of them get the full
    /// limit again, because they may have been stopped like the supervisor and continued after it.
    pub(super) fn tick(
        &mut self,
        now: Instant,
        living: impl Iterator<Item = ChildId>,
    ) -> Vec<LivenessVerdict> {
        let Some(last) = self.last.filter(|last| *last + LIVENESS_INTERVAL <= now) else {
            return Vec::new();
        };
        self.last = Some(now);
        if now.duration_since(last) > LIVENESS_GAP {
            self.children.values_mut().for_each(ChildLiveness::reset_misses);
        }
        let probe = |child| self.children.entry(child).or_default().probe(child);
        living.filter_map(probe).collect()
    }
}

impl ChildLiveness {
    fn probe(&mut self, child: ChildId) -> Option<LivenessVerdict> {
        let unanswered_max = if self.has_responded {
            LIVENESS_UNANSWERED_MAX
        } else {
            FIRST_LIVENESS_UNANSWERED_MAX
        };
        match &mut self.probe_state {
            LivenessProbe::GivenUp => None,
            LivenessProbe::None => {
                self.probe_state = LivenessProbe::Open(0);
                Some(LivenessVerdict::Ask(child))
            }
            LivenessProbe::Open(ticks) if *ticks + 1 < unanswered_max => {
                *ticks += 1;
                None
            }
            LivenessProbe::Open(_) => {
                self.probe_state = LivenessProbe::GivenUp;
                Some(LivenessVerdict::Hangs(child))
            }
        }
    }

    fn reset_misses(&mut self) {
        if let LivenessProbe::Open(ticks) = &mut self.probe_state {
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
        let (mut liveness, now) = (Liveness::default(), Instant::now());
        liveness.start(now);
        (liveness, now)
    }

    /// Runs this many ticks, each late by this time, and returns their results.
    fn ticks(
        (liveness, now): (&mut Liveness, &mut Instant),
        (count, late): (u32, Duration),
    ) -> Vec<LivenessVerdict> {
        let mut found = Vec::new();
        for _ in 0..count {
            *now = liveness.next().unwrap() + late;
            found.extend(liveness.tick(*now, [ONE].into_iter()));
        }
        found
    }

    const IN_TIME: Duration = Duration::ZERO;
    const HANGS: u32 = LIVENESS_UNANSWERED_MAX + 1;

    #[test]
    fn a_child_that_answers_is_probed_again() {
        let (mut liveness, mut now) = start();
        for _ in 0..100 {
            assert_eq!(ticks((&mut liveness, &mut now), (1, IN_TIME)), [LivenessVerdict::Ask(ONE)]);
            assert_eq!(liveness.tick(now, [ONE].into_iter()), [], "one tick at a time");
            liveness.record_answer(ONE);
        }
    }

    #[test]
    fn a_silent_child_is_reported_once_within_three_seconds() {
        let (mut liveness, mut now) = start();
        liveness.record_answer(ONE);
        let silent_since = now;
        let found = ticks((&mut liveness, &mut now), (HANGS - 1, IN_TIME));
        assert_eq!(found, [LivenessVerdict::Ask(ONE)]);
        let found = ticks((&mut liveness, &mut now), (1, IN_TIME));
        assert_eq!(found, [LivenessVerdict::Hangs(ONE)]);
        assert!(now.duration_since(silent_since) <= Duration::from_secs(3));
        // An answer of a process that is being killed changes nothing.
        liveness.record_answer(ONE);
        assert_eq!(ticks((&mut liveness, &mut now), (100, IN_TIME)), []);
        liveness.forget(ONE);
        assert_eq!(ticks((&mut liveness, &mut now), (1, IN_TIME)), [LivenessVerdict::Ask(ONE)]);
    }

    #[test]
    fn a_starting_child_has_more_time() {
        let (mut liveness, mut now) = start();
        let found = ticks((&mut liveness, &mut now), (FIRST_LIVENESS_UNANSWERED_MAX, IN_TIME));
        assert_eq!(found, [LivenessVerdict::Ask(ONE)]);
        let found = ticks((&mut liveness, &mut now), (1, IN_TIME));
        assert_eq!(found, [LivenessVerdict::Hangs(ONE)]);
    }

    #[test]
    fn a_pause_of_the_supervisor_restarts_the_deadline() {
        let (mut liveness, mut now) = start();
        liveness.record_answer(ONE);
        ticks((&mut liveness, &mut now), (HANGS - 1, IN_TIME));
        let hour = Duration::from_secs(3600);
        assert_eq!(ticks((&mut liveness, &mut now), (1, hour)), []);
        assert_eq!(ticks((&mut liveness, &mut now), (LIVENESS_UNANSWERED_MAX - 2, IN_TIME)), []);
        let found = ticks((&mut liveness, &mut now), (1, IN_TIME));
        assert_eq!(found, [LivenessVerdict::Hangs(ONE)]);
    }

    #[test]
    fn a_supervisor_that_is_late_counts_its_ticks_and_not_the_time() {
        let (mut liveness, mut now) = start();
        liveness.record_answer(ONE);
        let late = LIVENESS_GAP - LIVENESS_INTERVAL;
        let found = ticks((&mut liveness, &mut now), (HANGS - 1, late));
        assert_eq!(found, [LivenessVerdict::Ask(ONE)]);
        assert_eq!(ticks((&mut liveness, &mut now), (1, late)), [LivenessVerdict::Hangs(ONE)]);
    }
}
