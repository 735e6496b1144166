//! Browsers of 2010: a handshake of drafts 75 and 76 gets one head and its digest, or a refusal.
//! The events do not depend on the segmentation. Frames to these clients can be read back.

use bytes::BytesMut;
use tagcast::http::hixie;
use tagcast::http::{HeadScanner, KEY3_BYTES, bytes_behind, parse};
use tagcast::types::{ClientClass, Encryption, HixieForm};
use tagcast::websocket::{
    FrameEvent, HixieReader, LegacyFraming, MessageLimits, MessageReader, Violation, write,
};

use super::choices::{Choices, pieces};

/// The first byte selects the meaning of the rest.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let kind = choices.byte();
    if kind & 1 == 0 {
        let answer = if kind & 2 == 0 { HixieForm::Draft } else { HixieForm::Original };
        let encryption = if kind & 4 == 0 { Encryption::Plain } else { Encryption::Tls };
        handshake(choices.0, (encryption, answer));
    } else {
        frames(choices.0, [1, 10, 1000, 70_000][usize::from(kind >> 1 & 3)]);
    }
}

fn handshake(bytes: &[u8], how: (Encryption, HixieForm)) {
    let Ok(Some(length)) = HeadScanner::default().scan(bytes) else { return };
    let (head, behind) = bytes.split_at(length);
    let Ok(head) = parse(head) else { return };
    let Ok(Some(upgrade)) = hixie(&head, behind, how.0, how.1) else { return };
    assert_eq!(upgrade.class(), ClientClass::Web);
    assert!(upgrade.path.starts_with('/'));
    let sum = if bytes_behind(&head) == KEY3_BYTES { 16 } else { 0 };
    for protocol in upgrade.protocols().map(Some).chain([None]) {
        let answer = upgrade.answer(protocol);
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an end");
        let extra = if how.1 == HixieForm::Original && sum == 0 { 2 } else { sum };
        assert_eq!(answer.len() - end - 4, extra);
        let lines = answer[..end].iter().filter(|byte| **byte == b'\n').count();
        assert!((3..=5).contains(&lines), "nothing of a request adds a line");
    }
}

fn frames(stream: &[u8], bytes_max: usize) {
    let at_once = read(&[stream], bytes_max);
    assert_eq!(read(&pieces(stream), bytes_max), at_once);
    let bytewise: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(read(&bytewise, bytes_max), at_once);
    assert!(at_once.0.iter().all(|text| text.len() <= bytes_max));
    let mut newer = BytesMut::new();
    for text in &at_once.0 {
        write::text(&mut newer, text.as_bytes());
        write::ping(&mut newer, b"not heard");
    }
    let older = LegacyFraming::Hixie(HixieReader::new(HixieForm::Draft)).reframed(&newer);
    assert_eq!(read(&[&older], bytes_max), (at_once.0, Ok(false)));
    // Input that is not a valid frame must not cause a panic.
    drop(LegacyFraming::Hixie(HixieReader::new(HixieForm::Original)).reframed(stream));
}

fn read(segments: &[&[u8]], bytes_max: usize) -> (Vec<String>, Result<bool, Violation>) {
    let mut reader = MessageReader::from(LegacyFraming::Hixie(HixieReader::new(HixieForm::Draft)));
    let limits = MessageLimits { message_bytes_max: bytes_max, ..MessageLimits::default() };
    let mut texts = Vec::new();
    for segment in segments {
        let mut segment = segment.to_vec();
        let mut input = &mut segment[..];
        loop {
            match reader.next(&mut input, &limits) {
                Ok(Some(FrameEvent::Text(text))) => texts.push(text.to_owned()),
                Ok(Some(_)) => return (texts, Ok(true)),
                Ok(None) => break,
                Err(violation) => return (texts, Err(violation)),
            }
        }
        assert!(input.is_empty(), "nothing more to say means that all was read");
    }
    (texts, Ok(reader.is_mid_frame()))
}
