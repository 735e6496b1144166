//! phpWebSocketServer's chunks, frames and limits: cases 47 to 60 and 70 of the contract.

use std::time::Duration;

use crate::harness::frames::{BINARY, FIN, RSV, TEXT};
use crate::harness::pacing::{FRAME_GAP, gap, typical_gap};
use crate::harness::{Open, Raw, Server, Setup, broadcast, echo, frames, received_nothing};

/// The message limit of phpWebSocketServer, in bytes.
const MESSAGE_BYTES_MAX: usize = 5_242_880;

/// Sends texts and expects one acknowledgement for each, and nothing else.
#[track_caller]
fn acknowledged(client: &mut Raw, texts: &[&str]) {
    for text in texts {
        client.text(text);
        client.expect_next();
    }
    client.expect_silence();
}

/// Returns a broadcast of exactly this many bytes.
fn broadcast_of(bytes: usize) -> String {
    broadcast(&"x".repeat(bytes - broadcast("").len()))
}

#[test]
fn case_47_chunks_become_one_message() {
    let server = Server::start();
    let (mut publisher, mut receiver) = server.open_apart(&Open::web(), &Open::web());
    let texts =
        ["bufferON", r#"{"opcode":"bro"#, r#"adcast","mess"#, r#"age":"chunked"}"#, "bufferOFF"];
    acknowledged(&mut publisher, &texts);
    receiver.expect_text(r#"{"opcode":"broadcast","message":"chunked"}"#);
    received_nothing(&mut publisher, &mut receiver);
}

#[test]
fn case_47_chunks_of_a_php_client_become_one_message() {
    let server = Server::start();
    let (mut publisher, mut receiver) = server.open_apart(&Open::php(), &Open::web());
    let packet = broadcast(&"0123456789".repeat(1200));
    let (one, two) = packet.split_at(6144);
    acknowledged(&mut publisher, &["bufferON", one, two, "bufferOFF"]);
    receiver.expect_text(&packet);
}

#[test]
fn case_48_buffer_off_alone_is_acknowledged() {
    let server = Server::start();
    let mut client = server.open(&Open::web());
    acknowledged(&mut client, &["bufferOFF", "bufferOFF"]);
    client.text(echo("still here"));
    client.expect_next();
    client.expect_text(&echo("still here"));
}

#[test]
fn case_49_a_second_buffer_on_discards_what_was_collected() {
    let server = Server::start();
    let (mut publisher, mut receiver) = server.open_apart(&Open::web(), &Open::web());
    let packet = broadcast("the second");
    let texts = ["bufferON", "no json at all", "bufferON", &packet, "bufferOFF"];
    acknowledged(&mut publisher, &texts);
    receiver.expect_text(&packet);
    received_nothing(&mut publisher, &mut receiver);
}

#[test]
fn case_49_chunks_that_form_invalid_json_close_1007() {
    let server = Server::start();
    let mut client = server.open(&Open::web());
    acknowledged(&mut client, &["bufferON", "not ", "json"]);
    client.text("bufferOFF");
    client.expect_next();
    client.expect_closed(1007);
}

#[test]
fn case_50_buffer_on_with_a_blank_is_ordinary_text() {
    let server = Server::start();
    for text in ["bufferON ", " bufferON", "bufferon", "bufferOFF\n"] {
        let mut client = server.open(&Open::web());
        client.text(text);
        client.expect_next();
        client.expect_closed(1007);
    }
}

#[test]
fn case_51_one_chunk_too_many_is_acknowledged_then_closed_1009() {
    let server = Setup::new().ini("[phpws]\nmaxChunks = 100").start();
    let mut client = server.open(&Open::web());
    client.text("bufferON");
    client.expect_next();
    for _ in 0..100 {
        client.text("x");
        client.expect_next();
    }
    client.expect_silence();
    client.text("x");
    client.expect_next();
    client.expect_closed(1009);
}

#[test]
fn case_51_as_many_chunks_as_allowed_are_one_message() {
    let server = Setup::new().ini("[phpws]\nmax_chunks = 100").start();
    let (mut publisher, mut receiver) = server.open_apart(&Open::web(), &Open::web());
    let packet = broadcast(&"y".repeat(100));
    let (begin, rest) = packet.split_at(packet.len() - 99);
    acknowledged(&mut publisher, &["bufferON", begin]);
    for byte in rest.chars() {
        publisher.text(byte.to_string());
        publisher.expect_next();
    }
    acknowledged(&mut publisher, &["bufferOFF"]);
    receiver.expect_text(&packet);
}

#[test]
fn case_52_fragments_with_a_ping_between_them_are_one_message() {
    let server = Server::start();
    let packet = r#"{"opcode":"echo","message":"in pïeces"}"#.as_bytes();
    for cut in [0, 1, packet.len() / 2, packet.len()] {
        let mut client = server.open(&Open::web());
        let (begin, rest) = packet.split_at(cut);
        client.send(frames::text_begins(begin));
        client.send(frames::ping("mid"));
        client.expect_pong(b"mid");
        client.send(frames::ends(rest));
        client.expect_next();
        client.expect_text(std::str::from_utf8(packet).unwrap());
        client.expect_silence();
    }
}

#[test]
fn case_52_a_broadcast_in_many_fragments_arrives_once() {
    let server = Server::start();
    let (mut publisher, mut receiver) = server.open_apart(&Open::web(), &Open::web());
    let packet = broadcast("in pieces");
    let (begin, rest) = packet.split_at(10);
    publisher.send(frames::text_begins(begin));
    for byte in rest.bytes() {
        publisher.send(frames::continues([byte]));
    }
    publisher.send(frames::ends(""));
    publisher.expect_next();
    receiver.expect_text(&packet);
    received_nothing(&mut publisher, &mut receiver);
}

#[test]
fn case_53_a_ping_is_answered_by_its_payload() {
    let server = Server::start();
    for open in [Open::web(), Open::php()] {
        let mut client = server.open(&open);
        for payload in [&b"abc"[..], b"", &[0xFF; 125]] {
            client.send(frames::ping(payload));
            client.expect_pong(payload);
        }
        client.send(frames::masked(FIN | frames::PONG, "nobody asked"));
        client.expect_silence();
    }
}

#[test]
fn case_54_a_close_is_answered() {
    let server = Server::start();
    for open in [Open::web(), Open::php(), Open::at("/")] {
        let mut client = server.open(&open);
        client.send(frames::close(1000, ""));
        client.expect_close(1000);
        client.expect_end();
    }
    let mut client = server.open(&Open::web());
    client.send(frames::masked(FIN | frames::CLOSE, ""));
    let frame = client.frame();
    assert!(frame.is_close(), "{}", frame.shown());
    assert!(matches!(frame.close_code(), None | Some(1000)), "{}", frame.shown());
    client.expect_end();
}

#[test]
fn case_55_a_binary_message_is_a_packet_too() {
    let server = Server::start();
    let (mut publisher, mut receiver) = server.open_apart(&Open::web(), &Open::web());
    publisher.send(frames::binary(echo("as binary")));
    publisher.expect_next();
    publisher.expect_text(&echo("as binary"));
    publisher.send(frames::binary(broadcast("as binary")));
    publisher.expect_next();
    receiver.expect_text(&broadcast("as binary"));
}

#[test]
fn case_56_an_unmasked_frame_is_closed_1002() {
    let server = Server::start();
    for first in [FIN | TEXT, FIN | BINARY, FIN | frames::PING] {
        let mut client = server.open(&Open::web());
        client.send(frames::unmasked(first, echo("bare")));
        client.expect_closed_somehow(1002);
    }
}

#[test]
fn case_57_reserved_bits_and_opcodes_are_closed_1002() {
    let server = Server::start();
    let reserved_bits = RSV.map(|bit| FIN | bit | TEXT);
    let reserved_opcodes = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map(|opcode| FIN | opcode);
    for first in reserved_bits.into_iter().chain(reserved_opcodes) {
        let mut client = server.open(&Open::web());
        client.send(frames::masked(first, "{}"));
        client.expect_closed_somehow(1002);
    }
}

#[test]
fn case_58_a_broadcast_of_2_mb_is_delivered_whole() {
    let server = Server::start();
    let (mut publisher, mut receiver) = server.open_apart(&Open::web(), &Open::web());
    let packet = broadcast_of(2_000_000);
    publisher.text(&packet);
    publisher.expect_next();
    receiver.expect_text(&packet);
}

#[test]
fn case_59_a_message_of_just_the_limit_is_delivered() {
    let server = Server::start();
    let (mut publisher, mut receiver) = server.open_apart(&Open::web(), &Open::web());
    let packet = broadcast_of(MESSAGE_BYTES_MAX);
    publisher.text(&packet);
    publisher.expect_next();
    receiver.expect_text(&packet);
}

#[test]
fn case_59_a_message_above_the_limit_is_closed_1009() {
    let server = Server::start();
    let mut witness = server.open(&Open::web());
    let mut publisher = server.open_on(server.worker_of(&witness), &Open::web());

    let mut whole = server.open_on(server.worker_of(&witness), &Open::web());
    whole.text(broadcast_of(MESSAGE_BYTES_MAX + 1));
    whole.expect_closed_somehow(1009);

    let mut fragments = server.open(&Open::web());
    fragments.send(frames::text_begins("x".repeat(MESSAGE_BYTES_MAX)));
    fragments.expect_silence();
    fragments.send(frames::ends("x"));
    fragments.expect_closed_somehow(1009);

    let mut chunks = server.open(&Open::web());
    acknowledged(&mut chunks, &["bufferON", &"x".repeat(MESSAGE_BYTES_MAX)]);
    chunks.text("x");
    let first = chunks.frame();
    if !first.is_close() {
        assert_eq!(first.as_text(), crate::harness::NEXT);
        chunks.expect_close(1009);
    }
    received_nothing(&mut publisher, &mut witness);
}

#[test]
fn case_59_the_limit_can_be_set() {
    let server = Setup::new().ini("maxMessage = 4K").start();
    let mut client = server.open(&Open::web());
    client.text(broadcast_of(4096));
    client.expect_next();
    client.text(broadcast_of(4097));
    client.expect_closed_somehow(1009);
}

/// The kernel's buffers hold a megabyte or two for a client that does not read. The rest waits in the server.
#[test]
fn case_60_a_slow_receiver_gets_a_5_mb_broadcast_and_delays_none() {
    let server = Server::start();
    let (mut publisher, mut slow) = server.open_apart(&Open::web(), &Open::web());
    let mut fast = server.open_on(server.worker_of(&slow), &Open::web());
    let packet = broadcast_of(5_000_000);
    publisher.text(&packet);
    publisher.expect_next();
    fast.expect_text(&packet);
    received_nothing(&mut publisher, &mut fast);
    slow.expect_text(&packet);
    received_nothing(&mut publisher, &mut slow);
}

#[test]
fn case_70_a_php_client_gets_its_close_frame_after_a_gap_and_alone() {
    let server = Server::start();
    for (text, code) in [(r#"{"opcode":"quit"}"#, 1000), ("not json", 1007)] {
        let gap = typical_gap(FRAME_GAP, || {
            let mut client = server.open(&Open::php());
            client.text(text);
            let next = client.expect_next();
            gap(&next, &client.expect_closed(code))
        });
        assert!(gap >= FRAME_GAP, "{gap:?} between next and Close after {text}");
    }
    let gap = typical_gap(FRAME_GAP, || {
        let open = Open::at("/nope").header("Client-Type", "php");
        let mut client = open.upgrade(server.port);
        let output = client.expect_text(r#"{"opcode":"close"}"#);
        gap(&output, &client.expect_closed(1008))
    });
    assert!(gap >= FRAME_GAP, "{gap:?} between the refusal and Close");
}

/// The peer never answers. The server waits two seconds for it, and no longer.
#[test]
fn case_70_a_peer_that_does_not_answer_a_close_is_left() {
    let server = Server::start();
    let mut client = server.open(&Open::web());
    client.text(r#"{"opcode":"quit"}"#);
    client.expect_next();
    let close = client.expect_close(1000);
    client.expect_end();
    let waited = close.arrived.elapsed();
    assert!(waited < Duration::from_secs(5), "the server waited {waited:?} for our Close");
}

/// PHP clients of 2024 to 2026 send every message except the first as a single continuation frame.
#[test]
fn a_lone_final_continuation_is_accepted_from_php_clients_only() {
    let server = Server::start();
    let mut php = server.open(&Open::php());
    for _ in 0..2 {
        php.send(frames::ends(echo("again")));
        php.expect_next();
        php.expect_text(&echo("again"));
    }
    let mut web = server.open(&Open::web());
    web.send(frames::ends(echo("again")));
    web.expect_closed(1002);
}
