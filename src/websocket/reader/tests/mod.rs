//! Tests of each rule, then of three properties: segmentation, garbage, and agreement with
//! tungstenite.

mod leniency;

use std::io::{self, Cursor, Read, Write};

use proptest::collection::vec;
use proptest::prelude::*;

use crate::types::limits::{BYTES_PER_PIECE, PIECES_MIN};
use crate::websocket::{Leniency, LoneContinuation, write};

use super::*;

const LIMITS: MessageLimits = MessageLimits {
    message_bytes_max: 100_000,
    lone_continuation: LoneContinuation::Refused,
    leniency: Leniency::STRICT,
};
const KEY: [u8; 4] = [1, 2, 0xFE, 0x80];

/// Owned copy of an event.
#[derive(Clone, Debug, PartialEq)]
enum OwnedEvent {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

impl From<FrameEvent<'_>> for OwnedEvent {
    fn from(event: FrameEvent<'_>) -> Self {
        match event {
            FrameEvent::Text(text) => Self::Text(text.to_owned()),
            FrameEvent::Binary(bytes) => Self::Binary(bytes.to_vec()),
            FrameEvent::Ping(bytes) => Self::Ping(bytes.to_vec()),
            FrameEvent::Pong(bytes) => Self::Pong(bytes.to_vec()),
            FrameEvent::Close(code, reason) => {
                Self::Close(code.map(|code| code.0), reason.to_owned())
            }
        }
    }
}

/// Reads a stream. Returns its events, and whether the reader still holds memory at the end.
fn read_all(
    mut reader: FrameReader,
    segments: &[Vec<u8>],
) -> (Vec<OwnedEvent>, Result<bool, Violation>) {
    let mut events_of = Vec::new();
    for segment in segments {
        let mut segment = segment.clone();
        let mut input = &mut segment[..];
        loop {
            match reader.next(&mut input, &LIMITS) {
                Ok(Some(event)) => events_of.push(event.into()),
                Ok(None) => break,
                Err(violation) => return (events_of, Err(violation)),
            }
        }
        assert!(input.is_empty(), "None means that all input was used");
    }
    let holds = reader.partial.is_some();
    (events_of, Ok(holds))
}

fn read_one(stream: &[u8]) -> (Vec<OwnedEvent>, Result<bool, Violation>) {
    read_all(FrameReader::default(), &[stream.to_vec()])
}

fn bytewise(stream: &[u8]) -> Vec<Vec<u8>> {
    stream.iter().map(|byte| vec![*byte]).collect()
}

fn frame(opcode: Opcode, fin: Fin, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write::masked(&mut out, opcode, fin, payload, KEY);
    out
}

/// Builds a frame with an arbitrary first byte.
fn odd(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame(Opcode::Text, Fin::Last, payload);
    bytes[0] = first;
    bytes
}

fn close_frame(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(Opcode::Close, Fin::Last, &[&code.to_be_bytes(), reason].concat())
}

/// Asserts that a stream causes this violation, both at once and byte by byte.
fn assert_violates(stream: &[u8], expected: Violation) {
    for segments in [vec![stream.to_vec()], bytewise(stream)] {
        let (_, verdict) = read_all(FrameReader::default(), &segments);
        assert_eq!(verdict, Err(expected), "{stream:02x?}");
    }
}

#[test]
fn each_rule_has_its_violation() {
    let more_text = frame(Opcode::Text, Fin::More, b"a");
    let text = frame(Opcode::Text, Fin::Last, b"a");
    for (stream, expected) in [
        (b"\x81\x01a".to_vec(), Violation::Unmasked),
        (odd(0xC1, b"x"), Violation::ReservedBits),
        (odd(0xA1, b"x"), Violation::ReservedBits),
        (odd(0x91, b"x"), Violation::ReservedBits),
        (odd(0x83, b"x"), Violation::ReservedOpcode(3)),
        (odd(0x87, b"x"), Violation::ReservedOpcode(7)),
        (odd(0x8B, b"x"), Violation::ReservedOpcode(11)),
        (odd(0x8F, b"x"), Violation::ReservedOpcode(15)),
        (frame(Opcode::Ping, Fin::Last, &[0; 126]), Violation::ControlTooLong),
        (frame(Opcode::Pong, Fin::Last, &[0; 70_000]), Violation::ControlTooLong),
        (frame(Opcode::Ping, Fin::More, b"a"), Violation::ControlFragmented),
        (frame(Opcode::Close, Fin::More, b""), Violation::ControlFragmented),
        (frame(Opcode::Continuation, Fin::Last, b"a"), Violation::LoneContinuation),
        (frame(Opcode::Continuation, Fin::More, b""), Violation::LoneContinuation),
        ([&more_text[..], &text].concat(), Violation::ExpectedContinuation),
        ([&more_text[..], &odd(0x82, b"a")].concat(), Violation::ExpectedContinuation),
        (odd(0x88, b"x"), Violation::BadCloseLength),
        (close_frame(1000, b"\xFF"), Violation::BadUtf8),
    ] {
        assert_violates(&stream, expected);
    }
}

