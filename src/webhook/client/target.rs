//! Target of a resource's events: the address, the HTTP client and the circuit breaker of its
//! backend.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::webhook::{CircuitBreaker, Signing};

/// Time that an idle connection stays in the pool. It is shorter than the keep-alive timeout of
/// common servers, so an event is rarely written to a connection that the backend is closing.
const IDLE_KEPT: Duration = Duration::from_millis(1500);

/// Settings of one backend.
#[derive(Clone, Debug)]
pub struct TargetSettings {
    /// Path or name of the resource, for the log.
    pub resource: String,
    /// URL that receives the events by POST.
    pub url: String,
    /// Trusted certificates in PEM form, instead of the certificate authorities of the system.
    pub ca: Option<String>,
    /// Longest time from the arrival of an event at the worker to its answer.
    pub deadline: Duration,
    /// Most events in flight to the backend at the same time.
    pub concurrent_max: usize,
    /// Longest answer in bytes.
    pub answer_bytes_max: usize,
}

/// Backend of one resource, as seen by one worker.
pub struct WebhookTarget {
    pub(super) settings: TargetSettings,
    pub(super) url: Uri,
    pub(super) client: HttpClient,
    pub(super) signing: Mutex<Signing>,
    pub(super) turns: Semaphore,
    pub(super) breaker: Mutex<CircuitBreaker>,
    /// Origin of the breaker's clock.
    pub(super) began: Instant,
}

pub(super) type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Reason why a backend cannot be used.
#[derive(Debug)]
pub struct InvalidTarget(String);

impl InvalidTarget {
    /// Makes the error from its reason.
    pub fn new(why: &dyn fmt::Display) -> Self {
        Self(why.to_string())
    }
}

impl fmt::Display for InvalidTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidTarget {}

/// The output omits the URL, because a URL may contain a token.
impl fmt::Debug for WebhookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("resource", &self.settings.resource)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}

impl WebhookTarget {
    /// Creates a target whose circuit breaker is closed.
    ///
    /// # Errors
    ///
    /// Fails when the URL is invalid, or when neither `ca` nor the system supplies usable
    /// certificates.
    pub fn new(settings: TargetSettings, signing: Signing) -> Result<Arc<Self>, InvalidTarget> {
        let url: Uri = settings.url.parse().map_err(no_target)?;
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        http.set_connect_timeout(Some(settings.deadline));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(&url, settings.ca.as_deref())?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_KEPT)
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(settings.concurrent_max)
            .build(connector);
        Ok(Arc::new(Self {
            turns: Semaphore::new(settings.concurrent_max),
            settings,
            url,
            client,
            signing: Mutex::new(signing),
            breaker: Mutex::default(),
            began: Instant::now(),
        }))
    }

    /// Returns the path or name of the resource.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.settings.resource
    }

    /// Returns true while the circuit breaker is open.
    #[must_use]
    pub fn is_circuit_open(&self) -> bool {
        self.breaker.lock().is_open()
    }

    /// Replaces the secret that signs later events.
    pub fn sign_with(&self, signing: Signing) {
        *self.signing.lock() = signing;
    }
}

fn no_target(error: impl fmt::Display) -> InvalidTarget {
    InvalidTarget(error.to_string())
}

fn tls(url: &Uri, ca: Option<&str>) -> Result<ClientConfig, InvalidTarget> {
    let roots = match (url.scheme_str(), ca) {
        (Some("https"), Some(pem)) => of_file(pem)?,
        (Some("https"), None) => of_system()?,
        _ => RootCertStore::empty(),
    };
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(no_target)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn of_file(pem: &str) -> Result<RootCertStore, InvalidTarget> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(no_target)?).map_err(no_target)?;
    }
    Ok(roots)
}

fn of_system() -> Result<RootCertStore, InvalidTarget> {
    let mut roots = RootCertStore::empty();
    // The system's store may contain certificates that cannot be parsed.
    let (added, _unreadable) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        let why = "the system has no certificate authorities; set `ca` to a file with some";
        return Err(InvalidTarget(why.to_owned()));
    }
    Ok(roots)
}
