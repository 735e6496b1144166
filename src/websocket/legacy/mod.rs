//! Framing of connections that do not use frames of RFC 6455.

mod buffer;
pub(crate) mod hixie;
pub(crate) mod raw;

use bytes::{BufMut, Bytes, BytesMut};

use self::buffer::MessageBuffer;
use super::{FrameEvent, FrameReader, HixieReader, MessageLimits, Opcode, RawReader, Violation};
use crate::types::HixieForm;
use crate::types::limits::UNEXPECTED_BYTES_MAX;

/// Reader for the messages of a connection in any framing.
#[derive(Debug)]
pub enum MessageReader {
    /// Frames of RFC 6455.
    Rfc(FrameReader),
    /// An older framing.
    Foreign(Box<LegacyFraming>),
    /// Nothing is expected: the connection is a stream of events.
    Unexpected(UnexpectedInput),
}

// Each connection holds one reader. The older framings must not enlarge it.
const _: () = assert!(size_of::<MessageReader>() == size_of::<FrameReader>(), "a reader has grown");

/// Framing older than RFC 6455.
#[derive(Debug)]
pub enum LegacyFraming {
    /// Frames of drafts 75 and 76.
    Hixie(HixieReader),
    /// JSON without frames.
    Raw(RawReader),
}

impl Default for MessageReader {
    fn default() -> Self {
        Self::Rfc(FrameReader::default())
    }
}

impl MessageReader {
    /// Reads the next event from `input`: see [`FrameReader::next`].
    ///
    /// # Errors
    ///
    /// Returns the first violation of the peer.
    pub fn next<'r, 'i: 'r>(
        &'r mut self,
        input: &mut &'i mut [u8],
        limits: &MessageLimits,
    ) -> Result<Option<FrameEvent<'r>>, Violation> {
        match self {
            Self::Rfc(reader) => reader.next(input, limits),
            Self::Foreign(foreign) => foreign.next(input, limits.message_bytes_max),
            Self::Unexpected(ignored) => {
                ignored.ignore(std::mem::take(input).len())?;
                Ok(None)
            }
        }
    }

    /// Returns true inside a frame, or inside a message without frames. The rest has a deadline.
    #[must_use]
    pub fn is_mid_frame(&self) -> bool {
        match self {
            Self::Rfc(reader) => reader.is_mid_frame(),
            Self::Foreign(foreign) => match &**foreign {
                LegacyFraming::Hixie(reader) => reader.is_mid_frame(),
                LegacyFraming::Raw(reader) => reader.is_mid_message(),
            },
            Self::Unexpected(_) => false,
        }
    }

    /// Returns true inside a message or a frame.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        match self {
            Self::Rfc(reader) => reader.is_unfinished(),
            Self::Foreign(_) | Self::Unexpected(_) => self.is_mid_frame(),
        }
    }

    /// Returns the number of buffered bytes of an incomplete message and of the last message.
    #[must_use]
    pub fn held(&self) -> usize {
        match self {
            Self::Rfc(reader) => reader.bytes_held(),
            Self::Foreign(foreign) => foreign.buffer().bytes(),
            Self::Unexpected(_) => 0,
        }
    }

    /// Takes the memory of the last message instead of a copy. `None` if the message was in the input as a
    /// whole.
    pub fn take_message(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Rfc(reader) => reader.take_message(),
            Self::Foreign(foreign) => Some(foreign.buffer_mut().take_message()),
            Self::Unexpected(_) => None,
        }
    }

    /// Frees the memory of the last message.
    pub fn give_back(&mut self) {
        match self {
            Self::Rfc(reader) => reader.release_message(),
            Self::Foreign(foreign) => foreign.buffer_mut().release_message(),
            Self::Unexpected(_) => {}
        }
    }

    /// Frees all buffers, because the connection is closing. The reader must not read afterwards,
    /// but it still determines the framing of outgoing messages.
    pub fn forget(&mut self) {
        match self {
            Self::Rfc(reader) => reader.release(),
            Self::Foreign(foreign) => foreign.buffer_mut().release(),
            Self::Unexpected(_) => {}
        }
    }

    /// Returns the older framing. `None` if what is sent to the connection needs no conversion.
    #[must_use]
    pub fn foreign(&self) -> Option<&LegacyFraming> {
        match self {
            Self::Rfc(_) | Self::Unexpected(_) => None,
            Self::Foreign(foreign) => Some(foreign),
        }
    }

    /// Returns true for a connection without frames.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        matches!(self.foreign(), Some(LegacyFraming::Raw(_)))
    }

    /// Reports a pause. It ends a raw message that has no other end.
    pub fn pause(&mut self) {
        if let Self::Foreign(foreign) = self
            && let LegacyFraming::Raw(reader) = &mut **foreign
        {
            reader.pause();
        }
    }
}

/// Counts the input of a connection on which nothing is expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnexpectedInput {
    bytes: u32,
}

