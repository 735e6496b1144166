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
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ServerConnectionData, UnbufferedServerConnection};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};

use super::outbox::{Sent, send_now};
use super::tls_session_tickets::SessionTickets;
use crate::config;

/// Plaintext that is sealed at once: what the socket does not take of it is held as ciphertext, the
/// rest waits in the outbox, where it is counted.
const SEALED_BYTES_MAX: usize = 64 * 1024;
/// Plaintext in one record (RFC 8446 §5.1).
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// What sealing adds to a record: header, nonce and tag are at most 29 bytes.
const RECORD_EXTRA_BYTES: usize = 32;
/// Bytes of an unfinished record or handshake message: as many as rustls's own buffers would take.
const UNREAD_BYTES_MAX: usize = 64 * 1024;
/// Tickets of one TLS 1.3 handshake: a client that uses one gets the next.
const TICKETS: usize = 1;
/// The first byte of every TLS handshake: a record of that type (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 0x16;
/// The type of a ClientHello, in TLS (RFC 8446 §4) and in SSL 2.0 (RFC 5246 appendix E.2).
const CLIENT_HELLO: u8 = 1;
/// The lowest version of a ClientHello: 3.3 is TLS 1.2, and TLS 1.3 sends it too.
const MINOR_VERSION_MIN: u8 = 3;
/// A fatal alert, `protocol_version`, in a record that every old version can read.
pub(in crate::worker) const TOO_OLD: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];

/// The certificate and the versions: TLS 1.2 and 1.3, and clients are not asked for a certificate.
///
/// # Errors
///
/// When the certificate cannot be used (the configuration has tried it before), or the secret of the
/// session tickets is missing (the supervisor makes it).
pub(in crate::worker) fn acceptor(tls: &config::TlsSettings) -> io::Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_slice_iter(tls.chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(io::Error::other)?;
    // Lent and not given away: the copy in our hands is wiped.
    let der = tls.key_der().ok_or_else(|| io::Error::other("the private key cannot be read"))?;
    let key = PrivateKeyDer::try_from(der.as_slice()).map_err(io::Error::other)?;
    let key = any_supported_type(&key).map_err(io::Error::other)?;
    let certified = SingleCertAndKey::from(CertifiedKey::new(chain, key));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certified));
    // A WebSocket is opened by HTTP/1.1; a client that offers nothing is served too.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let secret = tls
        .ticket_secret()
        .ok_or_else(|| io::Error::other("the secret of the session tickets was not passed on"))?;
    config.ticketer = Arc::new(SessionTickets::new(&secret));
    config.send_tls13_tickets = TICKETS;
    // A client that keeps no ticket has a full handshake: a session kept here would be unknown to the
    // other workers.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

type Traffic<'c> = WriteTraffic<'c, ServerConnectionData>;

/// TLS of one connection.
pub(in crate::worker) struct TlsSession {
    connection: UnbufferedServerConnection,
    /// The beginning of a record whose rest has not arrived.
    unread: Vec<u8>,
    /// Ciphertext that the socket has not taken, from `sent` on.
    unsent: Vec<u8>,
    sent: usize,
    stage: TlsStage,
}

/// Which sides may still send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TlsStage {
    /// Both sides.
    Open,
    /// We alone: the peer has announced that nothing follows.
    PeerEnded,
    /// Neither: the peer does not keep to TLS.
    Broken,
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// What the first bytes of a connection show about its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum FirstWords {
    /// TLS, or nothing that is known: rustls answers, if only by an alert.
    Tls,
    /// SSL, TLS 1.0 or 1.1. rustls would send `handshake_failure` to most of these, since their
    /// ClientHello lacks more than the version.
    OldTls,
    /// Text: a browser on `http://` or `ws://`.
    PlainText,
}

impl FirstWords {
    /// Judges the bytes that arrived first.
    pub(in crate::worker) const fn of(bytes: &[u8]) -> Self {
        match bytes {
            [b' '..=b'~' | b'\r' | b'\n' | b'\t', ..] => Self::PlainText,
            [0x80..=0xFF, _, CLIENT_HELLO, ..] => Self::OldTls,
            [HANDSHAKE_RECORD, 3, _, _, _, CLIENT_HELLO, _, _, _, 3, minor, ..]
                if *minor < MINOR_VERSION_MIN =>
            {
                Self::OldTls
            }
            _ => Self::Tls,
        }
    }
}

