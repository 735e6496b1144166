//! TLS for clients: trusted certificates and handshake.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::error::ClientError;
use super::pinned::Pinned;
use super::tls_failure::TlsFailure;
use super::url::ServerUrl;

/// A TCP stream with TLS.
pub(super) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Performs the TLS handshake. Trusts the certificates of the file, or the authorities of the
/// system without a file.
pub(super) fn handshake(
    url: &ServerUrl,
    mut stream: TcpStream,
    ca: Option<&Path>,
) -> Result<TlsStream, ClientError> {
    let mut connection = connection(url, Arc::new(trusting(ca)?))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(|error| {
            match TlsFailure::of(&error, url.host()) {
                Some(failure) => ClientError::Tls(url.to_string(), Box::new(failure)),
                None => ClientError::from_io(url, error),
            }
        })?;
    }
    Ok(StreamOwned::new(connection, stream))
}

/// Creates the client side of a TLS connection before any byte is sent.
pub(crate) fn connection(
    url: &ServerUrl,
    config: Arc<ClientConfig>,
) -> Result<ClientConnection, ClientError> {
    let name = ServerName::try_from(url.host().to_owned())
        .map_err(|error| ClientError::Url(format!("its host is not a valid name ({error})")))?;
    ClientConnection::new(config, name)
        .map_err(|error| ClientError::from_io(url, std::io::Error::other(error)))
}

/// Creates a TLS configuration that trusts the certificates of the file, or the authorities of the
/// system without a file.
pub(crate) fn trusting(ca: Option<&Path>) -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Trust(error.to_string()))?;
    let builder = match ca {
        None => builder.with_root_certificates(system_roots()?),
        Some(path) => {
            let pinned = Arc::new(pinned(path, provider)?);
            builder.dangerous().with_custom_certificate_verifier(pinned)
        }
    };
    let mut config = builder.with_no_client_auth();
    // A WebSocket is opened with HTTP/1.1, so a proxy must not choose HTTP/2.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Loads the certificates of a file, which are trusted as authorities and as server certificates.
fn pinned(path: &Path, provider: Arc<CryptoProvider>) -> Result<Pinned, ClientError> {
    let wrong =
        |why: &dyn std::fmt::Display| ClientError::Trust(format!("{}: {why}", path.display()));
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(&error))?;
    if certificates.is_empty() {
        return Err(wrong(&"it contains no PEM certificate"));
    }
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|error| wrong(&error))?;
    }
    let ordinary = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let ordinary = ordinary.map_err(|error| wrong(&error))?;
    Ok(Pinned { certificates, ordinary })
}

fn system_roots() -> Result<RootCertStore, ClientError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // The store of a system may contain old certificates that cannot be parsed.
    let (added, _unreadable) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map(ToString::to_string).unwrap_or_default();
        return Err(ClientError::Trust(format!(
            "the system has no certificate authorities, name a file of them {why}"
        )));
    }
    Ok(roots)
}
