//! Describes certificates and keys that TLS cannot use.

use x509_parser::oid_registry::Oid;
use x509_parser::prelude::X509Certificate;
use x509_parser::public_key::PublicKey;

use crate::config::diagnostic::Problem;

/// Advice for every unusable key.
pub(super) const RIGHT_KEY: &str = "use an RSA key of 2048 to 8192 bits, an ECDSA key (P-256, P-384 or \
                                    P-521) or an Ed25519 key, without a password";
/// Bits of RSA keys that TLS libraries accept.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// The curves P-256, P-384 and P-521 (RFC 5480 §2.1.1.1).
const CURVES: [&str; 3] = ["1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35"];
/// Ed25519 (RFC 8410 §3).
const ED25519: &str = "1.3.101.112";
/// Signatures with MD5 and SHA-1 (RFC 3279 §2.2), which browsers reject.
const OLD_SIGNATURES: [(&str, &str); 3] = [
    ("1.2.840.113549.1.1.4", "MD5"),
    ("1.2.840.113549.1.1.5", "SHA-1"),
    ("1.2.840.10045.4.1", "SHA-1"),
];

/// Checks that TLS accepts a certificate, apart from its dates.
pub(super) fn check(certificate: &X509Certificate<'_>) -> Result<(), Problem> {
    let version = certificate.version().0 + 1;
    if version != 3 {
        let what = format!("holds a certificate of X.509 version {version}");
        let right = "create one of version 3, which TLS requires: openssl req -x509 -addext \
            subjectAltName=DNS:NAME";
        return Err(Problem::new(what, right));
    }
    let key = certificate.public_key();
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) if !RSA_BITS.contains(&rsa.key_size()) => {
            let what = format!("holds a certificate with an RSA key of {} bits", rsa.key_size());
            Err(Problem::new(what, RIGHT_KEY))
        }
        Ok(PublicKey::RSA(_)) => Ok(()),
        Ok(PublicKey::EC(_)) => {
            let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
            let is_known = curve.is_some_and(|curve| is_of(&curve, &CURVES));
            let what = "holds a certificate with an ECDSA key on a curve that TLS does not support";
            if is_known { Ok(()) } else { Err(Problem::new(what, RIGHT_KEY)) }
        }
        _ if is_of(&key.algorithm.algorithm, &[ED25519]) => Ok(()),
        _ => {
            let what = "holds a certificate with a key of a type that TLS does not support";
            Err(Problem::new(what, RIGHT_KEY))
        }
    }
}

/// Returns warnings about a certificate that TLS accepts and browsers may reject.
pub(super) fn odd(certificate: &X509Certificate<'_>) -> Vec<Problem> {
    let mut odd = Vec::new();
    let signature = certificate.signature_algorithm.algorithm.to_id_string();
    if let Some((_, hash)) = OLD_SIGNATURES.iter().find(|(oid, _)| *oid == signature) {
        let what = format!("is signed with {hash}, which browsers refuse");
        odd.push(Problem::new(what, "renew it"));
    }
    if !matches!(certificate.subject_alternative_name(), Ok(Some(_))) {
        let what = "names no host as subjectAltName, so browsers refuse it";
        odd.push(Problem::new(what, "make it with the names that clients use"));
    }
    odd
}

/// Explains why a PEM file contains no certificate.
pub(super) fn no_certificate(pem: &str, right: &str) -> Problem {
    if pem.contains("CERTIFICATE REQUEST-----") {
        let right = "use the certificate that the authority issued for it";
        return Problem::new("holds a certificate request", right);
    }
    if pem.contains("-----BEGIN TRUSTED CERTIFICATE-----") {
        return Problem::new(
            "holds a certificate in the TRUSTED format of OpenSSL",
            "openssl x509 -in FILE",
        );
    }
    if pem.contains("-----BEGIN PKCS7-----") {
        return Problem::new("holds PKCS#7", "convert it: openssl pkcs7 -print_certs -in FILE");
    }
    Problem::new("holds no certificate", right)
}

/// Explains why a key cannot be read, if its type shows the reason.
pub(super) fn unusable_key(pem: &str) -> Option<Problem> {
    let is_encrypted = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"];
    if is_encrypted.iter().any(|mark| pem.contains(mark)) {
        let right =
            "decrypt it into a file that only its owner can read: openssl pkey -in FILE -out PLAIN";
        return Some(Problem::new("holds an encrypted key, which needs a password", right));
    }
    if pem.contains("-----BEGIN OPENSSH PRIVATE KEY-----") {
        return Some(Problem::new("holds a key in OpenSSH format", RIGHT_KEY));
    }
    if pem.contains("-----BEGIN DSA PRIVATE KEY-----") {
        return Some(Problem::new("holds a DSA key", RIGHT_KEY));
    }
    let has_private = pem.contains("PRIVATE KEY-----");
    if !has_private && pem.contains("PUBLIC KEY-----") {
        return Some(Problem::new("holds a public key", "name the file with the private one"));
    }
    None
}

fn is_of(oid: &Oid<'_>, known: &[&str]) -> bool {
    known.contains(&oid.to_id_string().as_str())
}