#[test]
fn lengths_are_judged_before_the_mask_has_come() {
    for (head, expected) in [
        (&b"\x81\xFE\x00\x7D"[..], Violation::NonMinimalLength),
        (b"\x81\xFF\0\0\0\0\0\0\xFF\xFF", Violation::NonMinimalLength),
        (b"\x81\xFF\0\0\0\0\0\0\0\x01", Violation::NonMinimalLength),
        (b"\x82\xFF\x80\0\0\0\0\0\0\0", Violation::LengthOverflow),
        (b"\x82\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", Violation::LengthOverflow),
        (b"\x82\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", Violation::TooBig { max: 100_000 }),
        (b"\x82\xFF\0\0\0\0\0\x01\x86\xA1", Violation::TooBig { max: 100_000 }),
    ] {
        assert_violates(head, expected);
    }
}

#[test]
fn the_limit_is_for_all_pieces_together_and_is_reached_exactly() {
    let mut stream = frame(Opcode::Binary, Fin::More, &[7; 60_000]);
    stream.extend(frame(Opcode::Continuation, Fin::More, &[7; 40_000]));
    let exact = [&stream[..], &frame(Opcode::Continuation, Fin::Last, b"")].concat();
    assert_eq!(read_one(&exact), (vec![OwnedEvent::Binary(vec![7; 100_000])], Ok(false)));
    stream.extend([0x80, 0x81]);
    assert_violates(&stream, Violation::TooBig { max: 100_000 });
}

#[test]
fn empty_pieces_count_and_bytes_earn_more_of_them() {
    let dust = |bytes: usize, pieces: usize| {
        let mut stream = frame(Opcode::Text, Fin::More, &vec![b'x'; bytes]);
        for _ in 1..pieces {
            stream.extend(frame(Opcode::Continuation, Fin::More, b""));
        }
        read_one(&stream).1
    };
    assert_eq!(dust(0, PIECES_MIN), Ok(true));
    assert_eq!(dust(0, PIECES_MIN + 1), Err(Violation::TooManyPieces));
    assert_eq!(dust(10 * BYTES_PER_PIECE, PIECES_MIN + 10), Ok(true));
    assert_eq!(dust(10 * BYTES_PER_PIECE, PIECES_MIN + 11), Err(Violation::TooManyPieces));
}

#[test]
fn wrong_text_is_seen_at_its_first_wrong_byte() {
    let cases: [(&[u8], &str); 7] = [
        (b"ok\xC0\xAF", "overlong"),
        (b"\xE0\x80\x80", "overlong"),
        (b"\xED\xA0\x80", "surrogate"),
        (b"\xF4\x90\x80\x80", "above the last character"),
        (b"a\x80", "lone continuation byte"),
        (b"\xE2\x28\xA1", "wrong second byte"),
        (b"\xFF", "no such byte"),
    ];
    for (bytes, what) in cases {
        assert_violates(&frame(Opcode::Text, Fin::Last, bytes), Violation::BadMessage);
        let early = frame(Opcode::Text, Fin::Last, &[bytes, &[b'x'; 500]].concat());
        let (_, verdict) = read_one(&early[..100]);
        assert_eq!(verdict, Err(Violation::BadMessage), "{what}, in the middle of a frame");
        assert_eq!(read_one(&odd(0x82, bytes)).1, Ok(false), "binary may be anything");
    }
}

