//! Delivery latencies.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Latencies of a run.
#[derive(Debug)]
pub(super) struct Latencies(Histogram<u64>);

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    #[serde(rename = "p99.9")]
    pub p999: f64,
    /// Maximum.
    pub max: f64,
}

/// Smallest recorded latency in nanoseconds; the range is 100 ns to 60 s.
const LEAST: u64 = 100;
const MOST: u64 = 60_000_000_000;
/// Significant digits: percentiles are exact to 1 %.
const DIGITS: u8 = 2;

impl Latencies {
    #[expect(clippy::expect_used, reason = "the bounds are constants and in order")]
    pub(super) fn new() -> Self {
        Self(Histogram::new_with_bounds(LEAST, MOST, DIGITS).expect("bounds of a histogram"))
    }

    /// Records one latency in nanoseconds.
    pub(super) fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    /// Removes all recorded latencies.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn percentiles(&self) -> Percentiles {
        let micros = |nanos: u64| nanos as f64 / 1000.0;
        let at = |quantile| micros(self.0.value_at_quantile(quantile));
        Percentiles { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: micros(self.0.max()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut latencies = Latencies::new();
        (1..=1000).for_each(|micros| latencies.record(micros * 1000));
        let Percentiles { p50, p99, p999, max } = latencies.percentiles();
        for (found, right) in [(p50, 500.0), (p99, 990.0), (p999, 999.0), (max, 1000.0)] {
            assert!((found / right - 1.0).abs() < 0.02, "{found} instead of {right}");
        }
    }
}
