//! Numbers in a few characters.

/// Returns a count, such as `950`, `12.3k` or `4.5M`.
pub(super) fn count(value: f64) -> String {
    scaled(value, ["", "k", "M", "G", "T"])
}

/// Returns a rate, such as `0`, `0.4` or `12.3k`.
pub(super) fn rate(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value > 0.0 && value < 9.95 => format!("{value:.1}"),
        Some(value) => count(value),
    }
}

/// Returns a number of bytes, such as `950 B` or `12.3 MB`.
pub(super) fn bytes(value: f64) -> String {
    scaled(value, [" B", " kB", " MB", " GB", " TB"])
}

fn scaled(value: f64, units: [&str; 5]) -> String {
    let mut value = value;
    let [first, larger @ ..] = units;
    if value < 999.5 {
        return format!("{value:.0}{first}");
    }
    let mut shown = String::new();
    for unit in larger {
        value /= 1000.0;
        let digits = usize::from(value < 99.95);
        shown = format!("{value:.digits$}{unit}");
        if value < 999.5 {
            break;
        }
    }
    shown
}

/// Returns a time, such as `250 µs`, `1.5 ms`, `3.2 s` or `12 min`.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
pub(super) fn time(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", short(micros as f64 / 1e3)),
        1_000_000..60_000_000 => format!("{} s", short(micros as f64 / 1e6)),
        60_000_000..3_600_000_000 => format!("{} min", micros / 60_000_000),
        _ => format!("{} h", micros / 3_600_000_000),
    }
}

/// One decimal for small numbers that have one.
fn short(value: f64) -> String {
    match value < 9.95 && value.fract() > 0.04 {
        true => format!("{value:.1}"),
        false => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let counts = [0.0, 999.0, 1000.0, 99_940.0, 123_456.0, 999_700.0, 5e15].map(count);
        assert_eq!(counts, ["0", "999", "1.0k", "99.9k", "123k", "1.0M", "5000T"]);
        assert_eq!([0.0, 0.44, 12.0].map(|it| rate(Some(it))), ["0", "0.4", "12"]);
        assert_eq!([950.0, 12_300_000.0].map(bytes), ["950 B", "12.3 MB"]);
        let times = [50, 2_500, 250_000, 3_200_000, 120_000_000, 7_200_000_000].map(time);
        assert_eq!(times, ["50 µs", "2.5 ms", "250 ms", "3.2 s", "2 min", "2 h"]);
    }
}
