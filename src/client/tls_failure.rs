//! Reasons for a failed TLS handshake, with advice for users.

use std::fmt;
use std::io::ErrorKind;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, Error};

use super::error::ClientErrorKind;

/// The reason for a failed TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFailure {
    kind: ClientErrorKind,
    what: String,
    /// The advice. It may be empty.
    right: &'static str,
}

impl TlsFailure {
    pub(super) fn kind(&self) -> ClientErrorKind {
        self.kind
    }

    /// Converts an I/O error of the handshake. Returns None for a pure network error.
    pub(super) fn of(error: &std::io::Error, host: &str) -> Option<Self> {
        if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            return Some(Self::of_tls(error, host));
        }
        let what = "the server ended the connection in the TLS handshake";
        match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => {
                Some(configure(what.to_owned(), "use ws:// if it does not speak TLS there"))
            }
            _ => None,
        }
    }

    fn of_tls(error: &Error, host: &str) -> Self {
        match error {
            Error::InvalidCertificate(error) => of_certificate(error, host),
            Error::InvalidMessage(_) => configure(
                "the server does not speak TLS on this port".to_owned(),
                "use ws:// instead of wss://",
            ),
            Error::AlertReceived(alert) => of_alert(*alert, host),
            Error::PeerIncompatible(_) => configure(
                "the server supports no TLS version that tagcast supports".to_owned(),
                "enable TLS 1.2 or 1.3 on the server",
            ),
            Error::NoApplicationProtocol => configure(
                "the server does not speak HTTP/1.1 on this port".to_owned(),
                "offer http/1.1 in the ALPN of the server, which WebSocket needs",
            ),
            error => Self {
                kind: ClientErrorKind::Unavailable,
                what: format!("the TLS handshake failed: {error}"),
                right: "",
            },
        }
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.right {
            "" => f.write_str(&self.what),
            right => write!(f, "{}; {right}", self.what),
        }
    }
}

fn configure(what: String, right: &'static str) -> TlsFailure {
    TlsFailure { kind: ClientErrorKind::Configuration, what, right }
}

/// Name of webpki's error for an authority's certificate that a server presents as its own.
const CA_AS_END_ENTITY: &str = "CaUsedAsEndEntity";
/// Name of webpki's error for an X.509 certificate of an old version.
const OLD_VERSION: &str = "UnsupportedCertVersion";

fn of_certificate(error: &CertificateError, host: &str) -> TlsFailure {
    use CertificateError as Wrong;
    let what = |text: &str| format!("the server's certificate {text}");
    match error {
        Wrong::UnknownIssuer => configure(
            what("was signed by an authority that is not trusted"),
            "use --ca FILE with the certificate of the authority, or of the server if it is self-signed",
        ),
        Wrong::Expired | Wrong::ExpiredContext { .. } => {
            configure(what("has expired"), "renew it, or correct the clock of this machine")
        }
        Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => {
            configure(what("is not valid yet"), "correct the clock of this machine")
        }
        Wrong::NotValidForName => configure(
            what(&format!("does not name {host}")),
            "use a URL with a name from the certificate (subjectAltName)",
        ),
        Wrong::NotValidForNameContext { expected, presented } => {
            of_names(&shown(expected), presented)
        }
        Wrong::Revoked => configure(what("was revoked"), "replace it"),
        Wrong::BadSignature => configure(
            what("is not signed by the authority that it names"),
            "check that --ca names the authority that issued it",
        ),
        Wrong::Other(other) if other.to_string().contains(CA_AS_END_ENTITY) => configure(
            what("is a CA certificate (CA:TRUE), as `openssl req -x509` creates it"),
            "use --ca FILE with this certificate",
        ),
        Wrong::Other(other) if other.to_string().contains(OLD_VERSION) => configure(
            what("is of X.509 version 1"),
            "create one of version 3: `openssl req -x509 -addext subjectAltName=DNS:…`",
        ),
        Wrong::BadEncoding => configure(what("cannot be read"), "make another one"),
        error => configure(what(&format!("is not accepted: {error}")), ""),
    }
}

/// Creates the reason for a certificate that is valid for other names only.
pub(super) fn of_names(host: &str, presented: &[String]) -> TlsFailure {
    let names: Vec<_> = presented.iter().map(|name| readable(name)).collect();
    let what = match names.as_slice() {
        [] => "the server's certificate names no host".to_owned(),
        names => format!("the server's certificate is for {}, not for {host}", names.join(", ")),
    };
    configure(what, "use a URL with a name from the certificate (subjectAltName)")
}

/// Returns `localhost` from `DnsName("localhost")`, as webpki formats names.
fn readable(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

fn shown(name: &ServerName<'_>) -> String {
    name.to_str().into_owned()
}

fn of_alert(alert: AlertDescription, host: &str) -> TlsFailure {
    use AlertDescription as Alert;
    match alert {
        Alert::ProtocolVersion => configure(
            "the server supports neither TLS 1.2 nor 1.3".to_owned(),
            "enable one of them on the server",
        ),
        Alert::UnrecognisedName => configure(
            format!("the server has no certificate for {host}"),
            "use a URL with a name that it serves",
        ),
        Alert::HandshakeFailure | Alert::InsufficientSecurity => configure(
            "the server and tagcast have no cipher suite or key type in common".to_owned(),
            "use an ECDSA or RSA certificate and cipher suites of TLS 1.2 or 1.3 on the server",
        ),
        Alert::CertificateRequired | Alert::BadCertificate | Alert::AccessDenied => TlsFailure {
            kind: ClientErrorKind::NotPermitted,
            what: "the server requires a client certificate".to_owned(),
            right: "tagcast has no client certificates",
        },
        Alert::NoApplicationProtocol => configure(
            "the server does not speak HTTP/1.1 on this port".to_owned(),
            "offer http/1.1 in the ALPN of the server, which WebSocket needs",
        ),
        alert => TlsFailure {
            kind: ClientErrorKind::Unavailable,
            what: format!("the server aborted the TLS handshake ({alert:?})"),
            right: "its log may say why",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(error: Error) -> String {
        let error = std::io::Error::new(ErrorKind::InvalidData, error);
        TlsFailure::of(&error, "example.org").unwrap().to_string()
    }

    #[test]
    fn no_name_of_the_library_reaches_people() {
        let unknown = text_of(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        assert!(
            unknown.contains("not trusted; use --ca FILE with the certificate of the authority"),
            "{unknown}"
        );
        let presented = vec!["DnsName(\"localhost\")".to_owned(), "IpAddress(::1)".to_owned()];
        let expected = ServerName::try_from("example.org").unwrap();
        let wrong = CertificateError::NotValidForNameContext { expected, presented };
        let names = text_of(Error::InvalidCertificate(wrong));
        assert!(names.contains("is for localhost, ::1, not for example.org"), "{names}");
        let plain = text_of(Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType));
        assert_eq!(
            plain,
            "the server does not speak TLS on this port; use ws:// instead of wss://"
        );
        for alert in [40, 42, 70, 80, 112, 116, 120] {
            let text = text_of(Error::AlertReceived(AlertDescription::from(alert)));
            assert!(text.starts_with("the server "), "{text}");
        }
    }

    #[test]
    fn network_errors_are_not_explained_as_tls_failures() {
        let of = |kind: ErrorKind| TlsFailure::of(&kind.into(), "a");
        assert!(of(ErrorKind::ConnectionRefused).is_none());
        assert!(of(ErrorKind::WouldBlock).is_none());
        assert!(of(ErrorKind::UnexpectedEof).unwrap().to_string().contains("ws://"));
    }
}
