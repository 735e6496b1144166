//! Reader for frames of drafts 75 and 76 (hixie), which browsers of 2010 send. A text frame is
//! `00`, text, `ff`; the close frame is `ff 00`.

use super::buffer::MessageBuffer;
use crate::types::HixieForm;
use crate::websocket::{FrameEvent, Violation, take};

const BEGIN: u8 = 0x00;
const END: u8 = 0xFF;

/// Reads the frames of one connection. Holds no heap memory between messages.
///
/// ```
/// use tagcast::types::HixieForm;
/// use tagcast::websocket::{FrameEvent, HixieReader};
/// let mut bytes = *b"\0hi\xff\xff\0";
/// let (mut reader, mut input) = (HixieReader::new(HixieForm::Draft), &mut bytes[..]);
/// assert_eq!(reader.next(&mut input, 100), Ok(Some(FrameEvent::Text("hi"))));
/// assert_eq!(reader.next(&mut input, 100), Ok(Some(FrameEvent::Close(None, ""))));
/// ```
#[derive(Debug)]
pub struct HixieReader {
    form: HixieForm,
    stage: HixieStage,
    buffer: MessageBuffer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HixieStage {
    /// Between two frames.
    Between,
    /// Inside a text frame.
    Text,
    /// After the first byte of a close frame.
    Ending,
}

impl HixieReader {
    /// Creates a reader for a new connection.
    #[must_use]
    pub const fn new(form: HixieForm) -> Self {
        Self { form, stage: HixieStage::Between, buffer: MessageBuffer::new() }
    }

    pub(in crate::websocket) const fn form(&self) -> HixieForm {
        self.form
    }

    /// Reads the next event from `input`, as
    /// [`FrameReader::next`](crate::websocket::FrameReader::next) does.
    ///
    /// # Errors
    ///
    /// Fails for an unknown frame type, a message longer than `bytes_max` bytes, or invalid UTF-8.
    pub fn next<'r>(
        &'r mut self,
        input: &mut &mut [u8],
        bytes_max: usize,
    ) -> Result<Option<FrameEvent<'r>>, Violation> {
        self.buffer.release_message();
        loop {
            match self.stage {
                HixieStage::Between => match take(input, 1).first() {
                    None => return Ok(None),
                    Some(&BEGIN) => self.stage = HixieStage::Text,
                    Some(&END) => self.stage = HixieStage::Ending,
                    Some(&lead) => return Err(Violation::UnknownLead(lead)),
                },
                HixieStage::Ending => match take(input, 1).first() {
                    None => return Ok(None),
                    Some(0) => return Ok(Some(FrameEvent::Close(None, ""))),
                    // A frame with a length field. No browser has ever sent one.
                    Some(_) => return Err(Violation::UnknownLead(END)),
                },
                HixieStage::Text => break,
            }
        }
        let end = input.iter().position(|byte| *byte == END);
        let text = take(input, end.unwrap_or(input.len()));
        self.buffer.push(text, bytes_max)?;
        if end.is_none() {
            return Ok(None);
        }
        take(input, 1);
        if self.form == HixieForm::Original {
            take(input, input.len());
        }
        self.stage = HixieStage::Between;
        self.buffer.complete();
        Ok(Some(FrameEvent::Text(self.buffer.text()?)))
    }

    pub(super) const fn buffer(&self) -> &MessageBuffer {
        &self.buffer
    }

    pub(super) const fn buffer_mut(&mut self) -> &mut MessageBuffer {
        &mut self.buffer
    }

    /// Returns true inside a frame. The rest of the frame has a deadline.
    #[must_use]
    pub fn is_mid_frame(&self) -> bool {
        self.stage != HixieStage::Between
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads the texts of a stream in these segments. Returns the texts and the final result.
    fn read(segments: &[&[u8]], form: HixieForm) -> (Vec<String>, Result<bool, Violation>) {
        let mut reader = HixieReader::new(form);
        let mut texts = Vec::new();
        for segment in segments {
            let mut segment = segment.to_vec();
            let mut input = &mut segment[..];
            loop {
                match reader.next(&mut input, 100) {
                    Ok(Some(FrameEvent::Text(text))) => texts.push(text.to_owned()),
                    Ok(Some(_)) => return (texts, Ok(true)),
                    Ok(None) => break,
                    Err(violation) => return (texts, Err(violation)),
                }
            }
        }
        (texts, Ok(false))
    }

    #[test]
    fn texts_and_the_end_are_found_and_everything_else_is_refused() {
        let draft = |bytes: &[u8]| read(&[bytes], HixieForm::Draft);
        let two = vec!["é".to_owned(), "two".to_owned()];
        assert_eq!(draft(b"\0\xc3\xa9\xff\0two\xff\xff\0"), (two, Ok(true)));
        for lead in [0x01, 0x7F, 0x80, 0xFE, b'^'] {
            assert_eq!(draft(&[lead, 0]).1, Err(Violation::UnknownLead(lead)));
        }
        assert_eq!(draft(b"\xff\x01").1, Err(Violation::UnknownLead(0xFF)));
        assert_eq!(draft(b"\0\xc3\xff").1, Err(Violation::BadMessage));
        assert_eq!(
            draft(&[&[0], &[b'x'; 101][..]].concat()).1,
            Err(Violation::TooBig { max: 100 })
        );
        assert_eq!(draft(&[&[0], &[b'x'; 100][..], &[0xFF]].concat()).0.len(), 1);
    }

    #[test]
    fn the_original_accepts_one_message_per_read() {
        let (texts, end) = read(&[b"\0one\xff\0lost\xff", b"\0two\xff"], HixieForm::Original);
        assert_eq!((texts, end), (vec!["one".to_owned(), "two".to_owned()], Ok(false)));
    }

    proptest! {
        #[test]
        fn segments_do_not_matter(
            bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(0xFF), any::<u8>()], 0..80),
        ) {
            let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
            let at_once = read(&[&bytes], HixieForm::Draft);
            prop_assert_eq!(read(&bytewise, HixieForm::Draft), at_once);
        }
    }
}
