//! TLS on one connection: ciphertext in, plaintext out, and the other way round.

use std::fmt;
use std::io::{self, IoSlice, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use super::outbox::Sent;
use crate::config;

/// What one connection may hold that the socket has not taken: the rest waits in its outbox, where
/// it is counted.
const SEALED_BYTES_MAX: usize = 64 * 1024;
/// The first byte of every TLS handshake: a record of that type (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 0x16;

/// The certificate and the versions: TLS 1.2 and 1.3, and nobody is asked for a certificate.
///
/// # Errors
///
/// When the certificate cannot be used; the configuration has tried it before.
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
    Ok(Arc::new(config))
}

/// TLS of one connection.
pub(super) struct Tls(ServerConnection);

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
        let mut connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(SEALED_BYTES_MAX));
        Ok(Self(connection))
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    /// Takes what arrived, and appends what was in it.
    ///
    /// # Errors
    ///
    /// When the peer does not keep to TLS; an alert for it waits to be sent.
    pub(super) fn open(&mut self, mut arrived: &[u8], plain: &mut Vec<u8>) -> io::Result<()> {
        while !arrived.is_empty() {
            self.0.read_tls(&mut arrived)?;
            let state = self.0.process_new_packets().map_err(io::Error::other)?;
            let fresh = plain.len();
            plain.resize(fresh + state.plaintext_bytes_to_read(), 0);
            if let Some(room) = plain.get_mut(fresh..) {
                io::Read::read_exact(&mut self.0.reader(), room)?;
            }
            if state.peer_has_closed() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Encrypts as much as may be held; tells how many bytes that were.
    pub(super) fn seal(&mut self, plain: &[u8]) -> usize {
        // Writing into its buffer has no way to fail.
        self.0.writer().write(plain).unwrap_or(0)
    }

    /// Says that nothing follows.
    pub(super) fn seal_end(&mut self) {
        self.0.send_close_notify();
    }

    /// Whether something sealed waits for the socket.
    pub(super) fn has_sealed(&self) -> bool {
        self.0.wants_write()
    }

    /// Writes what is sealed. [`Sent::Some`] tells ciphertext bytes: that the socket took some.
    pub(super) fn send(&mut self, socket: &OwnedFd) -> Sent {
        let mut taken = 0;
        while self.0.wants_write() {
            match self.0.write_tls(&mut Socket(socket)) {
                Ok(0) => return Sent::Broken,
                Ok(some) => taken += some,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Sent::Some(taken);
                }
                Err(_) => return Sent::Broken,
            }
        }
        Sent::All
    }
}

/// A socket that is written to without waiting.
struct Socket<'s>(&'s OwnedFd);

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match sendmsg(self.0, parts, &mut SendAncillaryBuffer::default(), flags) {
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            other => Ok(other?),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
