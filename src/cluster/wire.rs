//! Fields of messages between hosts: little endian, numbers that are often small in as few bytes as they need.

use std::fmt;

use bytes::{Buf, BufMut, Bytes};

/// Bytes that a number of 64 bits takes at most.
const VARINT_BYTES_MAX: u32 = 10;

/// Error: a message of another host that is dropped and counted. It never ends a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidMessage {
    /// It does not begin as a message of a Tagcast host.
    Foreign,
    /// Its format, which this version does not know.
    Format(u8),
    /// Its length in bytes exceeds the largest message.
    Oversized(usize),
    /// It cannot be opened: another key, another cluster, another subject, or changed bytes.
    Sealed,
    /// It ends too early.
    Short,
    /// It has extra bytes after its last field.
    Long,
    /// Invalid value of the named field.
    Field(&'static str),
}

impl InvalidMessage {
    /// All words of [`InvalidMessage::reason`].
    pub const REASONS: [&'static str; 5] = ["foreign", "format", "size", "seal", "body"];

    /// Returns the word for this reason in metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Format(_) => "format",
            Self::Oversized(_) => "size",
            Self::Sealed => "seal",
            Self::Short | Self::Long | Self::Field(_) => "body",
        }
    }
}

impl fmt::Display for InvalidMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => write!(f, "not a message of a Tagcast host"),
            Self::Format(format) => write!(f, "an unknown format: {format}"),
            Self::Oversized(bytes) => write!(f, "a message of {bytes} bytes, which is too long"),
            Self::Sealed => {
                write!(f, "a message sealed with another uuidKey, or for another subject")
            }
            Self::Short => write!(f, "a truncated message"),
            Self::Long => write!(f, "a message with trailing bytes"),
            Self::Field(field) => write!(f, "an invalid {field}"),
        }
    }
}

impl std::error::Error for InvalidMessage {}

/// Appends a number: seven bits a byte, the lowest first.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.put_u8(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.put_u8(low_bits(value));
}

/// Returns how many bytes [`put_varint`] appends.
pub(super) fn varint_bytes(value: u64) -> usize {
    let bits = u64::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

fn low_bits(value: u64) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or_default()
}

pub(super) fn put_length(out: &mut Vec<u8>, length: usize) {
    put_varint(out, length as u64);
}

/// The rest of a message. Lists of bytes share its memory.
#[derive(Debug)]
pub(super) struct BodyReader<B = Bytes>(pub(super) B);

impl<B: Buf> BodyReader<B> {
    pub(super) fn is_empty(&self) -> bool {
        !self.0.has_remaining()
    }

    pub(super) fn end(&self) -> Result<(), InvalidMessage> {
        if self.is_empty() { Ok(()) } else { Err(InvalidMessage::Long) }
    }

    pub(super) fn u8(&mut self) -> Result<u8, InvalidMessage> {
        self.0.try_get_u8().map_err(|_| InvalidMessage::Short)
    }

    pub(super) fn u16(&mut self) -> Result<u16, InvalidMessage> {
        self.0.try_get_u16_le().map_err(|_| InvalidMessage::Short)
    }

    pub(super) fn u32(&mut self) -> Result<u32, InvalidMessage> {
        self.0.try_get_u32_le().map_err(|_| InvalidMessage::Short)
    }

    pub(super) fn u64(&mut self) -> Result<u64, InvalidMessage> {
        self.0.try_get_u64_le().map_err(|_| InvalidMessage::Short)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], InvalidMessage> {
        let mut array = [0; N];
        self.0.try_copy_to_slice(&mut array).map_err(|_| InvalidMessage::Short)?;
        Ok(array)
    }

    /// Reads a number in its shortest form. Any other form is invalid, so each message has one encoding.
    pub(super) fn varint(&mut self) -> Result<u64, InvalidMessage> {
        let invalid = InvalidMessage::Field("number");
        let mut value = 0_u64;
        for place in 0..VARINT_BYTES_MAX {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << (7 * place);
            if shifted >> (7 * place) != bits || byte == 0 && place > 0 {
                return Err(invalid);
            }
            value |= shifted;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(invalid)
    }

    /// Reads a number of things, of which there are at most `most`.
    pub(super) fn count(&mut self, most: usize) -> Result<usize, InvalidMessage> {
        let count = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if count > most { Err(InvalidMessage::Field("count")) } else { Ok(count) }
    }

    /// Reads the length that precedes bytes.
    fn length(&mut self) -> Result<usize, InvalidMessage> {
        let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if length > self.0.remaining() { Err(InvalidMessage::Short) } else { Ok(length) }
    }
}

impl BodyReader {
    /// Reads bytes that are preceded by their length.
    pub(super) fn bytes(&mut self) -> Result<Bytes, InvalidMessage> {
        let length = self.length()?;
        Ok(self.0.split_to(length))
    }
}

impl<'b> BodyReader<&'b [u8]> {
    /// The same where they are.
    pub(super) fn slice(&mut self) -> Result<&'b [u8], InvalidMessage> {
        let length = self.length()?;
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_is_read_as_it_is_written(value in any::<u64>(), shift in 0..64_u32) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value >> shift);
            prop_assert_eq!(bytes.len(), varint_bytes(value >> shift));
            let mut fields = BodyReader(Bytes::from(bytes));
            prop_assert_eq!(fields.varint(), Ok(value >> shift));
            prop_assert!(fields.is_empty());
        }
    }

    #[test]
    fn a_number_has_one_form() {
        let read = |bytes: &'static [u8]| BodyReader(Bytes::from_static(bytes)).varint();
        assert_eq!(read(&[0]), Ok(0));
        assert_eq!(read(&[0x80, 0]), Err(InvalidMessage::Field("number")));
        assert_eq!(read(&[0xff; 10]), Err(InvalidMessage::Field("number")));
        assert_eq!(read(&[0x80]), Err(InvalidMessage::Short));
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(BodyReader(&most[..]).varint(), Ok(u64::MAX));
    }

    #[test]
    fn a_length_is_compared_before_it_is_used() {
        let read = |bytes: &'static [u8]| BodyReader(Bytes::from_static(bytes)).bytes();
        assert_eq!(read(&[5, 1, 2]), Err(InvalidMessage::Short));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Err(InvalidMessage::Short));
        assert_eq!(read(&[2, 1, 2, 3]).as_deref(), Ok(&[1, 2][..]));
    }
}
