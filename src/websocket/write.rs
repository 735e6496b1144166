//! Writer of frames: unmasked ones as a server sends them, masked ones for clients.
//!
//! Server frames are unfragmented (FIN is set) and use the shortest length encoding.

use bytes::{BufMut, Bytes, BytesMut};

use crate::types::{CloseCode, FramedPayload};

use super::header::{CONTROL_BYTES_MAX, EIGHT_BYTES, MASK_BIT, TWO_BYTES};
use super::{Fin, Opcode, mask};

/// Longest header of a server frame: two bytes, and eight of length.
pub const SERVER_HEADER_BYTES_MAX: usize = 10;
/// Longest close reason in bytes.
const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// Returns a text frame that several connections can share.
#[must_use]
pub fn text_frame(payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(SERVER_HEADER_BYTES_MAX + payload.len());
    text(&mut out, payload);
    out.freeze()
}

/// Returns a large text payload behind its header.
#[must_use]
pub fn framed_text(payload: &[u8]) -> FramedPayload {
    framed(text_frame(payload), payload.len())
}

/// Returns a large binary payload behind its header.
#[must_use]
pub fn framed_binary(payload: &[u8]) -> FramedPayload {
    let mut out = BytesMut::with_capacity(SERVER_HEADER_BYTES_MAX + payload.len());
    binary(&mut out, payload);
    framed(out.freeze(), payload.len())
}

fn framed(frame: Bytes, payload: usize) -> FramedPayload {
    let header = frame.len() - payload;
    FramedPayload::new(frame, header)
}

/// Makes a text frame of the end of a buffer without a copy: the header replaces the bytes before the
/// payload. Returns the buffer if these are too few.
///
/// # Errors
///
/// If fewer bytes precede the payload than the header has.
pub fn framed_in_place(mut buffer: Vec<u8>, payload: usize) -> Result<FramedPayload, Vec<u8>> {
    let mut head = Vec::with_capacity(SERVER_HEADER_BYTES_MAX);
    header(&mut head, Opcode::Text.bits() | Fin::BIT, 0, buffer.len().saturating_sub(payload));
    let start = payload.checked_sub(head.len());
    let place = start.and_then(|start| buffer.get_mut(start..payload));
    let (Some(start), Some(place)) = (start, place) else { return Err(buffer) };
    place.copy_from_slice(&head);
    Ok(FramedPayload::new(Bytes::from(buffer).slice(start..), head.len()))
}

/// Appends a text frame. The caller guarantees that the payload is UTF-8.
pub fn text(out: &mut impl BufMut, payload: &[u8]) {
    frame(out, Opcode::Text, payload);
}

/// Appends a binary frame.
pub fn binary(out: &mut impl BufMut, payload: &[u8]) {
    frame(out, Opcode::Binary, payload);
}

/// Appends a ping with at most the first 125 bytes of the payload.
pub fn ping(out: &mut impl BufMut, payload: &[u8]) {
    frame(out, Opcode::Ping, control(payload));
}

/// Appends a pong with at most the first 125 bytes of the payload. A ping has no more.
pub fn pong(out: &mut impl BufMut, payload: &[u8]) {
    frame(out, Opcode::Pong, control(payload));
}

/// Appends a Close frame. Without a code the frame is empty.
///
/// A reason longer than 123 bytes is truncated at a character boundary.
pub fn close(out: &mut impl BufMut, code: Option<CloseCode>, reason: &str) {
    let mut payload = Vec::with_capacity(CONTROL_BYTES_MAX);
    if let Some(CloseCode(code)) = code {
        payload.put_u16(code);
        payload.put_slice(cut(reason).as_bytes());
    }
    frame(out, Opcode::Close, &payload);
}

/// Appends a client frame masked with `key`. RFC 6455 §5.3 requires a new random key for each
/// frame.
pub fn masked(out: &mut Vec<u8>, opcode: Opcode, fin: Fin, payload: &[u8], key: [u8; 4]) {
    header(out, opcode.bits() | fin.bit(), MASK_BIT, payload.len());
    out.put_slice(&key);
    let begin = out.len();
    out.put_slice(payload);
    mask::apply(out.get_mut(begin..).unwrap_or_default(), key);
}

fn frame(out: &mut impl BufMut, opcode: Opcode, payload: &[u8]) {
    header(out, opcode.bits() | Fin::BIT, 0, payload.len());
    out.put_slice(payload);
}

/// Appends the header in one call. Each append is a function call that checks the capacity.
fn header(out: &mut impl BufMut, first: u8, mask_bit: u8, length: usize) {
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < TWO_BYTES => out.put_slice(&[first, mask_bit | short]),
        (_, Ok(middle)) => {
            let [high, low] = middle.to_be_bytes();
            out.put_slice(&[first, mask_bit | TWO_BYTES, high, low]);
        }
        _ => {
            let [a, b, c, d, e, f, g, h] = (length as u64).to_be_bytes();
            out.put_slice(&[first, mask_bit | EIGHT_BYTES, a, b, c, d, e, f, g, h]);
        }
    }
}

fn control(payload: &[u8]) -> &[u8] {
    payload.get(..CONTROL_BYTES_MAX).unwrap_or(payload)
}

fn cut(reason: &str) -> &str {
    let end = reason.floor_char_boundary(REASON_BYTES_MAX);
    reason.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn lengths_take_their_shortest_form() {
        for (length, head) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 0xFF, 0xFF]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = text_frame(&vec![b'x'; length]);
            assert_eq!(frame.len(), head.len() + length);
            assert!(frame.starts_with(head), "{length}");
        }
    }

    #[test]
    fn a_frame_around_a_payload_is_the_same_without_a_copy() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let buffer = [&b"fields before"[..], &payload].concat();
            let framed = framed_in_place(buffer, 13).unwrap();
            assert_eq!(framed, framed_text(&payload));
            assert_eq!((framed.payload(), framed.frame()), (&*payload, &text_frame(&payload)));
            assert_eq!(framed.shared_payload(), payload);
        }
        let short = vec![b'x'; 70_000];
        assert_eq!(framed_in_place(short.clone(), 9), Err(short));
        assert_eq!(framed_in_place(vec![], 9), Err(vec![]));
    }

    #[test]
    fn control_frames_hold_what_they_may() {
        assert_eq!(written(|out| ping(out, b"a")), b"\x89\x01a");
        assert_eq!(written(|out| pong(out, &[7; 126])).len(), 127);
        assert_eq!(written(|out| binary(out, b"b")), b"\x82\x01b");
        assert_eq!(written(|out| close(out, None, "lost")), b"\x88\x00");
        assert_eq!(written(|out| close(out, Some(CloseCode::NORMAL), "")), b"\x88\x02\x03\xe8");
        assert_eq!(written(|out| close(out, Some(CloseCode::AWAY), "by")), b"\x88\x04\x03\xe9by");
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let frame = written(|out| close(out, Some(CloseCode::POLICY), &"é".repeat(100)));
        assert_eq!(frame.len(), 2 + 2 + 122);
        assert!(std::str::from_utf8(&frame[4..]).is_ok());
    }

    #[test]
    fn the_masked_example_of_the_rfc() {
        let key = [0x37, 0xFA, 0x21, 0x3D];
        let frame = written(|out| masked(out, Opcode::Text, Fin::Last, b"Hello", key));
        assert_eq!(frame, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    }
}
