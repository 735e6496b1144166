//! JSON numbers represented by their digits, so that they are exact and can have any size.

use std::cmp::Ordering;

/// A JSON number: 0.d₁d₂d₃… times ten to the power of `point`. No number is out of range, and two spellings
/// of the same number are equal.
#[derive(Clone, Debug)]
pub struct Decimal<'a> {
    is_negative: bool,
    /// The digits before the written decimal point, without leading zeros. Trailing zeros are removed too if
    /// no digits follow the point.
    whole: &'a [u8],
    /// The digits after the written decimal point, without trailing zeros. Leading zeros are removed too if
    /// `whole` is empty.
    fraction: &'a [u8],
    point: i64,
}

/// Limit of exponents. No text can have this many digits, so sums cannot overflow.
const EXPONENT_MAX: i64 = 1 << 60;

impl<'a> Decimal<'a> {
    /// Parses a number in JSON syntax.
    #[must_use]
    pub fn of(raw: &'a str) -> Self {
        let (is_negative, raw) = match raw.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, raw),
        };
        let is_mark = |byte: u8| byte == b'e' || byte == b'E';
        let mark = raw.bytes().position(is_mark).unwrap_or(raw.len());
        let digits = raw.as_bytes().get(..mark).unwrap_or_default();
        let exponent = raw.get(mark + 1..).unwrap_or("0");
        let dot = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
        let mut whole = without_first_zeros(digits.get(..dot).unwrap_or_default());
        let shift = length(whole.len());
        let mut fraction = without_last_zeros(digits.get(dot + 1..).unwrap_or_default());
        let mut point = shift.saturating_add(power(exponent));
        if whole.is_empty() {
            let inside = without_first_zeros(fraction);
            point = point.saturating_sub(length(fraction.len() - inside.len()));
            fraction = inside;
        } else if fraction.is_empty() {
            whole = without_last_zeros(whole);
        }
        if whole.is_empty() && fraction.is_empty() {
            point = 0;
        }
        Self { is_negative, whole, fraction, point }
    }

    /// Returns the digits, without leading and trailing zeros; zero has no digits.
    pub fn digits(&self) -> impl Iterator<Item = u8> + Clone {
        self.whole.iter().chain(self.fraction).map(|digit| digit.wrapping_sub(b'0'))
    }

    /// Returns the number of digits.
    #[must_use]
    pub fn len(&self) -> usize {
        self.whole.len() + self.fraction.len()
    }

    /// Returns whether the number is zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the number is written with a minus sign, which includes `-0`.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.is_negative
    }

    /// Returns the position of the decimal point, counted from before the first digit.
    #[must_use]
    pub fn point(&self) -> i64 {
        self.point
    }

    /// Returns whether the number is an integer.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_empty() || self.point >= length(self.len())
    }

    /// Compares two numbers by value.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        let sign = |it: &Self| match (it.is_empty(), it.is_negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        match sign(self).cmp(&sign(other)) {
            Ordering::Equal if sign(self) < 0 => other.compare_size(self),
            Ordering::Equal => self.compare_size(other),
            differ => differ,
        }
    }

    fn compare_size(&self, other: &Self) -> Ordering {
        self.point.cmp(&other.point).then_with(|| self.digits().cmp(other.digits()))
    }

    /// Returns whether the number is a multiple of `divisor`, which may have up to
    /// [`Decimal::DIVISOR_DIGITS_MAX`] digits. Zero is a multiple of every number; no other number is a
    /// multiple of zero.
    #[must_use]
    pub fn is_multiple_of(&self, divisor: &Self) -> bool {
        if self.is_empty() {
            return true;
        }
        let by = divisor
            .digits()
            .fold(0, |sum: u128, digit| sum.saturating_mul(10).saturating_add(u128::from(digit)));
        // Both numbers are written as an integer without trailing zeros times a power of ten.
        let power = |it: &Self| it.point.saturating_sub(length(it.len()));
        let surplus = power(self).saturating_sub(power(divisor));
        if by == 0 || surplus < 0 {
            return false;
        }
        let rest = self.digits().fold(0, |rest, digit| (rest * 10 + u128::from(digit)) % by);
        let shifted = power_of_ten(surplus.unsigned_abs(), by);
        (rest * shifted).is_multiple_of(by)
    }

    /// Maximum number of digits of a divisor. The square of such a number fits in the `u128` in which
    /// remainders are computed.
    pub const DIVISOR_DIGITS_MAX: usize = 18;
}

