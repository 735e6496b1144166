//! The checked configuration. A value of these types is valid. It is sent to the child processes as
//! JSON.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::parse;
use super::sections::api::{ApiAddress, ApiSettings};
use super::sections::bloatless::BloatlessSettings;
use super::sections::cluster::ClusterSettings;
use super::sections::echo::EchoSettings;
use super::sections::gomoob::GomoobSettings;
use super::sections::jsauth::JsAuth;
use super::sections::legacy::LegacySettings;
use super::sections::operators::OperatorSettings;
use super::sections::phpws::PhpwsSettings;
use super::sections::rates::RateSettings;
use super::sections::resource::ResourceBinding;
use super::sections::sse::SseSettings;
use super::shared_settings::profile_of;
use super::{BridgeConfig, ListenAddress, UnixAddresses};
use crate::auth::{Applications, AuthorizeOpen};
use crate::resource::{BuiltinKind, UnknownPath};
use crate::telemetry::{LogFormat, LogLevel};
use crate::types::{
    Encryption, HostId, IpRange, Secret, WipedBytes, from_hexadecimal, push_hexadecimal,
    word_choices,
};

/// The effective configuration from file, variables and flags.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Listening addresses.
    pub listen: Vec<ListenAddress>,
    /// Listening addresses that are paths.
    pub unix: UnixAddresses,
    /// Number of worker processes.
    pub workers: u16,
    /// Log settings.
    pub log: LogSettings,
    /// Limits and deadlines.
    pub limits: LimitSettings,
    /// Applications that may use the server. None means that all clients may.
    pub applications: Option<Applications>,
    /// Rule for opening a connection.
    pub authorize_open: AuthorizeOpen,
    /// Response to a rejected handshake.
    pub refuse: Refuse,
    /// Limits on the origin, address and number of connections.
    pub admission: Admission,
    /// Limits of rates for all applications, and for addresses.
    pub rates: RateSettings,
    /// Certificate, if an address uses TLS.
    pub tls: Option<TlsSettings>,
    /// Key that signs the UUIDs of clients, or its file.
    pub uuid_key: UuidKey,
    /// Identifier of this host, which is in the UUIDs of its clients. The supervisor reads or makes it at the start.
    #[serde(default)]
    pub host: HostId,
    /// Folder for persistent state; by default `state` next to the ini file.
    pub state_folder: PathBuf,
    /// Resource of `/`. None means that `/` is an unbound path.
    pub default_dialect: Option<BuiltinKind>,
    /// Handling of unbound paths.
    pub unknown_path: UnknownPath,
    /// True if a plain GET of `/` returns the demo page.
    pub page: bool,
    /// Server-sent events.
    #[serde(default)]
    pub sse: SseSettings,
    /// The HTTP API for backends.
    pub api: ApiSettings,
    /// Operators of the server.
    #[serde(default)]
    pub operators: OperatorSettings,
    /// PHP session that pages must have. None if no session is required.
    pub jsauth: Option<JsAuth>,
    /// Options of phpWebSocketServer's dialect.
    pub phpws: PhpwsSettings,
    /// Options for clients of PHP-WebSockets-Server.
    pub echo: EchoSettings,
    /// Protocols older than RFC 6455.
    pub legacy: LegacySettings,
    /// The applications of bloatless/php-websocket.
    pub bloatless: BloatlessSettings,
    /// The other hosts of this one. None if it runs alone.
    #[serde(default)]
    pub cluster: Option<ClusterSettings>,
    /// Options of the Gomoob dialect.
    pub gomoob: GomoobSettings,
    /// Resources bound by the file.
    pub resources: Vec<ResourceBinding>,
}

/// Log settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogSettings {
    /// File to append to.
    pub file: Option<PathBuf>,
    /// True if lines are written to the console too.
    pub console: bool,
    /// Minimum severity of lines.
    pub level: LogLevel,
    /// Format of lines.
    pub format: LogFormat,
    /// Size in bytes at which the file is rotated; 0 means never.
    pub bytes_max: usize,
    /// Number of rotated files to keep.
    pub old_files: usize,
}

/// Limits and deadlines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitSettings {
    /// Maximum time from the accept to the response of the handshake.
    pub handshake_timeout: Duration,
    /// Interval in which an incomplete message must have grown.
    pub message_timeout: Duration,
    /// Maximum bytes of a message from a client.
    pub max_message: usize,
    /// Maximum bytes of a request head.
    pub max_head: usize,
    /// Maximum bytes in the outbox of a client.
    pub outbox_limit: usize,
    /// Maximum time of a shutdown.
    pub drain_time: Duration,
    /// Interval between two pings; zero means no pings.
    pub ping_interval: Duration,
    /// Memory limit of all processes together.
    pub max_memory: MaxMemory,
    /// Maximum values that the prefixes of one expression scan.
    pub expression_scan: u64,
    /// Work at which a tenant is throttled while others publish; 0 for no throttles.
    pub fair_share_work: u64,
    /// Memory for clients of `tagcast.v1` that are away, in bytes.
    pub away_bytes: usize,
    /// Memory for the stored publications of all spaces, in bytes.
    pub history_bytes: usize,
    /// Maximum topics of a client of `tagcast.v1`.
    pub max_topics: usize,
}

/// The memory limit of all processes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MaxMemory {
    /// The limit of the server's cgroup, if it has one.
    Auto,
    /// No limit.
    Unlimited,
    /// This many bytes.
    Bytes(u64),
}

