//! Options of phpWebSocketServer's protocol (`[phpws]`).

use serde::{Deserialize, Serialize};

use super::CompatFlags;
use crate::types::Exclusivity;

/// Options for parsing and publishing packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhpwsOptions {
    /// Whether clients may register an alias, and whether several clients may share one. `None`: they may not
    /// register any.
    pub aliases: Option<Exclusivity>,
    /// Enabled behaviour of the original server.
    pub switches: CompatFlags,
}

impl Default for PhpwsOptions {
    fn default() -> Self {
        Self { aliases: Some(Exclusivity::Alone), switches: CompatFlags::default() }
    }
}