/// Returns ten to the power of `exponent`, modulo a number below 2⁶⁴.
fn power_of_ten(mut exponent: u64, modulus: u128) -> u128 {
    let (mut base, mut result) = (10 % modulus, 1 % modulus);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % modulus;
        }
        base = base * base % modulus;
        exponent >>= 1;
    }
    result
}

fn without_first_zeros(mut digits: &[u8]) -> &[u8] {
    while let [b'0', rest @ ..] = digits {
        digits = rest;
    }
    digits
}

fn without_last_zeros(mut digits: &[u8]) -> &[u8] {
    while let [rest @ .., b'0'] = digits {
        digits = rest;
    }
    digits
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn power(exponent: &str) -> i64 {
    let (is_negative, digits) = match exponent.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    let add = |sum: i64, digit: u8| {
        (sum.saturating_mul(10)).saturating_add(i64::from(digit.wrapping_sub(b'0')))
    };
    let size = digits.bytes().fold(0, add).min(EXPONENT_MAX);
    if is_negative { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cmp(one: &str, other: &str) -> Ordering {
        Decimal::of(one).compare(&Decimal::of(other))
    }

    #[test]
    fn what_means_the_same_is_equal_and_nothing_is_out_of_range() {
        for (one, other) in [
            ("1", "1.0"),
            ("100", "1e2"),
            ("0.01", "1E-2"),
            ("10e-1", "0.1e+1"),
            ("0", "-0.0e99"),
            ("-12.50", "-0.0125e3"),
            ("0.00120", "12e-4"),
        ] {
            assert_eq!(cmp(one, other), Ordering::Equal, "{one} {other}");
        }
        for (less, more) in [
            ("1e400", "1e401"),
            ("-1e401", "1e-400"),
            ("9e99", "1e100"),
            ("0", "1e-99999999999999999999999"),
            ("-1", "0"),
            ("0.3", "0.30000000000000001"),
            ("-2", "-1.9"),
        ] {
            assert_eq!(cmp(less, more), Ordering::Less, "{less} {more}");
            assert_eq!(cmp(more, less), Ordering::Greater, "{less} {more}");
        }
    }

    #[test]
    fn a_multiple_is_exact_whatever_its_size() {
        let is = |number: &str, of: &str| Decimal::of(number).is_multiple_of(&Decimal::of(of));
        for (number, of) in [
            ("9e99", "0.01"),
            ("1e308", "0.01"),
            ("0.0075", "0.0001"),
            ("4.5", "1.5"),
            ("-4.5", "1.5"),
            ("0", "7"),
            ("1e400", "0.5"),
            ("12391239123", "1e-8"),
            ("1e1000000000000", "1024"),
            ("999999999999999999", "999999999999999999"),
        ] {
            assert!(is(number, of), "{number} {of}");
        }
        for (number, of) in
            [("0.00751", "0.0001"), ("35", "1.5"), ("1e308", "0.123456789"), ("1e-400", "1")]
        {
            assert!(!is(number, of), "{number} {of}");
        }
    }

    #[test]
    fn a_whole_number_has_no_fraction_however_it_is_written() {
        for whole in ["1", "1.0", "1e3", "1.5e1", "-0.0", "1e400", "120e-1"] {
            assert!(Decimal::of(whole).is_whole(), "{whole}");
        }
        for broken in ["1.5", "1e-1", "15e-1", "0.1", "1.0000000000000000000000001"] {
            assert!(!Decimal::of(broken).is_whole(), "{broken}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_integers(a in -100_000i64..100_000, b in 1i64..1000) {
            let (one, other) = (a.to_string(), b.to_string());
            prop_assert_eq!(cmp(&one, &other), a.cmp(&b));
            let is = Decimal::of(&one).is_multiple_of(&Decimal::of(&other));
            prop_assert_eq!(is, a % b == 0);
        }

        #[test]
        fn it_agrees_with_floats(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(a.is_finite() && b.is_finite());
            prop_assert_eq!(cmp(&format!("{a}"), &format!("{b:e}")), a.partial_cmp(&b).unwrap());
        }
    }
}
