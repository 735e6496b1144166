//! The certificate and its key: read and checked, so that nothing about TLS fails after the start.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::finding::Fault;
use super::{Secret, Tls, Unread, read};

/// How long before its end a certificate is warned about.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// A certificate with its chain.
pub(super) struct Chain {
    pub(super) pem: String,
    certificates: Vec<CertificateDer<'static>>,
    /// When it ends, if that is soon.
    pub(super) ends_soon: Option<String>,
}

/// Reads the certificate and the chain that leads to it.
pub(super) fn chain(path: &Path, now: SystemTime) -> Result<Chain, Fault> {
    let right = "name a PEM file with the certificate and its chain";
    let pem = read(path).map_err(|unread| unreadable(&unread, right))?;
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, pem::Error>>()
        .map_err(|_| Fault::new("is no PEM file that can be read", right))?;
    let first = certificates.first().ok_or_else(|| Fault::new("holds no certificate", right))?;
    let (_, parsed) = X509Certificate::from_der(first)
        .map_err(|_| Fault::new("holds a certificate that cannot be read", right))?;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (begins, ends) = (parsed.validity().not_before, parsed.validity().not_after);
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    if ends.timestamp() <= seconds(now) {
        let what = format!("holds a certificate that expired on {ends}");
        return Err(Fault::new(what, "renew it"));
    }
    if begins.timestamp() > seconds(now) {
        let what = format!("holds a certificate that is not valid before {begins}");
        return Err(Fault::new(what, "wait, or set the clock right"));
    }
    let ends_soon = (ends.timestamp() <= seconds(now + SOON)).then(|| ends.to_string());
    Ok(Chain { pem, certificates, ends_soon })
}

/// Reads the private key of a certificate, and tries whether the two belong together.
pub(super) fn key(path: &Path, chain: &Chain) -> Result<Secret, Fault> {
    let right = "name the PEM file with the certificate's private key";
    let pem = read(path).map_err(|unread| unreadable(&unread, right))?;
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| Fault::new("holds no private key in PEM", right))?;
    let provider = aws_lc_rs::default_provider();
    match CertifiedKey::from_der(chain.certificates.clone(), key, &provider) {
        Ok(_) => Tls::key_from_pem(&pem).ok_or_else(|| Fault::new("holds no private key", right)),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(Fault::new("holds a key that does not belong to the certificate", right))
        }
        Err(_) => {
            Err(Fault::new("holds a key that cannot be used", "use an RSA, ECDSA or Ed25519 key"))
        }
    }
}

fn unreadable(unread: &Unread, right: &str) -> Fault {
    let fault = unread.fault();
    Fault::new(format!("cannot be used: {}", fault.what), right)
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
        assert!(chain.ends_soon.is_none());
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
    fn dates_are_looked_at_and_what_is_no_certificate_is_told() {
        let (file, key) = pair("dates");
        let what = |path: &Path, now| chain(path, now).err().unwrap().what;
        let (early, late) = (UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(100_000_000_000));
        assert!(what(&file.0, early).starts_with("holds a certificate that is not valid before"));
        assert!(what(&file.0, late).starts_with("holds a certificate that expired on"));
        assert_eq!(what(&key.0, now()), "holds no certificate");
        assert!(what(Path::new("/nowhere"), now()).contains("there is no such file"));
    }
}
