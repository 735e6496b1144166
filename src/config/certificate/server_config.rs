//! The certificate in the form in which a TLS server uses it.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::TlsSettings;

impl TlsSettings {
    /// Returns the Unix second from which the certificate is not valid any more.
    pub(in crate::config) fn expires(&self) -> Option<u64> {
        let first = CertificateDer::pem_slice_iter(self.chain.as_bytes()).next()?.ok()?;
        let (_, parsed) = X509Certificate::from_der(&first).ok()?;
        u64::try_from(parsed.validity().not_after.timestamp()).ok()
    }

    /// Returns the TLS configuration of a server: the certificate, TLS 1.2 and 1.3, and HTTP/1.1 as the
    /// only protocol. Client certificates are not requested.
    ///
    /// # Errors
    ///
    /// If the certificate is unusable, although the configuration has checked it.
    pub fn server_config(&self) -> io::Result<ServerConfig> {
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(io::Error::other)?;
        // The key is borrowed, so our copy can be wiped.
        let der =
            self.key_der().ok_or_else(|| io::Error::other("the private key cannot be read"))?;
        let key = PrivateKeyDer::try_from(der.as_slice()).map_err(io::Error::other)?;
        let key = any_supported_type(&key).map_err(io::Error::other)?;
        let certified = SingleCertAndKey::from(CertifiedKey::new(chain, key));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certified));
        // A WebSocket handshake needs HTTP/1.1. A client without ALPN is served too.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}
