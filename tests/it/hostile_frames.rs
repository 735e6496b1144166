//! Invalid and hostile frames: faults 9 to 14 and 16 of `docs/faults.md`. During each attack a bystander must
//! be served normally, and nothing may be left afterwards.

use crate::harness::frames::{
    BINARY, CLOSE, CONTINUATION, FIN, MASK, MASKED, PING, PONG, RSV, TEXT, announces, continues,
    ends, masked, text_begins,
};
use crate::harness::watch::{cpu_time_of_workers, resident_of_workers};
use crate::harness::{Open, Raw, Server, Setup, echo, frames, with_a_bystander};

/// Sends frames to a new client and expects a Close with this code. Returns the reason.
#[track_caller]
fn closed(server: &Server, bytes: &[u8], code: u16) -> String {
    let mut client = server.open(&Open::web());
    client.try_send(bytes).ok();
    let frame = client.expect_close(code);
    client.try_send(frames::close(code, "")).ok();
    client.expect_end();
    String::from_utf8(frame.payload[2..].to_vec()).unwrap()
}

/// Returns frames that break a rule, each with the name of that rule.
fn frames_against_the_protocol() -> Vec<(Vec<u8>, &'static str)> {
    let mut wrong = vec![
        (frames::unmasked(FIN | TEXT, "{}"), "frame of a client without a mask"),
        (frames::unmasked(FIN | PING, ""), "frame of a client without a mask"),
        (masked(FIN | PING, "x".repeat(126)), "control frame above 125 bytes"),
        (masked(FIN | PONG, "x".repeat(200)), "control frame above 125 bytes"),
        (masked(FIN | CLOSE, "x".repeat(126)), "control frame above 125 bytes"),
        (masked(PING, "in pieces"), "control frame in pieces"),
        (masked(PONG, "in pieces"), "control frame in pieces"),
        (masked(CLOSE, ""), "control frame in pieces"),
        (masked(FIN | CONTINUATION, "of nothing"), "continuation without a message"),
        (masked(CONTINUATION, "of nothing"), "continuation without a message"),
        ([text_begins("{"), frames::text("}")].concat(), "new message before the last one ended"),
        ([text_begins("{"), frames::binary("}")].concat(), "new message before the last one ended"),
        ([text_begins("{"), text_begins("}")].concat(), "new message before the last one ended"),
    ];
    let opcodes = [TEXT, BINARY, CLOSE, PING, PONG];
    for (bit, opcode) in RSV.into_iter().flat_map(|bit| opcodes.map(|opcode| (bit, opcode))) {
        wrong.push((masked(FIN | bit | opcode, ""), "reserved bit set without an extension"));
    }
    for (opcode, name) in [
        (3, "reserved opcode 3"),
        (4, "reserved opcode 4"),
        (5, "reserved opcode 5"),
        (6, "reserved opcode 6"),
        (7, "reserved opcode 7"),
        (11, "reserved opcode 11"),
        (12, "reserved opcode 12"),
        (13, "reserved opcode 13"),
        (14, "reserved opcode 14"),
        (15, "reserved opcode 15"),
    ] {
        wrong.push((masked(FIN | opcode, ""), name));
        wrong.push((masked(FIN | opcode, "with a payload"), name));
    }
    wrong
}

#[test]
fn fault_9_protocol_violations_are_closed_1002_with_the_rule() {
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        for (bytes, name) in frames_against_the_protocol() {
            assert_eq!(closed(&server, &bytes, 1002), name, "for {bytes:02x?}");
            bystander.is_served();
        }
    });
}

/// Returns invalid lengths, each as a frame header without a payload.
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
        announces(FIN | TEXT, 1 << 63),
        announces(FIN | TEXT, u64::MAX),
    ]
}

