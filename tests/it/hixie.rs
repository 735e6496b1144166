//! Browsers of 2010: the drafts 75 and 76 (hixie) and the Flash policy, cases 119 and 129 to 131.

use crate::harness::hixie::{self, KEY3};
use crate::harness::tls::{ALL_VERSIONS, certificate_in};
use crate::harness::{End, Folder, NEXT, Open, Raw, Server, Setup, broadcast, feedback_to};

const ECHO: &str = "[resource /demo]\nkind = echo";

fn legacy(lines: &str) -> Server {
    Setup::new().ini("legacy = on").ini(lines).start()
}

/// Sends these draft 76 lines to `/demo`. Returns the answer up to the end of the challenge.
#[track_caller]
fn ask(server: &Server, target: &str, lines: &str) -> (Raw, String) {
    let mut client = Raw::connect(server.port);
    client.send(hixie::draft_76(target, lines));
    let answer = hixie::read_answer(&mut client);
    (client, answer)
}

#[test]
fn case_129_the_example_of_the_draft_is_answered_byte_for_byte() {
    let server = legacy(ECHO);
    let (mut client, answer) = ask(&server, "/demo", "");
    assert_eq!(
        answer,
        "HTTP/1.1 101 WebSocket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Origin: http://example.com\r\n\
         Sec-WebSocket-Location: ws://example.com/demo\r\n\r\n8jKS'y:G*Co,Wxa-"
    );
    client.send(b"\0\xc3\xa9\xff\0two\xff");
    assert_eq!(client.read_exactly(9), b"\0\xc3\xa9\xff\0two\xff");
    client.send(b"\xff\0");
    assert_eq!(client.read_exactly(2), b"\xff\0");
    assert_eq!(client.expect_end(), End::Fin);
}

#[test]
fn case_129_the_third_key_may_come_later_and_in_pieces() {
    let server = Setup::new().workers(1).ini("legacy = on").ini(ECHO).start();
    let mut client = Raw::connect(server.port);
    let request = hixie::draft_76("/demo?x", "");
    let head = &request[..request.len() - KEY3.len()];
    client.send(head);
    server.has_read_what_came();
    client.send(&KEY3[..3]);
    server.has_read_what_came();
    client.send([&KEY3[3..], b"\0early\xff"].concat());
    let answer = hixie::read_answer(&mut client);
    assert!(answer.contains("\r\nSec-WebSocket-Location: ws://example.com/demo?x\r\n"), "{answer}");
    assert!(answer.ends_with("8jKS'y:G*Co,Wxa-"), "{answer}");
    assert_eq!(client.read_exactly(7), b"\0early\xff");
}

#[test]
fn case_129_legacy_one_message_a_read_and_a_bare_end() {
    let server = legacy(&format!("legacyForm = original\n{ECHO}"));
    let (mut client, _) = ask(&server, "/demo", "");
    client.send(b"\0\xc3\xa9\xff\0two\xff");
    assert_eq!(client.read_exactly(4), b"\0\xc3\xa9\xff");
    client.send(b"\0three\xff");
    assert_eq!(client.read_exactly(7), b"\0three\xff");
    client.send(b"\xff\0");
    assert_eq!(client.expect_end(), End::Fin);
    // The server does not wait for the third key here, so its answer to this client is wrong.
    let mut client = Raw::connect(server.port);
    let request = hixie::draft_76("/demo?x", "");
    client.send(&request[..request.len() - KEY3.len()]);
    let head = client.read_head();
    assert_eq!(head.status(), 101);
    assert_eq!(client.read_exactly(16), b"\x84\xf7(\xbf]#\x8a\x8d\xfa\x8e\x96\xfe\xa1z2%");
    client.send(KEY3);
    client.expect_end();
}

