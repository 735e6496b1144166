//! Tests of buckets: the rate is exact over any time, and never more than a burst at once.

use std::time::Duration;

use proptest::prelude::{ProptestConfig, any, proptest};

use super::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_burst_is_taken_at_once_and_then_the_rate() {
    let mut bucket = RateBucket::new(RateLimit::new(10, 5));
    for left in [4, 3, 2, 1, 0] {
        assert_eq!(bucket.take(1, ms(0)), Ok(()));
        assert_eq!(bucket.remaining(ms(0)), left);
    }
    assert_eq!(bucket.take(1, ms(0)), Err(ms(100)));
    assert_eq!(bucket.take(1, ms(99)), Err(ms(1)));
    assert_eq!(bucket.take(1, ms(100)), Ok(()));
    assert!(bucket.is_full(ms(600)) && !bucket.is_full(ms(599)));
}

#[test]
fn what_is_owed_is_paid_before_anything_else() {
    let mut bucket = RateBucket::new(RateLimit::new(100, 10));
    bucket.charge(30, ms(0));
    assert_eq!((bucket.remaining(ms(0)), bucket.remaining(ms(200))), (0, 0));
    assert_eq!(bucket.wait_for(1, ms(0)), ms(210));
    assert_eq!(bucket.take(1, ms(210)), Ok(()));
}

#[test]
fn more_than_a_burst_waits_for_a_full_bucket_and_is_owed() {
    let mut bucket = RateBucket::new(RateLimit::new(1000, 1000));
    assert_eq!(bucket.take(1, ms(0)), Ok(()));
    assert_eq!(bucket.take(5000, ms(0)), Err(ms(1)));
    assert_eq!(bucket.take(5000, ms(1)), Ok(()));
    assert_eq!(bucket.wait_for(1, ms(1)), ms(4001));
}

#[test]
fn a_new_limit_applies_at_once_and_forgives_nothing() {
    let mut bucket = RateBucket::new(RateLimit::new(10, 10));
    bucket.charge(20, ms(0));
    bucket.set_limit(RateLimit::new(5, 5), ms(1000));
    assert_eq!(bucket.limit(), RateLimit::new(5, 5));
    // Ten units are not paid yet, five of them above the burst.
    assert_eq!(bucket.wait_for(1, ms(1000)), ms(1200));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_time_has_more_than_its_rate_and_one_burst(
        per_second in 1_u64..1_000_000_000_000,
        burst in 1_u64..1_000_000_000,
        steps in proptest::collection::vec((any::<u32>(), 0_u64..100_000_000), 1..50),
    ) {
        let mut bucket = RateBucket::new(RateLimit::new(per_second, burst));
        let (mut now, mut taken) = (Duration::ZERO, 0_u128);
        for (pause, units) in steps {
            now += Duration::from_nanos(u64::from(pause));
            let units = units.min(burst);
            let remaining = bucket.remaining(now);
            if bucket.take(units, now).is_ok() {
                taken += u128::from(units);
                // The units of a nanosecond are lost to rounding.
                assert!(units <= remaining + 1 + per_second / 1_000_000_000);
            }
            let allowed = u128::from(burst) + now.as_nanos() * u128::from(per_second) / 1_000_000_000;
            let rounding = 51 * (1 + u128::from(per_second) / 1_000_000_000);
            assert!(taken <= allowed + rounding, "{taken} of {allowed} in {now:?}");
        }
    }
}