#[test]
fn fault_10_lengths_are_judged_at_the_head_of_the_frame() {
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        let before = resident_of_workers(&server);
        for bytes in lengths_against_the_protocol() {
            closed(&server, &bytes, 1002);
            bystander.is_served();
        }
        for length in [5_242_881, 1 << 32, (1 << 63) - 1] {
            closed(&server, &announces(FIN | TEXT, length), 1009);
            closed(&server, &announces(TEXT, length), 1009);
            // The total length counts, not that of a single frame.
            let begun = [text_begins("x"), announces(CONTINUATION, length - 1)].concat();
            closed(&server, &begun, 1009);
            bystander.is_served();
        }
        // An announced length takes no memory before its bytes arrive.
        let mut waiting: Vec<_> = (0..50).map(|_| server.open(&Open::web())).collect();
        waiting.iter_mut().for_each(|client| client.send(announces(FIN | TEXT, 5_000_000)));
        bystander.is_served();
        let grown = resident_of_workers(&server).saturating_sub(before);
        assert!(grown < 4 * 1024 * 1024, "{grown} bytes for 50 announced messages");
    });
}

#[test]
fn fault_11_a_message_without_end_is_closed_1009_when_it_passes_the_limit() {
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        let mut client = server.open(&Open::web());
        let piece = "x".repeat(65_536);
        client.send(text_begins(&piece));
        for _ in 1..80 {
            client.send(continues(&piece));
            bystander.is_served();
        }
        client.expect_silence();
        client.send(continues("x"));
        client.expect_closed_somehow(1009);
    });
}

/// The rule: 1,024 frames, and one more for each 64 bytes.
#[test]
fn fault_12_dust_is_closed_1009_at_the_limit_on_pieces() {
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        for piece in ["", "x"] {
            let mut dust = text_begins(piece);
            (0..200_000).for_each(|_| dust.extend(continues(piece)));
            assert_eq!(closed(&server, &dust, 1009), "message in too many pieces");
            bystander.is_served();
        }
        let mut client = server.open(&Open::web());
        let mut pieces = text_begins("{");
        (0..900).for_each(|_| pieces.extend(continues(" ")));
        pieces.extend(ends("}"));
        client.send(pieces);
        client.expect_next();
    });
}

/// A server that scanned a message from its start for each frame would need three times as long for the
/// second half as for the first half.
#[test]
fn fault_12_small_pieces_within_the_limit_cost_the_same_each() {
    let server = Setup::new().ini("maxMessage = 2M").start();
    with_a_bystander(&server, |bystander| {
        let mut client = server.open(&Open::web());
        client.send(text_begins("\""));
        let half = continues("x".repeat(64)).repeat(16_000);
        let mut cost_of_half = || {
            let before = cpu_time_of_workers(&server);
            client.send(&half);
            client.expect_silence();
            bystander.is_served();
            cpu_time_of_workers(&server) - before
        };
        let (first, second) = (cost_of_half(), cost_of_half());
        assert!(second < first * 2, "{first:?} for the first half, {second:?} for the second");
    });
}

/// Expects that a complete message that is not valid text is acknowledged before it is refused with 1007.
#[track_caller]
fn closed_1007(server: &Server, bytes: &[u8]) {
    let mut client = server.open(&Open::web());
    client.send(bytes);
    let first = client.frame();
    if first.is_close() {
        assert_eq!(first.close_code(), Some(1007), "for {bytes:02x?}");
        return;
    }
    assert_eq!(first.as_text(), crate::harness::NEXT);
    client.expect_closed_somehow(1007);
}

