//! The settings of the API process, taken from the configuration.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use tokio_rustls::TlsAcceptor;

use super::access::ApiAccess;
use super::nonces::SignatureWindow;
use super::operators::OperatorConfig;
use crate::auth::Permissions;
use crate::auth::uuid::Signer;
use crate::config::{ApiAddress, Config, TlsSettings};
use crate::types::{IpRange, RateLimit};

/// The settings of the API process.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of the configuration")]
pub(super) struct ApiConfig {
    pub(super) access: ApiAccess,
    /// The rules that workers have for tokens.
    pub(super) token_rules: Permissions,
    pub(super) operators: OperatorConfig,
    /// Limit of the requests from one address.
    pub(super) requests_per_ip: Option<RateLimit>,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub(super) trusted_proxies: Vec<IpRange>,
    pub(super) signer: Signer,
    pub(super) message_bytes_max: usize,
    pub(super) body_bytes_max: usize,
    /// Maximum values that the prefixes of one expression may scan.
    pub(super) expression_scan: u64,
    /// Maximum time that a request waits for room in the window and for the broker.
    pub(super) timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) head_timeout: Duration,
    pub(super) connections_max: usize,
    pub(super) signatures: SignatureWindow,
    /// How long an id of a publication is kept, in seconds.
    pub(super) ids_window: u64,
    /// Maximum ids that are kept.
    pub(super) ids_max: usize,
    /// The folder of the file with spent nonces.
    pub(super) state_folder: PathBuf,
    /// Whether the addresses of the WebSockets serve the API too.
    pub(super) is_shared: bool,
    /// The server takes traffic only while publications pass between this host and others.
    pub(super) needs_cluster: bool,
    /// The hosts that an open server listens on. The host of a request must be one of them, or
    /// loopback.
    hosts: Vec<String>,
    /// TLS of the API's own addresses; none where none of them speaks it.
    pub(super) tls: Option<ApiTls>,
    /// How long other hosts are waited for; none on a host alone.
    pub(super) query_timeout: Option<Duration>,
    /// The URL that spans are posted to, if traces are on.
    pub(super) otlp_endpoint: Option<Uri>,
}

/// TLS of the API's own addresses.
#[derive(Clone)]
pub(super) struct ApiTls {
    pub(super) acceptor: TlsAcceptor,
    /// How long a handshake may take.
    pub(super) within: Duration,
}

impl ApiTls {
    fn new(tls: &TlsSettings) -> io::Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(tls.server_config()?));
        Ok(Self { acceptor, within: tls.handshake_timeout })
    }
}

/// Without the key.
impl std::fmt::Debug for ApiTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiTls").field("within", &self.within).finish_non_exhaustive()
    }
}

impl ApiConfig {
    /// Creates the settings from the configuration.
    ///
    /// # Errors
    ///
    /// If the key of the UUIDs is missing. The supervisor reads or generates it.
    pub(super) fn of(config: &Config) -> io::Result<Self> {
        let key = config.uuid_key.bytes().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the key of the UUIDs is missing")
        })?;
        let own = config.api.addresses.iter().filter_map(ApiAddress::tcp);
        let hosts =
            config.listen.iter().chain(own).map(|address| address.host.to_ascii_lowercase());
        let tls = config.tls.as_ref().map(ApiTls::new).transpose()?;
        Ok(Self {
            access: ApiAccess::new(config.applications.as_ref(), &config.rates.applications),
            token_rules: Permissions::new(config.applications.as_ref(), config.authorize_open),
            requests_per_ip: config.rates.requests_per_ip,
            trusted_proxies: config.admission.trusted_proxies.clone(),
            operators: OperatorConfig::of(&config.operators),
            signer: Signer::new(&key, config.phpws.uuid),
            message_bytes_max: config.limits.max_message,
            body_bytes_max: config.api.body_bytes_max,
            expression_scan: config.limits.expression_scan,
            timeout: config.api.timeout,
            idle_timeout: config.api.idle_timeout,
            head_timeout: config.limits.handshake_timeout,
            connections_max: config.api.connections_max,
            signatures: SignatureWindow {
                past: config.api.signature_window.as_secs(),
                future: config.api.signature_clock_skew.as_secs(),
            },
            ids_window: config.api.ids_window.as_secs(),
            ids_max: config.api.ids_max,
            state_folder: config.state_folder.clone(),
            is_shared: config.api.addresses.is_empty(),
            needs_cluster: config.cluster.as_ref().is_some_and(|cluster| cluster.is_required),
            hosts: hosts.collect(),
            tls,
            query_timeout: config.cluster.as_ref().map(|cluster| cluster.query_timeout),
            // The configuration has checked it.
            otlp_endpoint: config.api.otlp_endpoint.as_ref().and_then(|url| url.parse().ok()),
        })
    }

    /// Returns true if a request to an open server names this server. A page of another origin
    /// whose name was bound to this address (DNS rebinding) does not.
    pub(super) fn is_own_host(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        name.eq_ignore_ascii_case("localhost")
            || name
                .parse()
                .is_ok_and(|address: std::net::IpAddr| address.to_canonical().is_loopback())
            || self.hosts.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}
