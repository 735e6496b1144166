//! Reason of a failed TLS handshake, for the log.

use std::borrow::Cow;
use std::io;

use rustls::{AlertDescription, Error, PeerIncompatible};

/// Returns why a handshake failed, as far as rustls reports it.
pub(in crate::worker) fn reason(error: &io::Error) -> Cow<'static, str> {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match of_tls {
        Some(Error::PeerIncompatible(what)) => Cow::Borrowed(incompatible(what)),
        Some(Error::NoApplicationProtocol) => {
            Cow::Borrowed("the client's ALPN does not offer http/1.1")
        }
        Some(Error::AlertReceived(alert)) => Cow::Owned(of_alert(*alert)),
        _ => Cow::Owned(error.to_string()),
    }
}

fn incompatible(what: &PeerIncompatible) -> &'static str {
    match what {
        PeerIncompatible::NoCipherSuitesInCommon => "no cipher suite in common",
        PeerIncompatible::NoKxGroupsInCommon | PeerIncompatible::NamedGroupsExtensionRequired => {
            "no group for the key exchange in common"
        }
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired => {
            "no signature scheme in common: the client does not support the certificate's key type"
        }
        PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => {
            "no version in common: TLS 1.2 or 1.3 is needed"
        }
        _ => "the client lacks a required TLS feature",
    }
}

/// Describes the alert with which a client ended the handshake.
fn of_alert(alert: AlertDescription) -> String {
    let meaning = match alert {
        AlertDescription::UnknownCA => "it does not trust the certificate's issuer",
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => {
            "it rejects the certificate: check that it names the requested host (SNI) and that \
             its chain is complete"
        }
        AlertDescription::CertificateExpired => "the certificate has expired",
        AlertDescription::CertificateRevoked => "the certificate was revoked",
        AlertDescription::UnrecognisedName => "the name does not match (SNI)",
        AlertDescription::ProtocolVersion => "no version in common",
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            "no cipher suite in common"
        }
        AlertDescription::NoApplicationProtocol => "no application protocol in common (ALPN)",
        AlertDescription::UserCanceled => "its user canceled",
        _ => "it aborted",
    };
    format!("the client sent the alert {alert:?}: {meaning}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_described_in_words() {
        let of = |error: Error| reason(&io::Error::other(error)).into_owned();
        let ciphers = Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon);
        assert_eq!(of(ciphers), "no cipher suite in common");
        assert!(of(Error::NoApplicationProtocol).contains("ALPN"));
        let distrust = of(Error::AlertReceived(AlertDescription::UnknownCA));
        assert!(distrust.starts_with("the client sent the alert UnknownCA: it does not trust"));
        assert!(of(Error::AlertReceived(AlertDescription::BadCertificate)).contains("SNI"));
        assert!(!of(Error::DecryptError).is_empty());
        assert_eq!(reason(&io::Error::other("too long")), "too long");
    }
}
