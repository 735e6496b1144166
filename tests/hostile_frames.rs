//! What the server answers to frames that are wrong or mean it badly: faults 9 to 15, 17 and 18.
//! Beside each of them a bystander is served as if nothing were.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod harness;

use harness::frames::{
    BINARY, CLOSE, CONTINUATION, FIN, MASK, MASKED, PING, PONG, RSV, TEXT, announces, ends,
    goes_on, masked, text_begins,
};
use harness::processes::resident_bytes;
use harness::{Bystander, Open, Raw, Server, echo, frames};

/// Sends frames to a fresh client that is to be closed with this code.
#[track_caller]
fn closed(server: &Server, bytes: &[u8], code: u16) {
    let mut client = server.open(&Open::web());
    client.try_send(bytes).ok();
    client.expect_closed_somehow(code);
}

#[test]
fn fault_9_frames_against_the_protocol_are_closed_1002() {
    let server = Server::start();
    let mut bystander = Bystander::beside(&server);
    let mut wrong = vec![
        frames::unmasked(FIN | TEXT, "{}"),
        frames::unmasked(FIN | PING, ""),
        masked(FIN | PING, "x".repeat(126)),
        masked(FIN | PONG, "x".repeat(200)),
        masked(PING, "in pieces"),
        masked(PONG, "in pieces"),
        masked(CLOSE, ""),
        masked(FIN | CONTINUATION, "of nothing"),
        masked(CONTINUATION, "of nothing"),
        [text_begins("{"), frames::text("}")].concat(),
        [text_begins("{"), frames::binary("}")].concat(),
    ];
    wrong.extend(RSV.map(|bit| masked(FIN | bit | TEXT, "{}")));
    wrong.extend(RSV.map(|bit| masked(FIN | bit | PING, "")));
    wrong.extend([3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map(|opcode| masked(FIN | opcode, "")));
    for bytes in &wrong {
        closed(&server, bytes, 1002);
    }
    bystander.is_served();
}

/// Lengths that are wrong in themselves, each as a head with nothing behind it.
fn lengths_against_the_protocol() -> Vec<Vec<u8>> {
    let long_form = |length: u16| {
        let mut frame = vec![FIN | BINARY, MASKED | 126];
        frame.extend(length.to_be_bytes());
        frame.extend(MASK);
        frame
    };
    vec![
        long_form(0),
        long_form(125),
        announces(FIN | BINARY, 0),
        announces(FIN | BINARY, 125),
        announces(FIN | BINARY, 65_535),
        announces(FIN | PING, 126),
    ]
}

#[test]
fn fault_10_lengths_are_judged_at_the_head_of_the_frame() {
    let server = Server::start();
    let mut bystander = Bystander::beside(&server);
    let workers = server.workers(2);
    let resident = || workers.iter().copied().map(resident_bytes).sum::<u64>();
    let before = resident();
    for bytes in lengths_against_the_protocol() {
        closed(&server, &bytes, 1002);
    }
    for length in [5_242_881, 1 << 32, (1 << 63) - 1] {
        closed(&server, &announces(FIN | TEXT, length), 1009);
        closed(&server, &announces(TEXT, length), 1009);
    }
    let mut client = server.open(&Open::web());
    client.send(announces(FIN | TEXT, 1 << 63));
    let code = client.frame().close_code();
    assert!(matches!(code, Some(1002 | 1009)), "{code:?}");
    // What is announced costs nothing before it is there.
    let mut waiting: Vec<_> = (0..20).map(|_| server.open(&Open::web())).collect();
    waiting.iter_mut().for_each(|client| client.send(announces(FIN | TEXT, 5_000_000)));
    bystander.is_served();
    let grown = resident().saturating_sub(before);
    assert!(grown < 16 * 1024 * 1024, "{grown} bytes for 20 announced messages");
}

#[test]
fn fault_11_a_message_without_end_is_closed_1009_when_it_passes_the_limit() {
    let server = Server::start();
    let mut bystander = Bystander::beside(&server);
    let mut client = server.open(&Open::web());
    let piece = "x".repeat(65_536);
    client.send(text_begins(&piece));
    for _ in 1..80 {
        client.send(goes_on(&piece));
    }
    client.expect_silence();
    client.send(goes_on("x"));
    client.expect_closed_somehow(1009);
    bystander.is_served();
}

/// The rule: 1,024 pieces, and one more for each 64 bytes.
#[test]
fn fault_12_dust_is_closed_1009_at_the_limit_on_pieces() {
    let server = Server::start();
    let mut bystander = Bystander::beside(&server);
    for piece in ["", "x"] {
        let mut dust = text_begins(piece);
        (0..3000).for_each(|_| dust.extend(goes_on(piece)));
        closed(&server, &dust, 1009);
    }
    let mut client = server.open(&Open::web());
    let mut pieces = text_begins("{");
    (0..900).for_each(|_| pieces.extend(goes_on(" ")));
    pieces.extend(ends("}"));
    client.send(pieces);
    client.expect_next();
    bystander.is_served();
}

/// The message may have been acknowledged when it is complete and its text turns out to be none.
#[track_caller]
fn closed_1007(server: &Server, bytes: &[u8]) {
    let mut client = server.open(&Open::web());
    client.send(bytes);
    let first = client.frame();
    if first.is_close() {
        assert_eq!(first.close_code(), Some(1007), "for {bytes:02x?}");
        return;
    }
    assert_eq!(first.as_text(), harness::NEXT);
    client.expect_closed_somehow(1007);
}

#[test]
fn fault_13_bad_utf_8_is_closed_1007() {
    let server = Server::start();
    let mut bystander = Bystander::beside(&server);
    let bad: [&[u8]; 8] = [
        b"\xff",
        b"\"\xc0\xaf\"",
        b"\"\xe0\x80\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xf4\x90\x80\x80\"",
        b"\"\xf8\x88\x80\x80\x80\"",
        b"\"cut \xe2\x82",
        b"\"\x80\"",
    ];
    for text in bad {
        closed_1007(&server, &frames::text(text));
    }
    closed_1007(&server, &[text_begins(b"\"\xe2"), goes_on(b"\x82"), ends(b"\"")].concat());
    bystander.is_served();
}

#[test]
fn fault_13_bad_utf_8_in_a_piece_is_noticed_before_the_message_ends() {
    let server = Server::start();
    closed(&server, &text_begins(b"early \xff and more"), 1007);
    closed(&server, &[text_begins(b"\"\xe2\x82"), goes_on(b"x")].concat(), 1007);
}

#[test]
fn fault_13_a_character_may_be_cut_by_pieces() {
    let server = Server::start();
    let mut client = server.open(&Open::web());
    let packet = echo("€😀");
    let mut bytes = text_begins("");
    packet.bytes().for_each(|byte| bytes.extend(goes_on([byte])));
    bytes.extend(ends(""));
    client.send(bytes);
    client.expect_next();
    client.expect_text(&packet);
}

#[test]
fn fault_14_bad_close_frames_are_answered_and_closed() {
    let server = Server::start();
    let mut bystander = Bystander::beside(&server);
    closed(&server, &masked(FIN | CLOSE, [3]), 1002);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        closed(&server, &frames::close(code, ""), 1002);
    }
    closed(&server, &masked(FIN | CLOSE, b"\x03\xe8\xff\xfe"), 1007);
    closed(&server, &masked(FIN | CLOSE, [&[3, 232], &[b'x'; 124][..]].concat()), 1002);
    bystander.is_served();
}

