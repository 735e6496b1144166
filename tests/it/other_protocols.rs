//! Other protocols on a port: the log and the answer name the protocol and the expected one.

use crate::harness::tls::{ALL_VERSIONS, certificate_in};
use crate::harness::{Folder, Open, Raw, Server};

/// The start of a ClientHello of TLS 1.2.
const TLS: &[u8] = b"\x16\x03\x01\x00\x2e\x01\x00\x00\x2a\x03\x03";
const SSL_2: &[u8] = b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10";
const PROXY_1: &[u8] =
    b"PROXY TCP4 192.0.2.1 192.0.2.2 4321 80\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n";
const PROXY_2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x10\xe1\0\x50";
const HTTP_2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[track_caller]
fn expect_explanation(mut client: Raw, bytes: &[u8], words: &str) {
    client.send(bytes);
    let head = client.read_head();
    assert_eq!(head.status(), 400, "{}", head.text);
    let length = head.header("Content-Length").unwrap().parse().unwrap();
    let body = String::from_utf8(client.read_exactly(length)).unwrap();
    assert!(body.contains(words), "{body}");
    client.expect_end();
}

#[test]
fn on_a_plain_port_they_are_named() {
    let server = Server::start();
    for (bytes, words) in [
        (TLS, "this is TLS, but plain text is expected here: use ws:// or http://"),
        (SSL_2, "this is TLS, but plain text is expected here"),
        (PROXY_1, "this is the PROXY protocol, which only a proxy in trustedProxies may send"),
        (PROXY_2, "this is the PROXY protocol, which only a proxy in trustedProxies may send"),
        (b"PROXY UNKNOWN\r\n", "this is the PROXY protocol"),
        (HTTP_2, "this is HTTP/2, which is not supported here: use HTTP/1.1"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "this is SSH"),
    ] {
        expect_explanation(Raw::connect(server.port), bytes, words);
        server.wait_for_output(words);
    }
    // The result does not depend on how the bytes are split.
    let mut pieces = Raw::connect(server.port);
    for byte in &HTTP_2[..16] {
        pieces.send([*byte]);
    }
    pieces.expect_refusal(400);
    Open::web().ready(server.port);
}

#[test]
fn on_a_port_that_speaks_tls_they_are_named_too() {
    let folder = Folder::new();
    certificate_in(&folder);
    let ini = "address = wss://127.0.0.1:0\ncertFile = cert.pem\npkFile = key.pem\n";
    folder.write("websock.ini", ini);
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    let inside = || Raw::connect_tls(server.port, &server.folder, ALL_VERSIONS);
    for bytes in [PROXY_1, PROXY_2] {
        expect_explanation(Raw::connect(server.port), bytes, "this is the PROXY protocol");
        expect_explanation(inside(), bytes, "this is the PROXY protocol");
    }
    expect_explanation(Raw::connect(server.port), HTTP_2, "this port speaks TLS");
    expect_explanation(inside(), HTTP_2, "this is HTTP/2");
    expect_explanation(inside(), TLS, "this is TLS inside TLS");
}
