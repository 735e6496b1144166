//! Configuration in the form that a worker uses.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use super::clock::unix_time;
use super::connection::tls::acceptor;
use super::handshake::session_cookie::SessionCheck;
use crate::auth::uuid::Signer;
use crate::auth::{MemberKey, Permissions, ResumeKey};
use crate::config::{
    BloatlessSettings, Config, EchoHandshake, LegacySettings, OnGap, Refuse, SseSettings,
};
use crate::http::Origins;
use crate::protocol::ProtocolOptions;
use crate::protocol::phpws::{CompatFlag, CompatFlags};
use crate::resource::Routes;
use crate::session::{Session, SessionRules};
use crate::types::{ClientClass, HostId, IpRange};
use crate::websocket::{Leniency, LoneContinuation, MessageLimits};

/// Settings of a worker.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of the configuration")]
pub(super) struct WorkerSettings {
    pub(super) rules: SessionRules,
    /// Host of the clients, which is in their UUIDs.
    pub(super) host: HostId,
    /// Its name, if it is one of several. Else it is empty.
    pub(super) host_name: String,
    /// Signs the tokens with which clients resume.
    pub(super) resume_key: ResumeKey,
    pub(super) member_key: MemberKey,
    leniency: Leniency,
    pub(super) paths: Routes,
    /// True if a plain GET of `/` returns the demo page.
    pub(super) has_demo_page: bool,
    /// Server-sent events.
    pub(super) sse: SseSettings,
    /// True if the API process serves the metrics to operators.
    pub(super) has_operators: bool,
    /// Clients may choose their tags where no resource decides.
    pub(super) has_open_tags: bool,
    pub(super) head_bytes_max: usize,
    pub(super) outbox_bytes_max: usize,
    pub(super) handshake_timeout: Duration,
    /// Interval in which an incomplete message must grow.
    pub(super) message_timeout: Duration,
    /// Ping interval. Zero disables pings.
    pub(super) ping_every: Duration,
    pub(super) ready_gap: Duration,
    pub(super) frame_gap: Duration,
    /// Keepalive interval of php-type clients. Zero disables it.
    pub(super) php_keepalive: Duration,
    pub(super) origins: Origins,
    /// Addresses of php-type clients. Empty: loopback, and the address that the client connected
    /// to.
    pub(super) allowed_ip: Vec<IpRange>,
    pub(super) trusted_proxies: Vec<IpRange>,
    pub(super) refuse: Refuse,
    /// Handshake response for the protocols `Echo` and `Plain`.
    pub(super) echo_handshake: EchoHandshake,
    /// PHP session check for pages. `None`: pages need no session.
    pub(super) session_check: Option<SessionCheck>,
    pub(super) legacy: LegacySettings,
    pub(super) bloatless: BloatlessSettings,
    /// What clients learn of publications that are lost between hosts.
    pub(super) on_gap: GapPolicy,
    /// The worker takes traffic only while publications pass between hosts.
    pub(super) needs_cluster: bool,
    /// Configuration of TLS sockets and the timeout of their handshakes. `None`: there are no TLS
    /// sockets.
    pub(super) tls: Option<(Arc<ServerConfig>, Duration)>,
}

/// What clients learn of publications that are lost between hosts (`onGap`).
#[derive(Clone, Copy, Debug)]
pub(super) enum GapPolicy {
    /// Clients of a protocol that can say it get a message.
    Report,
    /// Connections that take publications are closed.
    Close {
        /// The time over which the closes are spread.
        spread: Duration,
    },
}

impl WorkerSettings {
    /// Returns the ping interval and the keepalive interval of php-type clients.
    pub(super) fn ping_intervals(&self) -> (Duration, Duration) {
        (self.ping_every, self.php_keepalive)
    }

    /// Returns true if a plain GET of a path returns a stream of events. A resource of that path comes first.
    pub(super) fn is_event_stream(&self, path: &str) -> bool {
        self.sse.path.as_deref() == Some(path) && !self.paths.is_bound(path)
    }

    /// Returns the Unix seconds by which tokens are judged. The clock is not read where no application accepts
    /// tokens.
    pub(super) fn token_time(&self) -> u64 {
        if self.rules.access.takes_tokens() { unix_time().as_secs() } else { 0 }
    }

    /// Returns the limits and frame rules for a client's messages.
    pub(super) fn message_limits(&self, session: &Session) -> MessageLimits {
        let lone_continuation = match session.class {
            ClientClass::Web => LoneContinuation::Refused,
            ClientClass::Php => LoneContinuation::IsText,
        };
        let leniency = match session.protocol.spec().has_compat_flags {
            true => self.leniency,
            false => Leniency::default(),
        };
        let message_bytes_max =
            self.rules.message_bytes_max_of(session.basis, session.extras.as_deref());
        MessageLimits { lone_continuation, leniency, message_bytes_max }
    }

    /// Converts the configuration.
    ///
    /// # Errors
    ///
    /// Fails when the key of the UUIDs is missing, although the supervisor always supplies it, or
    /// when the certificate is unusable.
    pub(super) fn of(config: &Config) -> io::Result<Self> {
        let key = config.uuid_key.bytes().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the key of the UUIDs is missing")
        })?;
        let message_bytes_max = config.limits.max_message;
        Ok(Self {
            rules: SessionRules {
                signer: Signer::new(&key, config.phpws.uuid),
                access: Permissions::new(config.applications.as_ref(), config.authorize_open),
                message_bytes_max,
                chunks_max: config.phpws.max_chunks,
                topics_max: config.limits.max_topics,
                protocols: ProtocolOptions {
                    phpws: config.phpws.options,
                    gomoob: config.gomoob.options,
                    bloatless: config.bloatless.close,
                },
            },
            host: config.host,
            host_name: config.cluster.as_ref().map(|it| it.host_name.clone()).unwrap_or_default(),
            resume_key: ResumeKey::new(&key),
            member_key: MemberKey::new(&key),
            leniency: leniency(config.phpws.options.switches),
            paths: paths(config),
            has_open_tags: config.gomoob.has_open_tags,
            has_demo_page: config.page,
            sse: config.sse.clone(),
            has_operators: config.operators.operators.is_some(),
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
            session_check: config.jsauth.as_ref().map(SessionCheck::new),
            legacy: config.legacy.clone(),
            bloatless: config.bloatless.clone(),
            on_gap: match config.cluster.as_ref().map(|cluster| cluster.on_gap) {
                Some(OnGap::Close) => GapPolicy::Close { spread: config.limits.drain_time },
                Some(OnGap::Report) | None => GapPolicy::Report,
            },
            needs_cluster: config.cluster.as_ref().is_some_and(|cluster| cluster.is_required),
            tls: match &config.tls {
                Some(tls) => Some((acceptor(tls)?, tls.handshake_timeout)),
                None => None,
            },
        })
    }
}

/// Creates the routes without bindings. `ResourceRegistry::bind` adds the bindings.
fn paths(config: &Config) -> Routes {
    Routes::new(config.default_dialect, config.unknown_path).taking(config.echo.protocols)
}

/// Returns the frame rules for clients of phpWebSocketServer.
fn leniency(switches: CompatFlags) -> Leniency {
    let each = [
        (CompatFlag::AcceptUnmasked, Leniency::UNMASKED),
        (CompatFlag::LenientFrames, Leniency::RESERVED),
        (CompatFlag::RefuseFragments, Leniency::ONE_PIECE),
    ];
    let on = each.into_iter().filter(|(switch, _)| switches.has(*switch));
    on.fold(Leniency::default(), |all, (_, one)| all.and(one))
}
