//! One bucket for each address, within a bound.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::RateBucket;
use crate::types::limits::{ADDRESS_BUCKETS_MAX, ADDRESS_SWEEP_EVERY};
use crate::types::{RateLimit, counted_as};

/// Buckets by address. An IPv6 /64 counts as one address. When there are as many as there may be, all further
/// addresses share one bucket, so many addresses cannot get around the limit.
#[derive(Debug)]
pub(crate) struct AddressBuckets {
    limit: RateLimit,
    by_address: HashMap<IpAddr, RateBucket>,
    /// Shared by the addresses that have no bucket of their own.
    shared: RateBucket,
    swept_at: Duration,
}

impl AddressBuckets {
    /// Creates buckets with this limit each.
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            by_address: HashMap::new(),
            shared: RateBucket::new(limit),
            swept_at: Duration::ZERO,
        }
    }

    /// Returns the limit of each address.
    pub(crate) fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Replaces the limit of each address.
    pub(crate) fn set_limit(&mut self, limit: RateLimit, now: Duration) {
        self.limit = limit;
        let all = self.by_address.values_mut().chain([&mut self.shared]);
        all.for_each(|bucket| bucket.set_limit(limit, now));
    }

    /// Takes one unit of an address.
    ///
    /// # Errors
    ///
    /// How long it takes until there is one. Nothing was taken then.
    pub(crate) fn take(&mut self, ip: IpAddr, now: Duration) -> Result<(), Duration> {
        self.sweep(now);
        let (limit, address) = (self.limit, counted_as(ip));
        let is_full = self.by_address.len() >= ADDRESS_BUCKETS_MAX;
        let bucket = match is_full && !self.by_address.contains_key(&address) {
            true => &mut self.shared,
            false => self.by_address.entry(address).or_insert_with(|| RateBucket::new(limit)),
        };
        bucket.take(1, now)
    }

    /// Removes full buckets, which are like new ones.
    fn sweep(&mut self, now: Duration) {
        if now.saturating_sub(self.swept_at) < ADDRESS_SWEEP_EVERY {
            return;
        }
        self.swept_at = now;
        self.by_address.retain(|_, bucket| !bucket.is_full(now));
        self.by_address.shrink_to(ADDRESS_BUCKETS_MAX / 16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const START: Duration = Duration::ZERO;

    fn address(n: usize) -> IpAddr {
        Ipv4Addr::from(u32::try_from(n).unwrap()).into()
    }

    #[test]
    fn addresses_have_buckets_of_their_own_and_a_network_has_one() {
        let mut buckets = AddressBuckets::new(RateLimit::new(1, 1));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(buckets.take(ip("192.0.2.1"), START).is_ok());
        assert!(buckets.take(ip("::ffff:192.0.2.1"), START).is_err());
        assert!(buckets.take(ip("192.0.2.2"), START).is_ok());
        assert!(buckets.take(ip("2001:db8::1"), START).is_ok());
        assert!(buckets.take(ip("2001:db8::2"), START).is_err());
        assert!(buckets.take(ip("2001:db8:0:1::1"), START).is_ok());
    }

    #[test]
    fn addresses_beyond_the_bound_share_one_bucket() {
        let mut buckets = AddressBuckets::new(RateLimit::new(1, 1));
        for n in 0..ADDRESS_BUCKETS_MAX {
            assert!(buckets.take(address(n), START).is_ok());
        }
        let more = |n| address(ADDRESS_BUCKETS_MAX + n);
        assert!(buckets.take(more(0), START).is_ok());
        assert!(buckets.take(more(1), START).is_err());
        assert!(buckets.take(address(0), START).is_err());
        assert_eq!(buckets.by_address.len(), ADDRESS_BUCKETS_MAX);
        let later = ADDRESS_SWEEP_EVERY;
        assert!(buckets.take(more(1), later).is_ok() && buckets.take(more(2), later).is_ok());
        assert_eq!(buckets.by_address.len(), 2);
    }
}