#[test]
fn a_character_may_be_cut_by_pieces_but_not_by_the_end() {
    let euro = "€".as_bytes();
    for cut in 0..=euro.len() {
        let first = frame(Opcode::Text, Fin::More, &euro[..cut]);
        let last = frame(Opcode::Continuation, Fin::Last, &euro[cut..]);
        let events_of = read_one(&[first, last].concat()).0;
        assert_eq!(events_of, [OwnedEvent::Text("€".to_owned())]);
    }
    assert_violates(&frame(Opcode::Text, Fin::Last, &euro[..2]), Violation::BadMessage);
    let first = frame(Opcode::Text, Fin::More, &euro[..2]);
    let last = frame(Opcode::Continuation, Fin::Last, b"");
    assert_violates(&[first, last].concat(), Violation::BadUtf8);
}

#[test]
fn close_codes_that_may_not_be_sent_are_refused() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        assert_violates(&close_frame(code, b""), Violation::BadCloseCode(code));
    }
    for code in [1000, 1003, 1007, 1014, 3000, 4999] {
        let events_of = read_one(&close_frame(code, "tschüß".as_bytes())).0;
        assert_eq!(events_of, [OwnedEvent::Close(Some(code), "tschüß".to_owned())]);
    }
    let empty = frame(Opcode::Close, Fin::Last, b"");
    assert_eq!(read_one(&empty).0, [OwnedEvent::Close(None, String::new())]);
}

#[test]
fn a_ping_between_and_a_cut_one_within_pieces_disturb_nothing() {
    let stream = [
        frame(Opcode::Text, Fin::More, b"{\"a\":"),
        frame(Opcode::Ping, Fin::Last, b"mid"),
        frame(Opcode::Continuation, Fin::Last, b"1}"),
    ]
    .concat();
    let expected =
        vec![OwnedEvent::Ping(b"mid".to_vec()), OwnedEvent::Text("{\"a\":1}".to_owned())];
    assert_eq!(read_one(&stream), (expected.clone(), Ok(false)));
    assert_eq!(read_all(FrameReader::default(), &bytewise(&stream)).0, expected);
}

#[test]
fn whole_messages_are_lent_from_the_input_and_nothing_is_kept() {
    let mut bytes = [frame(Opcode::Text, Fin::Last, b"one"), odd(0x82, b"two")].concat();
    let range = bytes.as_ptr_range();
    let (mut reader, mut input) = (FrameReader::default(), &mut bytes[..]);
    let mut seen = 0;
    while let Some(event) = reader.next(&mut input, &LIMITS).unwrap() {
        let (FrameEvent::Text(_) | FrameEvent::Binary(_)) = event else { panic!("{event:?}") };
        let start = match event {
            FrameEvent::Text(text) => text.as_ptr(),
            FrameEvent::Binary(bytes) => bytes.as_ptr(),
            _ => unreachable!(),
        };
        assert!(range.contains(&start));
        seen += 1;
    }
    assert_eq!(seen, 2);
    assert!(reader.partial.is_none());
    assert!(size_of::<FrameReader>() <= 16);
}

#[test]
fn a_promise_of_megabytes_reserves_nothing() {
    let limits = MessageLimits::default();
    let mut head = *b"\x82\xFF\0\0\0\0\0\x4F\0\0\0\0\0\0x";
    let mut reader = FrameReader::default();
    assert!(!reader.is_mid_frame());
    assert_eq!(reader.next(&mut &mut head[..], &limits), Ok(None));
    assert!(reader.is_mid_frame());
    let kept = reader.partial.unwrap().message.unwrap();
    assert_eq!(kept.bytes().len(), 1);
    assert!(kept.room() < 100);
}

#[test]
fn a_client_reads_unmasked_frames_only() {
    let mut stream = Vec::new();
    write::text(&mut stream, b"ready");
    write::close(&mut stream, Some(CloseCode::AWAY), "bye");
    let events_of = read_all(FrameReader::of_server_frames(), &bytewise(&stream)).0;
    assert_eq!(
        events_of,
        [OwnedEvent::Text("ready".into()), OwnedEvent::Close(Some(1001), "bye".into())]
    );
    let masked = frame(Opcode::Text, Fin::Last, b"x");
    let verdict = read_all(FrameReader::of_server_frames(), &[masked]).1;
    assert_eq!(verdict, Err(Violation::Masked));
}

fn events_of() -> impl Strategy<Value = OwnedEvent> {
    prop_oneof![
        4 => "\\PC{0,200}".prop_map(OwnedEvent::Text),
        2 => vec(any::<u8>(), 0..300).prop_map(OwnedEvent::Binary),
        1 => vec(any::<u8>(), 0..=125).prop_map(OwnedEvent::Ping),
        1 => vec(any::<u8>(), 0..=125).prop_map(OwnedEvent::Pong),
    ]
}