impl TlsSession {
    pub(in crate::worker) fn new(config: &Arc<ServerConfig>) -> io::Result<Self> {
        let connection =
            UnbufferedServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Ok(Self {
            connection,
            unread: Vec::new(),
            unsent: Vec::new(),
            sent: 0,
            stage: TlsStage::Open,
        })
    }

    pub(in crate::worker) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether a record has come in part: it has a deadline.
    pub(in crate::worker) fn is_mid_record(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Bytes that it holds of what the peer sent, and of what it has not taken.
    pub(in crate::worker) fn held(&self) -> usize {
        self.unread.len() + self.unsent.len()
    }

    /// Takes what arrived, and appends what was in it.
    ///
    /// # Errors
    ///
    /// When the peer does not keep to TLS; an alert for it waits to be sent.
    pub(in crate::worker) fn open(
        &mut self,
        arrived: &mut [u8],
        plain: &mut Vec<u8>,
    ) -> io::Result<()> {
        if self.stage != TlsStage::Open {
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

    /// Processes records; returns how many bytes of them are used up.
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
                Ok(ConnectionState::EncodeTlsData(mut records)) => {
                    encode(&mut records, &mut self.unsent);
                }
                // It is in `unsent`, before anything that is sent later.
                Ok(ConnectionState::TransmitTlsData(records)) => records.done(),
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    self.stage = TlsStage::PeerEnded;
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

    /// Keeps the alert for the peer. Asked a second time, rustls would look at
    /// the same bytes again.
    fn break_off(&mut self, bytes: &mut [u8]) {
        self.stage = TlsStage::Broken;
        if let Ok(ConnectionState::EncodeTlsData(mut records)) =
            self.connection.process_tls_records(bytes).state
        {
            encode(&mut records, &mut self.unsent);
        }
    }

    /// Encrypts as much as may be held; returns how many bytes that were.
    pub(in crate::worker) fn seal(&mut self, plain: &[u8]) -> usize {
        if self.has_sealed() {
            return 0;
        }
        let part = plain.get(..SEALED_BYTES_MAX).unwrap_or(plain);
        let records = part.len().div_ceil(RECORD_BYTES_MAX);
        let room = part.len() + records * RECORD_EXTRA_BYTES;
        let is_sealed = self.append(room, |traffic, into| traffic.encrypt(part, into));
        if is_sealed { part.len() } else { 0 }
    }

    /// Announces that nothing follows.
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method itself has one lifetime, and any is asked for"
    )]
    pub(in crate::worker) fn seal_end(&mut self) {
        let _broken = self.append(0, |traffic, into| traffic.queue_close_notify(into));
    }

    /// Appends something sealed, for which there has to be room; returns whether that was possible.
    fn append(
        &mut self,
        room: usize,
        seal: impl Fn(&mut Traffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> bool {
        let Self { connection, unread, unsent, stage, .. } = self;
        if *stage == TlsStage::Broken {
            return false;
        }
        loop {
            // All of `unread` was looked at when it came: nothing of it is used up here.
            match connection.process_tls_records(unread).state {
                Ok(ConnectionState::EncodeTlsData(mut records)) => encode(&mut records, unsent),
                Ok(ConnectionState::TransmitTlsData(records)) => records.done(),
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    return append(unsent, room, |into| seal(&mut traffic, into));
                }
                _ => return false,
            }
        }
    }

    /// Whether something sealed waits for the socket.
    pub(in crate::worker) fn has_sealed(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Writes what is sealed. [`Sent::Some`] counts bytes of ciphertext.
    pub(in crate::worker) fn send(&mut self, socket: &OwnedFd) -> Sent {
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

/// Appends records of TLS itself.
fn encode(records: &mut EncodeTlsData<'_, ServerConnectionData>, into: &mut Vec<u8>) {
    let start = into.len();
    // Called without room it returns how much it needs.
    if let Err(EncodeError::InsufficientSize(need)) = records.encode(&mut []) {
        into.resize(start + need.required_size, 0);
        let written = records.encode(into.get_mut(start..).unwrap_or_default());
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
mod tests;
