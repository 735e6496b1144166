//! Deviations from RFC 6455 that options allow.

use super::*;

#[test]
fn what_a_switch_allows_is_read_and_the_rest_is_refused_as_ever() {
    let read = |leniency: Leniency, bytes: &[u8]| {
        let (mut reader, mut bytes) = (FrameReader::default(), bytes.to_vec());
        let limits = MessageLimits { leniency, ..LIMITS };
        let mut input = bytes.as_mut_slice();
        let events_of =
            reader.next(&mut input, &limits).map(|event| event.map(|it| format!("{it:?}")));
        events_of.map(Option::unwrap_or_default)
    };
    let unmasked = b"\x81\x02hi";
    assert_eq!(read(Leniency::STRICT, unmasked), Err(Violation::Unmasked));
    assert_eq!(read(Leniency::UNMASKED, unmasked), Ok("Text(\"hi\")".to_owned()));
    assert_eq!(read(Leniency::UNMASKED, b"\x81\x82\0\0\0\0hi"), Ok("Text(\"hi\")".to_owned()));
    let reserved_bits = b"\xC1\x82\0\0\0\0hi";
    assert_eq!(read(Leniency::UNMASKED, reserved_bits), Err(Violation::ReservedBits));
    assert_eq!(read(Leniency::RESERVED, reserved_bits), Ok("Text(\"hi\")".to_owned()));
    let opcode_3 = b"\x83\x82\0\0\0\0hi";
    assert_eq!(read(Leniency::STRICT, opcode_3), Err(Violation::ReservedOpcode(3)));
    assert_eq!(read(Leniency::RESERVED, opcode_3), Ok("Pong([104, 105])".to_owned()));
    let piece = b"\x01\x82\0\0\0\0hi";
    assert_eq!(read(Leniency::STRICT, piece), Ok(String::new()));
    assert_eq!(read(Leniency::ONE_PIECE, piece), Err(Violation::InPieces));
}

#[test]
fn a_lone_final_continuation_is_a_text_for_lenient_readers() {
    let lenient = MessageLimits { lone_continuation: LoneContinuation::IsText, ..LIMITS };
    let mut reader = FrameReader::default();
    let mut bytes = frame(Opcode::Continuation, Fin::Last, b"{}");
    let mut input = &mut bytes[..];
    assert_eq!(reader.next(&mut input, &lenient), Ok(Some(FrameEvent::Text("{}"))));
    let mut bytes = frame(Opcode::Continuation, Fin::More, b"{}");
    let mut input = &mut bytes[..];
    assert_eq!(reader.next(&mut input, &lenient), Err(Violation::LoneContinuation));
}
