//! Reads and checks the certificate and its key at the start, so that TLS does not fail later.

mod kinds;
mod server_config;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::diagnostic::Problem;
use super::{TlsSettings, UnreadFile, read};
use crate::types::Secret;

/// Time before the expiry of a certificate from which on a warning is logged.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// A certificate with its chain.
pub(super) struct Chain {
    pub(super) pem: String,
    certificates: Vec<CertificateDer<'static>>,
    /// Warnings about properties that clients may reject.
    pub(super) odd: Vec<Problem>,
}

/// Reads the certificate and its chain.
pub(super) fn chain(path: &Path, now: SystemTime) -> Result<Chain, Problem> {
    let right = "name a PEM file with the certificate and its chain";
    let pem = read(path).map_err(|unread| unreadable(&unread, right))?;
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, pem::Error>>()
        .map_err(|_| Problem::new("is not a readable PEM file", right))?;
    let first = certificates.first();
    let first = first.ok_or_else(|| kinds::no_certificate(&pem, right))?;
    let (_, parsed) = X509Certificate::from_der(first)
        .map_err(|_| Problem::new("holds a certificate that cannot be read", right))?;
    kinds::check(&parsed)?;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (begins, ends) = (parsed.validity().not_before, parsed.validity().not_after);
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    if ends.timestamp() <= seconds(now) {
        let what = format!("holds a certificate that expired on {ends}");
        return Err(Problem::new(what, "renew it"));
    }
    if begins.timestamp() > seconds(now) {
        let what = format!("holds a certificate that is not valid before {begins}");
        return Err(Problem::new(what, "wait, or correct the clock"));
    }
    let mut odd = kinds::odd(&parsed);
    if ends.timestamp() <= seconds(now + SOON) {
        odd.push(Problem::new(format!("expires on {ends}"), "renew it soon"));
    }
    Ok(Chain { pem: pem.to_string(), certificates, odd })
}

/// What an operator wants to know about the certificate.
#[derive(Debug)]
pub struct CertificateSummary {
    /// Name in the certificate.
    pub subject: String,
    /// Name of its issuer.
    pub issuer: String,
    /// Whole days until it expires.
    pub days_left: i64,
    /// True if another one has issued it, and the file has no certificate of that one.
    pub lacks_issuer: bool,
}

impl TlsSettings {
    /// Describes the certificate. None if it cannot be read.
    #[must_use]
    pub fn certificate_summary(&self, now: SystemTime) -> Option<CertificateSummary> {
        const DAY: i64 = 24 * 3600;
        let all: Vec<_> =
            CertificateDer::pem_slice_iter(self.chain.as_bytes()).collect::<Result<_, _>>().ok()?;
        let (_, first) = X509Certificate::from_der(all.first()?).ok()?;
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let left = first.validity().not_after.timestamp() - i64::try_from(now).ok()?;
        Some(CertificateSummary {
            subject: first.subject().to_string(),
            issuer: first.issuer().to_string(),
            days_left: left.div_euclid(DAY),
            lacks_issuer: all.len() == 1 && first.issuer() != first.subject(),
        })
    }
}

/// Reads the private key and checks that it belongs to the certificate.
pub(super) fn key(path: &Path, chain: &Chain) -> Result<Secret, Problem> {
    let right = "name the PEM file with the certificate's private key";
    let pem = read(path).map_err(|unread| unreadable(&unread, right))?;
    if let Some(fault) = kinds::unusable_key(&pem) {
        return Err(fault);
    }
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| Problem::new("holds no private key in PEM", right))?;
    let provider = aws_lc_rs::default_provider();
    match CertifiedKey::from_der(chain.certificates.clone(), key.clone_key(), &provider) {
        Ok(_) => TlsSettings::key_from_pem(&pem)
            .ok_or_else(|| Problem::new("holds no private key", right)),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let mut others = chain.certificates.iter().skip(1);
            let is_of_another = others.any(|other| {
                CertifiedKey::from_der(vec![other.clone()], key.clone_key(), &provider).is_ok()
            });
            let right = if is_of_another { "put the server's certificate first" } else { right };
            Err(Problem::new("holds a key that does not belong to the certificate", right))
        }
        Err(rustls::Error::InvalidCertificate(error)) => {
            let what = format!("belongs to a certificate that TLS cannot use ({error:?})");
            Err(Problem::new(what, "make another certificate"))
        }
        Err(_) => Err(Problem::new("holds a key that cannot be used", kinds::RIGHT_KEY)),
    }
}

