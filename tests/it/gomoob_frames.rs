//! Frames and closes of gomoob connections: cases 113 to 116 of the contract.

use crate::harness::frames::{BINARY, CONTINUATION, FIN, PING, TEXT};
use crate::harness::{Open, Raw, Server, frames};

fn open(server: &Server) -> Raw {
    Open::tags("{}").upgrade(server.port)
}

#[test]
fn case_113_a_request_in_fragments_is_put_together() {
    let server = Server::start();
    let (mut sender, mut other) = server.upgrade_apart(&Open::tags("{}"), &Open::tags("{}"));
    let message = format!("\"{}\"", "é".repeat(150_000));
    let request = format!(r#"{{"message":{message},"metadata":{{}},"tags":{{}}}}"#);
    let pieces: Vec<&[u8]> = request.as_bytes().chunks(4096).collect();
    for (number, piece) in pieces.iter().enumerate() {
        let opcode = if number == 0 { TEXT } else { CONTINUATION };
        let fin = if number + 1 == pieces.len() { FIN } else { 0 };
        sender.send(frames::masked(fin | opcode, piece));
    }
    for client in [&mut sender, &mut other] {
        client.expect_text(&message);
    }
}

#[test]
fn case_114_a_close_is_answered_with_its_code_and_reason() {
    let server = Server::start();
    let mut client = open(&server);
    client.send(frames::close(1000, "ttfn"));
    let close = client.expect_close(1000);
    assert_eq!(&close.payload[2..], b"ttfn");
    client.expect_end();
    let mut empty = open(&server);
    empty.send(frames::masked(0x88, b""));
    empty.expect_close(1000);
    let mut invalid = open(&server);
    invalid.send(frames::close(1005, ""));
    invalid.expect_close(1002);
}

#[test]
fn case_115_what_breaks_rfc_6455_is_closed() {
    let server = Server::start();
    let text = br#"{"message":1}"#;
    let mut unmasked = vec![FIN | TEXT, 13];
    unmasked.extend(text);
    for broken in [
        unmasked,
        frames::masked(FIN | 0x40 | TEXT, text),
        frames::masked(FIN | 3, text),
        frames::masked(FIN | CONTINUATION, text),
        frames::masked(FIN | PING, [b'x'; 126]),
    ] {
        let mut client = open(&server);
        client.send(broken);
        client.expect_closed_somehow(1002);
    }
    let mut client = open(&server);
    client.send(frames::masked(FIN | TEXT, b"{\"message\":\"\xff\"}"));
    client.expect_closed_somehow(1007);
}

#[test]
fn case_116_a_binary_frame_is_read_as_text() {
    let server = Server::start();
    let mut client = open(&server);
    client.send(frames::masked(FIN | BINARY, br#"{"message":"binary"}"#));
    client.expect_text(r#""binary""#);
    client.send(frames::masked(FIN | BINARY, b"\xff"));
    client.expect_closed(1007);
}
