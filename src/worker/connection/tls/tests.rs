//! TLS over memory, with all segmentations of the bytes.

use super::*;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{Read, Write};
use std::time::Duration;

/// Client and server side of a connection without a socket.
struct Pair {
    client: ClientConnection,
    ours: TlsSession,
}

impl Pair {
    fn new(version: &'static rustls::SupportedProtocolVersion) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let tls = config::TlsSettings {
            chain: made.cert.pem(),
            key: config::TlsSettings::key_from_pem(&made.signing_key.serialize_pem()).unwrap(),
            ticket_secret: Some(crate::types::Secret::new("a".repeat(64))),
            handshake_timeout: Duration::from_secs(3),
        };
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        Self { client, ours: TlsSession::new(&acceptor(&tls).unwrap()).unwrap() }
    }

    /// Passes the client's output to the server in segments of this size.
    fn client_writes(&mut self, piece: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).unwrap();
        }
        let mut plain = Vec::new();
        for piece in bytes.chunks_mut(piece) {
            self.ours.open(piece, &mut plain)?;
        }
        Ok(plain)
    }

    /// Passes the server's output to the client.
    fn client_reads(&mut self) -> Vec<u8> {
        let sealed = std::mem::take(&mut self.ours.unsent);
        let (mut sealed, mut plain) = (sealed.as_slice(), Vec::new());
        while !sealed.is_empty() {
            self.client.read_tls(&mut sealed).unwrap();
            self.client.process_new_packets().unwrap();
            // The end of the data is not an error here.
            let _end = self.client.reader().read_to_end(&mut plain);
        }
        plain
    }

    fn shake_hands(&mut self, piece: usize) {
        while self.client.is_handshaking() || self.ours.is_handshaking() {
            self.client_writes(piece).unwrap();
            self.client_reads();
        }
    }
}

