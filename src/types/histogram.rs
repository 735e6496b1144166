//! Histograms in plain integers, which processes count on their own and the supervisor adds up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Upper bounds of the buckets of durations in microseconds: 50 µs to 10 s.
pub const DURATION_BOUNDS: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];
/// Upper bounds of the buckets of numbers of recipients.
pub const RECIPIENT_BOUNDS: [u64; 7] = [0, 1, 10, 100, 1_000, 10_000, 100_000];
/// Number of buckets of each histogram, with the one above the last bound.
const BUCKETS: usize = DURATION_BOUNDS.len() + 1;

/// A histogram. Its user knows the bounds; buckets beyond them are empty.
///
/// ```
/// use std::time::Duration;
/// use tagcast::types::Histogram;
///
/// let mut durations = Histogram::default();
/// durations.record_time(Duration::from_micros(60));
/// assert_eq!((durations.count(), durations.sum()), (1, 60));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    buckets: [u64; BUCKETS],
    /// Sum of all values, in the unit of the bounds.
    sum: u64,
}

impl Histogram {
    /// Counts a value, given the upper bounds of the buckets in ascending order.
    #[inline]
    pub fn record(&mut self, bounds: &[u64], value: u64) {
        let place = bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket += 1;
        }
        self.sum = self.sum.saturating_add(value);
    }

    /// Counts a duration.
    #[inline]
    pub fn record_time(&mut self, time: Duration) {
        self.record(&DURATION_BOUNDS, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Adds the values of another histogram with the same bounds.
    pub fn add(&mut self, other: &Self) {
        for (own, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *own += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Returns the number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Returns the sum of the values.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Returns the number of values in each bucket, lowest first, given the number of bounds.
    #[must_use]
    pub fn buckets(&self, bounds: usize) -> &[u64] {
        self.buckets.get(..=bounds).unwrap_or(&self.buckets)
    }

    /// Returns what was recorded since an earlier state of this histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut rest = *self;
        for (own, less) in rest.buckets.iter_mut().zip(&earlier.buckets) {
            *own = own.saturating_sub(*less);
        }
        rest.sum = rest.sum.saturating_sub(earlier.sum);
        rest
    }

    /// Returns the upper bound of the bucket that a part of all values does not exceed, such as 0.99.
    /// `None` without a value; the last bound for values above it.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a count is a count"
    )]
    pub fn quantile(&self, bounds: &[u64], part: f64) -> Option<u64> {
        let count = self.count();
        let needed = ((count as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        for (at, bucket) in self.buckets.iter().enumerate() {
            seen += bucket;
            if seen >= needed {
                return bounds.get(at).or_else(|| bounds.last()).copied();
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_first_bucket_that_has_room_for_it() {
        let mut recipients = Histogram::default();
        for value in [0, 1, 1, 2, 10, 11, 100_000, 100_001] {
            recipients.record(&RECIPIENT_BOUNDS, value);
        }
        assert_eq!(recipients.buckets(RECIPIENT_BOUNDS.len()), [1, 2, 2, 1, 0, 0, 1, 1]);
        assert_eq!((recipients.count(), recipients.sum()), (8, 200_026));
        let mut durations = Histogram::default();
        durations.record_time(Duration::from_hours(1));
        assert_eq!(durations.buckets(DURATION_BOUNDS.len()).last(), Some(&1));
    }

    #[test]
    fn sums_differences_and_quantiles_agree_with_the_values() {
        let mut early = Histogram::default();
        early.record_time(Duration::from_micros(70));
        let mut all = early;
        (0..99).for_each(|_| all.record_time(Duration::from_micros(40)));
        let since = all.since(&early);
        assert_eq!((since.count(), since.sum()), (99, 99 * 40));
        let mut sum = since;
        sum.add(&early);
        assert_eq!(sum, all);
        assert_eq!(all.quantile(&DURATION_BOUNDS, 0.99), Some(50));
        assert_eq!(all.quantile(&DURATION_BOUNDS, 1.0), Some(100));
        assert_eq!(Histogram::default().quantile(&DURATION_BOUNDS, 0.5), None);
    }
}
