//! TLS of one connection: converts ciphertext to plaintext and back.
//!
//! The buffers belong to this module, not to rustls. rustls decrypts in place, and an idle
//! connection has no buffer. Its own buffers would take 4 KiB per connection, half the memory of an
//! idle connection.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};

use super::outbox::{Sent, send_now};
use super::tls_session_tickets::SessionTickets;
use crate::config;

/// Most plaintext that is encrypted at once. The unsent part is held as ciphertext. The rest stays
/// in the outbox, which counts it.
const SEALED_BYTES_MAX: usize = 64 * 1024;
/// Most plaintext in one record (RFC 8446 §5.1).
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// Most bytes that encryption adds to a record. Header, nonce and tag have at most 29.
const RECORD_EXTRA_BYTES: usize = 32;
/// Most bytes of an incomplete record or handshake message. The buffers of rustls have the same
/// limit.
const UNREAD_BYTES_MAX: usize = 64 * 1024;
/// Session tickets per TLS 1.3 handshake. A client that uses one gets another.
const TICKETS: usize = 1;
/// First byte of a TLS handshake: the record type (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 0x16;
/// Type of a ClientHello, in TLS (RFC 8446 §4) and in SSL 2.0 (RFC 5246 appendix E.2).
const CLIENT_HELLO: u8 = 1;
/// Lowest minor version of a ClientHello. 3.3 is TLS 1.2; TLS 1.3 sends it too.
const MINOR_VERSION_MIN: u8 = 3;
/// Fatal alert `protocol_version`, in a record that all old versions can read.
pub(in crate::worker) const TOO_OLD: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];

/// Creates the TLS configuration of a worker: the one of the certificate, with tickets that all workers
/// know.
///
/// # Errors
///
/// Fails when the certificate is unusable, although the configuration has checked it, or when the
/// secret of the session tickets is missing, although the supervisor creates it.
pub(in crate::worker) fn acceptor(tls: &config::TlsSettings) -> io::Result<Arc<ServerConfig>> {
    let mut config = tls.server_config()?;
    let secret = tls
        .ticket_secret()
        .ok_or_else(|| io::Error::other("the secret of the session tickets is missing"))?;
    config.ticketer = Arc::new(SessionTickets::new(&secret));
    config.send_tls13_tickets = TICKETS;
    // A client without a ticket needs a full handshake. Other workers would not know a session that
    // is stored here.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

type Traffic<'c> = WriteTraffic<'c, ServerConnectionData>;

/// TLS state of one connection.
pub(in crate::worker) struct TlsSession {
    connection: UnbufferedServerConnection,
    /// Beginning of an incomplete record.
    unread: Vec<u8>,
    /// Ciphertext. The socket has not accepted the bytes from `sent` on.
    unsent: Vec<u8>,
    sent: usize,
    stage: TlsStage,
}

/// Sides that may still send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TlsStage {
    /// Both sides.
    Open,
    /// Only the server. The peer has sent `close_notify`.
    PeerEnded,
    /// Neither side. The peer violated TLS.
    Broken,
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// Protocol of a peer by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum DetectedProtocol {
    /// TLS or unknown. rustls answers, at least with an alert.
    Tls,
    /// SSL, TLS 1.0 or 1.1. For most of these rustls would send `handshake_failure` instead,
    /// because their ClientHello lacks other parts too.
    OldTls,
    /// Text, such as a browser on `http://` or `ws://`.
    PlainText,
}

impl DetectedProtocol {
    /// Detects the protocol by the first bytes.
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

    /// Returns true inside a record. The rest of the record has a deadline.
    pub(in crate::worker) fn is_mid_record(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Returns the number of held bytes: incomplete input, and output that the peer has not
    /// accepted.
    pub(in crate::worker) fn held(&self) -> usize {
        self.unread.len() + self.unsent.len()
    }

    /// Decrypts received bytes and appends the plaintext.
    ///
    /// # Errors
    ///
    /// Fails when the peer violates TLS. The alert for the peer is then ready to be sent.
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

    /// Processes records and returns the number of consumed bytes.
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
                // The record is already in `unsent`, before all later output.
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

    /// Stores the alert for the peer. A later call would process the same bytes again.
    fn break_off(&mut self, bytes: &mut [u8]) {
        self.stage = TlsStage::Broken;
        if let Ok(ConnectionState::EncodeTlsData(mut records)) =
            self.connection.process_tls_records(bytes).state
        {
            encode(&mut records, &mut self.unsent);
        }
    }

    /// Encrypts as many bytes as may be held, and returns their number.
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

    /// Queues `close_notify`.
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method itself has one lifetime, and any is asked for"
    )]
    pub(in crate::worker) fn seal_end(&mut self) {
        let _broken = self.append(0, |traffic, into| traffic.queue_close_notify(into));
    }

    /// Appends encrypted output. `room` is its estimated length. Returns false if TLS cannot send.
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
            // The bytes of `unread` were processed when they arrived, so nothing is consumed here.
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

    /// Returns true if the peer has ended its side of the session.
    pub(in crate::worker) fn has_peer_ended(&self) -> bool {
        self.stage == TlsStage::PeerEnded
    }

    /// Returns true if ciphertext waits for the socket.
    pub(in crate::worker) fn has_sealed(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Writes ciphertext to the socket. [`Sent::Some`] counts ciphertext bytes.
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

/// Appends handshake records and other records of TLS itself.
fn encode(records: &mut EncodeTlsData<'_, ServerConnectionData>, into: &mut Vec<u8>) {
    let start = into.len();
    // A call with an empty buffer returns the required size.
    if let Err(EncodeError::InsufficientSize(need)) = records.encode(&mut []) {
        into.resize(start + need.required_size, 0);
        let written = records.encode(into.get_mut(start..).unwrap_or_default());
        into.truncate(start + written.unwrap_or_default());
    }
}

/// Encrypts directly into a buffer. The buffer grows if `room` is too small.
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
            // A key update record comes first and needs more room.
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
