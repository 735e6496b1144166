//! The client side of TLS, and certificates for tests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};

use super::folder::Folder;
use super::raw::Raw;

/// Both TLS versions that the server supports.
pub const ALL_VERSIONS: &[&SupportedProtocolVersion] =
    &[&rustls::version::TLS12, &rustls::version::TLS13];

/// A connection with or without TLS.
#[derive(Debug)]
pub enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Returns the underlying socket.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => &tls.sock,
        }
    }

    /// Ends this side of the TLS session, and leaves the socket open.
    pub fn end_session(&mut self) {
        if let Self::Tls(tls) = self {
            tls.conn.send_close_notify();
            tls.conn.write_tls(&mut tls.sock).unwrap();
        }
    }

    /// Returns the kind of the TLS handshake: full or resumed. None without TLS.
    pub fn handshake_kind(&self) -> Option<HandshakeKind> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => tls.conn.handshake_kind(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            Self::Tls(tls) => tls.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// Writes a certificate for `localhost` and its key into a folder, as `cert.pem` and `key.pem`.
pub fn certificate_in(folder: &Folder) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    folder.write("cert.pem", &made.cert.pem());
    folder.write("key.pem", &made.signing_key.serialize_pem());
}

/// Writes a certificate for `localhost` and its key, valid from the first year to the last.
pub fn certificate_between(folder: &Folder, first: i32, last: i32) {
    let mut wanted = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    wanted.not_before = rcgen::date_time_ymd(first, 1, 1);
    wanted.not_after = rcgen::date_time_ymd(last, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    folder.write("cert.pem", &wanted.self_signed(&key).unwrap().pem());
    folder.write("key.pem", &key.serialize_pem());
}

/// Writes a certificate for `localhost` and its key, valid from yesterday until `last`.
pub fn certificate_until(folder: &Folder, last: SystemTime) {
    let mut wanted = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    wanted.not_before = (SystemTime::now() - Duration::from_secs(24 * 3600)).into();
    wanted.not_after = last.into();
    let key = rcgen::KeyPair::generate().unwrap();
    folder.write("cert.pem", &wanted.self_signed(&key).unwrap().pem());
    folder.write("key.pem", &key.serialize_pem());
}

/// Creates a client configuration for these TLS versions that trusts the folder's `cert.pem` and
/// keeps session tickets.
pub fn client_of(
    folder: &Folder,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let file = folder.root().join("cert.pem");
    roots.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

impl Raw {
    /// Connects with one of these TLS versions and trusts the folder's `cert.pem`.
    #[track_caller]
    pub fn connect_tls(
        port: u16,
        folder: &Folder,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        Self::connect_tls_as(&client_of(folder, versions), port)
    }

    /// Connects with an existing client configuration, which may have tickets of earlier
    /// connections.
    #[track_caller]
    pub fn connect_tls_as(client: &Arc<ClientConfig>, port: u16) -> Self {
        Self::tls_over(client, TcpStream::connect(("127.0.0.1", port)).unwrap())
    }

    /// Performs the TLS handshake over an existing stream.
    #[track_caller]
    pub fn tls_over(client: &Arc<ClientConfig>, mut socket: TcpStream) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let mut connection = ClientConnection::new(Arc::clone(client), name).unwrap();
        socket.set_nodelay(true).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).unwrap();
        }
        Self::through(Stream::Tls(Box::new(StreamOwned::new(connection, socket))))
    }
}
