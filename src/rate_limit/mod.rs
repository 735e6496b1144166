//! Buckets that enforce limits of rates, by the generic cell rate algorithm (GCRA).
//!
//! A bucket stores one number: the time at which everything that was taken is paid. The time is an argument.

mod address_buckets;
mod publication_buckets;
mod shared_buckets;

use std::time::Duration;

pub(crate) use self::address_buckets::AddressBuckets;
pub(crate) use self::publication_buckets::{BYTES, PublicationBuckets, ReachedLimit};
pub(crate) use self::shared_buckets::SharedBuckets;
use crate::types::RateLimit;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// A bucket of units that fills at a constant rate.
#[derive(Clone, Debug)]
pub(crate) struct RateBucket {
    limit: RateLimit,
    /// Nanoseconds of the clock at which all units that were taken are paid. In the past: the bucket is full.
    paid_at: u64,
}

impl RateBucket {
    /// Creates a full bucket.
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self { limit, paid_at: 0 }
    }

    /// Returns the limit.
    pub(crate) fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Replaces the limit. What was taken and is not paid yet is still owed, at the new rate.
    pub(crate) fn set_limit(&mut self, limit: RateLimit, now: Duration) {
        let now = nanos(now);
        let owed = u128::from(self.paid_at.saturating_sub(now));
        let owed = owed * u128::from(self.limit.per_second()) / u128::from(limit.per_second());
        self.paid_at = now.saturating_add(u64::try_from(owed).unwrap_or(u64::MAX));
        self.limit = limit;
    }

    /// Returns how long it takes until this many units are in the bucket. It never holds more than its
    /// burst, so a larger request waits for a full bucket.
    pub(crate) fn wait_for(&self, units: u64, now: Duration) -> Duration {
        let now = nanos(now);
        let wanted = self.cost(units.min(self.limit.burst()));
        let paid_at = self.paid_at.max(now).saturating_add(wanted);
        Duration::from_nanos(paid_at.saturating_sub(now.saturating_add(self.tolerance())))
    }

    /// Takes units, even if they are not in the bucket. Those are owed: the bucket stays empty until they are
    /// paid.
    pub(crate) fn charge(&mut self, units: u64, now: Duration) {
        self.paid_at = self.paid_at.max(nanos(now)).saturating_add(self.cost(units));
    }

    /// Takes units if they are in the bucket.
    ///
    /// # Errors
    ///
    /// How long it takes until they are. Nothing was taken then.
    pub(crate) fn take(&mut self, units: u64, now: Duration) -> Result<(), Duration> {
        let wait = self.wait_for(units, now);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.charge(units, now);
        Ok(())
    }

    /// Returns the units in the bucket.
    pub(crate) fn remaining(&self, now: Duration) -> u64 {
        let now = nanos(now);
        let spare = now.saturating_add(self.tolerance()).saturating_sub(self.paid_at.max(now));
        let units = u128::from(spare) * u128::from(self.limit.per_second()) / NANOS_PER_SECOND;
        u64::try_from(units).unwrap_or(u64::MAX).min(self.limit.burst())
    }

    /// Returns true if the bucket is full, like a new one.
    pub(crate) fn is_full(&self, now: Duration) -> bool {
        self.paid_at <= nanos(now)
    }

    /// Returns the nanoseconds in which this many units arrive.
    fn cost(&self, units: u64) -> u64 {
        let cost = u128::from(units) * NANOS_PER_SECOND;
        u64::try_from(cost / u128::from(self.limit.per_second())).unwrap_or(u64::MAX)
    }

    fn tolerance(&self) -> u64 {
        self.cost(self.limit.burst())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
