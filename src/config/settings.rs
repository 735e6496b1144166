//! The checked configuration: what exists is valid. It travels to the children as JSON.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::ListenAddress;
use super::parse;
use super::sections::bloatless::BloatlessSettings;
use super::sections::echo::EchoSettings;
use super::sections::gomoob::GomoobSettings;
use super::sections::jsauth::JsAuth;
use super::sections::legacy::LegacySettings;
use super::sections::phpws::PhpwsSettings;
use super::sections::resource::ResourceBinding;
use crate::auth::{Applications, AuthorizeOpen};
use crate::resource::{BuiltinKind, UnknownPath};
use crate::telemetry::{LogFormat, LogLevel};
use crate::types::{IpRange, Secret, WipedBytes, from_hexadecimal, push_hexadecimal, word_choices};

/// Everything that the file, variables and flags decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Where clients connect.
    pub listen: Vec<ListenAddress>,
    /// Worker processes.
    pub workers: u16,
    /// What is logged, and where to.
    pub log: LogSettings,
    /// Bounds and deadlines.
    pub limits: LimitSettings,
    /// Who may use the server; without them it is open to everyone.
    pub applications: Option<Applications>,
    /// Who may open a connection.
    pub authorize_open: AuthorizeOpen,
    /// How an opening is refused.
    pub refuse: Refuse,
    /// Where connections may come from, and how many.
    pub admission: Admission,
    /// The certificate, where an address asks for TLS.
    pub tls: Option<TlsSettings>,
    /// The key that signs the UUIDs of clients, or where it stands.
    pub uuid_key: UuidKey,
    /// Where the server keeps what it must not forget; `state` beside the ini.
    pub state_folder: PathBuf,
    /// What serves `/`; without it `/` is a path that nothing is bound to.
    pub default_dialect: Option<BuiltinKind>,
    /// What becomes of a path that nothing is bound to.
    pub unknown_path: UnknownPath,
    /// Whether a plain GET of `/` is answered by the page.
    pub page: bool,
    /// The session of PHP that pages have to come with, if one is asked for.
    pub jsauth: Option<JsAuth>,
    /// phpWebSocketServer's dialect.
    pub phpws: PhpwsSettings,
    /// What is for who comes from PHP-WebSockets-Server.
    pub echo: EchoSettings,
    /// Protocols that are older than RFC 6455.
    pub legacy: LegacySettings,
    /// The applications of bloatless/php-websocket.
    pub bloatless: BloatlessSettings,
    /// Gomoob's dialect.
    pub gomoob: GomoobSettings,
    /// Paths that the file binds.
    pub resources: Vec<ResourceBinding>,
}

/// What is logged, and where to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogSettings {
    /// A file to append to.
    pub file: Option<PathBuf>,
    /// Whether lines go to the console too.
    pub console: bool,
    /// The least important lines that are written.
    pub level: LogLevel,
    /// How a line is written.
    pub format: LogFormat,
    /// The size from which the file is put aside and begun anew, in bytes; 0 means never.
    pub bytes_max: usize,
    /// Old files that are kept.
    pub old_files: usize,
}

/// Bounds and deadlines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitSettings {
    /// From the accept to the answered handshake.
    pub handshake_timeout: Duration,
    /// How often an unfinished message is looked at, which has to have grown since.
    pub message_timeout: Duration,
    /// The largest message of a client, in bytes.
    pub max_message: usize,
    /// Bytes of a request head.
    pub max_head: usize,
    /// What one client's outbox may hold, in bytes.
    pub outbox_limit: usize,
    /// From SIGTERM to the end.
    pub drain_time: Duration,
    /// Between two pings; zero means none.
    pub ping_interval: Duration,
    /// What all processes together may have.
    pub max_memory: MaxMemory,
}

/// What all processes together may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MaxMemory {
    /// What the cgroup of the server may have, if that is limited.
    Auto,
    /// As much as there is.
    Unlimited,
    /// So many bytes.
    Bytes(u64),
}

