//! The stamp in each message that reveals lost, duplicated and out-of-order deliveries.

/// Bytes of a stamp, which is also the minimum length of a message.
pub(super) const STAMP_BYTES: usize = 16;
/// Start of a stamp. No envelope of a server contains this byte.
const MARK: u8 = b'#';
const STREAM_DIGITS: usize = 2;
const DIGITS: usize = STAMP_BYTES - 1;
/// Bits of the number, which are below the bits of the stream.
const SHIFT: usize = 4 * (DIGITS - STREAM_DIGITS);
const NUMBERS: u64 = (1 << SHIFT) - 1;

/// Identifies a publication: its publisher and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Index of the publisher.
    pub(super) stream: u8,
    /// Number of the publication, starting at 0 for each publisher.
    pub(super) number: u64,
}

impl Stamp {
    /// Returns a message of the given length that starts with this stamp.
    pub(super) fn message(self, bytes: usize) -> String {
        let mut text: String = self.bytes().into_iter().map(char::from).collect();
        text.extend(std::iter::repeat_n('x', bytes.saturating_sub(STAMP_BYTES)));
        text
    }

    /// Returns the encoded stamp.
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

    /// Finds the stamp in a received message. `hint` is the offset of the last stamp; messages of
    /// the same kind have it at the same offset.
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

/// Passes each stamp of a received frame, in order. Servers may put many messages of this length
/// into one frame.
pub(super) fn each_stamp(
    received: &[u8],
    payload: usize,
    hint: &mut usize,
    mut each: impl FnMut(Stamp),
) {
    let mut rest = received;
    while let Some(stamp) = Stamp::find(rest, hint) {
        each(stamp);
        rest = rest.get(*hint + payload.max(STAMP_BYTES)..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_at_any_position() {
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

    #[test]
    fn all_stamps_of_a_frame_are_found() {
        let stamps: Vec<_> = (0..3).map(|number| Stamp { stream: 1, number }).collect();
        for payload in [STAMP_BYTES, 100] {
            let messages =
                stamps.iter().map(|stamp| format!("MSG t 1\r\n{}\r\n", stamp.message(payload)));
            let frame: String = messages.collect();
            let mut found = Vec::new();
            each_stamp(frame.as_bytes(), payload, &mut 0, |stamp| found.push(stamp));
            assert_eq!(found, stamps);
        }
        each_stamp(b"# and no stamp", 16, &mut 0, |stamp| panic!("{stamp:?}"));
    }
}
