//! Parses limits of rates: `200/s`, `5M/s`, `200/s burst 1000`.

use super::{Bounds, Problem, Size, count, is_absent, size};
use crate::types::{RateLimit, RateText};

/// What a rate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum RateUnit {
    /// Requests or publications.
    Count,
    /// Bytes, with `K`, `M` and `G`.
    Bytes,
}

const COUNTS: Bounds<usize> = Bounds::new(1, 10_000_000);
const SIZES: Bounds<Size> = Bounds::new(Size(1), Size(1 << 40));

impl RateUnit {
    fn number(self, text: &str) -> Result<u64, Problem> {
        let number = match self {
            Self::Count => count(text, &COUNTS),
            Self::Bytes => size(text, &SIZES),
        };
        number.map(|number| number as u64)
    }

    /// What is right, for an error.
    pub(in crate::config) const fn form(self) -> &'static str {
        match self {
            Self::Count => "use a number per second, like `200/s` or `200/s burst 1000`, or none",
            Self::Bytes => "use bytes per second, like `5M/s` or `64K/s burst 1M`, or none",
        }
    }
}

/// Parses a rate. Without `burst`, one second's worth is allowed at once.
pub(in crate::config) fn rate(text: &str, unit: RateUnit) -> Result<RateLimit, Problem> {
    let written = RateText::of(text);
    let RateText { per_second, burst } =
        written.ok_or_else(|| Problem::new("is not a rate", unit.form()))?;
    let per_second = unit.number(per_second)?;
    let burst = burst.map_or(Ok(per_second), |burst| unit.number(burst))?;
    Ok(RateLimit::new(per_second, burst))
}

/// Parses a rate or `none`.
pub(in crate::config) fn rate_or_none(
    text: &str,
    unit: RateUnit,
) -> Result<Option<RateLimit>, Problem> {
    if is_absent(text) { Ok(None) } else { rate(text, unit).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_per_second_and_maybe_a_burst() {
        let counts = |text| rate(text, RateUnit::Count);
        assert_eq!(counts("200/s"), Ok(RateLimit::new(200, 200)));
        assert_eq!(counts(" 200/s  burst 1000 "), Ok(RateLimit::new(200, 1000)));
        let bytes = |text| rate(text, RateUnit::Bytes);
        assert_eq!(bytes("5M/s"), Ok(RateLimit::new(5 << 20, 5 << 20)));
        assert_eq!(bytes("64K/s burst 1M"), Ok(RateLimit::new(64 << 10, 1 << 20)));
        assert_eq!(rate_or_none("none", RateUnit::Bytes), Ok(None));
    }

    #[test]
    fn an_invalid_rate_is_refused_with_a_valid_form() {
        for text in ["200", "200/m", "200/s burst", "200/s 5", "200/s burst 1 2", "/", "a/s", "0/s"]
        {
            let problem = rate(text, RateUnit::Count).unwrap_err();
            assert!(problem.right.starts_with("use "), "{text}: {problem:?}");
        }
        assert!(rate("5M/s", RateUnit::Count).is_err());
        assert!(rate("200/s burst 0", RateUnit::Count).is_err());
        assert!(rate("2048G/s", RateUnit::Bytes).is_err());
    }
}