const VERSIONS: [&rustls::SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

#[test]
fn bytes_may_arrive_one_by_one_or_many_records_at_once() {
    for (version, piece) in VERSIONS.into_iter().flat_map(|v| [(v, 1), (v, 7000), (v, 65536)]) {
        let mut pair = Pair::new(version);
        pair.shake_hands(piece);
        let long: Vec<u8> = (0..40_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        pair.client.writer().write_all(&long).unwrap();
        assert!(pair.client_writes(piece).unwrap() == long, "{version:?} in pieces of {piece}");
        assert!(pair.ours.unread.is_empty(), "an idle connection holds nothing");
    }
}

#[test]
fn as_much_is_sealed_as_may_be_held_and_the_rest_later() {
    for version in VERSIONS {
        let mut pair = Pair::new(version);
        pair.shake_hands(65536);
        let long = vec![7; SEALED_BYTES_MAX + 1];
        assert_eq!(pair.ours.seal(&long), SEALED_BYTES_MAX);
        assert_eq!(pair.ours.seal(b"more"), 0, "the socket takes what is sealed first");
        assert_eq!(pair.client_reads().len(), SEALED_BYTES_MAX);
        assert_eq!(pair.ours.seal(b"rest"), 4);
        pair.ours.seal_end();
        assert_eq!(pair.client_reads(), b"rest");
        assert!(pair.client.process_new_packets().unwrap().peer_has_closed());
    }
}

#[test]
fn new_keys_are_taken_and_announced_while_half_a_record_waits() {
    let mut pair = Pair::new(&rustls::version::TLS13);
    pair.shake_hands(65536);
    pair.client.refresh_traffic_keys().unwrap();
    pair.client.writer().write_all(b"after").unwrap();
    let mut bytes = Vec::new();
    pair.client.write_tls(&mut bytes).unwrap();
    let mut plain = Vec::new();
    let end = bytes.len() - 1;
    let (first, last) = bytes.split_at_mut(end);
    pair.ours.open(first, &mut plain).unwrap();
    assert_eq!(pair.ours.seal(b"answer"), 6);
    assert_eq!(pair.client_reads(), b"answer");
    pair.ours.open(last, &mut plain).unwrap();
    assert_eq!(plain, b"after");
}

#[test]
fn a_fault_is_answered_by_an_alert_and_ends_the_connection() {
    let mut pair = Pair::new(&rustls::version::TLS13);
    pair.shake_hands(65536);
    pair.client.writer().write_all(b"forged").unwrap();
    let mut bytes = Vec::new();
    pair.client.write_tls(&mut bytes).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    pair.ours.open(&mut bytes, &mut Vec::new()).unwrap_err();
    assert!(pair.ours.has_sealed(), "the alert");
    let sealed = std::mem::take(&mut pair.ours.unsent);
    pair.client.read_tls(&mut sealed.as_slice()).unwrap();
    let error = pair.client.process_new_packets().unwrap_err();
    assert_eq!(error.to_string(), "received fatal alert: BadRecordMac");
    assert_eq!(pair.ours.seal(b"never"), 0);
}

#[test]
fn what_follows_the_peers_end_is_ignored() {
    let mut pair = Pair::new(&rustls::version::TLS13);
    pair.shake_hands(65536);
    pair.client.writer().write_all(b"last").unwrap();
    pair.client.send_close_notify();
    let mut bytes = Vec::new();
    pair.client.write_tls(&mut bytes).unwrap();
    bytes.extend([0x17, 3, 3, 0]);
    let mut plain = Vec::new();
    pair.ours.open(&mut bytes, &mut plain).unwrap();
    pair.ours.open(&mut [1; 100], &mut plain).unwrap();
    assert_eq!((plain.as_slice(), pair.ours.unread.len()), (&b"last"[..], 0));
    assert_eq!(pair.ours.seal(b"we may still speak"), 18);
    assert_eq!(pair.client_reads(), b"we may still speak");
}

#[test]
fn a_handshake_message_that_never_ends_is_not_held_for_ever() {
    // ClientHello with an announced length of almost 64 KiB, in records of one byte each.
    let mut ours = Pair::new(&rustls::version::TLS13).ours;
    ours.open(&mut [0x16, 3, 1, 0, 4, 1, 0, 0xff, 0xf0], &mut Vec::new()).unwrap();
    let mut held = 0;
    while ours.open(&mut [0x16, 3, 1, 0, 1, 0], &mut Vec::new()).is_ok() {
        held += 6;
        assert!(held <= UNREAD_BYTES_MAX, "it is held for ever");
    }
    // A ClientHello with a greater announced length is refused at once.
    let mut ours = Pair::new(&rustls::version::TLS13).ours;
    let mut longer = [0x16, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff];
    ours.open(&mut longer, &mut Vec::new()).unwrap_err();
}

#[test]
fn first_bytes_reveal_plain_text_and_old_versions_of_tls() {
    let hello = |minor| [0x16, 3, 1, 0, 50, 1, 0, 0, 46, 3, minor, 0];
    let old: [&[u8]; 4] = [&hello(0), &hello(1), &hello(2), &[0x80, 46, 1, 0, 2]];
    let text: [&[u8]; 3] = [b"GET / HTTP/1.1", b"\r\n", b"x"];
    let tls: [&[u8]; 6] =
        [&hello(3), &hello(4), &hello(0)[..10], &[0x15, 3, 1], &[0x80, 46], &[0, 1, 2]];
    assert!(old.iter().all(|bytes| DetectedProtocol::of(bytes) == DetectedProtocol::OldTls));
    assert!(text.iter().all(|bytes| DetectedProtocol::of(bytes) == DetectedProtocol::PlainText));
    assert!(tls.iter().all(|bytes| DetectedProtocol::of(bytes) == DetectedProtocol::Tls));
    assert_eq!(DetectedProtocol::of(&[]), DetectedProtocol::Tls);
}
