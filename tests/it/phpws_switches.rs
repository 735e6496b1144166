//! Behaviour of phpWebSocketServer that a switch restores, part one: messages. The legacy half of cases 20, 22
//! to 24, 28, 37, 42, 44, 45, 51, 52, 54, 56, 57, 60 and of the text of generation G0.

use crate::harness::{
    NEXT, Open, Raw, Server, Setup, broadcast, echo, eventually, feedback_to, feedback_to_ident,
    frames, pause, received_nothing,
};

fn server(ini: &str) -> Server {
    Setup::new().ini(&format!("[phpws]\n{ini}")).start()
}

/// Expects that the connection ends after the data read so far, without a Close frame.
#[track_caller]
fn cut(mut client: Raw) {
    client.expect_end();
}

#[test]
fn case_20_with_the_acknowledgement_after_it_an_echo_comes_first() {
    let server = server("ackOrder = after");
    for open in [Open::web(), Open::php()] {
        let mut client = server.open(&open);
        client.text(echo("hi"));
        client.expect_text(&echo("hi"));
        client.expect_next();
        client.text("5");
        client.expect_next();
    }
    // As in 2026: a message that ends the connection is not acknowledged.
    for (text, code) in [(r#"{"opcode":"quit"}"#, 1000), ("not json", 1007), ("\u{0}", 1007)] {
        let mut client = server.open(&Open::web());
        client.text(text);
        client.expect_closed(code);
    }
    let mut client = server.open(&Open::web());
    client.text(b"\xff");
    client.expect_closed(1007);
}

#[test]
fn case_22_php_reencode_gives_the_bytes_of_the_original() {
    let server = server("phpReencode = on");
    let (mut a, mut b) = server.open_apart(&Open::web(), &Open::web());
    for (text, written) in [
        (
            r#"{"opcode":"echo","n":1.0,"u":"é","s":"a/b","e":{}}"#,
            r#"{"opcode":"echo","n":1,"u":"\u00e9","s":"a\/b","e":{}}"#,
        ),
        (
            r#"{"opcode":"echo","opcode":"echo","a":1,"b":2,"a":3}"#,
            r#"{"opcode":"echo","a":3,"b":2}"#,
        ),
        (
            r#"{"opcode":"echo","x":12345678901234567890}"#,
            r#"{"opcode":"echo","x":1.2345678901234567e+19}"#,
        ),
    ] {
        a.text(text);
        a.expect_next();
        a.expect_text(written);
    }
    let uuid = b.uuid.clone();
    a.text(format!(r#"{{ "opcode":"feedback", "uuid":"{uuid}", "message":"é/" }}"#));
    a.expect_next();
    b.expect_text(&format!(r#"{{"opcode":"feedback","uuid":"{uuid}","message":"\u00e9\/"}}"#));
    // A broadcast was never re-encoded.
    a.text(broadcast("é/"));
    a.expect_next();
    b.expect_text(&broadcast("é/"));
    a.text(r#"{"opcode":"echo","\u0000k":"nul key"}"#);
    a.expect_next();
    a.expect_closed(1007);
}

#[test]
fn case_23_24_and_54_abrupt_close_sends_no_close_frame() {
    let server = server("abruptClose = on");
    for open in [Open::web(), Open::php()] {
        for text in [r#"{"opcode":"quit"}"#, "not json", ""] {
            let mut client = server.open(&open);
            client.text(text);
            client.expect_next();
            cut(client);
        }
        let mut client = server.open(&open);
        client.send(frames::close(1000, "bye"));
        cut(client);
    }
}

#[test]
fn abrupt_close_concerns_no_other_dialect() {
    let server = server("abruptClose = on");
    let mut client = Open::tags("{}").upgrade(server.port);
    client.text("no request");
    client.expect_closed(1008);
    let mut client = Open::tags("[1]").upgrade(server.port);
    client.expect_closed(1008);
}

/// Data that was sent before the end arrives in full, even if it had to wait.
#[test]
fn abrupt_close_follows_pending_messages() {
    let server = server("abruptClose = on");
    let mut client = server.open(&Open::web());
    let large = echo(&"x".repeat(2 << 20));
    client.text(&large);
    client.text(r#"{"opcode":"quit"}"#);
    client.expect_next();
    client.expect_text(&large);
    client.expect_next();
    cut(client);
}

#[test]
fn abrupt_close_with_acknowledgement_is_the_behaviour_of_2026() {
    let server = server("abruptClose = on\nackOrder = after");
    for text in [r#"{"opcode":"quit"}"#, "not json"] {
        let mut client = server.open(&Open::web());
        client.text(text);
        cut(client);
    }
}

#[test]
fn case_28_with_close_on_json_error_that_opcode_ends_the_connection() {
    let server = server("closeOnJsonError = on");
    let mut client = server.open(&Open::web());
    client.text(r#"{"opcode":"jsonerror"}"#);
    client.expect_next();
    client.expect_closed(1007);
}

#[test]
fn case_37_broadcast_to_old_scripts_sends_them_one_by_one() {
    let old_script = Open::at("/php").without("User-Agent");
    for (ini, receives) in [("", false), ("broadcastToOldScripts = on", true)] {
        let server = server(ini);
        let (mut a, mut script) = server.open_apart(&Open::web(), &old_script);
        let mut php = server.open(&Open::php());
        for message in ["one", "two"] {
            a.text(broadcast(message));
            a.expect_next();
        }
        if receives {
            assert!(script.expect_text(&broadcast("one")).alone);
            assert!(script.expect_text(&broadcast("two")).alone);
        }
        received_nothing(&mut a, &mut script);
        received_nothing(&mut a, &mut php);
    }
}

#[test]
fn json_without_a_known_opcode_is_broadcast_where_generation_0_is_wanted() {
    let server = server("broadcastWithoutOpcode = on");
    let (mut a, mut b) = server.open_apart(&Open::web(), &Open::web());
    for text in [r#"{"message":"x"}"#, r#"{"opcode":"whatever"}"#, "5"] {
        a.text(text);
        a.expect_next();
        b.expect_text(text);
    }
    a.text(echo("hi"));
    a.expect_next();
    a.expect_text(&echo("hi"));
    received_nothing(&mut a, &mut b);
}

#[test]
fn case_42_with_uuid_reaches_php_off_a_uuid_finds_web_clients_only() {
    let server = server("uuidReachesPhp = off");
    let (mut a, mut php) = server.open_apart(&Open::web(), &Open::php().ident("script"));
    a.text(feedback_to(&php.uuid, "by uuid"));
    a.expect_next();
    let by_ident = feedback_to_ident("script", "by ident");
    a.text(&by_ident);
    a.expect_next();
    php.expect_text(&by_ident);
    let (mut b, own) = (server.open(&Open::web()), a.uuid.clone());
    let to_web = feedback_to(&own, "to a web client");
    b.text(&to_web);
    b.expect_next();
    a.expect_text(&to_web);
}

/// The packets of recording N14, in its order.
#[test]
fn case_44_and_45_with_loose_compare_names_are_equal_as_in_php() {
    let server = server("looseCompare = on");
    let mut a = server.open(&Open::web());
    let mut b = server.open(&Open::web().ident("5"));
    let mut p = server.open(&Open::php().ident("bob"));
    let mut send = |packet: &str, to: Option<&mut Raw>| {
        p.text(packet);
        p.expect_next();
        if let Some(to) = to {
            to.expect_text(packet);
        }
    };
    send(r#"{"opcode":"feedback","uuid":true,"ident":"","message":"uuid true"}"#, Some(&mut a));
    send(r#"{"opcode":"feedback","uuid":"","ident":5,"message":"number 5"}"#, Some(&mut b));
    send(r#"{"opcode":"feedback","uuid":"","ident":true,"message":"ident true"}"#, Some(&mut b));
    send(r#"{"opcode":"feedback","uuid":0,"ident":"","message":"uuid 0"}"#, None);
    send(r#"{"opcode":"feedback","uuid":null,"ident":null,"message":"nulls"}"#, None);
    send(r#"{"opcode":"feedback","uuid":"","ident":"5.0","message":"5.0"}"#, Some(&mut b));
    send(&feedback_to(&a.uuid.clone(), "end"), Some(&mut a));
}

#[test]
fn case_51_chunk_overflow_drop_loses_chunks_and_breaks_the_json() {
    let server = server("chunkOverflow = drop\nmaxChunks = 100");
    let mut client = server.open(&Open::web());
    client.text("bufferON");
    client.expect_next();
    client.text(r#"{"opcode":"echo","message":""#);
    client.expect_next();
    for _ in 0..99 {
        client.text("x");
        client.expect_next();
    }
    client.text("\"}");
    client.expect_next();
    client.text("bufferOFF");
    client.expect_next();
    client.expect_closed(1007);
}

#[test]
fn case_52_with_fragments_refused_a_first_piece_is_invalid_json() {
    let server = server("fragments = refuse");
    let mut client = server.open(&Open::web());
    client.text(echo("whole"));
    client.expect_next();
    client.expect_text(&echo("whole"));
    client.send(frames::text_begins(r#"{"opcode":"#));
    client.expect_next();
    client.expect_closed(1007);
    // Gomoob's clients split messages longer than 4096 bytes.
    let mut client = Open::tags("{}").upgrade(server.port);
    client.send(frames::text_begins(r#"{"message":"#));
    client.send(frames::ends(r#""whole"}"#));
    client.expect_text(r#""whole""#);
}

#[test]
fn case_56_with_accept_unmasked_a_frame_needs_no_mask() {
    let server = server("acceptUnmasked = on");
    let mut client = server.open(&Open::web());
    for frame in [frames::unmasked(0x81, echo("hi")), frames::text(echo("hi"))] {
        client.send(&frame);
        client.expect_next();
        client.expect_text(&echo("hi"));
    }
    let long = echo(&"x".repeat(100_000));
    let frame = frames::unmasked(0x81, &long);
    let (first, rest) = frame.split_at(3);
    client.send(first);
    pause(std::time::Duration::from_millis(20));
    client.send(rest);
    client.expect_next();
    client.expect_text(&long);
    let mut gomoob = Open::tags("{}").upgrade(server.port);
    gomoob.send(frames::unmasked(0x81, r#"{"message":"x"}"#));
    gomoob.expect_closed(1002);
}

#[test]
fn case_57_with_lenient_frames_reserved_bits_and_opcodes_are_ignored() {
    let server = server("lenientFrames = on");
    let mut client = server.open(&Open::web());
    client.send(frames::masked(0xC1, echo("reserved bit")));
    client.expect_next();
    client.expect_text(&echo("reserved bit"));
    for first in [0x83, 0x87, 0x8B, 0x8F] {
        client.send(frames::masked(first, "what is that"));
    }
    client.expect_silence();
    let mut gomoob = Open::tags("{}").upgrade(server.port);
    gomoob.send(frames::masked(0x83, "x"));
    gomoob.expect_closed(1002);
}

#[test]
fn case_60_drop_slow_closes_a_receiver_with_a_full_socket() {
    let server = server("dropSlow = on");
    let (mut a, mut slow) = server.open_apart(&Open::web(), &Open::web());
    let large = broadcast(&"x".repeat(5_000_000));
    a.text(&large);
    a.expect_next();
    // A reader would make room in its socket.
    eventually("the end of the slow receiver", || (server.counts().open == 1).then_some(()));
    slow.wait_for_end();
    let mut b = server.open(&Open::web());
    a.text(broadcast("small"));
    a.expect_next();
    b.expect_text(&broadcast("small"));
    assert_eq!(NEXT.len(), 26, "the acknowledgement is what it was");
}