#[test]
fn fault_13_bad_utf_8_is_closed_1007() {
    let bad: [&[u8]; 14] = [
        b"\xff",
        b"\xfe",
        b"\"\xc0\xaf\"",
        b"\"\xc1\xbf\"",
        b"\"\xe0\x80\xaf\"",
        b"\"\xf0\x80\x80\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xed\xbf\xbf\"",
        b"\"\xf4\x90\x80\x80\"",
        b"\"\xf8\x88\x80\x80\x80\"",
        b"\"cut \xe2\x82",
        b"\"cut \xf0\x9f\x98",
        b"\"\x80\"",
        b"\"\xe2\x28\xa1\"",
    ];
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        for text in bad {
            closed_1007(&server, &frames::text(text));
            let (first, rest) = text.split_at(1);
            let pieces = rest.iter().flat_map(|byte| continues([*byte]));
            let pieces: Vec<u8> = text_begins(first).into_iter().chain(pieces).collect();
            closed_1007(&server, &[pieces, ends("")].concat());
            bystander.is_served();
        }
        let split = [text_begins(b"\"\xe2"), continues(b"\x82"), ends(b"\"")].concat();
        closed_1007(&server, &split);
    });
}

#[test]
fn fault_13_bad_utf_8_is_noticed_before_the_message_or_its_frame_ends() {
    let server = Server::start();
    with_a_bystander(&server, |_| {
        closed(&server, &text_begins(b"early \xff and more"), 1007);
        closed(&server, &[text_begins(b"\"\xe2\x82"), continues(b"x")].concat(), 1007);
        // A long frame of which only a few bytes have arrived.
        let mut begun = announces(FIN | TEXT, 1_000_000);
        begun.extend(b"\"\xff".iter().zip(MASK).map(|(byte, mask)| byte ^ mask));
        closed_1007(&server, &begun);
    });
}

#[test]
fn fault_13_a_character_may_be_cut_by_pieces() {
    let server = Server::start();
    let mut client = server.open(&Open::web());
    let packet = echo("€😀");
    let mut bytes = text_begins("");
    packet.bytes().for_each(|byte| bytes.extend(continues([byte])));
    bytes.extend(ends(""));
    client.send(bytes);
    client.expect_next();
    client.expect_text(&packet);
}

#[test]
fn fault_14_bad_close_frames_are_answered_and_closed() {
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        assert_eq!(closed(&server, &masked(FIN | CLOSE, [3]), 1002), "close with half a code");
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
            let why = closed(&server, &frames::close(code, ""), 1002);
            assert_eq!(why, format!("close code {code} is not allowed"));
            bystander.is_served();
        }
        closed(&server, &masked(FIN | CLOSE, b"\x03\xe8\xff\xfe"), 1007);
        closed(&server, &masked(FIN | CLOSE, b"\x03\xe8cut \xe2\x82"), 1007);
        closed(&server, &masked(FIN | CLOSE, [&[3, 232], &[b'x'; 124][..]].concat()), 1002);
    });
}

#[test]
fn fault_14_good_close_frames_are_echoed() {
    let server = Server::start();
    with_a_bystander(&server, |_| {
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
            assert_eq!(closed(&server, &frames::close(code, "for a reason"), code), "for a reason");
        }
        let longest = "x".repeat(123);
        assert_eq!(closed(&server, &frames::close(1000, &longest), 1000), longest);
    });
}

/// Compression is declined (docs/decisions/0007): the answer contains no extension, and the compression bit
/// is an error.
#[test]
fn fault_16_compression_is_not_agreed_whatever_is_offered() {
    let offers = [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=7; server_max_window_bits=16",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_max_window_bits=99999999999999999999",
        "x-webkit-deflate-frame, permessage-deflate;;;=,,;",
    ];
    let server = Server::start();
    with_a_bystander(&server, |bystander| {
        for offer in offers {
            let open = Open::web().header("Sec-WebSocket-Extensions", offer);
            let mut client: Raw = open.ask(server.port);
            assert_eq!(client.expect_upgrade().header("Sec-WebSocket-Extensions"), None);
            client.expect_ready();
            // "{}" as a deflated message.
            client.send(masked(FIN | RSV[0] | TEXT, b"\xaa\xae\x05\x00"));
            client.expect_closed_somehow(1002);
            bystander.is_served();
        }
    });
}
