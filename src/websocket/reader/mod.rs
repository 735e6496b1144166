//! Takes messages and control frames out of the bytes of a connection, however they were cut.

use std::mem;

use crate::types::CloseCode;

use super::assembly::Assembly;
use super::header::{HEADER_BYTES_MAX, Header, HeaderRules, PartialMessage};
use super::{Fin, MessageLimits, Opcode, PeerRole, Violation, mask};

/// Something that the peer said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameEvent<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A ping, to be answered by a pong with the same payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The peer ends the connection: its code, when it gave one, and its reason. Whatever
    /// follows is to be ignored (RFC 6455 §5.5.1).
    Close(Option<CloseCode>, &'a str),
}

/// Reads the frames of one connection; between messages it owns no memory.
///
/// ```
/// use tagcast::websocket::{FrameEvent, FrameReader, MessageLimits};
/// let mut bytes = *b"\x81\x82\0\0\0\0hi\x89\x80\0\0\0\0";
/// let (mut reader, mut input) = (FrameReader::default(), &mut bytes[..]);
/// let limits = MessageLimits::default();
/// assert_eq!(reader.next(&mut input, &limits), Ok(Some(FrameEvent::Text("hi"))));
/// assert_eq!(reader.next(&mut input, &limits), Ok(Some(FrameEvent::Ping(b""))));
/// assert_eq!(reader.next(&mut input, &limits), Ok(None));
/// ```
#[derive(Debug, Default)]
pub struct FrameReader {
    peer: PeerRole,
    partial: Option<Box<Partial>>,
}

/// What is kept from one segment to the next.
#[derive(Debug, Default)]
struct Partial {
    /// The beginning of a header.
    header: Vec<u8>,
    /// The frame whose payload is incomplete.
    frame: Option<OpenFrame>,
    /// The payload of that frame, when it is a control frame.
    control: Option<Assembly>,
    /// The message of which pieces are still to come.
    message: Option<Assembly>,
    /// What the last event borrows from; given back at the next call.
    lent: Option<Assembly>,
}

/// A frame whose header was admitted.
#[derive(Clone, Copy, Debug)]
struct OpenFrame {
    header: Header,
    missing: usize,
}

/// What one step through the input came to.
enum ReaderStep<'i> {
    /// All input is used up.
    Starved,
    /// A piece of a message ended; there may be more input.
    Piece,
    /// An event that lies in the input, unmasked.
    Whole(Opcode, &'i [u8]),
    /// An event that was put together in `Partial::lent`.
    Gathered,
}

impl FrameReader {
    /// A reader for the client's side of a connection.
    #[must_use]
    pub const fn of_server_frames() -> Self {
        Self { peer: PeerRole::Server, partial: None }
    }

    /// Takes the next event out of `input`, which is unmasked in place and advanced past what was
    /// read; `None` when it is used up. A message that lies in the input is not copied.
    ///
    /// Call it until it says `None`: only then is the memory of the last message given back.
    ///
    /// # Errors
    ///
    /// The first rule that the peer broke. The reader has lost its place then: answer with
    /// [`Violation::close_reason`] and read no more.
    pub fn next<'r, 'i: 'r>(
        &'r mut self,
        input: &mut &'i mut [u8],
        limits: &MessageLimits,
    ) -> Result<Option<FrameEvent<'r>>, Violation> {
        self.release_message();
        loop {
            match self.step(input, *limits)? {
                ReaderStep::Starved => return Ok(None),
                ReaderStep::Piece => {}
                ReaderStep::Whole(opcode, payload) => {
                    return event(opcode, payload).map(Some).map_err(|fault| alone(opcode, fault));
                }
                ReaderStep::Gathered => break,
            }
        }
        let lent = self.partial.as_ref().and_then(|partial| partial.lent.as_ref());
        lent.map(|whole| {
            let read = event(whole.opcode(), whole.bytes());
            if whole.pieces() > 1 {
                read
            } else {
                read.map_err(|fault| alone(whole.opcode(), fault))
            }
        })
        .transpose()
    }

    /// Whether a frame has begun and not ended: it has a deadline.
    #[must_use]
    pub fn is_mid_frame(&self) -> bool {
        self.partial.as_ref().is_some_and(|partial| partial.is_mid_frame())
    }

    /// Whether a message has begun and not ended: it has a deadline, and so has a frame.
    pub(super) fn is_unfinished(&self) -> bool {
        let is_unfinished = |it: &Partial| it.is_mid_frame() || it.message.is_some();
        self.partial.as_deref().is_some_and(is_unfinished)
    }

    /// Bytes of memory that it holds for what has not ended, and for the last message.
    pub(super) fn bytes_held(&self) -> usize {
        self.partial.as_deref().map_or(0, Partial::held)
    }

    /// Gives up what it holds. It has lost its place then: no more is read.
    pub(super) fn release(&mut self) {
        self.partial = None;
    }

    /// Gives back the memory of the last message.
    pub(super) fn release_message(&mut self) {
        if let Some(partial) = &mut self.partial {
            partial.lent = None;
            if !partial.is_mid_frame() && partial.message.is_none() {
                self.partial = None;
            }
        }
    }

    fn step<'i>(
        &mut self,
        input: &mut &'i mut [u8],
        limits: MessageLimits,
    ) -> Result<ReaderStep<'i>, Violation> {
        let Some(frame) = self.open_frame(input, limits)? else { return Ok(ReaderStep::Starved) };
        let Header { opcode, key, .. } = frame.header;
        let payload = take(input, frame.missing);
        mask::apply(payload, key);
        if frame.is_event_of_its_own() && payload.len() == frame.header.length {
            return Ok(ReaderStep::Whole(opcode, payload));
        }
        self.partial.get_or_insert_default().keep(frame, payload)
    }

    /// The frame under way, or the next one when its header is complete.
    fn open_frame(
        &mut self,
        input: &mut &mut [u8],
        limits: MessageLimits,
    ) -> Result<Option<OpenFrame>, Violation> {
        let Some(partial) = &mut self.partial else {
            let rules = HeaderRules { peer: self.peer, limits, begun: None };
            return self.begin_frame(input, rules);
        };
        if let Some(frame) = partial.frame.take() {
            return Ok(Some(frame));
        }
        let rules = HeaderRules { peer: self.peer, limits, begun: partial.begun() };
        if partial.header.is_empty() {
            return self.begin_frame(input, rules);
        }
        partial.resume_header(input, rules)
    }

    fn begin_frame(
        &mut self,
        input: &mut &mut [u8],
        rules: HeaderRules,
    ) -> Result<Option<OpenFrame>, Violation> {
        if let Some((header, length)) = rules.read(input)? {
            take(input, length);
            return Ok(Some(OpenFrame::new(header)));
        }
        if !input.is_empty() {
            self.partial.get_or_insert_default().header = mem::take(input).to_vec();
        }
        Ok(None)
    }
}

