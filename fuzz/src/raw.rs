//! Raw TCP clients and the malformed head of 2021: greetings become valid heads, and a stream of
//! JSON values is split at the end of each value, independent of the segmentation.

use tagcast::http::repair;
use tagcast::http::{HeadScanner, RawGreeting, RepairedHead, parse, raw_greeting, raw_upgrade};
use tagcast::types::ClientClass;
use tagcast::types::limits::OLD_HEAD_BYTES_MAX;
use tagcast::websocket::{RawEnd, RawReader, Violation};

use super::choices::{Choices, pieces};

/// The first byte selects the meaning of the rest.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    match choices.byte() & 3 {
        0 => greeting(choices.0),
        1 => malformed(choices.0),
        _ => messages(choices.0),
    }
}

fn greeting(bytes: &[u8]) {
    let Ok(RawGreeting::Whole { head, length }) = raw_greeting(bytes) else { return };
    assert!(length <= bytes.len());
    let parsed = parse(&head).expect("a head of our own");
    assert_eq!(
        raw_upgrade(&parsed).map(|it| it.class()).unwrap_or(ClientClass::Php),
        ClientClass::Php
    );
    assert_eq!(HeadScanner::default().scan(&head), Ok(Some(head.len())));
    for end in 0..length {
        assert_eq!(raw_greeting(&bytes[..end]), Ok(RawGreeting::Incomplete));
    }
}

fn malformed(bytes: &[u8]) {
    match repair(bytes) {
        Ok(RepairedHead::Whole { head, length }) => {
            assert!(length <= bytes.len().min(OLD_HEAD_BYTES_MAX));
            let again = repair(&[&bytes[..length], b"and more"].concat());
            assert_eq!(again, Ok(RepairedHead::Whole { head: head.clone(), length }));
            // The repaired head may violate a rule, but it must not end at another position.
            if let Ok(end) = HeadScanner::default().scan(&head) {
                assert_eq!(end, Some(head.len()));
            }
        }
        Ok(RepairedHead::Incomplete) => assert!(bytes.len() < OLD_HEAD_BYTES_MAX),
        Ok(RepairedHead::Other) | Err(_) => {}
    }
}

fn messages(stream: &[u8]) {
    let at_once = read(&[stream]);
    // Inside a chunked message, the end of a read distinguishes marks from chunks.
    let has_chunks = stream.windows(8).any(|bytes| bytes == b"bufferON");
    if !has_chunks {
        assert_eq!(read(&pieces(stream)), at_once);
        let bytewise: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(read(&bytewise), at_once);
    }
    for message in &at_once.0 {
        assert!(!message.is_empty() && message.len() <= BYTES_MAX);
    }
    if let Ok(text) = std::str::from_utf8(stream)
        && let Ok(value) = serde_json::from_str::<&serde_json::value::RawValue>(text)
        && value.get().starts_with(['{', '[', '"'])
        && value.get().len() <= BYTES_MAX
    {
        assert_eq!(at_once, (vec![value.get().to_owned()], Ok(())));
    }
}

const BYTES_MAX: usize = 1000;

/// Returns the messages of a stream that ends with a pause.
fn read(segments: &[&[u8]]) -> (Vec<String>, Result<(), Violation>) {
    let mut reader = RawReader::new(RawEnd::Value);
    let mut messages = Vec::new();
    let mut read_segment = |reader: &mut RawReader, segment: &[u8]| {
        let mut segment = segment.to_vec();
        let mut input = &mut segment[..];
        loop {
            match reader.next(&mut input, BYTES_MAX) {
                Ok(Some(message)) => messages.push(message.to_owned()),
                Ok(None) => break,
                Err(violation) => return Err(violation),
            }
        }
        assert!(input.is_empty(), "nothing more to say means that all was read");
        Ok(())
    };
    let mut end = Ok(());
    for segment in segments {
        end = end.and_then(|()| read_segment(&mut reader, segment));
    }
    reader.pause();
    end = end.and_then(|()| read_segment(&mut reader, &[]));
    assert!(end.is_err() || !reader.is_mid_message());
    (messages, end)
}
