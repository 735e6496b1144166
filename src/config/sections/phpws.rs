//! `[phpws]`: options of phpWebSocketServer's dialect.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::compat;
use crate::auth::uuid::UuidForm;
use crate::config::layers::ConfigLayers;
use crate::config::parse::{Bounds, choice, count, duration};
use crate::protocol::phpws::PhpwsOptions;
use crate::types::Exclusivity;

/// Options of phpWebSocketServer's dialect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhpwsSettings {
    /// Form of UUIDs: with or without a signature.
    pub uuid: UuidForm,
    /// Pause between the 101 and `ready` for php-type clients.
    pub ready_gap: Duration,
    /// Pause between two frames for php-type clients.
    pub frame_gap: Duration,
    /// Maximum chunks between `bufferON` and `bufferOFF`; 0 means that only the size is limited.
    pub max_chunks: usize,
    /// Idle time after which a php-type client with an ident gets a ping; zero means never.
    pub php_keepalive: Duration,
    /// Options for parsing and publishing packets.
    pub options: PhpwsOptions,
}

const GAP: Bounds<Duration> = Bounds::new(Duration::ZERO, Duration::from_secs(1));
const CHUNKS: Bounds<usize> = Bounds::or_off(1, 1_000_000);
const KEEPALIVE: Bounds<Duration> =
    Bounds::or_off(Duration::from_millis(100), Duration::from_secs(3600));

pub(in crate::config) fn read(given: &mut ConfigLayers<'_>) -> PhpwsSettings {
    let gap = |text: &str| duration(text, &GAP);
    PhpwsSettings {
        ready_gap: given.or_default("phpws", "readyGap", gap),
        frame_gap: given.or_default("phpws", "frameGap", gap),
        max_chunks: given.or_default("phpws", "maxChunks", |text| count(text, &CHUNKS)),
        php_keepalive: given.or_default("phpws", "phpKeepalive", |text| duration(text, &KEEPALIVE)),
        uuid: given.read("phpws", "uuid", choice).unwrap_or(UuidForm::Signed),
        options: PhpwsOptions {
            aliases: given.read("phpws", "aliases", choice).unwrap_or(Some(Exclusivity::Alone)),
            switches: compat::read(given),
        },
    }
}
