//! What a worker takes from the configuration, in the form in which it uses it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use super::connection::tls::acceptor;
use super::handshake::session_cookie::SessionGate;
use crate::auth::Permissions;
use crate::auth::uuid::Signer;
use crate::config::{BloatlessSettings, Config, EchoHandshake, LegacySettings, OpenTags, Refuse};
use crate::http::Origins;
use crate::protocol::ProtocolOptions;
use crate::protocol::phpws::{CompatFlag, CompatFlags};
use crate::resource::Routes;
use crate::session::{Session, SessionRules};
use crate::types::{ClientClass, IpRange};
use crate::websocket::{Leniency, LoneContinuation, MessageLimits};

/// The settings of one worker.
#[derive(Debug)]
pub(super) struct WorkerSettings {
    pub(super) rules: SessionRules,
    messages: MessageLimits,
    leniency: Leniency,
    pub(super) paths: Routes,
    /// Whether a plain GET of `/` is answered by the page.
    pub(super) has_demo_page: bool,
    /// Whether clients choose their tags where nothing else decides about them.
    pub(super) open_tags: OpenTags,
    pub(super) head_bytes_max: usize,
    pub(super) outbox_bytes_max: usize,
    pub(super) handshake_timeout: Duration,
    /// How often an unfinished message is looked at, which has to have grown.
    pub(super) message_timeout: Duration,
    /// Zero: no pings.
    pub(super) ping_every: Duration,
    pub(super) ready_gap: Duration,
    pub(super) frame_gap: Duration,
    /// Zero: php-type clients are not kept alive.
    pub(super) php_keepalive: Duration,
    pub(super) origins: Origins,
    /// Where php-type clients may come from; empty: the address they connect to, and loopback.
    pub(super) allowed_ip: Vec<IpRange>,
    pub(super) trusted_proxies: Vec<IpRange>,
    pub(super) refuse: Refuse,
    /// How handshakes are answered for resources without a language of their own.
    pub(super) echo_handshake: EchoHandshake,
    /// Whether pages need a session of PHP, and which.
    pub(super) session_gate: Option<SessionGate>,
    pub(super) legacy: LegacySettings,
    pub(super) bloatless: BloatlessSettings,
    /// For sockets that speak TLS: how, and how long the handshake may take.
    pub(super) tls: Option<(Arc<ServerConfig>, Duration)>,
}

impl WorkerSettings {
    /// When clients are pinged though nothing is published.
    pub(super) fn ping_intervals(&self) -> (Duration, Duration) {
        (self.ping_every, self.php_keepalive)
    }

    /// What a client may send.
    pub(super) fn message_limits(&self, session: &Session) -> MessageLimits {
        let lone_continuation = match session.class {
            ClientClass::Web => LoneContinuation::Refused,
            ClientClass::Php => LoneContinuation::IsText,
        };
        let leniency = match session.protocol.spec().has_compat_flags {
            true => self.leniency,
            false => Leniency::default(),
        };
        MessageLimits { lone_continuation, leniency, ..self.messages }
    }

    /// Whether clients of phpWebSocketServer are served as it served them.
    pub(super) fn has(&self, switch: CompatFlag) -> bool {
        self.rules.protocols.phpws.switches.has(switch)
    }

    /// Takes over what concerns workers.
    ///
    /// # Errors
    ///
    /// When the key of the UUIDs is missing (the supervisor reads or makes it), or the certificate
    /// cannot be used.
    pub(super) fn of(config: &Config) -> io::Result<Self> {
        let key = config.uuid_key.bytes().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the key of the UUIDs was not passed on")
        })?;
        let message_bytes_max = config.limits.max_message;
        Ok(Self {
            rules: SessionRules {
                signer: Signer::new(&key, config.phpws.uuid),
                access: Permissions::new(config.applications.as_ref(), config.authorize_open),
                message_bytes_max,
                chunks_max: config.phpws.max_chunks,
                protocols: ProtocolOptions {
                    phpws: config.phpws.options,
                    gomoob: config.gomoob.options,
                },
            },
            messages: MessageLimits { message_bytes_max, ..MessageLimits::default() },
            leniency: leniency(config.phpws.options.switches),
            paths: paths(config),
            open_tags: config.gomoob.open_tags,
            has_demo_page: config.page,
            head_bytes_max: config.limits.max_head,
            outbox_bytes_max: config.limits.outbox_limit,
            handshake_timeout: config.limits.handshake_timeout,
            message_timeout: config.limits.message_timeout,
            ping_every: config.limits.ping_interval,
            ready_gap: config.phpws.ready_gap,
            frame_gap: config.phpws.frame_gap,
            php_keepalive: config.phpws.php_keepalive,
            origins: Origins::new(&config.admission.allowed_origins),
            allowed_ip: config.admission.allowed_ip.clone(),
            trusted_proxies: config.admission.trusted_proxies.clone(),
            refuse: config.refuse,
            echo_handshake: config.echo.handshake,
            session_gate: config.jsauth.as_ref().map(SessionGate::new),
            legacy: config.legacy.clone(),
            bloatless: config.bloatless.clone(),
            tls: match &config.tls {
                Some(tls) => Some((acceptor(tls)?, tls.handshake_timeout)),
                None => None,
            },
        })
    }
}

/// Paths without what is bound; `ResourceRegistry::bind` adds that.
fn paths(config: &Config) -> Routes {
    Routes::new(config.default_dialect, config.unknown_path).taking(config.echo.protocols)
}

/// What frames of phpWebSocketServer's clients may be.
fn leniency(switches: CompatFlags) -> Leniency {
    let each = [
        (CompatFlag::AcceptUnmasked, Leniency::UNMASKED),
        (CompatFlag::LenientFrames, Leniency::RESERVED),
        (CompatFlag::RefuseFragments, Leniency::ONE_PIECE),
    ];
    let on = each.into_iter().filter(|(switch, _)| switches.has(*switch));
    on.fold(Leniency::default(), |all, (_, one)| all.and(one))
}
