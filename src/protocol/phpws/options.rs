//! What phpWebSocketServer's users can choose (`[phpws]`).

use serde::{Deserialize, Serialize};

use super::CompatFlags;
use crate::types::Exclusivity;

/// How packets are read, and how they are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhpwsOptions {
    /// Whether clients may give themselves an alias, and whether several may have one.
    pub aliases: Option<Exclusivity>,
    /// Ways of the original.
    pub switches: CompatFlags,
}

impl Default for PhpwsOptions {
    fn default() -> Self {
        Self { aliases: Some(Exclusivity::Alone), switches: CompatFlags::default() }
    }
}
