//! What stands in each message, so that a lost, doubled or overtaken one is seen.

/// Bytes of a stamp, and so the least that a message has.
pub(super) const STAMP_BYTES: usize = 16;
/// Nothing that a server puts in front of a message contains it.
const MARK: u8 = b'#';
const STREAM_DIGITS: usize = 2;
const DIGITS: usize = STAMP_BYTES - 1;
/// The stream stands above so many bits of number.
const SHIFT: usize = 4 * (DIGITS - STREAM_DIGITS);
const NUMBERS: u64 = (1 << SHIFT) - 1;

/// Which publication of which publisher a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The publisher.
    pub(super) stream: u8,
    /// Its publications are numbered from 0 on.
    pub(super) number: u64,
}

impl Stamp {
    /// The text of a message with this many bytes.
    pub(super) fn message(self, bytes: usize) -> String {
        let mut text: String = self.bytes().into_iter().map(char::from).collect();
        text.extend(std::iter::repeat_n('x', bytes.saturating_sub(STAMP_BYTES)));
        text
    }

    /// What stands at the beginning of a message.
    pub(super) fn bytes(self) -> [u8; STAMP_BYTES] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut value = u64::from(self.stream) << SHIFT | self.number & NUMBERS;
        let mut bytes = [MARK; STAMP_BYTES];
        for place in bytes.iter_mut().skip(1).rev() {
            #[expect(clippy::indexing_slicing, reason = "four bits index sixteen digits")]
            let digit = HEX[usize::from(value.to_le_bytes()[0] & 15)];
            *place = digit;
            value >>= 4;
        }
        bytes
    }

    /// The stamp in what a client got; `hint` is where the last one stood, as the next one of the
    /// same kind stands there too.
    pub(super) fn find(received: &[u8], hint: &mut usize) -> Option<Self> {
        if received.get(*hint) != Some(&MARK) {
            *hint = received.iter().position(|byte| *byte == MARK)?;
        }
        let digits: &[u8; DIGITS] = received.get(*hint + 1..)?.first_chunk()?;
        let mut value: u64 = 0;
        for digit in digits {
            let digit = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            value = value << 4 | u64::from(digit);
        }
        let stream = u8::try_from(value >> SHIFT).ok()?;
        Some(Self { stream, number: value & NUMBERS })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_again_wherever_it_stands() {
        let stamp = Stamp { stream: 7, number: 0xABCDEF };
        let text = stamp.message(128);
        assert_eq!(text.len(), 128);
        let mut hint = 0;
        for packet in [format!("{{\"message\":\"{text}\"}}"), text.clone(), format!("  {text}")] {
            assert_eq!(Stamp::find(packet.as_bytes(), &mut hint), Some(stamp), "{packet}");
        }
        assert_eq!(stamp.message(0).len(), STAMP_BYTES);
        assert_eq!(Stamp::find(b"#00zz", &mut hint), None);
        assert_eq!(Stamp::find(b"", &mut hint), None);
    }
}