/// Encodes one message as frames, fragmented at the given offsets (modulo the remaining length).
fn frames_of(events_of: &OwnedEvent, cuts: &[usize]) -> Vec<Vec<u8>> {
    let (mut opcode, mut rest) = match events_of {
        OwnedEvent::Text(text) => (Opcode::Text, text.as_bytes()),
        OwnedEvent::Binary(bytes) => (Opcode::Binary, &bytes[..]),
        OwnedEvent::Ping(bytes) => return vec![frame(Opcode::Ping, Fin::Last, bytes)],
        OwnedEvent::Pong(bytes) => return vec![frame(Opcode::Pong, Fin::Last, bytes)],
        OwnedEvent::Close(..) => unreachable!("not generated"),
    };
    let mut frames = Vec::new();
    for cut in cuts {
        let (piece, after) = rest.split_at(cut % (rest.len() + 1));
        frames.push(frame(opcode, Fin::More, piece));
        (opcode, rest) = (Opcode::Continuation, after);
    }
    frames.push(frame(opcode, Fin::Last, rest));
    frames
}

fn segments_of(mut stream: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut segments = Vec::new();
    for cut in cuts.iter().cycle().take(10_000) {
        let (segment, rest) = stream.split_at((*cut).min(stream.len()));
        segments.push(segment.to_vec());
        stream = rest;
    }
    segments.push(stream.to_vec());
    segments
}

/// Generates bytes that often contain a valid first header.
fn suspicious() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        Just(0x81_u8),
        Just(0x01),
        Just(0x80),
        Just(0x00),
        Just(0x89),
        Just(0x88),
        any::<u8>()
    ];
    let second = prop_oneof![4 => 0x80_u8..0x90, 1 => Just(0xFE), 1 => any::<u8>()];
    let part = (first, second, vec(any::<u8>(), 4..24)).prop_map(|(first, second, mut rest)| {
        if second & 0x70 == 0 {
            rest.resize(4 + usize::from(second & 0x0F), 0x2D);
        }
        [vec![first, second], rest].concat()
    });
    vec(part, 0..12).prop_map(|parts| parts.concat())
}

struct Peers(Cursor<Vec<u8>>);

impl Read for Peers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Peers {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tungstenite_reads(stream: Vec<u8>) -> Vec<OwnedEvent> {
    use tungstenite::{Message, WebSocket, protocol::Role};
    let mut socket = WebSocket::from_raw_socket(Peers(Cursor::new(stream)), Role::Server, None);
    std::iter::from_fn(|| socket.read().ok())
        .map(|message| match message {
            Message::Text(text) => OwnedEvent::Text(text.as_str().to_owned()),
            Message::Binary(bytes) => OwnedEvent::Binary(bytes.to_vec()),
            Message::Ping(bytes) => OwnedEvent::Ping(bytes.to_vec()),
            Message::Pong(bytes) => OwnedEvent::Pong(bytes.to_vec()),
            other => panic!("{other:?}"),
        })
        .collect()
}

proptest! {
    #[test]
    fn messages_survive_every_fragmentation_and_segmentation(
        talk in vec((events_of(), vec(any::<usize>(), 0..5)), 0..8),
        cuts in vec(0_usize..200, 1..20),
    ) {
        let stream: Vec<u8> =
            talk.iter().flat_map(|(events_of, cuts)| frames_of(events_of, cuts)).flatten().collect();
        let expected: Vec<OwnedEvent> = talk.into_iter().map(|(events_of, _)| events_of).collect();
        let read = read_all(FrameReader::default(), &segments_of(&stream, &cuts));
        prop_assert_eq!(&read, &(expected.clone(), Ok(false)));
        prop_assert_eq!(tungstenite_reads(stream), expected);
    }

    #[test]
    fn the_verdict_on_any_bytes_does_not_depend_on_how_they_were_cut(
        stream in prop_oneof![vec(any::<u8>(), 0..200), suspicious()],
        cuts in vec(0_usize..40, 1..20),
    ) {
        let (whole, verdict) = read_one(&stream);
        for segments in [segments_of(&stream, &cuts), bytewise(&stream)] {
            let (events_of, cut_verdict) = read_all(FrameReader::default(), &segments);
            prop_assert_eq!(&events_of, &whole);
            prop_assert_eq!(cut_verdict, verdict);
        }
    }
}
