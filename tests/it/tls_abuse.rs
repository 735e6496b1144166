//! Clients that use TLS wrongly, in an old version, or not at all: fault 8 of `docs/faults.md`. During each
//! attack a bystander inside TLS must be served normally, and nothing may be left afterwards.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::harness::tls::{ALL_VERSIONS, certificate_in, client_of};
use crate::harness::watch::with_bystander_opened_by;
use crate::harness::{Bystander, End, Folder, Open, Raw, Server};
use rustix::net::sockopt;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig, ClientConnection};

fn server() -> Server {
    let folder = Folder::new();
    certificate_in(&folder);
    let ini = "[websocketserver]\nadress = wss://127.0.0.1:0\nworkers = 2\ncertFile = cert.pem\n\
               pkFile = key.pem\ntlsHandshakeTimeout = 1s\n";
    folder.write("websock.ini", ini);
    Server::run(folder, &["serve", "-i", "websock.ini"], &[])
}

/// Runs an attack on a server, with a bystander inside TLS.
#[track_caller]
fn with_a_tls_bystander(server: &Server, attack: impl FnOnce(&mut Bystander)) {
    let come = |server: &Server| {
        let open = || {
            let raw = Raw::connect_tls(server.port, &server.folder, ALL_VERSIONS);
            let mut raw = Open::web().upgrade_over(raw);
            raw.expect_ready();
            raw
        };
        Bystander::between(open(), open())
    };
    with_bystander_opened_by(server, come, attack);
}

/// Returns a fatal alert that is not encrypted.
fn alert(version: [u8; 2], description: AlertDescription) -> Vec<u8> {
    vec![0x15, version[0], version[1], 0, 2, 2, u8::from(description)]
}

/// Returns everything that the server answers to these bytes until it closes. Nothing follows these bytes.
#[track_caller]
fn answer_to(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut client = Raw::connect(server.port);
    client.try_send(bytes).ok();
    client.stream().shutdown(Shutdown::Write).ok();
    client.wait_for_end();
    client.take_all()
}

/// Returns a ClientHello as a complete record, with these ciphers and extensions.
fn client_hello(version: [u8; 2], ciphers: &[u16], extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let short = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    let ciphers: Vec<u8> = ciphers.iter().flat_map(|cipher| cipher.to_be_bytes()).collect();
    let extensions: Vec<u8> = extensions
        .iter()
        .flat_map(|(kind, body)| [&kind.to_be_bytes(), &short(body.len())[..], *body].concat())
        .collect();
    let hello = [
        &version[..],
        &[0x42; 32],
        &[0],
        &short(ciphers.len()),
        &ciphers,
        &[1, 0],
        &short(extensions.len()),
        &extensions,
    ]
    .concat();
    let length = u32::try_from(hello.len()).unwrap().to_be_bytes();
    let message = [&[1], &length[1..], &hello].concat();
    [&[0x16, 3, version[1].min(1)], &short(message.len())[..], &message].concat()
}

/// Extensions that every client of the last fifteen years sends: curves, point formats, signature algorithms.
const EXTENSIONS: &[(u16, &[u8])] =
    &[(10, &[0, 4, 0, 29, 0, 23]), (11, &[1, 0]), (13, &[0, 8, 4, 3, 8, 4, 4, 1, 2, 1]), (23, &[])];
/// ECDHE and RSA with AES, as in TLS 1.0 and 1.2.
const CIPHERS: &[u16] = &[0xC02B, 0xC02C, 0xC009, 0xC00A, 0xC013, 0x002F];

#[test]
fn fault_8_old_versions_are_refused_by_an_alert_that_names_the_version() {
    let server = server();
    let too_old = alert([3, 1], AlertDescription::ProtocolVersion);
    let ssl_2 = [
        &[0x80, 46, 1, 0, 2, 0, 21, 0, 0, 0, 16][..],
        &[7, 0, 192, 5, 0, 128, 3, 0, 128, 1, 0, 128, 8, 0, 128, 6, 0, 64, 4, 0, 128],
        &[0x42; 16],
    ]
    .concat();
    with_a_tls_bystander(&server, |bystander| {
        assert_eq!(answer_to(&server, &ssl_2), too_old);
        for minor in [0, 1, 2] {
            for extensions in [&[][..], EXTENSIONS] {
                let hello = client_hello([3, minor], CIPHERS, extensions);
                assert_eq!(answer_to(&server, &hello), too_old, "3.{minor}");
                bystander.is_served();
            }
        }
        // The same in TLS 1.2 is answered by a ServerHello, unless no cipher is known.
        let right = answer_to(&server, &client_hello([3, 3], CIPHERS, EXTENSIONS));
        assert_eq!((right[0], right[5]), (0x16, 2), "{right:02x?}");
        let strange = answer_to(&server, &client_hello([3, 3], &[0x0005, 0x000A], EXTENSIONS));
        assert_eq!(strange, alert([3, 3], AlertDescription::HandshakeFailure));
    });
}

