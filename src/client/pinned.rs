//! Trusts the certificates of `--ca`, both as authorities and as server certificates.
//!
//! `openssl req -x509` creates a self-signed certificate with CA:TRUE, and the rules for
//! authorities forbid a server to present such a certificate. If the server presents exactly a
//! certificate of the file, its key is pinned and no authority needs to confirm it.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Verifies pinned certificates directly and all others by the standard rules.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) ordinary: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.certificates.iter().any(|pinned| pinned == shown) {
            return self.ordinary.verify_server_cert(shown, chain, name, stapled, now);
        }
        check(shown, name, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.ordinary.verify_tls12_signature(message, shown, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.ordinary.verify_tls13_signature(message, shown, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.ordinary.supported_verify_schemes()
    }
}

/// Checks the dates and names of a certificate, but not its issuer.
fn check(
    shown: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), CertificateError> {
    let (_, parsed) =
        X509Certificate::from_der(shown).map_err(|_| CertificateError::BadEncoding)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now > parsed.validity().not_after.timestamp() {
        return Err(CertificateError::Expired);
    }
    if now < parsed.validity().not_before.timestamp() {
        return Err(CertificateError::NotValidYet);
    }
    let names = names(&parsed);
    if names.is_empty() || names.iter().any(|pattern| is_named(pattern, name)) {
        return Ok(());
    }
    Err(CertificateError::NotValidForNameContext { expected: name.to_owned(), presented: names })
}

/// Returns the hosts that a certificate names. Without a subjectAltName this is the common name, if
/// it can be a host name: `openssl req -x509` writes only a common name by default.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    if let Ok(Some(names)) = certificate.subject_alternative_name() {
        return names.value.general_names.iter().filter_map(name).collect();
    }
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let mut names: Vec<_> = common.filter(|name| is_host(name)).map(str::to_owned).collect();
    // The certificate names no address, and `localhost` resolves to this one.
    if names.iter().any(|name| name == LOCALHOST) {
        names.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
    }
    names
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let of_four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let of_sixteen = || <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            of_four.or_else(|_| of_sixteen()).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// Returns true for host names and addresses such as `example.org`, `10.0.0.1` and `localhost`, and
/// false for titles such as `My company`.
fn is_host(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b".-:*".contains(&byte);
    text.bytes().all(is_word) && (text.contains(['.', ':']) || text == LOCALHOST)
}

const LOCALHOST: &str = "localhost";

/// Compares a name of a certificate with a host. The name may begin with a wildcard for one label
/// (RFC 9525 §6.3).
fn is_named(pattern: &str, name: &ServerName<'_>) -> bool {
    let text = name.to_str();
    if pattern.eq_ignore_ascii_case(&text) {
        return true;
    }
    match name {
        ServerName::IpAddress(_) => false,
        _ => match (pattern.strip_prefix("*."), text.split_once('.')) {
            (Some(domain), Some((_, rest))) => domain.eq_ignore_ascii_case(rest),
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(pattern: &str, name: &str) -> bool {
        is_named(pattern, &ServerName::try_from(name.to_owned()).unwrap())
    }

    #[test]
    fn names_match_exactly_and_a_wildcard_matches_one_label() {
        assert!(named("example.org", "EXAMPLE.org") && named("*.example.org", "a.example.org"));
        assert!(
            !named("*.example.org", "a.b.example.org") && !named("*.example.org", "example.org")
        );
        assert!(named("::1", "::1") && named("127.0.0.1", "127.0.0.1"));
        assert!(!named("127.0.0.1", "127.0.0.2") && !named("*.0.0.1", "127.0.0.1"));
    }

    #[test]
    fn a_common_name_is_not_a_host_name() {
        assert!(is_host("example.org") && is_host("localhost") && is_host("10.0.0.1"));
        assert!(!is_host("My company") && !is_host("tagcast") && !is_host(""));
    }
}