#[test]
fn case_130_draft_75_gets_the_names_of_its_draft() {
    let server = legacy(ECHO);
    let mut client = Raw::connect(server.port);
    client.send(hixie::draft_75("/demo", ""));
    assert_eq!(
        client.read_head().text,
        "HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\n\
         Connection: Upgrade\r\nWebSocket-Origin: http://example.com\r\n\
         WebSocket-Location: ws://example.com/demo\r\n\r\n"
    );
    client.send(b"\0hello\xff");
    assert_eq!(client.read_exactly(7), b"\0hello\xff");
    // A frame with a length. No browser has ever sent one.
    client.send(b"\x80\x03abc");
    assert_eq!(client.read_exactly(2), b"\xff\0");
    client.expect_end();
}

#[test]
fn case_130_legacy_the_bytes_of_the_original() {
    let server = legacy(&format!("legacyForm = original\n{ECHO}"));
    let mut client = Raw::connect(server.port);
    client.send(hixie::draft_75("/demo", "WebSocket-Protocol: sample\r\n"));
    let expected = "HTTP/1.1 101 WebSocket Protocol Handshake\r\nUpgrade: WebSocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Protocol: _ECHO_\r\n\
        Sec-WebSocket-Origin: http://example.com\r\n\
        Sec-WebSocket-Location: ws://example.com/demo\r\n\r\n\r\n";
    assert_eq!(client.read_exactly(expected.len()), expected.as_bytes());
    client.send(b"\0hello\xff");
    assert_eq!(client.read_exactly(7), b"\0hello\xff");
}