fn unreadable(unread: &UnreadFile, right: &str) -> Problem {
    if matches!(unread, UnreadFile::NotUtf8) {
        let right = "convert it: openssl x509 -inform der -in FILE, openssl pkey -inform der -in FILE, or \
                     openssl pkcs12 -in FILE -nodes";
        return Problem::new("is binary (DER or PKCS#12), not PEM", right);
    }
    let fault = unread.fault();
    Problem::new(format!("cannot be used: {}", fault.what), right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    struct File(PathBuf);

    impl File {
        fn new(name: &str, text: &str) -> Self {
            let name = format!("tagcast-certificate-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, text).unwrap();
            Self(path)
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _gone = std::fs::remove_file(&self.0);
        }
    }

    fn pair(name: &str) -> (File, File) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let chain = File::new(&format!("{name}-chain"), &made.cert.pem());
        (chain, File::new(&format!("{name}-key"), &made.signing_key.serialize_pem()))
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    #[test]
    fn a_pair_that_belongs_together_is_taken_and_any_other_is_not() {
        let ((one, one_key), (_other, other_key)) = (pair("one"), pair("other"));
        let chain = chain(&one.0, now()).unwrap();
        assert!(chain.odd.is_empty());
        assert!(key(&one_key.0, &chain).unwrap().expose().starts_with("30"));
        let what = key(&other_key.0, &chain).unwrap_err().what;
        assert_eq!(what, "holds a key that does not belong to the certificate");
        assert_eq!(key(&one.0, &chain).unwrap_err().what, "holds no private key in PEM");
        let both = std::fs::read_to_string(&one.0).unwrap()
            + &std::fs::read_to_string(&one_key.0).unwrap();
        let both = File::new("both", &both);
        assert!(key(&both.0, &super::chain(&both.0, now()).unwrap()).is_ok());
    }

    #[test]
    fn dates_are_checked_and_an_invalid_certificate_is_reported() {
        let (file, key) = pair("dates");
        let what = |path: &Path, now| chain(path, now).err().unwrap().what;
        let (early, late) = (UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(100_000_000_000));
        assert!(what(&file.0, early).starts_with("holds a certificate that is not valid before"));
        assert!(what(&file.0, late).starts_with("holds a certificate that expired on"));
        assert_eq!(what(&key.0, now()), "holds no certificate");
        assert!(what(Path::new("/nowhere"), now()).contains("there is no such file"));
    }

    /// Runs openssl in a folder. Returns None if it is not installed.
    fn openssl(folder: &Path, arguments: &str) -> Option<()> {
        let mut command = std::process::Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(folder);
        command.output().ok()?.status.success().then_some(())
    }

    /// Creates a certificate and its key with openssl.
    fn made(name: &str, arguments: &str) -> Option<PathBuf> {
        let name = format!("tagcast-openssl-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let subject = "-subj /CN=localhost -days 100 -keyout key.pem -out cert.pem";
        openssl(&folder, &format!("req -x509 -nodes {subject} {arguments}")).map(|()| folder)
    }

    #[test]
    fn what_openssl_makes_is_taken_or_refused_by_its_kind() {
        let name = "-addext subjectAltName=DNS:localhost";
        for (kind, arguments, expected) in [
            ("rsa", "-newkey rsa:2048", None),
            ("p256", "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1", None),
            ("ed25519", "-newkey ed25519", None),
            ("short", "-newkey rsa:1024", Some("an RSA key of 1024 bits")),
            ("curve", "-newkey ec -pkeyopt ec_paramgen_curve:secp256k1", Some("on a curve")),
            ("ed448", "-newkey ed448", Some("of a type that TLS does not support")),
        ] {
            let Some(folder) = made(kind, &format!("{arguments} {name}")) else { continue };
            let read = chain(&folder.join("cert.pem"), SystemTime::now());
            match expected {
                None => {
                    let read = read.unwrap();
                    assert!(read.odd.is_empty(), "{kind}: {:?}", read.odd);
                    key(&folder.join("key.pem"), &read).unwrap();
                }
                Some(words) => {
                    let fault = read.err().unwrap();
                    assert!(fault.what.contains(words), "{kind}: {fault:?}");
                    assert!(fault.right.contains("2048 to 8192 bits"), "{kind}: {fault:?}");
                }
            }
            std::fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn old_versions_requests_and_missing_names_are_reported() {
        let Some(folder) = made("old", "-newkey rsa:2048") else { return };
        let bare = chain(&folder.join("cert.pem"), SystemTime::now()).unwrap();
        assert!(bare.odd[0].what.contains("subjectAltName"), "{:?}", bare.odd);
        openssl(&folder, "req -new -key key.pem -subj /CN=localhost -out request.pem").unwrap();
        let what = |name: &str| chain(&folder.join(name), SystemTime::now()).err().unwrap().what;
        assert_eq!(what("request.pem"), "holds a certificate request");
        openssl(&folder, "x509 -req -in request.pem -signkey key.pem -days 100 -out old.pem")
            .unwrap();
        let old = std::fs::read(folder.join("old.pem")).unwrap();
        let old = CertificateDer::from_pem_slice(&old).unwrap();
        // Newer versions of openssl create a certificate of version 3 here.
        if X509Certificate::from_der(&old).unwrap().1.version().0 == 0 {
            assert_eq!(what("old.pem"), "holds a certificate of X.509 version 1");
        }
        openssl(&folder, "x509 -in cert.pem -outform der -out cert.der").unwrap();
        assert_eq!(what("cert.der"), "is binary (DER or PKCS#12), not PEM");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_unreadable_key_is_reported_by_its_kind() {
        let (file, good) = pair("kinds");
        let chain = chain(&file.0, now()).unwrap();
        let what = |text: &str| {
            let file = File::new("kind", text);
            key(&file.0, &chain).unwrap_err().what
        };
        let encrypted = "holds an encrypted key, which needs a password";
        let pem = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        assert_eq!(what(&pem("ENCRYPTED PRIVATE KEY")), encrypted);
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nAAAA\n\
                   -----END RSA PRIVATE KEY-----\n";
        assert_eq!(what(old), encrypted);
        assert_eq!(what(&pem("OPENSSH PRIVATE KEY")), "holds a key in OpenSSH format");
        assert_eq!(what(&pem("PUBLIC KEY")), "holds a public key");
        assert_eq!(what(&pem("CERTIFICATE")), "holds no private key in PEM");
        assert_eq!(what(&pem("PRIVATE KEY")), "holds a key that cannot be used");
        let (other, _) = pair("first");
        let both =
            std::fs::read_to_string(&other.0).unwrap() + &std::fs::read_to_string(&file.0).unwrap();
        let both = File::new("order", &both);
        let fault = key(&good.0, &super::chain(&both.0, now()).unwrap()).unwrap_err();
        assert_eq!(fault.right, "put the server's certificate first");
    }
}
