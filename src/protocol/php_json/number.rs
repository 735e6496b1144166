//! Numbers as PHP encodes them.

use super::NotForPhp;
use crate::json::Decimal;

/// Maximum number of digits that a float represents exactly. Such a number is written without conversion.
const DIGITS_EXACT: usize = 15;
/// Limit of the decimal exponent up to which [`DIGITS_EXACT`] applies.
const POWERS_EXACT: i64 = 290;
/// Maximum number of digits that can be parsed in constant time.
pub(super) const DIGITS_MAX: usize = 19;
/// Maximum number of numbers with more digits in one message. Each can take two microseconds.
pub(super) const LONG_NUMBERS_MAX: usize = 4096;
/// Maximum number of bytes of a number that an error message quotes.
const SHOWN_BYTES_MAX: usize = 24;

/// Limits of the decimal point's position between which PHP uses no exponent.
const POINT_MAX: i64 = 17;
const POINT_MIN: i64 = -3;

/// Writes numbers, and counts those that are slow to parse.
#[derive(Debug, Default)]
pub(super) struct NumberWriter {
    long: usize,
    float: Vec<u8>,
}

impl NumberWriter {
    /// Writes a number: a 64-bit integer unchanged, any other number as PHP encodes the float.
    pub(super) fn write(&mut self, raw: &str, out: &mut Vec<u8>) -> Result<(), NotForPhp> {
        let is_short = raw.len() <= DIGITS_EXACT && raw.bytes().all(|byte| byte.is_ascii_digit());
        if is_short || (raw != "-0" && raw.parse::<i64>().is_ok()) {
            out.extend_from_slice(raw.as_bytes());
            return Ok(());
        }
        let decimal = Decimal::of(raw);
        if decimal.len() <= DIGITS_EXACT && decimal.point().abs() < POWERS_EXACT {
            write_decimal(&decimal, out);
            return Ok(());
        }
        let float = self.float(raw, decimal.len())?;
        self.float.clear();
        // A finite float always has a JSON form: the shortest digits that parse to the same number.
        let _written = serde_json::to_writer(&mut self.float, &float);
        write_decimal(&Decimal::of(str::from_utf8(&self.float).unwrap_or_default()), out);
        Ok(())
    }

    fn float(&mut self, raw: &str, digits: usize) -> Result<f64, NotForPhp> {
        let float = if digits <= DIGITS_MAX {
            raw.parse::<f64>().ok()
        } else {
            self.long += 1;
            if self.long > LONG_NUMBERS_MAX {
                return Err(NotForPhp::LongNumbers);
            }
            serde_json::from_str(raw).ok()
        };
        float.filter(|float| float.is_finite()).ok_or_else(|| NotForPhp::Number(shown(raw)))
    }
}

fn shown(raw: &str) -> Box<str> {
    match raw.get(..SHOWN_BYTES_MAX) {
        Some(start) if start.len() < raw.len() => format!("{start}…").into(),
        _ => raw.into(),
    }
}

/// Writes an integer without allocating.
fn write_integer(mut number: u64, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        // Lossless: the remainder is a digit.
        out.push(b'0' + u8::try_from(number % 10).unwrap_or_default());
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.get_mut(start..).unwrap_or_default().reverse();
}

/// Writes a decimal. Integers get no fraction.
fn write_decimal(number: &Decimal<'_>, out: &mut Vec<u8>) {
    let mut digits = number.digits().map(|digit| digit + b'0');
    if number.is_negative() {
        out.push(b'-');
    }
    let point = number.point();
    if number.is_empty() {
        out.push(b'0');
    } else if !(POINT_MIN..=POINT_MAX).contains(&point) {
        let exponent = point - 1;
        out.extend(digits.next());
        out.push(b'.');
        out.push(digits.next().unwrap_or(b'0'));
        out.extend(digits);
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        write_integer(exponent.unsigned_abs(), out);
    } else if point > 0 {
        out.extend((0..point).map(|_| digits.next().unwrap_or(b'0')));
        if let Some(first) = digits.next() {
            out.extend([b'.', first]);
            out.extend(digits);
        }
    } else {
        out.extend_from_slice(b"0.");
        out.extend((point..0).map(|_| b'0'));
        out.extend(digits);
    }
}
