//! The protocol of browsers of 2010: drafts 75 and 76.

use super::raw::Raw;

/// The two keys of the example in draft 76.
pub const KEYS: &str =
    "Sec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\nSec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\n";
/// The eight bytes after the head of that example.
pub const KEY3: &[u8] = b"^n:ds[4U";

/// Returns a handshake request of draft 75.
pub fn draft_75(target: &str, lines: &str) -> Vec<u8> {
    let request = format!(
        "GET {target} HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: example.com\r\n\
         Origin: http://example.com\r\n{lines}\r\n"
    );
    request.into_bytes()
}

/// Returns the example request of draft 76. The response to it ends with `8jKS'y:G*Co,Wxa-`.
pub fn draft_76(target: &str, lines: &str) -> Vec<u8> {
    [&draft_75(target, &format!("{KEYS}{lines}")), KEY3].concat()
}

/// Returns a text message.
pub fn text(text: &str) -> Vec<u8> {
    [b"\0", text.as_bytes(), b"\xff"].concat()
}

/// Reads the 101 of draft 76 and the sixteen bytes after it.
#[track_caller]
pub fn read_answer(client: &mut Raw) -> String {
    let head = client.read_head();
    assert_eq!(head.status(), 101, "{}", head.text);
    head.text + &String::from_utf8_lossy(&client.read_exactly(16))
}

/// Reads the next message, which must be a text.
#[track_caller]
pub fn read_text(client: &mut Raw) -> String {
    assert_eq!(client.read_exactly(1), b"\0");
    String::from_utf8(client.read_until(0xFF)).unwrap()
}