/// Where connections may come from, and how many.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Admission {
    /// Connections of all workers together; 0 means no limit.
    pub max_clients: u32,
    /// Web-type connections from one address; 0 means no limit.
    pub max_per_ip: u32,
    /// Origins that may connect, as they were written; empty means any.
    pub allowed_origins: Vec<String>,
    /// Where php-type clients may come from; empty means the listening addresses and loopback.
    pub allowed_ip: Vec<IpRange>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpRange>,
}

/// What is needed to speak TLS: read and checked, so that a worker needs no file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsSettings {
    /// The certificate and the chain that leads to it, as PEM.
    pub chain: String,
    /// Its private key: DER in hexadecimal, see [`TlsSettings::key_from_pem`]. Readers of PEM leave copies.
    pub key: Secret,
    /// What the keys of session tickets are derived from, as 64 hexadecimal characters. The
    /// supervisor makes it at its start; nothing keeps it longer than the server runs.
    pub ticket_secret: Option<Secret>,
    /// From the accept to the end of the TLS handshake.
    pub handshake_timeout: Duration,
}

word_choices! {
    /// How an opening is refused.
    Refuse {
        /// By an HTTP status.
        Http = "http",
        /// By a Close frame behind a 101, as the original servers did.
        AfterUpgrade = "afterUpgrade",
    }
    /// What becomes of an address that asks for TLS.
    TlsMode {
        /// It speaks TLS, with our certificate.
        On = "on",
        /// It is served plain.
        Off = "off",
        /// It is served plain, to a proxy that speaks TLS to the clients.
        Proxy = "proxy",
    }
}

/// The key that signs the UUIDs of clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UuidKey {
    /// 64 hexadecimal characters in this file; the supervisor makes it when it is missing.
    File(PathBuf),
    /// The key itself.
    Value(Secret),
}

impl TlsSettings {
    /// The 32 bytes of the secret of session tickets, once it was made.
    #[must_use]
    pub fn ticket_secret(&self) -> Option<Zeroizing<[u8; 32]>> {
        parse::key(self.ticket_secret.as_ref()?.expose()).ok().map(Zeroizing::new)
    }

    /// The first private key of a text in PEM.
    #[must_use]
    pub fn key_from_pem(pem: &str) -> Option<Secret> {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        let der = key.secret_der();
        let mut text = String::with_capacity(2 * der.len());
        push_hexadecimal(&mut text, der);
        Some(Secret::new(text))
    }

    /// The DER of the private key.
    #[must_use]
    pub fn key_der(&self) -> Option<Zeroizing<Vec<u8>>> {
        from_hexadecimal(self.key.expose())
    }
}

impl UuidKey {
    /// The 32 bytes, once they are known.
    #[must_use]
    pub fn bytes(&self) -> Option<Zeroizing<[u8; 32]>> {
        match self {
            Self::File(_) => None,
            Self::Value(secret) => parse::key(secret.expose()).ok().map(Zeroizing::new),
        }
    }
}

impl Config {
    /// The configuration as it travels to a child, with its secrets.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        let mut json = WipedBytes::default();
        // Only maps with other keys than text have no JSON, and there are none.
        let _written = serde_json::to_writer(&mut json, self);
        // JSON is text; the copy is of the length that it has.
        Zeroizing::new(str::from_utf8(&json).unwrap_or_default().to_owned())
    }

    /// What a worker needs of it: the secrets of applications as digests, save of those whose keys are
    /// in `signing`, because a worker signs events with them.
    #[must_use]
    pub fn for_worker(&self, signing: &BTreeSet<String>) -> Self {
        let mut config = self.clone();
        let list = config.applications.iter_mut().flat_map(|all| &mut all.list);
        for application in list.filter(|application| !signing.contains(&application.key)) {
            application.secret = application.secret.to_digest();
        }
        config
    }

    /// The keys of the applications that events for backends are signed for.
    pub fn signing(&self) -> impl Iterator<Item = &str> {
        let backends = self.resources.iter().filter_map(|binding| binding.backend.as_ref());
        backends.map(|backend| backend.application.as_str())
    }

    /// Reads what [`Config::to_json`] wrote.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
