//! phpWebSocketServer's acknowledgements and opcodes: cases 18 to 29 and 31 of the contract.

use crate::harness::pacing::{FRAME_GAP, gap, typical_gap};
use crate::harness::{NEXT, Open, Raw, Server, broadcast, echo, frames, received_nothing};

/// Sends a text and expects an acknowledgement without any effect.
#[track_caller]
fn only_next(client: &mut Raw, text: &str) {
    client.text(text);
    client.expect_next();
    client.expect_silence();
}

#[test]
fn case_18_an_unknown_opcode_is_acknowledged() {
    let server = Server::start();
    only_next(&mut server.open(&Open::web()), r#"{"opcode":"whatever"}"#);
}

#[test]
fn case_19_json_without_an_opcode_is_acknowledged() {
    let server = Server::start();
    let mut client = server.open(&Open::web());
    let texts =
        [r#"{"message":"x"}"#, "{}", "[]", "[1]", "5", r#""str""#, "null", r#"{"opcode":5}"#];
    for text in texts {
        only_next(&mut client, text);
    }
}

#[test]
fn case_20_echo_is_acknowledged_and_comes_back() {
    let server = Server::start();
    for open in [Open::web(), Open::at("/"), Open::php()] {
        let mut client = server.open(&open);
        let packet = r#"{"opcode":"echo","message":"hi"}"#;
        client.text(packet);
        client.expect_next();
        client.expect_text(packet);
        client.expect_silence();
    }
}

#[test]
fn case_21_a_php_client_gets_its_frames_apart() {
    let server = Server::start();
    let mut client = server.open(&Open::php());
    let gap = typical_gap(FRAME_GAP, || {
        client.text(echo("hi"));
        let next = client.expect_next();
        gap(&next, &client.expect_text(&echo("hi")))
    });
    assert!(gap >= FRAME_GAP, "{gap:?} between next and the echo");
}

#[test]
fn case_22_an_echo_comes_back_byte_for_byte() {
    let server = Server::start();
    let mut client = server.open(&Open::web());
    let packets = [
        r#"{"opcode":"echo","n":1.0,"u":"é","s":"a/b","e":{}}"#,
        r#"{ "opcode" : "echo", "big":123456789012345678901234567890, "x":"\u00e9\ud83d\ude00" }"#,
        "{\"opcode\":\"echo\",\"emoji\":\"😀\",\"del\":\"\u{7f}\"}",
        r#"{"opcode":"echo","x":1,"x":2}"#,
        r#"{"x":"opcode first is no rule","opcode":"echo"}"#,
    ];
    for packet in packets {
        client.text(packet);
        client.expect_next();
        client.expect_text(packet);
    }
}

#[test]
fn case_23_quit_is_acknowledged_then_closed_1000() {
    let server = Server::start();
    for open in [Open::web(), Open::php()] {
        let mut client = server.open(&open);
        client.text(r#"{"opcode":"quit"}"#);
        client.expect_next();
        client.expect_closed(1000);
    }
}

#[test]
fn case_24_invalid_json_is_acknowledged_then_closed_1007() {
    let server = Server::start();
    for text in ["not json", "{", r#"{"opcode":"echo"} x"#, "{'opcode':'echo'}", " ", "NaN"] {
        let mut client = server.open(&Open::web());
        client.text(text);
        client.expect_next();
        client.expect_closed(1007);
    }
}

/// The publisher of the witness is on the same worker, because the output of one worker stays in order.
#[test]
fn case_25_invalid_utf_8_is_acknowledged_then_closed_1007() {
    let server = Server::start();
    let (mut bad, mut witness) = server.open_apart(&Open::web(), &Open::web());
    let mut publisher = server.open_on(server.worker_of(&bad), &Open::web());
    bad.text(b"{\"opcode\":\"broadcast\",\"message\":\"\xff\"}");
    bad.expect_next();
    bad.expect_closed(1007);
    received_nothing(&mut publisher, &mut witness);
}

/// Because of case 55 a binary message is read as a packet, so the dialect finds the invalid bytes.
#[test]
fn case_25_invalid_utf_8_in_a_binary_message_is_closed_1007() {
    let server = Server::start();
    let (mut bad, mut witness) = server.open_apart(&Open::web(), &Open::web());
    let mut publisher = server.open_on(server.worker_of(&bad), &Open::web());
    bad.send(frames::binary(b"{\"opcode\":\"broadcast\",\"message\":\"\xff\"}"));
    bad.expect_next();
    bad.expect_closed(1007);
    received_nothing(&mut publisher, &mut witness);
}

#[test]
fn case_26_an_empty_text_is_acknowledged_then_closed_1007() {
    let server = Server::start();
    for frame in [frames::text(""), frames::binary("")] {
        let mut client = server.open(&Open::web());
        client.send(frame);
        client.expect_next();
        client.expect_closed(1007);
    }
}

#[test]
fn case_27_opcodes_are_compared_to_the_letter() {
    let server = Server::start();
    let mut client = server.open(&Open::web());
    for opcode in ["Echo", "ECHO", " echo", "echo ", "Quit", "QUIT"] {
        only_next(&mut client, &format!(r#"{{"opcode":"{opcode}","message":"hi"}}"#));
    }
}

#[test]
fn case_28_the_opcode_jsonerror_closes_no_client() {
    let server = Server::start();
    only_next(&mut server.open(&Open::web()), r#"{"opcode":"jsonerror"}"#);
}

#[test]
fn case_29_white_space_around_a_packet_is_accepted_and_kept() {
    let server = Server::start();
    let mut client = server.open(&Open::web());
    let packet = " {\"opcode\":\"echo\",\"message\":\"ws\"}\n";
    client.text(packet);
    client.expect_next();
    client.expect_text(packet);
}

#[test]
fn case_31_two_texts_in_one_segment_have_two_acknowledgements() {
    let server = Server::start();
    let packets = [echo("one"), echo("two")];
    for open in [Open::web(), Open::php()] {
        let mut client = server.open(&open);
        client.send([frames::text(&packets[0]), frames::text(&packets[1])].concat());
        let (mut acknowledged, mut effects) = (0, Vec::new());
        for _ in 0..4 {
            let frame = client.frame();
            if frame.as_text() == NEXT {
                acknowledged += 1;
            } else {
                effects.push(frame.as_text().to_owned());
            }
            assert!(effects.len() <= acknowledged, "an effect before its acknowledgement");
        }
        assert_eq!(effects, packets);
        client.expect_silence();
    }
}

#[test]
fn case_31_two_broadcasts_in_one_segment_arrive_in_order() {
    let server = Server::start();
    let (mut publisher, mut receiver) = server.open_apart(&Open::web(), &Open::web());
    let packets = [broadcast("one"), broadcast("two")];
    publisher.send([frames::text(&packets[0]), frames::text(&packets[1])].concat());
    publisher.expect_next();
    publisher.expect_next();
    receiver.expect_text(&packets[0]);
    receiver.expect_text(&packets[1]);
}
