//! Reader for messages and control frames. The bytes may be segmented at any position.

use std::mem;

use crate::types::CloseCode;

use super::assembly::Assembly;
use super::header::{HEADER_BYTES_MAX, Header, HeaderRules, PartialMessage};
use super::{Fin, MessageLimits, Opcode, PeerRole, Violation, mask};

/// Event received from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameEvent<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// Ping. The answer is a pong with the same payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// Close, with the code, if any, and the reason. Later frames must be ignored (RFC 6455
    /// §5.5.1).
    Close(Option<CloseCode>, &'a str),
}

/// Reads the frames of one connection. Holds no heap memory between messages.
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

/// State that is kept between two segments.
#[derive(Debug, Default)]
struct Partial {
    /// Beginning of a header.
    header: Vec<u8>,
    /// Frame whose payload is incomplete.
    frame: Option<OpenFrame>,
    /// Payload of that frame, if it is a control frame.
    control: Option<Assembly>,
    /// Message whose last fragment has not arrived.
    message: Option<Assembly>,
    /// Bytes that the last event borrows. Freed by the next call.
    lent: Option<Assembly>,
}

/// Frame with a valid header.
#[derive(Clone, Copy, Debug)]
struct OpenFrame {
    header: Header,
    missing: usize,
}

/// Result of one step through the input.
enum ReaderStep<'i> {
    /// The input is used up.
    Starved,
    /// A fragment ended. There may be more input.
    Piece,
    /// An event whose unmasked payload is in the input.
    Whole(Opcode, &'i [u8]),
    /// An event whose payload is in `Partial::lent`.
    Gathered,
}

impl FrameReader {
    /// Creates a reader for the client side of a connection.
    #[must_use]
    pub const fn of_server_frames() -> Self {
        Self { peer: PeerRole::Server, partial: None }
    }

    /// Reads the next event from `input`. The bytes are unmasked in place, and `input` advances
    /// past them. Returns `None` when the input is used up. A message that is completely in the
    /// input is not copied.
    ///
    /// Call it until it returns `None`. Only that call frees the memory of the last message.
    ///
    /// # Errors
    ///
    /// Returns the first violation of the peer. The reader cannot resynchronize afterwards: close
    /// the connection with [`Violation::close_reason`] and stop reading.
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

    /// Returns true inside a frame. The rest of the frame has a deadline.
    #[must_use]
    pub fn is_mid_frame(&self) -> bool {
        self.partial.as_ref().is_some_and(|partial| partial.is_mid_frame())
    }

    /// Returns true inside a message or a frame. Both have a deadline.
    pub(super) fn is_unfinished(&self) -> bool {
        let is_unfinished = |it: &Partial| it.is_mid_frame() || it.message.is_some();
        self.partial.as_deref().is_some_and(is_unfinished)
    }

    /// Returns the number of buffered bytes of an incomplete message and of the last message.
    pub(super) fn bytes_held(&self) -> usize {
        self.partial.as_deref().map_or(0, Partial::held)
    }

    /// Takes the memory of the last message. `None` if it was not gathered from several segments.
    pub(super) fn take_message(&mut self) -> Option<Vec<u8>> {
        self.partial.as_mut()?.lent.take().map(Assembly::into_bytes)
    }

    /// Frees all buffers. The reader must not be used afterwards.
    pub(super) fn release(&mut self) {
        self.partial = None;
    }

    /// Frees the memory of the last message.
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

    /// Returns the current frame, or the next one once its header is complete.
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
        // A header without payload starts no assembly, because the payload may still arrive in one
        // segment.
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

    /// Returns true if the frame is a complete event by itself.
    fn is_event_of_its_own(&self) -> bool {
        self.header.fin == Fin::Last && self.header.opcode != Opcode::Continuation
    }

    fn after(self, bytes: usize) -> Self {
        let header = Header { key: mask::key_after(self.header.key, bytes), ..self.header };
        Self { header, missing: self.missing - bytes }
    }
}

/// Splits off the first `length` bytes, or all bytes if there are fewer.
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

/// Parses the payload of a Close frame: empty, or a code and a reason (RFC 6455 §5.5.1).
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

/// Converts the violation of an unfragmented message.
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
