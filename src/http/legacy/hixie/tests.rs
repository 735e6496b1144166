//! Handshakes of drafts 75 and 76.

use super::*;
use crate::http::parse;

const KEYS: &str =
    "Sec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\nSec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\n";
const DRAFT: (Encryption, HixieForm) = (Encryption::Plain, HixieForm::Draft);
const ORIGINAL: (Encryption, HixieForm) = (Encryption::Plain, HixieForm::Original);

fn head(lines: &str) -> String {
    format!(
        "GET /demo?x HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\
         Origin: http://example.com\r\n{lines}\r\n"
    )
}

/// Returns the 101 response to a head with these lines, or the refusal. `None` if the head belongs
/// to neither draft.
fn answered(
    lines: &str,
    behind: &[u8],
    how: (Encryption, HixieForm),
    protocol: Option<&str>,
) -> Result<Option<String>, Refusal> {
    let head = head(lines);
    let head = parse(head.as_bytes()).unwrap();
    let upgrade = hixie(&head, behind, how.0, how.1)?;
    Ok(upgrade.map(|it| String::from_utf8_lossy(&it.answer(protocol)).into_owned()))
}

#[test]
fn the_example_of_draft_76() {
    let lines = format!("Sec-WebSocket-Protocol: sample\r\n{KEYS}");
    let answer = answered(&lines, b"^n:ds[4U\0hi", DRAFT, Some("sample")).unwrap().unwrap();
    assert_eq!(
        answer,
        "HTTP/1.1 101 WebSocket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Protocol: sample\r\nSec-WebSocket-Origin: http://example.com\r\n\
         Sec-WebSocket-Location: ws://example.com/demo?x\r\n\r\n8jKS'y:G*Co,Wxa-"
    );
    let tls = (Encryption::Tls, HixieForm::Draft);
    let answer = answered(KEYS, b"^n:ds[4U", tls, None).unwrap().unwrap();
    assert!(answer.contains("\r\nSec-WebSocket-Location: wss://example.com/demo?x\r\n"));
}

#[test]
fn draft_75_with_its_own_names_and_with_those_of_the_original() {
    let lines = "WebSocket-Protocol: sample\r\n";
    let answer = answered(lines, b"", DRAFT, Some("sample")).unwrap().unwrap();
    assert_eq!(
        answer,
        "HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\n\
         Connection: Upgrade\r\nWebSocket-Origin: http://example.com\r\n\
         WebSocket-Location: ws://example.com/demo?x\r\nWebSocket-Protocol: sample\r\n\r\n"
    );
    let answer = answered(lines, b"", ORIGINAL, None).unwrap().unwrap();
    assert_eq!(
        answer,
        "HTTP/1.1 101 WebSocket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Protocol: _ECHO_\r\nSec-WebSocket-Origin: http://example.com\r\n\
         Sec-WebSocket-Location: ws://example.com/demo?x\r\n\r\n\r\n"
    );
}

#[test]
fn the_original_does_not_wait_for_the_bytes_after_the_head() {
    let head = head(KEYS);
    let head = parse(head.as_bytes()).unwrap();
    assert_eq!(bytes_behind(&head), KEY3_BYTES);
    let answer = hixie(&head, b"", ORIGINAL.0, ORIGINAL.1).unwrap().unwrap().answer(None);
    assert!(answer.ends_with(b"\x84\xf7(\xbf]#\x8a\x8d\xfa\x8e\x96\xfe\xa1z2%"));
}

#[test]
fn a_head_with_a_version_or_a_key_is_rfc_6455() {
    for lines in
        ["Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Key: k\r\n", "Sec-WebSocket-Key1: 1 2\r\n"]
    {
        assert_eq!(answered(lines, b"", DRAFT, None), Ok(None), "{lines}");
    }
    let modern = head("").replace("Upgrade: WebSocket", "Upgrade: websocket");
    assert!(hixie(&parse(modern.as_bytes()).unwrap(), b"", DRAFT.0, DRAFT.1).unwrap().is_none());
}

#[test]
fn impossible_keys_are_refused() {
    for key in ["12345", "", " ", "x y", "1 2 4 ", "42949672960 0", &"9 ".repeat(300), "1  1"] {
        let lines = format!("Sec-WebSocket-Key1: {key}\r\nSec-WebSocket-Key2: 1 0\r\n");
        let answer = answered(&lines, b"12345678", DRAFT, None);
        let is_right = key == "x y" || key == "1 2 4 ";
        assert_eq!(answer.is_ok(), is_right, "{key:?}: {answer:?}");
    }
}
