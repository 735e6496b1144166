//! The header `traceparent` (W3C Trace Context, section 3.2).

/// Length of version 00: `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const LENGTH: usize = 55;

/// The trace that a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace. Not all zeros.
    pub trace: [u8; 16],
    /// The span of the caller. Not all zeros.
    pub span: [u8; 8],
    /// Whether the caller records the trace.
    pub is_sampled: bool,
}

impl TraceParent {
    /// Reads a value of the header. `None` if it is invalid: the request then belongs to no trace.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LENGTH)?;
        let mut parts = known.split(|byte| *byte == b'-');
        let [version] = digits(parts.next()?)?;
        let (trace, span) = (digits(parts.next()?)?, digits(parts.next()?)?);
        let [flags] = digits(parts.next()?)?;
        // Later versions may have more after another dash. 255 is not a valid version.
        let has_right_end = match version {
            0 => rest.is_empty(),
            255 => false,
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        let is_valid =
            has_right_end && parts.next().is_none() && trace != [0; 16] && span != [0; 8];
        is_valid.then_some(Self { trace, span, is_sampled: flags & 1 == 1 })
    }
}

/// Reads hexadecimal digits in lower case.
fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_value_is_read() {
        let parent = TraceParent::parse(SAMPLED.as_bytes()).unwrap();
        assert_eq!((parent.trace[0], parent.trace[15]), (0x4b, 0x36));
        assert_eq!(
            (parent.span, parent.is_sampled),
            ([0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 2, 0xb7], true)
        );
        let with_flags = |flags: &str| format!("{}{flags}", &SAMPLED[..53]);
        for (flags, expected) in [("00", false), ("02", false), ("03", true), ("ff", true)] {
            let parent = TraceParent::parse(with_flags(flags).as_bytes()).unwrap();
            assert_eq!(parent.is_sampled, expected, "{flags}");
        }
        let later = format!("01{}-more", &SAMPLED[2..]);
        assert!(TraceParent::parse(later.as_bytes()).is_some());
    }

    #[test]
    fn invalid_values_are_refused() {
        for wrong in [
            String::new(),
            SAMPLED[..54].to_owned(),
            format!("{SAMPLED}-more"),
            format!("{SAMPLED}0"),
            format!("01{}more", &SAMPLED[2..]),
            format!("ff{}", &SAMPLED[2..]),
            SAMPLED.to_uppercase(),
            SAMPLED.replace('-', "_"),
            SAMPLED.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            SAMPLED.replace("00f067aa0ba902b7", &"0".repeat(16)),
            SAMPLED.replace("00f067aa0ba902b7-01", "00f067aa0ba902b-701"),
            format!(" {}", &SAMPLED[..54]),
        ] {
            assert_eq!(TraceParent::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
