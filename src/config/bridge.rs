//! The part of the configuration that a bridge needs.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{ClusterSettings, UuidKey};
use crate::types::{HostId, HostProfile, WipedBytes};

/// The configuration of a bridge. It contains the key that all hosts of a cluster share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeConfig {
    /// The cluster.
    pub cluster: ClusterSettings,
    /// This host.
    pub host: HostId,
    /// The key that all hosts share.
    pub uuid_key: UuidKey,
    /// What this host says about itself.
    pub profile: HostProfile,
}

impl BridgeConfig {
    /// Returns the JSON that is sent to a bridge.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        let mut json = WipedBytes::default();
        // Serialization fails only for maps whose keys are not strings, and there are none.
        let _written = serde_json::to_writer(&mut json, self);
        Zeroizing::new(str::from_utf8(&json).unwrap_or_default().to_owned())
    }

    /// Parses the output of [`BridgeConfig::to_json`].
    ///
    /// # Errors
    ///
    /// If the text is not such an output.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