impl Partial {
    const fn is_mid_frame(&self) -> bool {
        self.frame.is_some() || !self.header.is_empty()
    }

    fn held(&self) -> usize {
        let assemblies = [&self.control, &self.message, &self.lent];
        let gathered = assemblies.into_iter().flatten().map(|it| it.bytes().len());
        size_of::<Self>() + self.header.len() + gathered.sum::<usize>()
    }

    fn begun(&self) -> Option<PartialMessage> {
        let message = self.message.as_ref()?;
        Some(PartialMessage { bytes: message.bytes().len(), pieces: message.pieces() })
    }

    fn resume_header(
        &mut self,
        input: &mut &mut [u8],
        rules: HeaderRules,
    ) -> Result<Option<OpenFrame>, Violation> {
        let kept = self.header.len();
        self.header.extend(input.iter().take(HEADER_BYTES_MAX - kept));
        let Some((header, length)) = rules.read(&self.header)? else {
            *input = &mut [];
            return Ok(None);
        };
        take(input, length - kept);
        self.header = Vec::new();
        Ok(Some(OpenFrame::new(header)))
    }

    fn keep<'i>(&mut self, frame: OpenFrame, payload: &[u8]) -> Result<ReaderStep<'i>, Violation> {
        let header = frame.header;
        let rest = frame.after(payload.len());
        // A header that came alone begins no assembly: its payload may still come in one.
        if payload.is_empty() && rest.missing > 0 {
            self.frame = Some(rest);
            return Ok(ReaderStep::Starved);
        }
        let place = if header.opcode.is_control() { &mut self.control } else { &mut self.message };
        let assembly = place.get_or_insert_with(|| Assembly::new(header.opcode));
        assembly.extend(payload).map_err(|fault| {
            if frame.is_event_of_its_own() { alone(header.opcode, fault) } else { fault }
        })?;
        if rest.missing > 0 {
            self.frame = Some(rest);
            return Ok(ReaderStep::Starved);
        }
        assembly.end_piece();
        if header.fin == Fin::More {
            return Ok(ReaderStep::Piece);
        }
        self.lent = place.take();
        Ok(ReaderStep::Gathered)
    }
}

impl OpenFrame {
    const fn new(header: Header) -> Self {
        Self { header, missing: header.length }
    }

    /// Whether nothing but this frame makes an event.
    fn is_event_of_its_own(&self) -> bool {
        self.header.fin == Fin::Last && self.header.opcode != Opcode::Continuation
    }

    fn after(self, bytes: usize) -> Self {
        let header = Header { key: mask::key_after(self.header.key, bytes), ..self.header };
        Self { header, missing: self.missing - bytes }
    }
}

/// Cuts the first `length` bytes off, or all when there are fewer.
pub(super) fn take<'i>(input: &mut &'i mut [u8], length: usize) -> &'i mut [u8] {
    let all = mem::take(input);
    let (taken, rest) = all.split_at_mut(length.min(all.len()));
    *input = rest;
    taken
}

fn event(opcode: Opcode, payload: &[u8]) -> Result<FrameEvent<'_>, Violation> {
    match opcode {
        Opcode::Text => text(payload).map(FrameEvent::Text),
        Opcode::Ping => Ok(FrameEvent::Ping(payload)),
        Opcode::Pong => Ok(FrameEvent::Pong(payload)),
        Opcode::Close => close(payload),
        Opcode::Binary | Opcode::Continuation => Ok(FrameEvent::Binary(payload)),
    }
}

/// RFC 6455 §5.5.1: nothing, or a code and a reason.
fn close(payload: &[u8]) -> Result<FrameEvent<'_>, Violation> {
    match payload {
        [] => Ok(FrameEvent::Close(None, "")),
        [_] => Err(Violation::BadCloseLength),
        [high, low, reason @ ..] => {
            let code = CloseCode(u16::from_be_bytes([*high, *low]));
            if !code.is_valid_on_the_wire() {
                return Err(Violation::BadCloseCode(code.0));
            }
            Ok(FrameEvent::Close(Some(code), text(reason)?))
        }
    }
}

/// What is wrong with a message, when it is all in one frame.
fn alone(opcode: Opcode, fault: Violation) -> Violation {
    match (opcode, fault) {
        (Opcode::Text, Violation::BadUtf8) => Violation::BadMessage,
        (_, fault) => fault,
    }
}

fn text(payload: &[u8]) -> Result<&str, Violation> {
    std::str::from_utf8(payload).map_err(|_| Violation::BadUtf8)
}

#[cfg(test)]
mod tests;
