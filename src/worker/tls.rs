//! TLS on one connection: ciphertext in, plaintext out, and the other way round.
//!
//! The buffers are ours, not rustls's: it decrypts where the bytes arrived, and an idle connection
//! holds none. Its own would be 4 KiB for each connection, half of what an idle one costs.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};

use super::outbox::{Sent, send_now};
use super::tickets::Tickets;
use crate::config;

/// Plaintext that is sealed at once: what the socket does not take of it is held as ciphertext, the
/// rest waits in the outbox, where it is counted.
const SEALED_BYTES_MAX: usize = 64 * 1024;
/// Plaintext in one record (RFC 8446 §5.1).
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// What sealing adds to a record: header, nonce and tag are 29 bytes at the most.
const RECORD_EXTRA_BYTES: usize = 32;
/// Bytes of an unfinished record or handshake message: as many as rustls's own buffers would take.
const UNREAD_BYTES_MAX: usize = 64 * 1024;
/// Tickets of one TLS 1.3 handshake: who uses one up gets the next.
const TICKETS: usize = 1;
/// The first byte of every TLS handshake: a record of that type (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 0x16;

/// The certificate and the versions: TLS 1.2 and 1.3, and nobody is asked for a certificate.
///
/// # Errors
///
/// When the certificate cannot be used (the configuration has tried it before), or the secret of the
/// session tickets is missing (the supervisor makes it).
pub(super) fn acceptor(tls: &config::Tls) -> io::Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_slice_iter(tls.chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(io::Error::other)?;
    let key =
        PrivateKeyDer::from_pem_slice(tls.key.expose().as_bytes()).map_err(io::Error::other)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(io::Error::other)?;
    // A WebSocket is opened by HTTP/1.1; who offers nothing is served too.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let secret = tls
        .ticket_secret()
        .ok_or_else(|| io::Error::other("the secret of the session tickets was not passed on"))?;
    config.ticketer = Arc::new(Tickets::new(secret));
    config.send_tls13_tickets = TICKETS;
    // Whoever keeps no ticket has a full handshake: a session kept here would be unknown to the
    // other workers.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

type Traffic<'c> = WriteTraffic<'c, ServerConnectionData>;

/// TLS of one connection.
pub(super) struct Tls {
    connection: UnbufferedServerConnection,
    /// The beginning of a record whose rest has not arrived.
    unread: Vec<u8>,
    /// Ciphertext that the socket has not taken, from `sent` on.
    unsent: Vec<u8>,
    sent: usize,
    stage: Stage,
}

/// Who may still speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Both sides.
    Open,
    /// We alone: the peer has said that nothing follows.
    PeerEnded,
    /// Nobody: the peer does not keep to TLS.
    Broken,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// Whether bytes that arrived can be the beginning of a TLS handshake.
pub(super) fn begins_handshake(bytes: &[u8]) -> bool {
    bytes.first() == Some(&HANDSHAKE_RECORD)
}

impl Tls {
    pub(super) fn new(config: &Arc<ServerConfig>) -> io::Result<Self> {
        let connection =
            UnbufferedServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Ok(Self { connection, unread: Vec::new(), unsent: Vec::new(), sent: 0, stage: Stage::Open })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Takes what arrived, and appends what was in it.
    ///
    /// # Errors
    ///
    /// When the peer does not keep to TLS; an alert for it waits to be sent.
    pub(super) fn open(&mut self, arrived: &mut [u8], plain: &mut Vec<u8>) -> io::Result<()> {
        if self.stage != Stage::Open {
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.unread);
        let opened = if held.is_empty() {
            self.process(arrived, plain)
        } else {
            held.extend_from_slice(arrived);
            self.process(&mut held, plain)
        };
        let used = opened?;
        self.unread = if held.is_empty() {
            arrived.get(used..).unwrap_or_default().to_vec()
        } else {
            held.split_off(used.min(held.len()))
        };
        if self.unread.len() > UNREAD_BYTES_MAX {
            return Err(io::Error::other("a handshake message is too long"));
        }
        Ok(())
    }

    /// Works through records, and tells how many bytes of them are used up.
    fn process(&mut self, bytes: &mut [u8], plain: &mut Vec<u8>) -> io::Result<usize> {
        let mut used = 0;
        loop {
            let rest = bytes.get_mut(used..).unwrap_or_default();
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(rest);
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(io::Error::other)?;
                        discard += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut said)) => encode(&mut said, &mut self.unsent),
                // It stands in `unsent`, before anything that is said later.
                Ok(ConnectionState::TransmitTlsData(said)) => said.done(),
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    self.stage = Stage::PeerEnded;
                    return Ok(bytes.len());
                }
                Ok(_) => return Ok(used + discard),
                Err(error) => {
                    self.break_off(bytes.get_mut(used + discard..).unwrap_or_default());
                    return Err(io::Error::other(error));
                }
            }
            used += discard;
        }
    }

    /// Keeps the alert that tells the peer of its fault. Asked a second time, rustls would look at
    /// the same bytes again.
    fn break_off(&mut self, bytes: &mut [u8]) {
        self.stage = Stage::Broken;
        if let Ok(ConnectionState::EncodeTlsData(mut said)) =
            self.connection.process_tls_records(bytes).state
        {
            encode(&mut said, &mut self.unsent);
        }
    }

    /// Encrypts as much as may be held; tells how many bytes that were.
    pub(super) fn seal(&mut self, plain: &[u8]) -> usize {
        if self.has_sealed() {
            return 0;
        }
        let part = plain.get(..SEALED_BYTES_MAX).unwrap_or(plain);
        let records = part.len().div_ceil(RECORD_BYTES_MAX);
        let room = part.len() + records * RECORD_EXTRA_BYTES;
        let is_sealed = self.append(room, |traffic, into| traffic.encrypt(part, into));
        if is_sealed { part.len() } else { 0 }
    }

    /// Says that nothing follows.
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method itself has one lifetime, and any is asked for"
    )]
    pub(super) fn seal_end(&mut self) {
        let _broken = self.append(0, |traffic, into| traffic.queue_close_notify(into));
    }

    /// Appends something sealed, for which there has to be room; tells whether that was possible.
    fn append(
        &mut self,
        room: usize,
        seal: impl Fn(&mut Traffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> bool {
        let Self { connection, unread, unsent, stage, .. } = self;
        if *stage == Stage::Broken {
            return false;
        }
        loop {
            // All of `unread` was looked at when it came: nothing of it is used up here.
            match connection.process_tls_records(unread).state {
                Ok(ConnectionState::EncodeTlsData(mut said)) => encode(&mut said, unsent),
                Ok(ConnectionState::TransmitTlsData(said)) => said.done(),
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    return append(unsent, room, |into| seal(&mut traffic, into));
                }
                _ => return false,
            }
        }
    }

    /// Whether something sealed waits for the socket.
    pub(super) fn has_sealed(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Writes what is sealed. [`Sent::Some`] tells ciphertext bytes: that the socket took some.
    pub(super) fn send(&mut self, socket: &OwnedFd) -> Sent {
        let Some(unsent) = self.unsent.get(self.sent..).filter(|unsent| !unsent.is_empty()) else {
            return Sent::All;
        };
        let sent = send_now(socket, unsent);
        match sent {
            Sent::All => (self.unsent, self.sent) = (Vec::new(), 0),
            Sent::Some(taken) => self.sent += taken,
            Sent::Broken => {}
        }
        sent
    }
}

/// Appends what TLS itself has to say.
fn encode(said: &mut EncodeTlsData<'_, ServerConnectionData>, into: &mut Vec<u8>) {
    let start = into.len();
    // Asked without room it tells how much it needs.
    if let Err(EncodeError::InsufficientSize(need)) = said.encode(&mut []) {
        into.resize(start + need.required_size, 0);
        let written = said.encode(into.get_mut(start..).unwrap_or_default());
        into.truncate(start + written.unwrap_or_default());
    }
}

/// Appends what is sealed straight into a buffer, which grows when its room turns out too small.
fn append(
    buffer: &mut Vec<u8>,
    mut room: usize,
    mut seal: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> bool {
    let start = buffer.len();
    loop {
        buffer.resize(start + room, 0);
        match seal(buffer.get_mut(start..).unwrap_or_default()) {
            Ok(written) => {
                buffer.truncate(start + written);
                return true;
            }
            // New keys are announced in front of it.
            Err(EncryptError::InsufficientSize(need)) if need.required_size > room => {
                room = need.required_size;
            }
            Err(_) => {
                buffer.truncate(start);
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use std::io::{Read, Write};
    use std::time::Duration;

    /// A client and our side of its connection, without a socket in between.
    struct Pair {
        client: ClientConnection,
        ours: Tls,
    }

    impl Pair {
        fn new(version: &'static rustls::SupportedProtocolVersion) -> Self {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let tls = config::Tls {
                chain: made.cert.pem(),
                key: config::Secret::new(made.signing_key.serialize_pem()),
                ticket_secret: Some(config::Secret::new("a".repeat(64))),
                handshake_timeout: Duration::from_secs(3),
            };
            let mut roots = RootCertStore::empty();
            roots.add(made.cert.der().clone()).unwrap();
            let config =
                ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                    .with_protocol_versions(&[version])
                    .unwrap()
                    .with_root_certificates(roots)
                    .with_no_client_auth();
            let name = ServerName::try_from("localhost").unwrap();
            let client = ClientConnection::new(Arc::new(config), name).unwrap();
            Self { client, ours: Tls::new(&acceptor(&tls).unwrap()).unwrap() }
        }

        /// What the client has to say reaches us in pieces of this size.
        fn say(&mut self, piece: usize) -> io::Result<Vec<u8>> {
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

        /// What we have sealed reaches the client.
        fn hear(&mut self) -> Vec<u8> {
            let sealed = std::mem::take(&mut self.ours.unsent);
            let (mut sealed, mut plain) = (sealed.as_slice(), Vec::new());
            while !sealed.is_empty() {
                self.client.read_tls(&mut sealed).unwrap();
                self.client.process_new_packets().unwrap();
                // No more for now, or for ever, is no fault.
                let _end = self.client.reader().read_to_end(&mut plain);
            }
            plain
        }

        fn shake_hands(&mut self, piece: usize) {
            while self.client.is_handshaking() || self.ours.is_handshaking() {
                self.say(piece).unwrap();
                self.hear();
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
            assert!(pair.say(piece).unwrap() == long, "{version:?} in pieces of {piece}");
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
            assert_eq!(pair.hear().len(), SEALED_BYTES_MAX);
            assert_eq!(pair.ours.seal(b"rest"), 4);
            pair.ours.seal_end();
            assert_eq!(pair.hear(), b"rest");
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
        assert_eq!(pair.hear(), b"answer");
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
        assert_eq!(pair.hear(), b"we may still speak");
    }

    #[test]
    fn a_handshake_message_that_never_ends_is_not_held_for_ever() {
        // A ClientHello of nearly 64 KiB, by its own word, whose records hold a byte each.
        let mut ours = Pair::new(&rustls::version::TLS13).ours;
        ours.open(&mut [0x16, 3, 1, 0, 4, 1, 0, 0xff, 0xf0], &mut Vec::new()).unwrap();
        let mut held = 0;
        while ours.open(&mut [0x16, 3, 1, 0, 1, 0], &mut Vec::new()).is_ok() {
            held += 6;
            assert!(held <= UNREAD_BYTES_MAX, "it is held for ever");
        }
        // One that says it is longer is refused at once.
        let mut ours = Pair::new(&rustls::version::TLS13).ours;
        let mut longer = [0x16, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff];
        ours.open(&mut longer, &mut Vec::new()).unwrap_err();
    }
}
