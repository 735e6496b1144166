//! The last day of a secret.

/// Seconds of a day in UTC.
const DAY: u64 = 86_400;

/// Returns the end of a day such as `2026-12-31` in UTC, in Unix seconds. None if the text is not a day
/// of the calendar from 1970 on.
pub(super) fn end_of_day(text: &str) -> Option<u64> {
    let [year, month, day] = text.split('-').collect::<Vec<_>>().try_into().ok()?;
    let number = |text: &str, digits: usize| {
        let is_it = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u64>().ok().filter(|_| is_it)
    };
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    let is_day = year >= 1970 && (1..=days_of(year, month)?).contains(&day);
    is_day.then(|| (days_before(year, month, day) + 1) * DAY)
}

fn days_of(year: u64, month: u64) -> Option<u64> {
    match month {
        2 if is_leap(year) => Some(29),
        2 => Some(28),
        4 | 6 | 9 | 11 => Some(30),
        1..=12 => Some(31),
        _ => None,
    }
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Returns the days from 1 January 1970 to a day of the calendar.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let years: u64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let months: u64 = (1..month).filter_map(|month| days_of(year, month)).sum();
    years + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are the output of `date -u -d "… + 1 day" +%s`.
    #[test]
    fn a_day_ends_where_the_next_one_begins() {
        for (text, end) in [
            ("1970-01-01", 86_400),
            ("2000-02-29", 951_868_800),
            ("2026-12-31", 1_798_761_600),
            ("2099-12-31", 4_102_444_800),
        ] {
            assert_eq!(end_of_day(text), Some(end), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_day_of_the_calendar_is_none() {
        for text in [
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-1-1",
            "1969-12-31",
            "2026-12",
            "2026-12-31T00:00:00Z",
            "31.12.2026",
            "+026-12-31",
            "",
        ] {
            assert_eq!(end_of_day(text), None, "{text}");
        }
    }
}