#[test]
fn fault_14_good_close_frames_are_echoed() {
    let server = Server::start();
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        closed(&server, &frames::close(code, "for a reason"), code);
    }
}

/// A hundred control frames a second are allowed.
#[test]
fn fault_17_a_storm_of_pings_is_closed_1008() {
    let server = Server::start();
    let mut bystander = Bystander::beside(&server);
    for frame in [frames::ping("x".repeat(125)), masked(FIN | PONG, "nobody asked")] {
        let mut client = server.open(&Open::web());
        client.try_send(frame.repeat(5000)).ok();
        let close = loop {
            let frame = client.frame();
            if frame.first != FIN | PONG {
                break frame;
            }
        };
        assert_eq!(close.close_code(), Some(1008), "{}", close.shown());
        bystander.is_served();
    }
}

#[test]
fn fault_17_a_few_pings_at_once_are_no_storm() {
    let server = Server::start();
    let mut client = server.open(&Open::web());
    client.send(frames::ping("x").repeat(20));
    // RFC 6455 §5.5.3: only the latest ping needs an answer.
    client.expect_pong(b"x");
    client.text(echo("after pings"));
    let next = loop {
        let frame = client.frame();
        if frame.first != FIN | PONG {
            break frame;
        }
    };
    assert_eq!(next.as_text(), harness::NEXT);
    client.expect_text(&echo("after pings"));
}

#[test]
fn fault_18_each_byte_in_a_segment_of_its_own_is_understood() {
    let server = Server::start();
    let mut bystander = Bystander::beside(&server);
    let mut client = Raw::connect(server.port);
    let packet = echo(&"dribble ".repeat(40));
    let bytes = [Open::web().request().as_bytes(), &frames::text(&packet)].concat();
    for byte in bytes {
        client.send([byte]);
    }
    client.expect_upgrade();
    client.expect_ready();
    client.expect_next();
    client.expect_text(&packet);
    bystander.is_served();
}

#[test]
fn fault_15_a_peer_that_goes_without_a_word_harms_nobody() {
    let server = Server::start();
    let mut bystander = Bystander::beside(&server);
    for _ in 0..20 {
        let mut half_frame = server.open(&Open::web());
        half_frame.send(&frames::text(echo("cut"))[..9]);
        drop(half_frame);
        let half_closed = server.open(&Open::web());
        half_closed.stream().shutdown(std::net::Shutdown::Write).ok();
        let mut half_closed = half_closed;
        half_closed.wait_for_end();
    }
    bystander.is_served();
}
