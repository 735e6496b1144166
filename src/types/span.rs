//! Spans of time as users write them: `30s`, `5m`, `2h`.

/// Parses a span of time in whole seconds. A number without a unit is in seconds.
///
/// ```
/// assert_eq!(tagcast::types::span_seconds("2h"), Some(7200));
/// assert_eq!(tagcast::types::span_seconds("1d"), None);
/// ```
#[must_use]
pub fn span_seconds(text: &str) -> Option<u64> {
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    let unit = units.iter().find_map(|(unit, times)| Some((text.strip_suffix(unit)?, *times)));
    let (digits, times) = unit.unwrap_or((text, 1));
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = digits.parse().ok().filter(|_| is_number)?;
    count.checked_mul(times)
}
