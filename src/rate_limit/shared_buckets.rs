//! The buckets of an application, which several processes fill.

use std::time::Duration;

use super::{PublicationBuckets, ReachedLimit};
use crate::types::{ChargedAmount, RateLimit};

/// The part of what a second allows that is reported at once. What is below it waits for the next publication.
const REPORTED_PART: u64 = 100;

/// The buckets that one process has of an application. They count what this process accepts, and what the others
/// report. So the rate holds for the sum: what several processes accept at the same moment is owed by all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedBuckets {
    buckets: PublicationBuckets,
    /// Accepted by this process, and not reported to the others.
    unreported: ChargedAmount,
}

impl SharedBuckets {
    /// Creates full buckets with these limits.
    pub(crate) fn new(publications: Option<RateLimit>, bytes: Option<RateLimit>) -> Self {
        let buckets = PublicationBuckets::new(publications, bytes);
        Self { buckets, unreported: ChargedAmount::default() }
    }

    /// Replaces the limits. What was taken before still counts.
    pub(crate) fn set_limits(
        &mut self,
        publications: Option<RateLimit>,
        bytes: Option<RateLimit>,
        now: Duration,
    ) {
        self.buckets.set_limits(publications, bytes, now);
    }

    /// Returns how long it takes until another publication may be accepted, whatever its size.
    pub(crate) fn wait(&self, now: Duration) -> Duration {
        self.buckets.wait(now)
    }

    /// Counts a publication that was accepted. What is above the limit is owed. Returns what the other processes
    /// have to know.
    pub(crate) fn charge(&mut self, bytes: usize, now: Duration) -> Option<ChargedAmount> {
        self.buckets.charge(bytes, now);
        self.report(bytes)
    }

    /// Counts a publication if it is within both limits. Returns what the other processes have to know.
    ///
    /// # Errors
    ///
    /// The limit that takes longer. Nothing was counted then.
    pub(crate) fn take(
        &mut self,
        bytes: usize,
        now: Duration,
    ) -> Result<Option<ChargedAmount>, ReachedLimit> {
        self.buckets.take(bytes, now)?;
        Ok(self.report(bytes))
    }

    /// Counts what another process has accepted.
    pub(crate) fn charge_of_others(&mut self, amount: ChargedAmount, now: Duration) {
        self.buckets.charge_all(amount, now);
    }

    fn report(&mut self, bytes: usize) -> Option<ChargedAmount> {
        self.unreported.add(ChargedAmount { publications: 1, bytes: bytes as u64 });
        let is_due = self.buckets.is_part(self.unreported, REPORTED_PART);
        is_due.then(|| std::mem::take(&mut self.unreported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processes that accept as much as they may for ten seconds. What one of them reports reaches the others after
    /// `delay` milliseconds. Returns what all of them have accepted.
    fn accepted(members: usize, limit: RateLimit, delay: u64) -> u64 {
        let mut buckets = vec![SharedBuckets::new(Some(limit), None); members];
        let (mut accepted, mut on_the_way) = (0, Vec::new());
        for now in 0..10_000_u64 {
            let time = Duration::from_millis(now);
            on_the_way.retain(|(at, from, amount)| {
                let is_there = *at <= now;
                let others =
                    buckets.iter_mut().enumerate().filter(|(to, _)| is_there && to != from);
                others.for_each(|(_, it)| it.charge_of_others(*amount, time));
                !is_there
            });
            for (from, own) in buckets.iter_mut().enumerate() {
                while own.wait(time).is_zero() {
                    accepted += 1;
                    on_the_way.extend(own.charge(1, time).map(|it| (now + delay, from, it)));
                }
            }
        }
        accepted
    }

    #[test]
    fn the_rate_holds_for_the_sum_of_all_processes() {
        for members in [1, 2, 3, 9] {
            for (per_second, burst) in [(10, 1), (200, 20), (200, 200), (5000, 100)] {
                let limit = RateLimit::new(per_second, burst);
                let rate = 10 * per_second + burst;
                // A process keeps less than a hundredth of a second to itself, and each may accept one more.
                let most = rate + members as u64 * (1 + per_second / 100);
                let sum = accepted(members, limit, 1);
                assert!(rate * 98 / 100 <= sum && sum <= most, "{members} at {limit:?}: {sum}");
            }
        }
    }

    #[test]
    fn what_reports_are_late_for_is_owed() {
        // In the first 50 ms each of three processes accepts its whole burst.
        let sum = accepted(3, RateLimit::new(200, 200), 50);
        assert!((2180..=2240).contains(&sum), "{sum}");
    }

    #[test]
    fn small_amounts_are_reported_together() {
        let limit = |per_second| Some(RateLimit::new(per_second, per_second));
        let mut buckets = SharedBuckets::new(limit(1000), limit(100_000));
        let now = Duration::ZERO;
        assert!((0..9).all(|_| buckets.charge(1, now).is_none()));
        assert_eq!(buckets.charge(1, now), Some(ChargedAmount { publications: 10, bytes: 10 }));
        let large = Some(ChargedAmount { publications: 1, bytes: 1000 });
        assert_eq!(buckets.take(1000, now), Ok(large));
        let mut slow = SharedBuckets::new(limit(1), None);
        assert!(slow.charge(5, now).is_some());
    }
}
