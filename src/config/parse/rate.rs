//! Parses limits of rates: `200/s`, `200/s burst 1000`.

use super::{Bounds, Problem, count, is_absent};
use crate::types::RateLimit;

const COUNTS: Bounds<usize> = Bounds::new(1, 10_000_000);
const FORM: &str = "use a number per second, like `200/s` or `200/s burst 1000`, or none";

/// Parses a rate. Without `burst`, one second's worth is allowed at once.
pub(in crate::config) fn rate(text: &str) -> Result<RateLimit, Problem> {
    let wrong = || Problem::new("is not a rate", FORM);
    let (per_second, rest) = text.trim().split_once('/').ok_or_else(wrong)?;
    let mut words = rest.split_ascii_whitespace();
    if words.next() != Some("s") {
        return Err(wrong());
    }
    let burst = match (words.next(), words.next(), words.next()) {
        (None, ..) => None,
        (Some("burst"), Some(burst), None) => Some(burst),
        _ => return Err(wrong()),
    };
    let number = |text| count(text, &COUNTS).map(|number| number as u64);
    let per_second = number(per_second)?;
    let burst = burst.map_or(Ok(per_second), number)?;
    Ok(RateLimit::new(per_second, burst))
}

/// Parses a rate or `none`.
pub(in crate::config) fn rate_or_none(text: &str) -> Result<Option<RateLimit>, Problem> {
    if is_absent(text) { Ok(None) } else { rate(text).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_per_second_and_maybe_a_burst() {
        assert_eq!(rate("200/s"), Ok(RateLimit::new(200, 200)));
        assert_eq!(rate(" 200/s  burst 1000 "), Ok(RateLimit::new(200, 1000)));
        assert_eq!(rate_or_none("none"), Ok(None));
    }

    #[test]
    fn an_invalid_rate_is_refused_with_a_valid_form() {
        for text in ["200", "200/m", "200/s burst", "200/s 5", "200/s burst 1 2", "/", "a/s", "0/s"]
        {
            let problem = rate(text).unwrap_err();
            assert!(problem.right.starts_with("use "), "{text}: {problem:?}");
        }
        assert!(rate("5M/s").is_err() && rate("200/s burst 0").is_err());
    }
}