/// Limits on the origin, address and number of connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Admission {
    /// Maximum connections of all workers together; 0 means no limit.
    pub max_clients: u32,
    /// Maximum web-type connections from one address; 0 means no limit.
    pub max_per_ip: u32,
    /// Origins that may connect, as they were written. Empty means any.
    pub allowed_origins: Vec<String>,
    /// Addresses that php-type clients may come from. Empty means the listening addresses and
    /// loopback.
    pub allowed_ip: Vec<IpRange>,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpRange>,
}

/// The settings of TLS, read and checked, so that a worker needs no files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsSettings {
    /// The certificate and its chain as PEM.
    pub chain: String,
    /// Private key as hexadecimal DER, see [`TlsSettings::key_from_pem`]. It is not stored as PEM,
    /// because PEM parsers leave copies in memory.
    pub key: Secret,
    /// Secret for the keys of session tickets, as 64 hexadecimal characters. The supervisor creates
    /// it at its start and never stores it.
    pub ticket_secret: Option<Secret>,
    /// Maximum time from the accept to the end of the TLS handshake.
    pub handshake_timeout: Duration,
}

word_choices! {
    /// Response to a rejected handshake.
    Refuse {
        /// An HTTP status.
        Http = "http",
        /// A Close frame after a 101, as in the original servers.
        AfterUpgrade = "afterUpgrade",
    }
    /// Handling of addresses that request TLS.
    TlsMode {
        /// TLS with our certificate.
        On = "on",
        /// No encryption.
        Off = "off",
        /// No encryption, because a proxy handles TLS for the clients.
        Proxy = "proxy",
    }
}

/// The key that signs the UUIDs of clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UuidKey {
    /// A file with 64 hexadecimal characters. The supervisor creates it if it is missing.
    File(PathBuf),
    /// The key itself.
    Value(Secret),
}

impl TlsSettings {
    /// Returns the 32 bytes of the session ticket secret. None before it is created.
    #[must_use]
    pub fn ticket_secret(&self) -> Option<Zeroizing<[u8; 32]>> {
        parse::key(self.ticket_secret.as_ref()?.expose()).ok().map(Zeroizing::new)
    }

    /// Returns the first private key of a PEM text.
    #[must_use]
    pub fn key_from_pem(pem: &str) -> Option<Secret> {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        let der = key.secret_der();
        let mut text = String::with_capacity(2 * der.len());
        push_hexadecimal(&mut text, der);
        Some(Secret::new(text))
    }

    /// Returns the DER of the private key.
    #[must_use]
    pub fn key_der(&self) -> Option<Zeroizing<Vec<u8>>> {
        from_hexadecimal(self.key.expose())
    }
}

impl UuidKey {
    /// Returns the 32 bytes of the key. None if only its file is known.
    #[must_use]
    pub fn bytes(&self) -> Option<Zeroizing<[u8; 32]>> {
        match self {
            Self::File(_) => None,
            Self::Value(secret) => parse::key(secret.expose()).ok().map(Zeroizing::new),
        }
    }
}

impl Config {
    /// Returns the JSON that is sent to a child, including secrets.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        let mut json = WipedBytes::default();
        // Serialization fails only for maps whose keys are not strings, and there are none.
        let _written = serde_json::to_writer(&mut json, self);
        // JSON is valid UTF-8. The copy is allocated with its exact length.
        Zeroizing::new(str::from_utf8(&json).unwrap_or_default().to_owned())
    }

    /// Returns the configuration for a worker at this time, in Unix seconds: without secrets that have
    /// expired. Secrets of applications are reduced to digests, except for those that sign events of
    /// the applications in `signing`, and for keys of tokens: HS256 needs the key itself.
    #[must_use]
    pub fn for_worker(&self, signing: &BTreeSet<String>, now: u64) -> Self {
        let mut config = self.clone();
        if self.listen.iter().all(|address| address.encryption == Encryption::Plain) {
            config.tls = None;
        }
        config.operators = self.operators.without_secrets();
        for application in config.applications.iter_mut().flat_map(|all| &mut all.list) {
            let signs = signing.contains(&application.key);
            for (at, one) in application.secrets.iter_mut().enumerate() {
                if at > 0 || !signs {
                    one.secret = one.secret.to_digest();
                }
            }
            application.secrets.retain(|one| !one.is_expired(now));
            if let Some(tokens) = &mut application.tokens {
                tokens.keys.retain(|key| key.expires.is_none_or(|end| now < end));
            }
        }
        config
    }

    /// The part of the configuration that the API process needs: the secrets that sign requests, and the
    /// key of the certificate only if an address of the API speaks TLS.
    #[must_use]
    pub fn for_api(&self) -> Self {
        let mut addresses = self.api.addresses.iter().filter_map(ApiAddress::tcp);
        let speaks_tls = addresses.any(|address| address.encryption == Encryption::Tls);
        let tls = self.tls.as_ref().filter(|_| speaks_tls);
        let tls = tls.map(|tls| TlsSettings { ticket_secret: None, ..tls.clone() });
        Self { tls, resources: Vec::new(), ..self.clone() }
    }

    /// Returns the configuration for the bridge: the key that all hosts share, and the settings of the cluster.
    /// `None` if this host runs alone.
    #[must_use]
    pub fn for_bridge(&self) -> Option<BridgeConfig> {
        let cluster = self.cluster.clone()?;
        let profile = profile_of(self, &cluster);
        Some(BridgeConfig { cluster, host: self.host, uuid_key: self.uuid_key.clone(), profile })
    }

    /// Returns the keys of the applications whose secrets sign webhook events.
    pub fn signing(&self) -> impl Iterator<Item = &str> {
        let backends = self.resources.iter().filter_map(|binding| binding.backend.as_ref());
        backends.map(|backend| backend.application.as_str())
    }

    /// Parses the output of [`Config::to_json`].
    ///
    /// # Errors
    ///
    /// If the text is not such an output.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
