//! Splits the received bytes into frames, at a lower cost than the server had for them.
//!
//! It parses only what the load generator needs and does not check RFC 6455. A generator that costs
//! more than the server would measure itself.

/// A frame from a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerFrame<'a> {
    /// A text or binary message.
    Message(&'a [u8]),
    /// A ping to answer.
    Ping(&'a [u8]),
    /// A Close frame with code and reason.
    Close(&'a [u8]),
    /// A pong.
    Pong,
}

/// Splits a byte stream into frames and keeps an incomplete frame for the next call.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    carry: Vec<u8>,
}

/// Capacity in bytes that stays allocated after the kept bytes are used up.
const CARRY_KEPT: usize = 4096;

impl Splitter {
    /// Passes each complete frame to `each`.
    pub(super) fn split(&mut self, input: &[u8], mut each: impl FnMut(ServerFrame<'_>)) {
        if self.carry.is_empty() {
            let taken = frames(input, &mut each);
            self.carry.extend_from_slice(input.get(taken..).unwrap_or_default());
            return;
        }
        self.carry.extend_from_slice(input);
        let taken = frames(&self.carry, &mut each);
        self.carry.drain(..taken);
        if self.carry.is_empty() {
            self.carry.shrink_to(CARRY_KEPT);
        }
    }
}

/// Passes each complete frame to `each` and returns their total length in bytes.
fn frames(input: &[u8], each: &mut impl FnMut(ServerFrame<'_>)) -> usize {
    let mut rest = input;
    while let Some((first, payload, behind)) = next(rest) {
        each(match first & 0x0F {
            0x8 => ServerFrame::Close(payload),
            0x9 => ServerFrame::Ping(payload),
            0xA => ServerFrame::Pong,
            _ => ServerFrame::Message(payload),
        });
        rest = behind;
    }
    input.len() - rest.len()
}

fn next(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [first, length, rest @ ..] = input else { return None };
    let (length, rest) = match length {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u64::from_be_bytes(*length)).ok()?, rest)
        }
        length => (usize::from(*length), rest),
    };
    let (payload, rest) = rest.split_at_checked(length)?;
    Some((*first, payload, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::write;

    #[test]
    fn frames_are_the_same_however_they_were_cut() {
        let mut stream = Vec::new();
        let large = vec![b'y'; 70_000];
        write::text(&mut stream, b"hello");
        write::ping(&mut stream, b"p");
        write::text(&mut stream, &[b'x'; 300]);
        write::binary(&mut stream, &large);
        write::pong(&mut stream, b"");
        for step in [1, 2, 3, 7, 1000, stream.len()] {
            let mut splitter = Splitter::default();
            let mut seen: Vec<(char, usize)> = Vec::new();
            for piece in stream.chunks(step) {
                splitter.split(piece, |frame| {
                    seen.push(match frame {
                        ServerFrame::Message(payload) => ('m', payload.len()),
                        ServerFrame::Ping(payload) => ('p', payload.len()),
                        ServerFrame::Close(_) => ('c', 0),
                        ServerFrame::Pong => ('o', 0),
                    });
                });
            }
            assert_eq!(seen, [('m', 5), ('p', 1), ('m', 300), ('m', 70_000), ('o', 0)], "{step}");
            assert!(splitter.carry.is_empty());
        }
    }
}