#[test]
fn case_119_gomoobs_requests_come_over_draft_76() {
    let server = legacy("");
    let (mut old, answer) = ask(&server, r#"/?tags={"a":"x"}"#, "");
    assert!(answer.ends_with("\r\n\r\n8jKS'y:G*Co,Wxa-"), "{answer}");
    let mut new = Open::tags(r#"{"a":"x"}"#).upgrade(server.port);
    old.send(b"\0{\"message\":\"old\"}\xff");
    assert_eq!(old.read_exactly(7), b"\0\"old\"\xff");
    new.expect_text("\"old\"");
    new.text(r#"{"message":"new","tags":{"a":"x"}}"#);
    new.expect_text("\"new\"");
    assert_eq!(old.read_exactly(7), b"\0\"new\"\xff");
    old.send(b"\0no request\xff");
    assert_eq!(old.read_exactly(2), b"\xff\0");
    old.expect_end();
}

#[test]
fn phpws_over_both_drafts_reaches_all_clients() {
    let server = legacy("pingInterval = 300ms");
    let requests = [hixie::draft_76("/web", ""), hixie::draft_75("/php", "")];
    for (request, digest) in requests.into_iter().zip([16, 0]) {
        let mut old = Raw::connect(server.port);
        old.send(request);
        assert_eq!(old.read_head().status(), 101);
        old.read_exactly(digest);
        let ready = hixie::read_text(&mut old);
        let uuid = ready.strip_prefix(r#"{"opcode":"ready","uuid":""#).unwrap();
        let uuid = uuid.strip_suffix(r#""}"#).unwrap().to_owned();
        // This client gets no pings and is not closed. A browser that is equally silent is closed.
        let mut silent = server.open(&Open::web());
        while !silent.frame().is_close() {}
        let mut new = server.open(&Open::web());
        old.send(hixie::text(&broadcast("from the past")));
        assert_eq!(hixie::read_text(&mut old), NEXT);
        read_past_pings(&mut new, &broadcast("from the past"));
        for packet in [feedback_to(&uuid, "to you"), broadcast("to all")] {
            new.text(&packet);
            read_past_pings(&mut new, NEXT);
            assert_eq!(hixie::read_text(&mut old), packet);
        }
        old.send(b"\0{\"opcode\":\"quit\"}\xff");
        assert_eq!(hixie::read_text(&mut old), NEXT);
        assert_eq!(old.read_exactly(2), b"\xff\0");
        old.expect_end();
    }
}

/// Reads the next text. Pings before it are answered.
#[track_caller]
fn read_past_pings(client: &mut Raw, text: &str) {
    loop {
        let frame = client.frame();
        if frame.first == 0x89 {
            client.send(crate::harness::frames::masked(0x8A, &frame.payload));
            continue;
        }
        assert_eq!(frame.as_text(), text);
        return;
    }
}

#[test]
fn drafts_inside_tls_answer_with_a_wss_location() {
    let folder = Folder::new();
    certificate_in(&folder);
    let ini = "adress = wss://127.0.0.1:0\nworkers = 2\ncertFile = cert.pem\npkFile = key.pem\n\
        legacy = on\n";
    folder.write("websock.ini", ini);
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    let mut old = Raw::connect_tls(server.port, &server.folder, ALL_VERSIONS);
    old.send(hixie::draft_76("/web", ""));
    let answer = hixie::read_answer(&mut old);
    assert!(answer.contains("\r\nSec-WebSocket-Location: wss://example.com/web\r\n"), "{answer}");
    hixie::read_text(&mut old);
    let other = Raw::connect_tls(server.port, &server.folder, ALL_VERSIONS);
    let mut other = Open::web().upgrade_over(other);
    other.expect_ready();
    other.text(broadcast("hi"));
    other.expect_next();
    assert_eq!(hixie::read_text(&mut old), broadcast("hi"));
    old.send(b"\xff\0");
    assert_eq!(old.read_exactly(2), b"\xff\0");
    old.expect_end();
}

#[test]
fn origins_and_unknown_paths_are_checked_as_for_rfc_6455() {
    let server = legacy("allowedOrigins = http://ok.example");
    let mut client = Raw::connect(server.port);
    let request = String::from_utf8(hixie::draft_76("/web", "")).unwrap();
    client.send(request.replace("Origin: http://example.com", "Origin: http://evil.example"));
    client.expect_refusal(403);
    let (mut client, _) = ask(&server, "/nope", "");
    assert_eq!(hixie::read_text(&mut client), r#"{"opcode":"close"}"#);
    assert_eq!(client.read_exactly(2), b"\xff\0");
    client.expect_end();
}

#[test]
fn without_legacy_older_protocols_are_refused() {
    let server = Server::start();
    for request in [hixie::draft_76("/web", ""), hixie::draft_75("/web", "")] {
        let mut client = Raw::connect(server.port);
        client.send(request);
        client.expect_refusal(400);
    }
    let mut client = Raw::connect(server.port);
    client.send(b"<policy-file-request/>\0");
    client.expect_refusal(400);
    // With `legacy`, current scripts get the same answers.
    let server = legacy("");
    let mut client = Open::web().without("Sec-WebSocket-Key").ask(server.port);
    client.expect_refusal(400);
    server.open(&Open::web()).expect_silence();
}

#[test]
fn case_131_flash_gets_its_policy_with_a_nul() {
    let server = Setup::new().workers(1).ini("legacy = on").start();
    for pieces in
        [&[&b"<policy-file-request/>\0"[..]][..], &[b"<policy-", b"file-request/>", b"\0"]]
    {
        let mut client = Raw::connect(server.port);
        for piece in pieces {
            client.send(piece);
            server.has_read_what_came();
        }
        let policy = "<?xml version=\"1.0\"?>\n<!DOCTYPE cross-domain-policy SYSTEM \
            \"http://www.macromedia.com/xml/dtds/cross-domain-policy.dtd\">\n\
            <cross-domain-policy>\n<allow-access-from domain=\"*\" to-ports=\"*\"/>\n\
            </cross-domain-policy>\n\0";
        assert_eq!(client.read_exactly(policy.len()), policy.as_bytes());
        assert_eq!(client.expect_end(), End::Fin);
    }
    let mut client = Raw::connect(server.port);
    client.send(b"<policy-file-quest/>\r\n\r\n");
    client.expect_refusal(400);
}