impl UnexpectedInput {
    /// Ignores these many bytes.
    ///
    /// # Errors
    ///
    /// If there were too many in total.
    fn ignore(&mut self, bytes: usize) -> Result<(), Violation> {
        self.bytes = self.bytes.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        match self.bytes > UNEXPECTED_BYTES_MAX {
            true => Err(Violation::UnexpectedInput),
            false => Ok(()),
        }
    }
}

impl From<LegacyFraming> for MessageReader {
    fn from(foreign: LegacyFraming) -> Self {
        Self::Foreign(Box::new(foreign))
    }
}

impl LegacyFraming {
    fn buffer(&self) -> &MessageBuffer {
        match self {
            Self::Hixie(reader) => reader.buffer(),
            Self::Raw(reader) => reader.buffer(),
        }
    }

    fn buffer_mut(&mut self) -> &mut MessageBuffer {
        match self {
            Self::Hixie(reader) => reader.buffer_mut(),
            Self::Raw(reader) => reader.buffer_mut(),
        }
    }

    fn next<'r>(
        &'r mut self,
        input: &mut &mut [u8],
        bytes_max: usize,
    ) -> Result<Option<FrameEvent<'r>>, Violation> {
        match self {
            Self::Hixie(reader) => reader.next(input, bytes_max),
            Self::Raw(reader) => Ok(reader.next(input, bytes_max)?.map(FrameEvent::Text)),
        }
    }

    /// Converts complete frames, as [`write`](super::write) makes them, to this framing. Drops
    /// pings, pongs and binary messages that are not UTF-8, because the older framings cannot
    /// express them.
    #[must_use]
    pub fn reframed(&self, frames: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(frames.len());
        let mut rest = frames;
        while let Some((opcode, payload, behind)) = first_frame(rest) {
            rest = behind;
            match (self, opcode) {
                (Self::Hixie(reader), Opcode::Close) if reader.form() == HixieForm::Draft => {
                    out.put_slice(&[0xFF, 0]);
                }
                (_, Opcode::Text | Opcode::Binary) if std::str::from_utf8(payload).is_ok() => {
                    self.put_text(&mut out, payload);
                }
                _ => {}
            }
        }
        out.freeze()
    }

    /// Appends a text message. UTF-8 never contains the byte `ff`, so a text cannot end its frame
    /// early.
    fn put_text(&self, out: &mut BytesMut, text: &[u8]) {
        match self {
            Self::Hixie(_) => {
                out.put_u8(0);
                out.put_slice(text);
                out.put_u8(0xFF);
            }
            Self::Raw(_) => out.put_slice(text),
        }
    }
}

/// Splits off the first frame of a server. Returns its opcode, its payload, and the remaining
/// bytes.
fn first_frame(bytes: &[u8]) -> Option<(Opcode, &[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (second, rest) = rest.split_first()?;
    let (length, rest) = match second {
        126 => {
            rest.split_first_chunk().map(|(it, rest)| (u64::from(u16::from_be_bytes(*it)), rest))
        }
        127 => rest.split_first_chunk().map(|(it, rest)| (u64::from_be_bytes(*it), rest)),
        short => Some((u64::from(*short), rest)),
    }?;
    let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((Opcode::from_first_byte(*first).ok()?, payload, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::CloseCode;
    use crate::websocket::{RawEnd, write};

    fn said() -> BytesMut {
        let mut frames = BytesMut::new();
        write::text(&mut frames, "é".as_bytes());
        write::ping(&mut frames, b"ping");
        write::binary(&mut frames, b"b");
        write::binary(&mut frames, b"\xff\0");
        write::pong(&mut frames, b"");
        write::text(&mut frames, &[b'x'; 200]);
        write::text(&mut frames, &[b'y'; 70_000]);
        write::close(&mut frames, Some(CloseCode::AWAY), "bye");
        frames
    }

    #[test]
    fn only_texts_and_the_close_are_written_in_the_older_form() {
        let (x, y) = ([b'x'; 200], [b'y'; 70_000]);
        let hixie = LegacyFraming::Hixie(HixieReader::new(HixieForm::Draft));
        let expected = [b"\0\xc3\xa9\xff\0b\xff\0", &x[..], b"\xff\0", &y, b"\xff\xff\0"].concat();
        assert!(hixie.reframed(&said()) == expected);
        let original = LegacyFraming::Hixie(HixieReader::new(HixieForm::Original));
        assert!(original.reframed(&said()) == expected[..expected.len() - 2]);
        let raw = LegacyFraming::Raw(RawReader::new(RawEnd::Value));
        assert!(raw.reframed(&said()) == ["éb".as_bytes(), &x, &y].concat());
    }

    #[test]
    fn arbitrary_bytes_are_not_a_frame() {
        let raw = LegacyFraming::Raw(RawReader::new(RawEnd::Value));
        for bytes in
            [&b""[..], b"\x81", b"\x81\x05abc", b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"]
        {
            assert!(raw.reframed(bytes).is_empty());
        }
    }
}
