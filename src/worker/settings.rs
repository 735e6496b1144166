//! What a worker takes from the configuration, in the form in which it uses it.

use std::io;
use std::time::Duration;

use crate::auth::uuid::{Signer, UuidForm};
use crate::config::{self, Config, UnknownPath};
use crate::resource::{Kind, Paths};
use crate::session::Rules;
use crate::types::ClientClass;
use crate::websocket::{LoneContinuation, MessageLimits};

/// The settings of one worker.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) rules: Rules,
    messages: MessageLimits,
    pub(super) paths: Paths,
    pub(super) page: Page,
    pub(super) outbox_bytes_max: usize,
    pub(super) handshake_timeout: Duration,
    /// Zero: no pings.
    pub(super) ping_every: Duration,
    pub(super) ready_gap: Duration,
    pub(super) frame_gap: Duration,
}

/// Whether a plain GET of `/` is answered by the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// It is.
    On,
    /// It is not.
    Off,
}

impl Settings {
    /// What a client of a class may send.
    pub(super) fn messages(&self, class: ClientClass) -> MessageLimits {
        let lone_continuation = match class {
            ClientClass::Web => LoneContinuation::Refused,
            ClientClass::Php => LoneContinuation::IsText,
        };
        MessageLimits { lone_continuation, ..self.messages }
    }

    /// Takes over what concerns workers.
    ///
    /// # Errors
    ///
    /// When the key of the UUIDs is missing: the supervisor reads or makes it.
    pub(super) fn of(config: &Config) -> io::Result<Self> {
        let key = config.uuid_key.bytes().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the key of the UUIDs was not passed on")
        })?;
        let form = match config.phpws.uuid {
            config::UuidForm::Signed => UuidForm::Signed,
            config::UuidForm::Plain => UuidForm::Plain,
        };
        let message_bytes_max = config.limits.max_message;
        Ok(Self {
            rules: Rules {
                signer: Signer::new(&key, form),
                message_bytes_max,
                chunks_max: config.phpws.max_chunks,
            },
            messages: MessageLimits { message_bytes_max, ..MessageLimits::default() },
            paths: paths(config),
            page: if config.page { Page::On } else { Page::Off },
            outbox_bytes_max: config.limits.outbox_limit,
            handshake_timeout: config.limits.handshake_timeout,
            ping_every: config.limits.ping_interval,
            ready_gap: config.phpws.ready_gap,
            frame_gap: config.phpws.frame_gap,
        })
    }
}

fn paths(config: &Config) -> Paths {
    let mut paths = Paths::new(match config.unknown_path {
        UnknownPath::Phpws => crate::resource::Unknown::Phpws,
        UnknownPath::NotFound => crate::resource::Unknown::NotFound,
        UnknownPath::Echo => crate::resource::Unknown::Echo,
        UnknownPath::Gomoob => crate::resource::Unknown::Gomoob,
    });
    for binding in &config.resources {
        let kind = match binding.kind {
            config::ResourceKind::Phpws => Kind::Phpws,
            config::ResourceKind::Echo => Kind::Echo,
            config::ResourceKind::Gomoob => Kind::Gomoob,
        };
        paths.bind(&binding.path, kind);
    }
    paths
}
