//! UTC timestamps in the formats of RFC 3339 and RFC 2822.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time since the Unix epoch, displayed in UTC with milliseconds: `2026-11-21T01:02:03.456Z`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Utc(Duration);

impl Utc {
    pub(super) fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Utc {
    /// Formats the time like PHP's `date('r')` and `date -R`: `Sat, 21 Nov 2026 01:02:03 +0000`.
    pub(super) fn rfc_2822(self) -> String {
        let seconds = self.0.as_secs();
        let (year, month, day) = civil(seconds / 86_400);
        // 1 January 1970 was a Thursday.
        let weekday = DAYS.iter().cycle().nth((seconds / 86_400 % 7) as usize).unwrap_or(&"");
        let month = MONTHS.iter().zip(1..).find(|(_, number)| *number == month);
        let month = month.map_or("", |(name, _)| name);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} +0000")
    }
}

/// Returns the current day in UTC: `2026-11-21`.
#[must_use]
pub fn today() -> String {
    Utc::now().to_string().chars().take_while(|character| *character != 'T').collect()
}

/// Returns the time since 1970.
#[must_use]
pub fn unix_time() -> Duration {
    Utc::now().0
}

/// Returns the current time in Unix seconds.
#[must_use]
pub fn unix_seconds() -> u64 {
    Utc::now().0.as_secs()
}

/// Returns the current time in Unix milliseconds.
#[must_use]
pub fn unix_millis() -> u64 {
    u64::try_from(Utc::now().0.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (year, month, day) = civil(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let milli = self.0.subsec_millis();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

/// Converts days since 1 January 1970 to year, month and day. This is Howard Hinnant's
/// `civil_from_days`: its years begin in March, so that the leap day is the last day of a year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_written_as_the_calendar_has_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (951_868_800, "2000-03-01T00:00:00.007Z"),
            (1_795_222_923, "2026-11-21T01:02:03.007Z"),
            (4_102_444_800, "2100-01-01T00:00:00.007Z"),
        ] {
            assert_eq!(Utc(Duration::new(seconds, 7_999_999)).to_string(), text);
        }
    }

    /// Expected values are the output of `date -R -u -d @…`.
    #[test]
    fn known_moments_are_written_as_mail_has_them() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_795_222_923, "Sat, 21 Nov 2026 01:02:03 +0000"),
            (4_102_444_799, "Thu, 31 Dec 2099 23:59:59 +0000"),
        ] {
            assert_eq!(Utc(Duration::from_secs(seconds)).rfc_2822(), text);
        }
    }
}
