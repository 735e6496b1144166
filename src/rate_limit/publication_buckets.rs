//! The buckets of one publisher, or of all publishers of an application.

use std::time::Duration;

use super::RateBucket;
use crate::types::{ChargedAmount, RateLimit};

/// A bucket for publications and one for their bytes, where there is a limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct PublicationBuckets {
    publications: Option<RateBucket>,
    bytes: Option<RateBucket>,
}

/// Name of the limit of publications, in the configuration and in errors.
pub(crate) const PUBLICATIONS: &str = "publications";
/// Name of the limit of their bytes.
pub(crate) const BYTES: &str = "bytes";

/// A limit that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReachedLimit {
    pub(crate) name: &'static str,
    pub(crate) limit: RateLimit,
    /// How long it takes until there is room.
    pub(crate) wait: Duration,
}

impl PublicationBuckets {
    /// Creates full buckets with these limits.
    pub(crate) fn new(publications: Option<RateLimit>, bytes: Option<RateLimit>) -> Self {
        let bucket = |limit: Option<RateLimit>| limit.map(RateBucket::new);
        Self { publications: bucket(publications), bytes: bucket(bytes) }
    }

    /// Replaces the limits. What was taken before still counts.
    pub(crate) fn set_limits(
        &mut self,
        publications: Option<RateLimit>,
        bytes: Option<RateLimit>,
        now: Duration,
    ) {
        for (bucket, limit) in [(&mut self.publications, publications), (&mut self.bytes, bytes)] {
            match (&mut *bucket, limit) {
                (Some(bucket), Some(limit)) => bucket.set_limit(limit, now),
                (_, limit) => *bucket = limit.map(RateBucket::new),
            }
        }
    }

    /// Returns how long it takes until another publication may be accepted, whatever its size.
    pub(crate) fn wait(&self, now: Duration) -> Duration {
        let both = self.publications.iter().chain(&self.bytes);
        both.map(|bucket| bucket.wait_for(1, now)).max().unwrap_or_default()
    }

    /// Counts a publication that was accepted. What is above the limit is owed.
    pub(crate) fn charge(&mut self, bytes: usize, now: Duration) {
        self.charge_all(ChargedAmount { publications: 1, bytes: bytes as u64 }, now);
    }

    /// Counts publications that were accepted.
    pub(crate) fn charge_all(&mut self, amount: ChargedAmount, now: Duration) {
        if let Some(bucket) = &mut self.publications {
            bucket.charge(amount.publications, now);
        }
        if let Some(bucket) = &mut self.bytes {
            bucket.charge(amount.bytes, now);
        }
    }

    /// Returns true if an amount is at least this part of what a second allows.
    pub(crate) fn is_part(&self, amount: ChargedAmount, part: u64) -> bool {
        let is_part = |bucket: &Option<RateBucket>, units: u64| {
            let least = |it: &RateBucket| (it.limit().per_second() / part).max(1);
            bucket.as_ref().is_some_and(|it| units >= least(it))
        };
        is_part(&self.publications, amount.publications) || is_part(&self.bytes, amount.bytes)
    }

    /// Counts a publication if it is within both limits.
    ///
    /// # Errors
    ///
    /// The limit that takes longer. Nothing was counted then.
    pub(crate) fn take(&mut self, bytes: usize, now: Duration) -> Result<(), ReachedLimit> {
        let reached = |name, bucket: &Option<RateBucket>, units| {
            let bucket = bucket.as_ref()?;
            let (limit, wait) = (bucket.limit(), bucket.wait_for(units, now));
            (!wait.is_zero()).then_some(ReachedLimit { name, limit, wait })
        };
        let first = reached(PUBLICATIONS, &self.publications, 1);
        let second = reached(BYTES, &self.bytes, bytes as u64);
        match first.into_iter().chain(second).max_by_key(|it| it.wait) {
            Some(reached) => Err(reached),
            None => {
                self.charge(bytes, now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::ZERO;

    #[test]
    fn a_publication_needs_room_in_both_buckets() {
        let limit = |per_second| Some(RateLimit::new(per_second, per_second));
        let mut buckets = PublicationBuckets::new(limit(10), limit(1000));
        assert_eq!(buckets.take(900, START), Ok(()));
        let reached = buckets.take(200, START).unwrap_err();
        assert_eq!((reached.name, reached.wait), (BYTES, Duration::from_millis(100)));
        for _ in 0..9 {
            assert_eq!(buckets.take(1, START), Ok(()));
        }
        assert_eq!(buckets.take(1, START).unwrap_err().name, PUBLICATIONS);
        assert_eq!(buckets.wait(START), Duration::from_millis(100));
        buckets.set_limits(None, limit(1000), START);
        assert_eq!(buckets.wait(START), Duration::ZERO);
    }

    #[test]
    fn without_limits_nothing_waits() {
        let mut buckets = PublicationBuckets::default();
        assert_eq!(buckets.take(usize::MAX, START), Ok(()));
        assert_eq!(buckets.wait(START), Duration::ZERO);
    }
}
