//! The PROXY protocol: a trusted proxy passes on the address of its client before the request.

use crate::harness::api::head;
use crate::harness::tls::{ALL_VERSIONS, certificate_in, client_of};
use crate::harness::{Folder, Open, Raw, Server, Setup, socket_from};
use std::io::Write;

const PROXY: &str = "127.0.0.9";
/// Where the server lets scripts come from.
const ALLOWED: &str = "203.0.113.7";

fn version_1(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 192.0.2.2 4321 80\r\n").into_bytes()
}

fn version_2(client: &str) -> Vec<u8> {
    let octets = client.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let fixed = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10";
    // The last four bytes are a detail that the server does not need.
    [&fixed[..], &octets, &[192, 0, 2, 2, 0x10, 0xe1, 0, 80], &[4, 0, 1, 0]].concat()
}

fn start() -> Server {
    let ini = format!("trustedProxies = {PROXY}\nallowedIP = {ALLOWED}");
    Setup::new().ini(&ini).start()
}

/// Opens a connection from the proxy with this header.
fn passed_on(server: &Server, header: &[u8], open: &Open) -> Raw {
    let mut client = Raw::connect_from(PROXY, server.port);
    client.send([header, open.request().as_bytes()].concat());
    client
}

#[test]
fn the_address_in_the_header_decides_about_a_script() {
    let server = start();
    for header in [version_1, version_2] {
        let mut script = passed_on(&server, &header(ALLOWED), &Open::php());
        script.expect_upgrade();
        script.expect_ready();
        let mut script = passed_on(&server, &header("203.0.113.8"), &Open::php());
        script.expect_upgrade();
        script.expect_closed(1008);
    }
}

#[test]
fn a_header_that_comes_in_pieces_is_read() {
    let server = start();
    for header in [version_1(ALLOWED), version_2(ALLOWED)] {
        let mut script = Raw::connect_from(PROXY, server.port);
        script.stream().set_nodelay(true).unwrap();
        for byte in [&header[..], Open::php().request().as_bytes()].concat() {
            script.send([byte]);
        }
        script.expect_upgrade();
        script.expect_ready();
    }
}

#[test]
fn what_the_client_itself_claims_is_ignored() {
    let server = start();
    let open = Open::php().header("X-Forwarded-For", ALLOWED);
    let mut script = passed_on(&server, &version_2("203.0.113.8"), &open);
    script.expect_upgrade();
    script.expect_closed(1008);
}

#[test]
fn a_health_check_of_the_proxy_and_a_request_of_the_api_are_served() {
    let server = start();
    for header in
        [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", &version_2(ALLOWED)]
    {
        for path in ["/livez", "/v1/info"] {
            let mut client = Raw::connect_from(PROXY, server.port);
            client.send([header, &head("GET", path, &[])].concat());
            assert_eq!(client.read_answer().status(), 200, "{path}");
        }
    }
    // The header is not needed: the proxy may send requests of its own.
    Raw::connect_from(PROXY, server.port).request(head("GET", "/livez", &[]));
}

#[test]
fn other_peers_and_second_headers_are_refused() {
    let server = start();
    let words = "this is the PROXY protocol, which only a proxy in trustedProxies may send";
    for header in [version_1(ALLOWED), version_2(ALLOWED)] {
        let mut client = Raw::connect(server.port);
        client.send([&header[..], Open::php().request().as_bytes()].concat());
        client.expect_refusal(400);
        server.wait_for_output(words);
        let twice = [&header[..], &version_1(PROXY)].concat();
        passed_on(&server, &twice, &Open::php()).expect_refusal(400);
    }
}

#[test]
fn an_invalid_header_is_refused_with_the_reason() {
    let server = start();
    for (header, words) in [
        (
            &b"PROXY TCP4 203.0.113 192.0.2.2 1 2\r\n"[..],
            "the header of the PROXY protocol is not valid",
        ),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", "is longer than 4096 bytes"),
    ] {
        passed_on(&server, header, &Open::php()).expect_refusal(400);
        server.wait_for_output(words);
    }
}

#[test]
fn the_header_comes_before_tls() {
    let folder = Folder::new();
    certificate_in(&folder);
    let client = client_of(&folder, ALL_VERSIONS);
    let tls = "address = wss://127.0.0.1:0\ncertFile = cert.pem\npkFile = key.pem";
    let ini = format!("{tls}\ntrustedProxies = {PROXY}\nallowedIP = {ALLOWED}\nworkers = 1\n");
    folder.write("websock.ini", &ini);
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    for header in [version_1, version_2] {
        for (address, is_allowed) in [(ALLOWED, true), ("203.0.113.8", false)] {
            let mut socket = socket_from(PROXY, server.port);
            socket.set_nodelay(true).unwrap();
            let bytes = header(address);
            let (first, second) = bytes.split_at(9);
            socket.write_all(first).unwrap();
            socket.write_all(second).unwrap();
            let mut script = Open::php().upgrade_over(Raw::tls_over(&client, socket));
            if is_allowed {
                script.expect_ready();
            } else {
                script.expect_closed(1008);
            }
        }
    }
    // A proxy that does TLS itself sends the header before it, never inside.
    let mut inside = Raw::tls_over(&client, socket_from(PROXY, server.port));
    inside.send(version_1(ALLOWED));
    inside.expect_refusal(400);
    let mut invalid = Raw::connect_from(PROXY, server.port);
    invalid.send(b"PROXY TCP4 x\r\n GET / HTTP/1.1\r\n");
    invalid.expect_refusal(400);
}
