//! What a broker needs of the configuration: no secret is in it.

use serde::{Deserialize, Serialize};

use super::Config;

/// What a broker needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerConfig {
    /// Connections of all workers together; 0 means no limit.
    pub max_clients: u32,
    /// Web-type connections from one address; 0 means no limit.
    pub max_per_ip: u32,
}

impl BrokerConfig {
    /// As it travels to a broker.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Two numbers always have JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`BrokerConfig::to_json`] wrote.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl Config {
    /// What a broker needs of it.
    #[must_use]
    pub const fn for_broker(&self) -> BrokerConfig {
        let admission = &self.admission;
        BrokerConfig { max_clients: admission.max_clients, max_per_ip: admission.max_per_ip }
    }
}