#[test]
fn fault_8_invalid_handshakes_are_answered_by_an_alert() {
    let server = server();
    let unexpected = alert([3, 3], AlertDescription::UnexpectedMessage);
    let undecodable = alert([3, 3], AlertDescription::DecodeError);
    let table: [(&[u8], &Vec<u8>); 10] = [
        (&[0x16; 600], &undecodable),
        (&[0x00; 600], &undecodable),
        (&[0x99; 600], &undecodable),
        // An empty record, a record that is too long, and a record of version 9.9.
        (&[0x16, 3, 1, 0, 0], &undecodable),
        (&[0x16, 3, 1, 0xFF, 0xFF, 1], &undecodable),
        (&[0x16, 9, 9, 0, 5, 1, 2, 3, 4, 5], &undecodable),
        // Data and a change of ciphers before any hello.
        (&[0x17, 3, 3, 0, 5, 1, 2, 3, 4, 5], &unexpected),
        (&[0x14, 3, 3, 0, 1, 1], &unexpected),
        // A ServerHello, and a hello that ends before its ciphers.
        (&[0x16, 3, 3, 0, 4, 2, 0, 0, 0], &undecodable),
        (&[0x16, 3, 3, 0, 8, 1, 0, 0, 4, 3, 3, 0, 0], &undecodable),
    ];
    with_a_tls_bystander(&server, |bystander| {
        for (bytes, expected) in table {
            let answer = answer_to(&server, bytes);
            assert_eq!(&answer, expected, "to {:02x?}", &bytes[..bytes.len().min(20)]);
            bystander.is_served();
        }
    });
}

/// Returns the first bytes of a client.
fn first_flight(client: &Arc<ClientConfig>) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}

#[test]
fn fault_8_a_truncated_hello_delays_no_client() {
    let server = server();
    let client = client_of(&server.folder, ALL_VERSIONS);
    let hello = first_flight(&client);
    with_a_tls_bystander(&server, |bystander| {
        let mut stalled = Vec::new();
        for cut in 0..hello.len() {
            let mut raw = Raw::connect(server.port);
            raw.send(&hello[..cut]);
            match cut % 3 {
                0 => {
                    raw.stream().shutdown(Shutdown::Write).unwrap();
                    raw.expect_end();
                }
                1 => reset_on_drop(raw.stream()),
                _ => stalled.push(raw),
            }
            if cut % 50 == 0 {
                bystander.is_served();
            }
        }
        for raw in &mut stalled {
            assert_eq!(raw.expect_end(), End::Fin, "at the deadline, without a word");
        }
    });
}

/// Every answer is an alert, a ServerHello, or nothing if more bytes were announced.
#[test]
fn fault_8_a_hello_with_any_bit_wrong_is_answered_within_tls() {
    let server = server();
    let hello = first_flight(&client_of(&server.folder, &[&rustls::version::TLS13]));
    with_a_tls_bystander(&server, |bystander| {
        for at in 1..hello.len() {
            let mut wrong = hello.clone();
            wrong[at] ^= 1 << (at % 8);
            let answer = answer_to(&server, &wrong);
            let kind = answer.first().copied();
            assert!(matches!(kind, None | Some(0x15 | 0x16)), "{at}: {answer:02x?}");
            if at % 50 == 0 {
                bystander.is_served();
            }
        }
    });
}

fn reset_on_drop(socket: &TcpStream) {
    sockopt::set_socket_linger(socket, Some(Duration::ZERO)).unwrap();
}

#[test]
fn fault_8_an_abandoned_or_corrupt_handshake_delays_no_client() {
    let server = server();
    for version in ALL_VERSIONS {
        let client = client_of(&server.folder, &[version]);
        with_a_tls_bystander(&server, |bystander| {
            for number in 0..30 {
                let hello = first_flight(&client);
                let mut raw = Raw::connect(server.port);
                raw.send(hello);
                // The server has answered, and waits for the client's next message.
                let answer = raw.read_exactly(5);
                assert_eq!(answer[0], 0x16);
                match number % 3 {
                    0 => reset_on_drop(raw.stream()),
                    1 => drop(raw),
                    _ => {
                        // Encrypted data where the end of the handshake is expected.
                        raw.try_send([&[0x17, 3, 3, 0, 40][..], &[0x42; 40]].concat()).ok();
                        raw.wait_for_end();
                        let output = raw.take_all();
                        let last = alert([3, 3], AlertDescription::UnexpectedMessage);
                        let is_alert = match version.version {
                            rustls::ProtocolVersion::TLSv1_2 => output.ends_with(&last),
                            // In TLS 1.3 the alert is encrypted: two bytes, their type, and the tag.
                            _ => output[..output.len() - 19].ends_with(&[0x17, 3, 3, 0, 19]),
                        };
                        assert!(is_alert, "its last words: {:02x?}", &output[output.len() - 24..]);
                    }
                }
                bystander.is_served();
            }
        });
    }
}

#[test]
fn fault_8_plain_text_gets_a_readable_answer() {
    let server = server();
    let upgrade = Open::web().request();
    with_a_tls_bystander(&server, |bystander| {
        for text in
            [upgrade.as_str(), "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "\r\n", "SSH-2.0-x\r\n", "G"]
        {
            let mut plain = Raw::connect(server.port);
            plain.send(text);
            let head = plain.read_head();
            assert_eq!(head.status(), 400);
            assert_eq!(head.header("Content-Type"), Some("text/plain; charset=utf-8"));
            let length = head.header("Content-Length").unwrap().parse().unwrap();
            let body = String::from_utf8(plain.read_exactly(length)).unwrap();
            assert!(body.contains("this port speaks TLS: use wss:// or https://"), "{body}");
            plain.expect_end();
            bystander.is_served();
        }
    });
}
